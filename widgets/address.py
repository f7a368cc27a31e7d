"""The address of a page: its parameters, and how a press changes them.

Widgets are not bound to their parameters: Streamlit would put labels with counts into the address,
and would leave no entry in the browser's history. Every change writes the whole address at once:
one entry, to which Back returns.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from data.formatting import iso_z
from queries.paging import page_count
from queries.scope import MAX_VALUES_PER_PARAM


def address_params() -> dict[str, list[str]]:
    """All parameters of the address, with as many values as one can have."""
    return {name: st.query_params.get_all(name)[:MAX_VALUES_PER_PARAM] for name in st.query_params}


def requested_page(total: int | None = None, page_size: int = 1) -> int:
    """The page of a list in the address, at most the last one; 1 for anything else."""
    text = st.query_params.get("page", "")
    page = max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else 1
    return page if total is None else min(page, page_count(total, page_size))


def show_pagination(page: int, total: int, page_size: int) -> None:
    """Links to the pages of a list, if there are several."""
    pages = page_count(total, page_size)
    if pages > 1:
        st.session_state["page"] = page
        st.pagination(
            pages, key="page", on_change=lambda: update_address(page=str(st.session_state["page"]))
        )


def update_address(**changes: str | Sequence[str] | None) -> None:
    """Change parameters of the address after a press; None or an empty list removes one."""
    params = address_params()
    for name, value in changes.items():
        params[name] = [value] if isinstance(value, str) else list(value or ())
    write_address(params)


def show_narrowing(text: str, label: str, key: str, changes: Mapping[str, None]) -> None:
    """Which part of a list the address asks for, and a button that lists all of it."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"narrowed_{key}"):
        st.text(text, width="content")
        st.button(
            label, key=f"all_{key}", type="tertiary", on_click=update_address, kwargs=dict(changes)
        )


def write_address(params: Mapping[str, Sequence[str]]) -> None:
    """Replace all parameters of the address after a press."""
    if is_user_action():
        st.query_params.from_dict({name: v for name, v in params.items() if any(v)})


def go_to_moment(moment: datetime | None, **params: None) -> None:
    """Show the page as of another moment (naive UTC; None: now), without these parameters."""
    update_address(as_of=iso_z(moment) if moment else None, **params)


def group_params(params: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Pairs of name and value → the values of each name."""
    grouped: dict[str, list[str]] = {}
    for name, value in params:
        grouped.setdefault(name, []).append(value)
    return grouped


def go_to(page: str, params: Mapping[str, Sequence[str]]) -> NoReturn:
    """Open another page, and leave the address of this one as it is.

    The browser follows the link as soon as it is drawn (input.js). `st.switch_page` would first
    write the parameters into the address of this page, to which Back would then return.
    """
    with st.container(key="go"):
        st.page_link(page, label=page, query_params=dict(params))
    st.stop()


def is_user_action() -> bool:
    """Whether a callback runs because of a press, and not because of Back.

    After Back the browser sends the state of all widgets. A widget that has not received its new
    value yet then looks as if it was pressed, and would move the reader forward again.
    """
    ctx = get_script_run_ctx(suppress_warning=True)
    return ctx is None or not ctx.is_history_navigation
