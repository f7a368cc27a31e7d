"""The period and the moment of Health, as widgets and in the address.

`days` is 7, 30, 90 or all; `from` and `to` are the days of a custom period, both included; `as_of`
is the moment.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import streamlit as st
from sqlalchemy import Connection

from queries.health.snapshots import adjacent_snapshots, newest_day, oldest_day, snapshot_span
from queries.period import Period, day_end, to_local, to_utc
from widgets import timezone
from widgets.address import update_address
from widgets.filters import FIRST_DAY, LAST_DAY, requested_filters, show_past_banner
from widgets.health.health_data import HealthData

PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days", "all": "All", "own": "Custom"}
DEFAULT_PERIOD = "30"


def scope_from_address(con: Connection, integrations: Sequence[str], zone: str) -> Period | None:
    """The days in the address; None where there is no snapshot by its moment."""
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
    """The first and the last day in the address; either end of a custom period can be open."""
    if selected_period() != "own":
        days = selected_period()
        first = oldest if days == "all" else newest - timedelta(days=int(days) - 1)
        return first, newest
    first, last = _day_param("from") or oldest, min(_day_param("to") or newest, newest)
    return min(first, last), last


def selected_period() -> str:
    """The key of PERIODS in the address."""
    if _day_param("from") or _day_param("to"):
        return "own"
    days = st.query_params.get("days", DEFAULT_PERIOD)
    return days if days in PERIODS else DEFAULT_PERIOD


def _day_param(name: str) -> date | None:
    """A day in the address, or the day of a moment there."""
    try:
        day = date.fromisoformat(st.query_params.get(name, "")[:10])
    except ValueError:
        return None
    return min(max(day, FIRST_DAY), LAST_DAY - timedelta(days=1))


def period_picker(scope: Period | None) -> None:
    """The period: days back from the newest snapshot, all days, or a custom one."""
    st.session_state["days"] = selected_period()

    def choose() -> None:
        days, ends = st.session_state["days"], {"from": None, "to": None}
        if days == "own" and scope:
            ends = {"from": scope.first.isoformat(), "to": scope.last.isoformat()}
        is_default = days in ("own", DEFAULT_PERIOD)
        update_address(days=None if is_default else days, **ends)

    st.segmented_control(
        "Period",
        list(PERIODS),
        format_func=PERIODS.__getitem__,
        required=True,
        key="days",
        on_change=choose,
        label_visibility="collapsed",
    )


def period_days_picker(scope: Period) -> None:
    """The first and the last day of a custom period."""
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


def scope_facts(data: HealthData) -> list[str]:
    """What Health shows, in words: integrations, days, moment, newest snapshot."""
    scope, times = data.scope, data.trends.snapshot_times
    return [
        ", ".join(scope.integration) or "All integrations",
        f"{scope.first:%-d %b} – {scope.last:%-d %b %Y} ({scope.zone})",
        f"As of {timezone.format_with_zone(scope.as_of)}" if scope.as_of else "",
        f"Newest snapshot {timezone.format_with_zone(times[-1])}" if times else "",
    ]


# ---- the moment ----------------------------------------------------------------------------------


def snapshot_scrubber(con: Connection, integrations: Sequence[str], zone: str) -> None:
    """Steps through the snapshots; in the past, also the moment and the way back to now."""
    as_of, span = requested_filters().as_of, snapshot_span(con, integrations)
    if span is None or (span[0] == span[1] and as_of is None):
        return
    earlier, later = adjacent_snapshots(con, integrations, as_of)
    with st.container(
        horizontal=True,
        vertical_alignment="center",
        gap="small",
        key="scrubber",
    ):
        _step_button("Previous snapshot", "chevron_left", earlier, key="earlier")
        if span[0] < span[1]:
            _moment_slider(as_of, span, zone)
        later = later if as_of else None
        _step_button("Next snapshot", "chevron_right", later, key="later", newest=span[1])
        show_past_banner(as_of, lambda: _go_to_moment(None))


def _moment_slider(as_of: datetime | None, span: tuple[datetime, datetime], zone: str) -> None:
    first, newest = (to_local(moment, zone) for moment in span)
    first = first.replace(second=0, microsecond=0)
    newest += timedelta(seconds=-newest.second % 60)  # the newest snapshot is within
    local_moment = to_local(as_of, zone) if as_of else newest
    st.session_state["moment"] = min(max(local_moment, first), newest)

    def on_slide() -> None:
        moment = st.session_state["moment"]
        _go_to_moment(None if moment >= newest else to_utc(moment, zone))

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
    """Says that there is no snapshot by the moment in the address."""
    as_of = requested_filters().as_of
    st.text(
        f"No snapshot before {to_local(as_of, zone):%Y-%m-%d %H:%M} {zone}. Choose a later moment."
        if as_of
        else "No snapshots of these integrations yet."
    )
