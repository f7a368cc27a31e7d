"""The address of a page: what it asks for, and how a press changes that.

A widget is not bound to its parameter, as Streamlit would put what it shows, counts and all, into
the address, and would leave no entry in the browser's history. Instead every change writes the
whole address at once: one entry, to which Back returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def address() -> dict[str, list[str]]:
    """All parameters that the address has."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def page_asked() -> int:
    """The page of a list that the address names; the first for anything that is none."""
    text = st.query_params.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else 1


def go(**changes: str | Sequence[str] | None) -> None:
    """Change parameters of the address after a press; None, or nothing in a list: drop it."""
    changed = address()
    for name, value in changes.items():
        changed[name] = [value] if isinstance(value, str) else list(value or ())
    write(changed)


def write(params: Mapping[str, Sequence[str]]) -> None:
    """Let the address say this alone, after a press."""
    if pressed():
        st.query_params.from_dict({name: v for name, v in params.items() if any(v)})


def turn_pages(page: int, pages: int) -> None:
    """The pages of a list, of which one is shown."""
    if pages > 1:
        st.session_state["page"] = page
        st.pagination(pages, key="page", on_change=lambda: go(page=str(st.session_state["page"])))


def by_name(params: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Parameters, some of which may come several times, as an address has them."""
    named: dict[str, list[str]] = {}
    for name, value in params:
        named.setdefault(name, []).append(value)
    return named


def pressed() -> bool:
    """Whether a callback runs because somebody pressed its widget, and not because of Back.

    With a Back the browser tells what every widget shows. One that has been told another value and
    has not got it yet looks pressed then, and would take the reader forward again.
    """
    ctx = get_script_run_ctx(suppress_warning=True)
    return ctx is None or not ctx.is_history_navigation
