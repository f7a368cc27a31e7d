"""The reader's time zone: chosen once, on any page, and told in on all of them.

The address carries it as `tz`, an IANA name; the session remembers it from page to page. Moments in
addresses, files and the store are UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import streamlit as st

from queries.period import known_zones, local, utc, zone_of
from widgets.address import address, pressed, write

ZONE = "_zone"
AMENDED = "_amended"
"""Addresses to which the zone was added: Back, to one of them, is to lead on back."""

NEAR = ("UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles",
        "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney")  # fmt: skip
"""Time zones that are offered first."""


def zone() -> str:
    """The time zone that the address names, or that was chosen on another page; else UTC."""
    named = st.query_params.get("tz")
    if named is not None:
        st.session_state[ZONE] = zone_of(named)
    return st.session_state.get(ZONE, "UTC")


def with_zone(params: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The parameters of an address, the zone among them where it is not UTC."""
    others = {name: list(values) for name, values in params.items() if name != "tz"}
    return others if zone() == "UTC" else others | {"tz": [zone()]}


def keep_in_address(page: str) -> None:
    """Let the address of a page say the zone that was chosen on another one."""
    if zone() == "UTC" or "tz" in st.query_params:
        return
    bare = (page, tuple(st.query_params.items()))
    amended = st.session_state.setdefault(AMENDED, set())
    if bare not in amended:
        amended.add(bare)
        st.query_params["tz"] = zone()


def choose_zone(label: str = "Time zone") -> None:
    """The time zone in which times are told, and days begin."""
    names = [*NEAR, *sorted(known_zones() - set(NEAR))]
    st.session_state["tz"] = zone()

    def choose() -> None:
        if pressed():
            st.session_state[ZONE] = st.session_state["tz"]
            write(with_zone(address()))

    st.selectbox(label, names, key="tz", on_change=choose)


# ---- moments, which are naive UTC ----------------------------------------------------------------


def here(at: datetime) -> datetime:
    """What the reader's clocks show at a moment."""
    return local(at, zone())


def there(shown: datetime) -> datetime:
    """The moment at which the reader's clocks show this; of two, the earlier."""
    return utc(shown, zone())


def told(at: datetime, *, seconds: bool = False) -> str:
    """`2026-11-23 06:00`."""
    return f"{here(at):%Y-%m-%d %H:%M:%S}" if seconds else f"{here(at):%Y-%m-%d %H:%M}"


def named(at: datetime, *, seconds: bool = False) -> str:
    """`2026-11-23 06:00 UTC`."""
    return f"{told(at, seconds=seconds)} {zone()}"


def choose_moment(
    label: str,
    key: str,
    at: datetime | None,
    span: tuple[datetime, datetime],
    choose: Callable[[datetime | None], None],
) -> None:
    """A moment from the first to the last of the span, on the reader's clocks.

    Each moment has an input of its own: when its popover closes, an input says once more what it
    showed, which may be what was there before a press beside it, and nobody listens to that.
    """
    first, last = map(here, span)
    key = f"{key}_{at:%Y%m%d%H%M%S}" if at else key
    st.session_state[key] = at and min(max(here(at), first), last)

    def chosen() -> None:
        shown = st.session_state[key]
        choose(there(shown) if shown else None)

    st.datetime_input(
        f"{label} ({zone()})",
        key=key,
        value=None,
        min_value=first,
        max_value=last,
        step=timedelta(minutes=1),
        format="YYYY-MM-DD",
        on_change=chosen,
    )
