"""Whether provisioning gets better: the course of the failed accounts in a period."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, NamedTuple

import pandas as pd

Direction = Literal["better", "worse", "steady"]

WEEK = timedelta(days=7)
MIN_CHANGE = 0.1
"""A smaller change, as a share of the larger count, is no direction."""


class DayCount(NamedTuple):
    """The failed accounts at the end of a day."""

    day: date
    failed: int


class Verdict(NamedTuple):
    """The course of the failed accounts. Every count is a day of the series."""

    direction: Direction
    reference: DayCount
    """The day from which the direction shows: fewer had failed then if it is worse, more if it is
    better."""
    first: DayCount
    lowest: DayCount
    highest: DayCount
    week_before: DayCount
    """The last day that is at least a week before the newest, else the first."""
    newest: DayCount


class Leader(NamedTuple):
    """The integration with the most failed accounts."""

    integration: str
    failed: int
    since: date
    """The first of the days in a row on which it has had the most."""


def verdict(daily: Sequence[DayCount]) -> Verdict | None:
    """The verdict on a series, oldest day first; None for fewer than two days.

    The latest day that differs enough from the newest decides the direction. The reference is the
    turning point before it, so the length of the period seldom matters.
    """
    if len(daily) < 2:
        return None
    first, newest = daily[0], daily[-1]
    earlier = [day for day in daily if day.day <= newest.day - WEEK]
    week_before = earlier[-1] if earlier else first
    direction, reference = _last_turn(daily)
    return Verdict(
        direction,
        reference or week_before,
        first,
        min(reversed(daily), key=lambda day: day.failed),
        max(reversed(daily), key=lambda day: day.failed),
        week_before,
        newest,
    )


def _last_turn(daily: Sequence[DayCount]) -> tuple[Direction, DayCount | None]:
    """The direction since the last turning point, and that point; None where it is steady."""
    newest, turn = daily[-1], None
    direction: Direction = "steady"
    for day in reversed(daily[:-1]):
        if turn is None:
            direction = _direction(day, newest)
            turn = None if direction == "steady" else day
        elif (day.failed < turn.failed) if direction == "worse" else (day.failed > turn.failed):
            turn = day
        elif _direction(turn, day) != "steady":
            break
    return direction, turn


def _direction(before: DayCount, after: DayCount) -> Direction:
    change = after.failed - before.failed
    if not change or abs(change) < MIN_CHANGE * max(before.failed, after.failed):
        return "steady"
    return "worse" if change > 0 else "better"


def daily_failed(by_integration: pd.DataFrame) -> list[DayCount]:
    """The failed accounts per day, oldest first, from the day that compares with the newest.

    One row of `by_integration` per integration and day [integration, day, failed, accounts]. Before
    the first snapshot of an integration, its accounts are unknown, and no count compares with now,
    unless none of its accounts has failed on any day.
    """
    courses = by_integration.groupby("integration").agg({"day": "min", "failed": "max"})
    has_failed = courses["failed"] > 0
    comparable_from = courses.loc[has_failed, "day"].max() if has_failed.any() else date.min
    comparable = by_integration[by_integration["day"] >= comparable_from]
    totals = comparable.groupby("day")["failed"].sum()
    return [DayCount(*row) for row in zip(totals.index, totals.astype(int), strict=True)]


def leader(by_integration: pd.DataFrame) -> Leader | None:
    """The leader of the newest day; None where nothing fails, or there is one integration.

    One row of `by_integration` per integration and day [integration, day, failed, accounts]. Of
    equals, the first by name leads.
    """
    if by_integration["integration"].nunique() < 2:
        return None
    counts = by_integration.pivot(index="day", columns="integration", values="failed").fillna(0)
    newest = counts.iloc[-1]
    name = str(newest.idxmax())
    if not newest[name]:
        return None
    since = counts.index[-1]
    for day in reversed(counts.index):
        if counts.loc[day].idxmax() != name:
            break
        since = day
    return Leader(name, int(newest[name]), since)
