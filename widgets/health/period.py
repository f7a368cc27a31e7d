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

from queries.health.trends import adjacent_snapshots, newest_day, oldest_day, snapshot_span
from queries.period import Period, day_end, to_local, to_utc
from widgets.address import update_address
from widgets.filters import FIRST_DAY, LAST_DAY, requested_filters

HEALTH_CSS = Path(__file__).parent.parent / "look" / "health.css"
PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days", "all": "All", "own": "Own"}
DEFAULT_PERIOD = "30"


def scope_from_address(con: Connection, integrations: Sequence[str], zone: str) -> Period | None:
    """The days that the address asks for; None where nothing was loaded until its moment."""
    as_of = requested_filters().as_of
    newest = newest_day(con, integrations, zone, as_of)
    if newest is None:
        return None
    oldest = oldest_day(con, integrations, zone) or newest
    first, last = _period_days(oldest, newest)
    if last < newest:
        as_of = min(filter(None, (as_of, day_end(last, zone))))
    return Period(first, last, zone, integration=tuple(integrations), as_of=as_of)


def _period_days(oldest: date, newest: date) -> tuple[date, date]:
    """The first and the last day asked for; of an own period an end may be open."""
    if selected_period() != "own":
        days = selected_period()
        first = oldest if days == "all" else newest - timedelta(days=int(days) - 1)
        return first, newest
    first, last = _day_param("from") or oldest, min(_day_param("to") or newest, newest)
    return min(first, last), last


def selected_period() -> str:
    """Which of PERIODS the address asks for."""
    if _day_param("from") or _day_param("to"):
        return "own"
    days = st.query_params.get("days", DEFAULT_PERIOD)
    return days if days in PERIODS else DEFAULT_PERIOD


def _day_param(name: str) -> date | None:
    """A day that the address names; of a moment its day."""
    try:
        day = date.fromisoformat(st.query_params.get(name, "")[:10])
    except ValueError:
        return None
    return min(max(day, FIRST_DAY), LAST_DAY - timedelta(days=1))


def period_picker(scope: Period | None) -> None:
    """Days back from the newest snapshot, all there are, or from one day to another."""
    st.session_state["days"] = selected_period()

    def choose() -> None:
        selected = st.session_state["days"]
        if selected == "own" and scope:
            update_address(
                **{"days": None, "from": scope.first.isoformat(), "to": scope.last.isoformat()}
            )
        else:
            update_address(
                **{
                    "days": None if selected == DEFAULT_PERIOD else selected,
                    "from": None,
                    "to": None,
                }
            )

    st.segmented_control(
        "Period",
        list(PERIODS),
        format_func=lambda name: PERIODS[name],
        required=True,
        key="days",
        on_change=choose,
    )


def period_days_picker(scope: Period) -> None:
    """The ends of an own period."""
    if selected_period() != "own":
        return
    with st.container(horizontal=True, gap="small", key="own_period"):
        for name, label, day in (("from", "From", scope.first), ("to", "To", scope.last)):
            st.session_state[f"day_{name}"] = _day_param(name) or day
            st.date_input(
                label,
                key=f"day_{name}",
                format="YYYY-MM-DD",
                min_value=FIRST_DAY,
                max_value=LAST_DAY,
                width=160,
                on_change=_set_day,
                args=(name,),
            )


def _set_day(name: str) -> None:
    day = st.session_state[f"day_{name}"]
    update_address(**{name: day.isoformat() if day else None})


# ---- the moment ----------------------------------------------------------------------------------


def snapshot_scrubber(con: Connection, integrations: Sequence[str], zone: str) -> None:
    """Back and forth through the snapshots; where that is the past, a mark and the way back."""
    as_of, span = requested_filters().as_of, snapshot_span(con, integrations)
    if span is None or (span[0] == span[1] and as_of is None):
        return
    earlier, later = adjacent_snapshots(con, integrations, as_of)
    with st.container(
        horizontal=True,
        vertical_alignment="center",
        gap="small",
        key="past" if as_of else "scrubber",
    ):
        _step_button("Previous", "chevron_left", earlier, key="earlier")
        if span[0] < span[1]:
            _moment_slider(as_of, span, zone)
        _step_button("Next", "chevron_right", later if as_of else None, key="later", newest=span[1])
        if as_of:
            st.badge(
                f"As of {to_local(as_of, zone):%Y-%m-%d %H:%M} {zone}",
                icon=":material/history:",
                color="violet",
            )
            st.button(
                "Back to now", type="tertiary", key="now", on_click=_go_to_moment, args=(None,)
            )


def _moment_slider(as_of: datetime | None, span: tuple[datetime, datetime], zone: str) -> None:
    first, newest = (to_local(moment, zone) for moment in span)
    first = first.replace(second=0, microsecond=0)
    newest += timedelta(seconds=-newest.second % 60)  # so that the newest snapshot is within
    local_moment = to_local(as_of, zone) if as_of else newest
    st.session_state["moment"] = min(max(local_moment, first), newest)

    def on_slide() -> None:
        moment = st.session_state["moment"]
        _go_to_moment(None if moment >= newest else to_utc(moment, zone))

    st.html(HEALTH_CSS)
    st.slider(
        f"Moment ({zone})",
        first,
        newest,
        step=timedelta(minutes=1),
        format="YYYY-MM-DD HH:mm",
        key="moment",
        on_change=on_slide,
        label_visibility="collapsed",
    )


def _step_button(
    label: str, icon: str, moment: datetime | None, *, key: str, newest: datetime | None = None
) -> None:
    st.button(
        label,
        key=key,
        icon=f":material/{icon}:",
        disabled=moment is None,
        on_click=_go_to_moment,
        args=(None if moment == newest else moment,),
    )


def _go_to_moment(as_of: datetime | None) -> None:
    update_address(as_of=f"{as_of.isoformat(timespec='seconds')}Z" if as_of else None)


def no_snapshots_note(zone: str) -> None:
    """Nothing was loaded until the moment that the address names."""
    as_of = requested_filters().as_of
    st.text(
        f"No snapshot until {to_local(as_of, zone):%Y-%m-%d %H:%M} {zone}. Choose a later moment."
        if as_of
        else "No snapshots of these integrations yet."
    )
