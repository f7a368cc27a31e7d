"""Error budgets: how much of one is spent, how fast, and until when it lasts.

An objective such as “95% of jobs” allows 5% of them to be bad: that is its budget. See “Alerting on
SLOs” in Google's Site Reliability Workbook, chapter 5. docs/definitions.md has the formulas.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from queries.objectives.events import EPOCH, Events, seconds_of

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

SECOND = timedelta(seconds=1)

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


def budget(events: Events, allowed: float, moment: datetime, interval: timedelta) -> Budget | None:
    """The budget of one objective; None where nothing has happened.

    `allowed`: the share that can be bad; `interval`: the usual one between snapshots.
    """
    counts, end, unit = _Counts(events), seconds_of(moment), window_unit(interval)
    intervals = SHORT, LONG, *(alert.intervals for alert in ALERTS)
    windows = [BUDGET_PERIOD, *(min(number * unit, BUDGET_PERIOD) for number in intervals)]
    found = counts.within(end, np.array([window // SECOND for window in windows]))
    (total, bad), _, _, *in_alerts = found.tolist()
    if not total:
        return None
    spent, short_burn, long_burn, *rates = _shares(found, allowed).tolist()
    remaining = None
    if long_burn > 1 and not is_exhausted(spent):
        remaining = max(1 - spent, 0) / long_burn * BUDGET_PERIOD
    course = _shares(counts.within(events.at, BUDGET_PERIOD // SECOND), allowed)
    return Budget(
        total,
        bad,
        spent,
        short_burn,
        long_burn,
        any(
            bad >= MIN_BAD and min(short_burn, rate) >= alert.rate
            for alert, rate, (_, bad) in zip(ALERTS, rates, in_alerts, strict=True)
        ),
        moment + remaining if remaining is not None else None,
        _exhausted_since(events, course, moment) if is_exhausted(spent) else None,
        tuple(course[events.at > end - BUDGET_PERIOD // SECOND].tolist()),
    )


def window_unit(interval: timedelta) -> timedelta:
    """The short window of an integration with this interval between snapshots."""
    return SHORT * max(interval, SHORTEST_WINDOW)


def is_exhausted(spent: float) -> bool:
    """Whether more than the budget is spent; a share is a quotient, and never quite exact."""
    return spent > 1 + EPSILON


def _exhausted_since(events: Events, course: np.ndarray, moment: datetime) -> datetime:
    """The first of the moments, up to now, from which more than the budget was spent."""
    within = np.flatnonzero(course <= 1 + EPSILON)
    first = within[-1] + 1 if len(within) else 0
    return EPOCH + int(events.at[first]) * SECOND if first < len(course) else moment


def _shares(found: np.ndarray, allowed: float) -> np.ndarray:
    """Of [total, bad], the share of what is allowed; 0 where nothing has happened."""
    total, bad = found.T
    return bad / np.maximum(total, 1) / allowed


class _Counts:
    """Sums of events over windows."""

    def __init__(self, events: Events) -> None:
        self._at = events.at
        self._sums = np.zeros((len(events.at) + 1, 2), dtype=np.int64)
        np.cumsum(np.stack((events.total, events.bad), axis=1), axis=0, out=self._sums[1:])

    def within(self, ends: int | np.ndarray, windows: int | np.ndarray) -> np.ndarray:
        """[total, bad] of each window: (end - window, end]. In seconds."""
        first = np.searchsorted(self._at, ends - windows, side="right")
        last = np.searchsorted(self._at, ends, side="right")
        return self._sums[last] - self._sums[first]
