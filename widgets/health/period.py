"""Which days, in which time zone, as of which moment: widgets over the address.

`days` is 7, 30, 90 or all; `from` and `to` are an own period's days, both included; `as_of` is the
moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import streamlit as st
from sqlalchemy import Connection

from queries.health.trends import neighbours, newest_day, oldest_day, span_of
from queries.period import Scope, end_of, local, utc
from widgets.address import go
from widgets.filters import FIRST_DAY, LAST_DAY, asked

LOOK = Path(__file__).parent.parent / "look" / "health.css"
PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days", "all": "All", "own": "Own"}
USUAL = "30"


def scope_of(con: Connection, integrations: Sequence[str], zone: str) -> Scope | None:
    """The days that the address asks for; None where nothing was loaded until its moment."""
    at = asked().as_of
    newest = newest_day(con, integrations, zone, at)
    if newest is None:
        return None
    oldest = oldest_day(con, integrations, zone) or newest
    first, last = _days(oldest, newest)
    if last < newest:
        at = min(filter(None, (at, end_of(last, zone))))
    return Scope(tuple(integrations), first, last, zone, at)


def _days(oldest: date, newest: date) -> tuple[date, date]:
    """The first and the last day asked for; of an own period an end may be open."""
    if period() != "own":
        days = period()
        first = oldest if days == "all" else newest - timedelta(days=int(days) - 1)
        return first, newest
    first, last = _day("from") or oldest, min(_day("to") or newest, newest)
    return min(first, last), last


def period() -> str:
    """Which of PERIODS the address asks for."""
    if _day("from") or _day("to"):
        return "own"
    days = st.query_params.get("days", USUAL)
    return days if days in PERIODS else USUAL


def _day(name: str) -> date | None:
    """A day that the address names; of a moment its day."""
    try:
        day = date.fromisoformat(st.query_params.get(name, "")[:10])
    except ValueError:
        return None
    return min(max(day, FIRST_DAY), LAST_DAY - timedelta(days=1))


def choose_period(scope: Scope | None) -> None:
    """Days back from the newest snapshot, all there are, or from one day to another."""
    st.session_state["days"] = period()

    def choose() -> None:
        wanted = st.session_state["days"]
        if wanted == "own" and scope:
            go(**{"days": None, "from": scope.first.isoformat(), "to": scope.last.isoformat()})
        else:
            go(**{"days": None if wanted == USUAL else wanted, "from": None, "to": None})

    st.segmented_control(
        "Period",
        list(PERIODS),
        format_func=lambda name: PERIODS[name],
        required=True,
        key="days",
        on_change=choose,
    )


def choose_days(scope: Scope) -> None:
    """The ends of an own period."""
    if period() != "own":
        return
    with st.container(horizontal=True, gap="small", key="own_period"):
        for name, label, day in (("from", "From", scope.first), ("to", "To", scope.last)):
            st.session_state[f"day_{name}"] = _day(name) or day
            st.date_input(
                label,
                key=f"day_{name}",
                format="YYYY-MM-DD",
                min_value=FIRST_DAY,
                max_value=LAST_DAY,
                width=160,
                on_change=_choose_day,
                args=(name,),
            )


def _choose_day(name: str) -> None:
    day = st.session_state[f"day_{name}"]
    go(**{name: day.isoformat() if day else None})


# ---- the moment ----------------------------------------------------------------------------------


def scrub(con: Connection, integrations: Sequence[str], zone: str) -> None:
    """Back and forth through the snapshots; where that is the past, a mark and the way back."""
    at, span = asked().as_of, span_of(con, integrations)
    if span is None or (span[0] == span[1] and at is None):
        return
    earlier, later = neighbours(con, integrations, at)
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="past" if at else "scrubber"
    ):
        _step("Previous", "chevron_left", earlier, key="earlier")
        if span[0] < span[1]:
            _slide(at, span, zone)
        _step("Next", "chevron_right", later if at else None, key="later", end=span[1])
        if at:
            st.badge(
                f"As of {local(at, zone):%Y-%m-%d %H:%M} {zone}",
                icon=":material/history:",
                color="violet",
            )
            st.button("Back to now", type="tertiary", key="now", on_click=_look, args=(None,))


def _slide(at: datetime | None, span: tuple[datetime, datetime], zone: str) -> None:
    first, newest = (local(moment, zone) for moment in span)
    first = first.replace(second=0, microsecond=0)
    newest += timedelta(seconds=-newest.second % 60)  # so that the newest snapshot is within
    shown = local(at, zone) if at else newest
    st.session_state["moment"] = min(max(shown, first), newest)

    def look() -> None:
        moment = st.session_state["moment"]
        _look(None if moment >= newest else utc(moment, zone))

    st.html(LOOK)
    st.slider(
        f"Moment ({zone})",
        first,
        newest,
        step=timedelta(minutes=1),
        format="YYYY-MM-DD HH:mm",
        key="moment",
        on_change=look,
        label_visibility="collapsed",
    )


def _step(
    label: str, icon: str, to: datetime | None, *, key: str, end: datetime | None = None
) -> None:
    st.button(
        label,
        key=key,
        icon=f":material/{icon}:",
        disabled=to is None,
        on_click=_look,
        args=(None if to == end else to,),
    )


def _look(at: datetime | None) -> None:
    go(as_of=f"{at.isoformat(timespec='seconds')}Z" if at else None)


def nothing_until(zone: str) -> None:
    """Nothing was loaded until the moment that the address names."""
    at = asked().as_of
    st.text(
        f"No snapshot until {local(at, zone):%Y-%m-%d %H:%M} {zone}. Choose a later moment."
        if at
        else "No snapshots of these integrations yet."
    )
