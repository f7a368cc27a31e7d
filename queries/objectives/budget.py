"""Error budgets: how much of one is spent, how fast, and until when it lasts.

An objective such as “95% of jobs” allows 5% of them to be bad: that is its budget. See “Alerting on
SLOs” in Google's Site Reliability Workbook, chapter 5. docs/definitions.md has the formulas.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from queries.objectives.events import Event

BUDGET_PERIOD = timedelta(days=30)

SHORTEST_WINDOW = timedelta(hours=6)
"""Integrations with more snapshots are looked at for as long."""

SHORT, LONG = 1, 7
"""The windows of a result, in usual intervals between snapshots."""


class Alert(NamedTuple):
    """The budget burns too fast: over a long window, and still over the short one."""

    intervals: int
    rate: float


ALERTS = (Alert(3, 4), Alert(LONG, 2))
"""With daily snapshots: 40% of the budget in three days, or 47% in seven."""

EPSILON = 1e-9

MIN_BAD = 3
"""Fewer bad events in the long window are no alert: one of ten jobs would be."""


class Budget(NamedTuple):
    """A budget at a moment; rates and shares are 1 where it lasts just as long as it should."""

    total: int
    bad: int
    spent: float
    short_burn: float
    long_burn: float
    is_burning: bool
    exhausted_at: datetime | None
    """At the rate of the long window; None where it lasts, or is gone."""
    exhausted_since: datetime | None
    course: tuple[float, ...]
    """`spent` at each event of the last 30 days."""


def budget(
    events: Sequence[Event], allowed: float, moment: datetime, interval: timedelta
) -> Budget | None:
    """The budget of one objective from its events in order; None where nothing has happened.

    `allowed`: the share that can be bad; `interval`: the usual one between snapshots.
    """
    counts = _Counts(events)
    total, bad = counts.within([moment], BUDGET_PERIOD)[0].tolist()
    if not total:
        return None
    unit = window_unit(interval)

    def burn(intervals: int) -> float:
        return counts.spent([moment], min(intervals * unit, BUDGET_PERIOD), allowed)[0].item()

    def is_alert(alert: Alert) -> bool:
        bad_count = counts.within([moment], alert.intervals * unit)[0, 1]
        return bad_count >= MIN_BAD and min(short_burn, burn(alert.intervals)) >= alert.rate

    spent, short_burn, long_burn = bad / total / allowed, burn(SHORT), burn(LONG)
    remaining = None
    if long_burn > 1 and not is_exhausted(spent):
        remaining = max(1 - spent, 0) / long_burn * BUDGET_PERIOD
    moments = sorted({event.at for event in events})
    course = counts.spent(moments, BUDGET_PERIOD, allowed).tolist()
    return Budget(
        total,
        bad,
        spent,
        short_burn,
        long_burn,
        any(map(is_alert, ALERTS)),
        moment + remaining if remaining is not None else None,
        _exhausted_since(moments, course, moment) if is_exhausted(spent) else None,
        tuple(
            share for at, share in zip(moments, course, strict=True) if at > moment - BUDGET_PERIOD
        ),
    )


def window_unit(interval: timedelta) -> timedelta:
    """The short window of an integration with this interval between snapshots."""
    return SHORT * max(interval, SHORTEST_WINDOW)


def is_exhausted(spent: float) -> bool:
    """Whether more than the budget is spent; a share is a quotient, and never quite exact."""
    return spent > 1 + EPSILON


def _exhausted_since(
    moments: Sequence[datetime], course: Sequence[float], moment: datetime
) -> datetime:
    """The first of the moments, up to now, from which more than the budget was spent."""
    since = moment
    for at, spent in zip(reversed(moments), reversed(course), strict=True):
        if not is_exhausted(spent):
            break
        since = at
    return since


class _Counts:
    """Sums of events over windows."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._at = np.array([event.at for event in events], dtype="datetime64[s]")
        self._sums = np.cumsum([(0, 0), *((event.total, event.bad) for event in events)], axis=0)

    def within(self, ends: Sequence[datetime], window: timedelta) -> np.ndarray:
        """[total, bad] of each window: (end - window, end]."""
        until = np.array(ends, dtype="datetime64[s]")
        first, last = (
            np.searchsorted(self._at, edges, side="right")
            for edges in (until - np.timedelta64(window), until)
        )
        return self._sums[last] - self._sums[first]

    def spent(self, ends: Sequence[datetime], window: timedelta, allowed: float) -> np.ndarray:
        """The share of what is allowed in each window; 0 where nothing has happened."""
        total, bad = self.within(ends, window).T
        return bad / np.maximum(total, 1) / allowed
