"""The tiles of Health: each a number, its change over the period, and its course."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from data.states import FAILED_STATES, OPEN_STATES
from queries.health.trends import oldest_open_since
from queries.period import day_end
from widgets.figure_theme import format_span
from widgets.health.health_data import HealthData

HEALTH_CSS = Path(__file__).parent.parent / "look" / "health.css"

TILE_HELP = {
    "Accounts": "All accounts of these integrations, including deleted ones.",
    "Active": "Accounts that the app reports as active, in any provisioning state.",
    "Unmatched": "Accounts not linked to a person.",
    "Failed": "Accounts whose provisioning, update or deletion failed.",
    "Open jobs": "Accounts whose job is queued or in progress.",
    "Oldest open job": "Age of the oldest open job.",
    "Data age": "Time since the newest snapshot.",
}
HIGHER_IS_WORSE = ("Unmatched", "Failed", "Open jobs", "Oldest open job", "Data age")

TILE_COUNTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Accounts": ("accounts", ()),
    "Active": ("active", ()),
    "Unmatched": ("unmatched", ()),
    "Failed": ("accounts", FAILED_STATES),
    "Open jobs": ("accounts", OPEN_STATES),
}
"""What a tile counts: a column, in some states or in all."""


class _Course(NamedTuple):
    """A number now, before (None: nothing to compare with), and at the end of each day."""

    now: float | None
    previous: float | None
    daily: Sequence[float | None]


def tiles(data: HealthData) -> None:
    """All tiles, side by side."""
    period_text = data.comparison.period_text
    st.html(HEALTH_CSS)
    with st.grid(min_column_width=150, gap="small"):
        for label in TILE_COUNTS:
            _count_tile(label, _counts(data, label), period_text)
        _age_tile("Oldest open job", _oldest_open_job(data), period_text)
        _age_tile("Data age", _data_age(data), period_text)


# ---- numbers -------------------------------------------------------------------------------------


def tile_count(states: pd.DataFrame, label: str) -> int:
    """What a tile counts, in a frame with a row per state."""
    column, names = TILE_COUNTS[label]
    rows = states[states["state"].isin(names)] if names else states
    return int(rows[column].sum())


def _counts(data: HealthData, label: str) -> _Course:
    comparison = data.comparison
    days = data.trends.states.groupby("day")
    return _Course(
        tile_count(comparison.current, label),
        tile_count(comparison.previous, label) if comparison.period_text else None,
        [tile_count(states, label) for _, states in days],
    )


def _oldest_open_job(data: HealthData) -> _Course:
    """Ages in hours."""
    states, scope = data.trends.states, data.scope
    daily = [
        _hours_between(
            min(day_end(day, scope.zone), data.now), oldest_open_since(states[states["day"] == day])
        )
        for day in sorted(set(states["day"]))
    ]
    previous = _hours_between(scope.previous.as_of, oldest_open_since(data.trends.previous_states))
    return _Course(
        _hours_between(data.now, oldest_open_since(data.trends.current_states)),
        previous if data.comparison.first_day is None else next(iter(daily), None),
        daily,
    )


def _data_age(data: HealthData) -> _Course:
    """Ages in hours."""
    times, scope = data.trends.snapshot_times, data.scope
    taken_at = pd.Series(pd.to_datetime(list(times)))
    days = pd.date_range(scope.first, scope.last)
    ends = [min(day_end(day.date(), scope.zone), data.now) for day in days]
    positions = taken_at.searchsorted(pd.Series(pd.to_datetime(ends)), side="right") - 1
    daily = [
        _hours_between(end, times[position])
        for end, position in zip(ends, positions, strict=True)
        if position >= 0
    ]
    earlier = [moment for moment in times if moment < scope.start]
    previous = _hours_between(scope.previous.as_of, earlier[-1]) if earlier else None
    return _Course(
        _hours_between(data.now, times[-1] if times else None),
        previous if earlier else next(iter(daily), None),
        daily,
    )


def _hours_between(end: datetime | None, start: datetime | None) -> float | None:
    if end is None or start is None:
        return None
    return max((end - start).total_seconds(), 0) / 3600


# ---- drawing -------------------------------------------------------------------------------------


def _count_tile(label: str, course: _Course, period_text: str) -> None:
    change = None if course.previous is None else (course.now or 0) - course.previous
    change_text = None if change is None else f"{change:+,}"
    _tile(label, f"{course.now:,}", change, change_text, course.daily, period_text)


def _age_tile(label: str, course: _Course, period_text: str) -> None:
    now, previous = course.now, course.previous
    minutes = None
    if now is not None and previous is not None and period_text:
        minutes = round((now - previous) * 60)
    sign = "+" if minutes and minutes > 0 else "-"
    _tile(
        label,
        "–" if now is None else format_span(now * 3600),
        minutes,
        None if minutes is None else f"{sign}{format_span(abs(minutes) * 60)}",
        [round(hours, 2) for hours in course.daily if hours is not None],
        period_text,
    )


def _tile(
    label: str,
    value: str,
    change: float | None,
    change_text: str | None,
    daily: Sequence[Any],
    period_text: str,
) -> None:
    st.metric(
        label,
        value,
        "±0" if change == 0 else change_text,
        delta_color="inverse" if change and label in HIGHER_IS_WORSE else "off",
        delta_arrow="auto" if change else "off",
        delta_description=period_text if change_text else None,
        chart_data=daily or None,
        border=True,
        height="stretch",
        help=TILE_HELP[label],
    )
