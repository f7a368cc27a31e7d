"""Filters shared by pages. The address holds their state; widgets show it and change it."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NoReturn

import streamlit as st

from queries.during import During, parse_during
from queries.filters import Filters
from queries.scope import moment_param
from widgets import timezone
from widgets.address import (
    address_params,
    go_to,
    group_params,
    is_user_action,
    update_address,
    write_address,
)
from widgets.labels import escape_label

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 12, 31)
"""The range of date pickers; an address can give any day."""

LASTING_PARAMS = ("rows", "open", "columns")
"""Parameters of the list that other filters leave as they are."""

LAST_FILTERS_KEY = "_last_filters"
"""The filters of the last run or press.

A press builds on these, not on the address that comes with it: that is the address which the
browser had at the time of the press, perhaps from before the press just before it.
"""


def requested_filters() -> Filters:
    """The filters in the address."""
    filters = Filters.from_params(address_params())
    st.session_state[LAST_FILTERS_KEY] = filters
    return filters


def requested_moment() -> datetime | None:
    """The moment in the address (naive UTC); None is now."""
    return moment_param(address_params(), "as_of")


def apply_filters(filters: Filters, *, sort: str | None = None) -> None:
    """Show the accounts that match, from the first page."""
    if not is_user_action():
        return
    st.session_state[LAST_FILTERS_KEY] = filters
    lasting = [(name, v) for name in LASTING_PARAMS for v in st.query_params.get_all(name)]
    params = [*filters.params(), ("sort", sort or st.query_params.get("sort", "")), *lasting]
    write_address(timezone.with_zone(group_params(params)))
    st.rerun()


def open_users(filters: Filters) -> NoReturn:
    """Go to the Users page with these filters."""
    go_to("users.py", timezone.with_zone(group_params(filters.params())))


def choose_integrations(names: list[str], *, is_labeled: bool = False) -> list[str]:
    """A selection of integrations in the address; none means all.

    `is_labeled`: it stands in one row with fields that have labels.
    """
    chosen = [name for name in st.query_params.get_all("integration") if name in names]
    st.session_state["integration"] = chosen

    def apply_choice() -> None:
        update_address(integration=st.session_state["integration"])

    return st.multiselect(
        "Integration",
        names,
        key="integration",
        placeholder="All integrations",
        on_change=apply_choice,
        label_visibility="visible" if is_labeled else "collapsed",
    )


def choose_as_of(
    as_of: datetime | None,
    snapshot_times: Sequence[datetime],
    on_choose: Callable[[datetime | None], None],
) -> None:
    """Any moment between the first and the latest snapshot; the usual ones by one press.

    `snapshot_times` are those of the last few snapshots, the newest first, then of the first one.
    """
    *recent, first = snapshot_times
    newest = recent[0]
    timezone.choose_moment("Moment", "moment", as_of, (first, newest), on_choose)
    shortcuts = {f"Snapshot of {timezone.format_moment(moment)}": moment for moment in recent}
    for label, days in (("One day", 1), ("One week", 7)):
        if newest - timedelta(days=days) >= first:
            shortcuts[f"{label} before the latest snapshot"] = newest - timedelta(days=days)
    with st.container(gap=None, key="moments"):
        for label, moment in shortcuts.items():
            st.button(
                label, key=f"as_of_{label}", type="tertiary", on_click=on_choose, args=(moment,)
            )
    timezone.choose_zone()


def choose_day(
    key: str, label: str, day: date | None, apply: Callable[[str], None], name: str
) -> None:
    """A day; a press calls `apply` with the name, and the day is in the session under the key."""
    st.session_state[key] = day and min(max(day, FIRST_DAY), LAST_DAY)
    st.date_input(
        label,
        key=key,
        format="YYYY-MM-DD",
        min_value=FIRST_DAY,
        max_value=LAST_DAY,
        on_change=apply,
        args=(name,),
    )


def choose_period(during: During | None, on_choose: Callable[[During | None], None]) -> None:
    """Both days of a period; the first choice is a period of one day."""
    days = {"from": during and during.start.date(), "to": during and during.end.date()}

    def apply_day(which: str) -> None:
        day = st.session_state[f"during_{which}"]
        first, last = days["from"] or day, days["to"] or day
        first, last = (day, max(day, last)) if which == "from" else (min(first, day), day)
        on_choose(parse_during([f"{first}/{last}"]))

    for which, label in (("from", "From (UTC day)"), ("to", "To (UTC day)")):
        choose_day(f"during_{which}", label, days[which], apply_day, which)


def show_ignored_params(
    params: Sequence[tuple[str, str]], *, limit: int = 3, shown: str = "", kind: str = "filter"
) -> None:
    """A note on parameters of the address that have no effect, and on what is shown instead."""
    if params:
        labels = [escape_label(f"{name}={value}") for name, value in params[:limit]]
        more = f" and {len(params) - limit:,} more" if len(params) > limit else ""
        noun = f"a {kind}" if len(params) == 1 else f"{kind}s"
        with st.container(key=f"ignored_{kind}"):
            st.markdown(
                f"This link contains {noun} Rollcall does not know: {', '.join(labels)}{more}."
                f"{shown and f' {shown}'}"
            )


def show_past_banner(
    moment: datetime | None, on_reset: Callable[[], None], caption: str = ""
) -> None:
    """For a moment in the past (naive UTC): a badge that names it, and the way back to now."""
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
    """On a page that only shows now: a note if the address gives a moment."""
    show_ignored_params([("as_of", moment) for moment in address_params().get("as_of", [])])
