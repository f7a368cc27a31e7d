"""The filters as widgets. The address is the only truth: widgets show it, and change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import NoReturn

import streamlit as st

from queries.filters import (
    Filters,
)
from widgets import timezone
from widgets.address import (
    address_params,
    group_params,
    is_user_action,
    update_address,
    write_address,
)
from widgets.labels import escape_label

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 12, 31)
"""Between these, days can be picked; an address may ask for any."""


# ---- the address ---------------------------------------------------------------------------------


def requested_filters() -> Filters:
    """The filters that the address names."""
    filters = Filters.from_params(address_params())
    st.session_state[LAST_FILTERS_KEY] = filters
    return filters


def requested_moment() -> datetime | None:
    """The moment that the address names (naive UTC); None is now."""
    return Filters.from_params(address_params()).as_of


LAST_FILTERS_KEY = "_last_asked"
"""What the page was drawn for, or is going to be.

A press changes this, and not the address that comes along with it: every press brings the address
that the browser had at the time, which may be the one before the last press.
"""


def apply_filters(filters: Filters, *, sort: str | None = None) -> None:
    """Ask for other accounts, from their first page; everything on the page follows."""
    if not is_user_action():
        return
    st.session_state[LAST_FILTERS_KEY] = filters
    params = [*filters.params(), ("sort", sort or st.query_params.get("sort", ""))]
    write_address(timezone.with_zone(group_params(params)))
    st.rerun()


def open_users(filters: Filters) -> NoReturn:
    """Show the accounts that the filters leave, on their page."""
    st.switch_page("users.py", query_params=timezone.with_zone(group_params(filters.params())))


# ---- text from the data, in labels ---------------------------------------------------------------


# ---- the bar -------------------------------------------------------------------------------------


def choose_integrations(names: list[str]) -> list[str]:
    """Some integrations, on any page; none chosen means all."""
    chosen = [name for name in st.query_params.get_all("integration") if name in names]
    st.session_state["integration"] = chosen

    def apply_choice() -> None:
        update_address(integration=st.session_state["integration"])

    return st.multiselect(
        "Integration", names, key="integration", placeholder="All", on_change=apply_choice
    )


# ---- above the list ------------------------------------------------------------------------------


def show_ignored_params(params: Sequence[tuple[str, str]], *, limit: int = 3) -> None:
    """What the address names and nobody understands, quietly."""
    if params:
        labels = [escape_label(f"{name}={value}") for name, value in params[:limit]]
        more = f" and {len(params) - limit:,} more" if len(params) > limit else ""
        with st.container(key="ignored"):
            st.markdown(f"Ignored from the address: {', '.join(labels)}{more}")


def show_past_banner(
    moment: datetime | None, on_reset: Callable[[], None], caption: str = ""
) -> None:
    """Where what is shown is not of now (naive UTC), say so, with the way back."""
    if moment is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="past"):
        st.badge(
            f"As of {timezone.format_with_zone(moment)}", icon=":material/history:", color="violet"
        )
        if caption:
            st.text(caption, width="content")
        st.button("Back to now", type="tertiary", key="now", on_click=on_reset)


def ignore_as_of() -> None:
    """Where a page can only be of now, tell who asks for another moment."""
    show_ignored_params([("as_of", moment) for moment in address_params().get("as_of", [])])
