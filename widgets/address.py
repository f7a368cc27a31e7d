"""The address of a page: what it asks for, and how a press changes that.

A widget is not bound to its parameter, as Streamlit would put what it shows, counts and all, into
the address, and would leave no entry in the browser's history. Instead every change writes the
whole address at once: one entry, to which Back returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def address_params() -> dict[str, list[str]]:
    """All parameters that the address has."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def requested_page() -> int:
    """The page of a list that the address names; the first for anything that is none."""
    text = st.query_params.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else 1


def update_address(**changes: str | Sequence[str] | None) -> None:
    """Change parameters of the address after a press; None, or nothing in a list: drop it."""
    params = address_params()
    for name, value in changes.items():
        params[name] = [value] if isinstance(value, str) else list(value or ())
    write_address(params)


def write_address(params: Mapping[str, Sequence[str]]) -> None:
    """Let the address say this alone, after a press."""
    if is_user_action():
        st.query_params.from_dict({name: v for name, v in params.items() if any(v)})


def show_pagination(page: int, pages: int) -> None:
    """The pages of a list, of which one is shown."""
    if pages > 1:
        st.session_state["page"] = page
        st.pagination(
            pages, key="page", on_change=lambda: update_address(page=str(st.session_state["page"]))
        )


def group_params(params: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Parameters, some of which may come several times, as an address has them."""
    grouped: dict[str, list[str]] = {}
    for name, value in params:
        grouped.setdefault(name, []).append(value)
    return grouped


def is_user_action() -> bool:
    """Whether a callback runs because somebody pressed its widget, and not because of Back.

    With a Back the browser tells what every widget shows. One that has been told another value and
    has not got it yet looks pressed then, and would take the reader forward again.
    """
    ctx = get_script_run_ctx(suppress_warning=True)
    return ctx is None or not ctx.is_history_navigation
