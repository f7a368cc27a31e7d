"""The parts of the Health page: tiles, what a mark opens, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from data.states import FAILED_STATES, OPEN_STATES
from queries.health.trends import Trends, oldest_open_since
from queries.period import Period, day_end
from widgets.figure_theme import format_span
from widgets.health import captions

TILE_HELP = {
    "Accounts": "All accounts of the integrations shown, deleted ones included.",
    "Active": "Accounts that the app calls active, whatever their provisioning state.",
    "Unmatched": "Accounts without a user: no snapshot names one, nor has a person on Matching.",
    "Failed": "Accounts whose provisioning, update or deletion failed.",
    "Waiting": "Accounts whose job is queued or in progress.",
    "Oldest wait": "How long the longest waiting account has been in its state.",
    "Newest snapshot": "How long ago the newest snapshot was taken.",
}
HIGHER_IS_WORSE = ("Unmatched", "Failed", "Waiting", "Oldest wait", "Newest snapshot")


# ---- tiles ---------------------------------------------------------------------------------------


def tiles(
    trends: Trends, comparison: captions.StateComparison, scope: Period, now: datetime
) -> None:
    """What counts now, each with its change over the period and its course."""
    period_text = comparison.period_text
    with st.grid(min_column_width=150, gap="small"):
        for label in TILE_COUNTS:
            daily_values = _daily_counts(trends.states, label).tolist()
            previous = _count(comparison.previous, label) if period_text else None
            _count_tile(
                label, _count(trends.current_states, label), previous, daily_values, period_text
            )
        _oldest_tile("Oldest wait", trends, comparison, scope, now)
        newest = trends.snapshot_times[-1] if trends.snapshot_times else None
        _age_tile("Newest snapshot", newest, trends.snapshot_times, scope, now, period_text)


def _oldest_tile(
    label: str, trends: Trends, comparison: captions.StateComparison, scope: Period, now: datetime
) -> None:
    """How long what has waited longest has waited, and had at the end of each day."""
    open_states = trends.states[trends.states["state"].isin(OPEN_STATES)]
    oldest = open_states.groupby("day")["oldest"].min().reindex(sorted(set(trends.states["day"])))
    ends = [min(day_end(day, scope.zone), now) for day in oldest.index]
    daily_values = [_hours_between(end, since) for end, since in zip(ends, oldest, strict=True)]
    previous_hours = _hours_between(scope.previous.as_of, oldest_open_since(trends.previous_states))
    previous = previous_hours if comparison.first_day is None else _first_or_none(daily_values)
    _span_tile(
        label,
        _hours_between(now, oldest_open_since(trends.current_states)),
        previous,
        daily_values,
        comparison.period_text,
    )


TILE_COUNTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Accounts": ("accounts", ()),
    "Active": ("active", ()),
    "Unmatched": ("unmatched", ()),
    "Failed": ("accounts", FAILED_STATES),
    "Waiting": ("accounts", OPEN_STATES),
}
"""What a tile counts: a column, in some states or in all."""


def _count(states: pd.DataFrame, label: str) -> int:
    column, names = TILE_COUNTS[label]
    rows = states[states["state"].isin(names)] if names else states
    return int(rows[column].sum())


def _daily_counts(states: pd.DataFrame, label: str) -> pd.Series:
    column, names = TILE_COUNTS[label]
    values = states[column].where(states["state"].isin(names), 0) if names else states[column]
    return values.groupby(states["day"]).sum()


def _first_or_none(daily_values: Sequence[Any]) -> Any:
    return daily_values[0] if daily_values else None


def _count_tile(
    label: str, value: int, previous: Any, daily_values: list[Any], period_text: str
) -> None:
    change = None if previous is None else value - int(previous)
    st.metric(
        label,
        f"{value:,}",
        _format_change(change, "{:+,}"),
        delta_color=_delta_color(label, change),
        delta_arrow="auto" if change else "off",
        delta_description=period_text,
        chart_data=daily_values,
        border=True,
        height="stretch",
        help=TILE_HELP[label],
    )


def _age_tile(
    label: str,
    newest: datetime | None,
    snapshot_times: Sequence[datetime],
    scope: Period,
    now: datetime,
    period_text: str,
) -> None:
    """How old the newest snapshot is, and was at the end of each day."""
    times = pd.Series(pd.to_datetime(list(snapshot_times)))
    days = pd.date_range(scope.first, scope.last)
    ends = [min(day_end(day.date(), scope.zone), now) for day in days]
    positions = times.searchsorted(pd.Series(pd.to_datetime(ends)), side="right") - 1
    daily_values = [
        _hours_between(end, times[place].to_pydatetime())
        for end, place in zip(ends, positions, strict=True)
        if place >= 0
    ]
    earlier = [moment for moment in snapshot_times if moment < scope.start]
    previous = (
        _hours_between(scope.previous.as_of, earlier[-1])
        if earlier
        else _first_or_none(daily_values)
    )
    _span_tile(label, _hours_between(now, newest), previous, daily_values, period_text)


def _span_tile(
    label: str,
    hours: float | None,
    previous: float | None,
    daily_values: list[Any],
    period_text: str,
) -> None:
    value = "–" if hours is None else format_span(hours * 3600)
    change = None if hours is None or previous is None or not period_text else hours - previous
    sign = "+" if change and change > 0 else "-"
    change_text = None if change is None else f"{sign}{format_span(abs(change) * 3600, digits=2)}"
    change_minutes = (
        round(change * 60) if change is not None else None
    )  # a minute is the least to tell
    st.metric(
        label,
        value,
        "±0" if change_minutes == 0 else change_text,
        delta_color=_delta_color(label, change_minutes),
        delta_arrow=("up" if change_minutes > 0 else "down") if change_minutes else "off",
        delta_description=period_text if change_text else None,
        chart_data=[
            round(hours_value, 2) for hours_value in daily_values if hours_value is not None
        ]
        or None,
        border=True,
        height="stretch",
        help=TILE_HELP[label],
    )


def _hours_between(end: datetime | None, start: datetime | None) -> float | None:
    if end is None or start is None or pd.isna(start):
        return None
    return max((end - start).total_seconds(), 0) / 3600


def _format_change(change: int | None, number_format: str) -> str | None:
    return None if change is None else number_format.format(change) if change else "±0"


def _delta_color(label: str, change: float | None) -> Any:
    return "inverse" if change and label in HIGHER_IS_WORSE else "off"


# ---- what a mark opens ---------------------------------------------------------------------------


# ---- tables --------------------------------------------------------------------------------------
