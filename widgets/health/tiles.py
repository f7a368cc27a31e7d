"""The tiles of Health: each a number, its change over the period, and its course.

A number opens the accounts that it counts.
"""

from collections.abc import Sequence
from datetime import date, datetime
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd
import streamlit as st

from data.formatting import format_span, signed
from data.states import FAILED_STATES, OPEN_STATES
from queries.filters import Filters
from queries.health.trends import oldest_open_since
from queries.period import day_end
from widgets import timezone
from widgets.address import group_params
from widgets.figure_theme import INK, PHASE_COLORS
from widgets.health.drill_down import can_open_marks
from widgets.health.health_data import HealthData

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

TILE_FILTERS: dict[str, dict[str, Any]] = {
    "Accounts": {},
    "Active": {"active": "yes"},
    "Unmatched": {"match": "unmatched"},
    "Failed": {"state": FAILED_STATES},
    "Open jobs": {"state": OPEN_STATES},
}
"""What a tile opens on Users."""


class Course(NamedTuple):
    """A number now, and at the end of each day of the period."""

    now: float | None
    daily: Sequence[float | None]

    @property
    def change(self) -> float | None:
        """Between the first day of the period and the last; None where there is only one."""
        days = [value for value in self.daily if value is not None]
        return days[-1] - days[0] if len(days) > 1 else None


def tiles(data: HealthData) -> None:
    """All tiles, side by side."""
    with st.grid(min_column_width=175, gap="small", key="tiles"):
        for label in TILE_COUNTS:
            days = [day.day for day in data.daily_failed] if label == "Failed" else data.days
            course = _counts(data, label, days)
            filters = Filters(
                **TILE_FILTERS[label], integration=data.scope.integration, as_of=data.scope.as_of
            )
            _tile(label, f"{course.now:,}", course, _since(days), filters)
        for label, course in (
            ("Oldest open job", oldest_open_job(data)),
            ("Data age", data_age(data)),
        ):
            value = "–" if course.now is None else format_span(course.now * 3600)
            _tile(label, value, course, _since(data.days))


def _since(days: Sequence[date]) -> str:
    return f"since {days[0]:%-d %b}" if len(days) > 1 else ""


# ---- numbers -------------------------------------------------------------------------------------


def tile_count(states: pd.DataFrame, label: str) -> int:
    """What a tile counts, in a frame with a row per state."""
    return int(_counted(states, label).sum())


def _counted(states: pd.DataFrame, label: str) -> pd.Series:
    column, names = TILE_COUNTS[label]
    return states.loc[states["state"].isin(names), column] if names else states[column]


def _counts(data: HealthData, label: str, days: list[date]) -> Course:
    daily = _counted(data.trends.states.set_index("day"), label).groupby(level="day").sum()
    return Course(
        tile_count(data.trends.current_states, label),
        daily.reindex(days, fill_value=0).tolist(),
    )


def oldest_open_job(data: HealthData) -> Course:
    """Ages in hours."""
    states, zone = data.trends.states, data.scope.zone
    is_open = states["state"].isin(OPEN_STATES)
    since = states[is_open].groupby("day")["oldest"].min().dropna()
    return Course(
        _hours_between(data.now, oldest_open_since(data.trends.current_states)),
        [_hours_between(min(day_end(day, zone), data.now), since.get(day)) for day in data.days],
    )


def data_age(data: HealthData) -> Course:
    """Ages in hours."""
    times, scope = data.trends.snapshot_times, data.scope
    taken_at = pd.Series(pd.to_datetime(list(times)))
    days = pd.date_range(min([scope.last, *data.days]), scope.last)
    ends = [min(day_end(day.date(), scope.zone), data.now) for day in days]
    positions = taken_at.searchsorted(pd.Series(pd.to_datetime(ends)), side="right") - 1
    daily = [
        _hours_between(end, times[position])
        for end, position in zip(ends, positions, strict=True)
        if position >= 0
    ]
    return Course(_hours_between(data.now, times[-1] if times else None), daily)


def _hours_between(end: datetime | None, start: datetime | None) -> float | None:
    if end is None or start is None:
        return None
    return max((end - start).total_seconds(), 0) / 3600


# ---- drawing -------------------------------------------------------------------------------------


def _tile(
    label: str, value: str, course: Course, since: str, filters: Filters | None = None
) -> None:
    """A tile without filters counts time, and opens nothing."""
    change = course.change
    with st.container(border=True, gap=None, key=f"tile_{label.replace(' ', '_')}"):
        st.caption(label, help=TILE_HELP[label])
        if filters is not None and can_open_marks():
            params = timezone.with_zone(group_params(filters.params()))
            st.page_link("users.py", label=value, query_params=params)
        else:
            st.text(value)
        text = ""
        if change is not None:
            amount = "" if filters is not None else format_span(abs(change) * 3600, units=1)
            text = f"{signed(change, amount)} {since}"
        is_worse = label in HIGHER_IS_WORSE and (change or 0) > 0
        st.html(f'<div class="change{" worse" if is_worse else ""}">{text}</div>')
        st.html(curve_image(course.daily))


def curve_image(
    values: Sequence[float | None],
    *,
    width: int = 120,
    height: int = 28,
    limit: float | None = None,
    alt: str = "",
) -> str:
    """The values as a small curve from zero, an SVG image; None is a gap. A limit is dashed.

    `alt`: what it shows, where no text beside it says the same.
    """
    largest = max([1.0, *(value for value in values if value is not None)])
    step = width / max(len(values) - 1, 1)
    path, is_drawn = "", False
    for number, value in enumerate(values):
        if value is not None:
            y = height - 1 - value / largest * (height - 2)
            path += f"{'L' if is_drawn else 'M'}{number * step:.1f} {y:.1f}"
        is_drawn = value is not None
    top = height - 1 - (limit or 0) / largest * (height - 2)
    limit_line = (
        f'<path d="M0 {top:.1f}H{width}" stroke="{PHASE_COLORS["failed"]}" stroke-dasharray="3 3" '
        'vector-effect="non-scaling-stroke"/>'
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'preserveAspectRatio="none"><path d="{path}" fill="none" stroke="{INK}" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/>'
        f"{limit_line if limit else ''}</svg>"
    )
    return f'<img class="curve" alt="{escape(alt)}" src="data:image/svg+xml,{quote(svg)}">'
