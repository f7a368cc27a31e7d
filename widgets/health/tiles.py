"""The parts of the Health page: tiles, what a mark opens, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from data.states import FAILED, WAITING
from queries.health.trends import Trends, oldest_wait
from queries.period import Scope, end_of
from widgets.figure_theme import in_words
from widgets.health import captions

MEANINGS = {
    "Accounts": "All accounts of the integrations shown, deleted ones included.",
    "Active": "Accounts that the app calls active, whatever their provisioning state.",
    "Unmatched": "Accounts without a user: no snapshot names one, nor has a person on Matching.",
    "Failed": "Accounts whose provisioning, update or deletion failed.",
    "Waiting": "Accounts whose job is queued or in progress.",
    "Oldest wait": "How long the longest waiting account has been in its state.",
    "Newest snapshot": "How long ago the newest snapshot was taken.",
}
WORSE_WHEN_MORE = ("Unmatched", "Failed", "Waiting", "Oldest wait", "Newest snapshot")


# ---- tiles ---------------------------------------------------------------------------------------


def tiles(found: Trends, compared: captions.Compared, scope: Scope, now: datetime) -> None:
    """What counts now, each with its change over the period and its course."""
    when = compared.when
    with st.grid(min_column_width=150, gap="small"):
        for label in COUNTS:
            course = _daily(found.states, label).tolist()
            before = _count(compared.before, label) if when else None
            _tile(label, _count(found.now, label), before, course, when)
        _oldest_tile("Oldest wait", found, compared, scope, now)
        newest = found.taken[-1] if found.taken else None
        _age_tile("Newest snapshot", newest, found.taken, scope, now, when)


def _oldest_tile(
    label: str, found: Trends, compared: captions.Compared, scope: Scope, now: datetime
) -> None:
    """How long what has waited longest has waited, and had at the end of each day."""
    waiting = found.states[found.states["state"].isin(WAITING)]
    oldest = waiting.groupby("day")["oldest"].min().reindex(sorted(set(found.states["day"])))
    ends = [min(end_of(day, scope.zone), now) for day in oldest.index]
    course = [_hours(end, since) for end, since in zip(ends, oldest, strict=True)]
    was = _hours(scope.before.at, oldest_wait(found.before))
    before = was if compared.since is None else _first(course)
    _span_tile(label, _hours(now, oldest_wait(found.now)), before, course, compared.when)


COUNTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Accounts": ("accounts", ()),
    "Active": ("active", ()),
    "Unmatched": ("unmatched", ()),
    "Failed": ("accounts", FAILED),
    "Waiting": ("accounts", WAITING),
}
"""What a tile counts: a column, in some states or in all."""


def _count(states: pd.DataFrame, label: str) -> int:
    column, names = COUNTS[label]
    counted = states[states["state"].isin(names)] if names else states
    return int(counted[column].sum())


def _daily(states: pd.DataFrame, label: str) -> pd.Series:
    column, names = COUNTS[label]
    counted = states[column].where(states["state"].isin(names), 0) if names else states[column]
    return counted.groupby(states["day"]).sum()


def _first(course: Sequence[Any]) -> Any:
    return course[0] if course else None


def _tile(label: str, value: int, before: Any, course: list[Any], since: str) -> None:
    change = None if before is None else value - int(before)
    st.metric(
        label,
        f"{value:,}",
        _signed(change, "{:+,}"),
        delta_color=_colour(label, change),
        delta_arrow="auto" if change else "off",
        delta_description=since,
        chart_data=course,
        border=True,
        height="stretch",
        help=MEANINGS[label],
    )


def _age_tile(
    label: str,
    newest: datetime | None,
    taken: Sequence[datetime],
    scope: Scope,
    now: datetime,
    since: str,
) -> None:
    """How old the newest snapshot is, and was at the end of each day."""
    times = pd.Series(pd.to_datetime(list(taken)))
    days = pd.date_range(scope.first, scope.last)
    ends = [min(end_of(day.date(), scope.zone), now) for day in days]
    places = times.searchsorted(pd.Series(pd.to_datetime(ends)), side="right") - 1
    course = [
        _hours(end, times[place].to_pydatetime())
        for end, place in zip(ends, places, strict=True)
        if place >= 0
    ]
    earlier = [moment for moment in taken if moment < scope.begins]
    before = _hours(scope.before.at, earlier[-1]) if earlier else _first(course)
    _span_tile(label, _hours(now, newest), before, course, since)


def _span_tile(
    label: str, hours: float | None, before: float | None, course: list[Any], since: str
) -> None:
    value = "–" if hours is None else in_words(hours * 3600)
    change = None if hours is None or before is None or not since else hours - before
    sign = "+" if change and change > 0 else "-"
    told = None if change is None else f"{sign}{in_words(abs(change) * 3600, digits=2)}"
    shown = round(change * 60) if change is not None else None  # a minute is the least to tell
    st.metric(
        label,
        value,
        "±0" if shown == 0 else told,
        delta_color=_colour(label, shown),
        delta_arrow=("up" if shown > 0 else "down") if shown else "off",
        delta_description=since if told else None,
        chart_data=[round(each, 2) for each in course if each is not None] or None,
        border=True,
        height="stretch",
        help=MEANINGS[label],
    )


def _hours(now: datetime | None, since: datetime | None) -> float | None:
    if now is None or since is None or pd.isna(since):
        return None
    return max((now - since).total_seconds(), 0) / 3600


def _signed(change: int | None, form: str) -> str | None:
    return None if change is None else form.format(change) if change else "±0"


def _colour(label: str, change: float | None) -> Any:
    return "inverse" if change and label in WORSE_WHEN_MORE else "off"


# ---- what a mark opens ---------------------------------------------------------------------------


# ---- tables --------------------------------------------------------------------------------------
