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
from widgets.address import address, by_name, go, pressed, write
from widgets.labels import plain_label

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 12, 31)
"""Between these, days can be picked; an address may ask for any."""


# ---- the address ---------------------------------------------------------------------------------


def asked() -> Filters:
    """The filters that the address names."""
    filters = Filters.from_params(address())
    st.session_state[LAST] = filters
    return filters


def moment_asked() -> datetime | None:
    """The moment that the address names (naive UTC); None is now."""
    return Filters.from_params(address()).as_of


LAST = "_last_asked"
"""What the page was drawn for, or is going to be.

A press changes this, and not the address that comes along with it: every press brings the address
that the browser had at the time, which may be the one before the last press.
"""


def show(filters: Filters, *, sort: str | None = None) -> None:
    """Ask for other accounts, from their first page; everything on the page follows."""
    if not pressed():
        return
    st.session_state[LAST] = filters
    wanted = [*filters.params(), ("sort", sort or st.query_params.get("sort", ""))]
    write(timezone.with_zone(by_name(wanted)))
    st.rerun()


def open_users(wanted: Filters) -> NoReturn:
    """Show the accounts that the filters leave, on their page."""
    st.switch_page("users.py", query_params=timezone.with_zone(by_name(wanted.params())))


# ---- text from the data, in labels ---------------------------------------------------------------


# ---- the bar -------------------------------------------------------------------------------------


def choose_integrations(names: list[str]) -> list[str]:
    """Some integrations, on any page; none chosen means all."""
    chosen = [name for name in st.query_params.get_all("integration") if name in names]
    st.session_state["integration"] = chosen

    def choose() -> None:
        go(integration=st.session_state["integration"])

    return st.multiselect(
        "Integration", names, key="integration", placeholder="All", on_change=choose
    )


# ---- above the list ------------------------------------------------------------------------------


def tell_ignored(pairs: Sequence[tuple[str, str]], *, most: int = 3) -> None:
    """What the address names and nobody understands, quietly."""
    if pairs:
        told = [plain_label(f"{name}={value}") for name, value in pairs[:most]]
        more = f" and {len(pairs) - most:,} more" if len(pairs) > most else ""
        with st.container(key="ignored"):
            st.markdown(f"Ignored from the address: {', '.join(told)}{more}")


def mark_past(at: datetime | None, back: Callable[[], None], words: str = "") -> None:
    """Where what is shown is not of now (naive UTC), say so, with the way back."""
    if at is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="past"):
        st.badge(f"As of {timezone.named(at)}", icon=":material/history:", color="violet")
        if words:
            st.text(words, width="content")
        st.button("Back to now", type="tertiary", key="now", on_click=back)


def now_only() -> None:
    """Where a page can only be of now, tell who asks for another moment."""
    tell_ignored([("as_of", moment) for moment in address().get("as_of", [])])
