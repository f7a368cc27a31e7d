"""The reader's time zone, which applies to all pages.

It is in the address as `tz`, an IANA name, and in the session. Moments in addresses, files and the
store are UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

import streamlit as st

from queries.period import time_zones, to_local, to_utc, zone_or_utc
from widgets.address import address_params, group_params, is_user_action, write_address

ZONE_KEY = "_zone"
AMENDED_KEY = "_amended"
"""Addresses to which the zone was added. Back to one of them must not add it again."""

COMMON_ZONES = ("UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles",
        "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney")  # fmt: skip
"""The first options."""


def current_zone() -> str:
    """The time zone in the address, or of the session; else UTC."""
    requested = st.query_params.get("tz")
    if requested is not None:
        st.session_state[ZONE_KEY] = zone_or_utc(requested)
    return st.session_state.get(ZONE_KEY, "UTC")


def with_zone(params: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The parameters of an address, with the zone unless it is UTC."""
    other_params = {name: list(values) for name, values in params.items() if name != "tz"}
    return other_params if current_zone() == "UTC" else other_params | {"tz": [current_zone()]}


def query_with_zone(params: Sequence[tuple[str, str]]) -> str:
    """The query of an address, with the zone unless it is UTC."""
    return urlencode(with_zone(group_params(params)), doseq=True)


def keep_zone_in_address(page: str) -> None:
    """Add the zone of the session to the address of a page."""
    if current_zone() == "UTC" or "tz" in st.query_params:
        return
    address_key = (page, tuple(st.query_params.items()))
    amended = st.session_state.setdefault(AMENDED_KEY, set())
    if address_key not in amended:
        amended.add(address_key)
        st.query_params["tz"] = current_zone()


def choose_zone(*, has_label: bool = True) -> None:
    """The time zone of times and days, as a select box."""
    names = [*COMMON_ZONES, *sorted(time_zones() - set(COMMON_ZONES))]
    st.session_state["tz"] = current_zone()

    def apply_zone() -> None:
        if is_user_action():
            st.session_state[ZONE_KEY] = st.session_state["tz"]
            write_address(with_zone(address_params()))

    st.selectbox(
        "Time zone",
        names,
        key="tz",
        format_func=str if has_label else "Time zone: {}".format,
        on_change=apply_zone,
        label_visibility="visible" if has_label else "collapsed",
    )


# ---- moments (naive UTC) ------------------------------------------------------------------------


def to_reader_time(moment: datetime) -> datetime:
    """A moment in the reader's time zone."""
    return to_local(moment, current_zone())


def from_reader_time(reader_time: datetime) -> datetime:
    """The moment of a time in the reader's zone; of two such moments, the earlier."""
    return to_utc(reader_time, current_zone())


def format_moment(moment: datetime, *, seconds: bool = False) -> str:
    """`2026-11-23 06:00`."""
    return f"{to_reader_time(moment):{'%Y-%m-%d %H:%M:%S' if seconds else '%Y-%m-%d %H:%M'}}"


def format_day(moment: datetime) -> str:
    """`23 Nov 2026`."""
    return f"{to_reader_time(moment):%-d %b %Y}"


def format_with_zone(moment: datetime, *, seconds: bool = False) -> str:
    """`2026-11-23 06:00 UTC`."""
    return f"{format_moment(moment, seconds=seconds)} {current_zone()}"


def choose_moment(
    label: str,
    key: str,
    moment: datetime | None,
    span: tuple[datetime, datetime],
    on_choose: Callable[[datetime | None], None],
) -> None:
    """An input for a moment within the span, in the reader's time zone.

    Each moment has an input with its own key. When its popover closes, an input reports its value
    again; that can be an outdated one, and no callback is registered for its key then.
    """
    first, last = map(to_reader_time, span)
    key = f"{key}_{moment:%Y%m%d%H%M%S}" if moment else key
    st.session_state[key] = moment and min(max(to_reader_time(moment), first), last)

    def apply_choice() -> None:
        shown = st.session_state[key]
        on_choose(from_reader_time(shown) if shown else None)

    st.datetime_input(
        f"{label} ({current_zone()})",
        key=key,
        value=None,
        min_value=first,
        max_value=last,
        step=timedelta(minutes=1),
        format="YYYY-MM-DD",
        on_change=apply_choice,
    )
