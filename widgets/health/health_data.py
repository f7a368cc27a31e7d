"""The numbers that Health shows."""

from collections.abc import Collection
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple

import pandas as pd
from sqlalchemy import Connection

from data.formatting import count_of
from data.states import FAILED_STATES
from queries.health.backlog import backlog, open_jobs_by_start
from queries.health.durations import Durations, durations
from queries.health.failure_reasons import failure_reasons
from queries.health.integrations import quarantined_files_by_day
from queries.health.trends import Trends, trends
from queries.period import Period


class StateComparison(NamedTuple):
    """Accounts by state now and before, as of `states_as_of`."""

    current: pd.DataFrame
    previous: pd.DataFrame
    period_text: str
    """How long ago `previous` was: `in 30 days`; empty where there is nothing to compare with."""
    first_day: date | None = None
    """The day of `previous`, where there is no snapshot before the period."""


def compare_states(trends: Trends, scope: Period) -> StateComparison:
    """Compares with the end of the period before or, without one, with the end of the first day."""
    current, days = trends.current_states, trends.states["day"]
    if not trends.previous_states.empty:
        return StateComparison(current, trends.previous_states, f"in {count_of(scope.days, 'day')}")
    first = days.min() if len(days) else None
    if first is None or first == days.max():
        return StateComparison(current, current, "", first)
    return StateComparison(current, trends.states[days == first], f"since {first:%-d %b}", first)


def count_accounts(states: pd.DataFrame, names: Collection[str]) -> int:
    """The accounts in some states, of a frame with a row per state."""
    return int(states.loc[states["state"].isin(names), "accounts"].sum())


class HealthData:
    """The numbers of a scope. What reads the history, which can take a moment, waits until used."""

    def __init__(self, con: Connection, scope: Period, now: datetime) -> None:
        self._con, self.scope, self.now = con, scope, now
        self.trends = trends(con, scope)
        self.comparison = compare_states(self.trends, scope)
        self.files = quarantined_files_by_day(con, scope.integration, scope.first, now.date())

    @property
    def failed_count(self) -> int:
        """Failed accounts now."""
        return count_accounts(self.trends.current_states, FAILED_STATES)

    @cached_property
    def backlog(self) -> pd.DataFrame:
        """As `backlog`, now."""
        open_jobs = open_jobs_by_start(self._con, self.scope.integration, self.scope.as_of)
        return backlog(open_jobs, self.now)

    @cached_property
    def durations(self) -> dict[str, Durations]:
        """As `durations`, of the scope."""
        return durations(self._con, self.scope)

    @cached_property
    def previous_durations(self) -> dict[str, Durations]:
        """As `durations`, of the period before."""
        return durations(self._con, self.scope.previous)

    @cached_property
    def reasons(self) -> pd.DataFrame:
        """As `failure_reasons`, of the scope."""
        return failure_reasons(self._con, self.scope)
