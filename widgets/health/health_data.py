"""The numbers that Health shows."""

from collections.abc import Collection
from datetime import date, datetime
from functools import cached_property

import pandas as pd
from sqlalchemy import Connection

from data.objectives import Objectives, read_objectives
from data.people.directories import directory_names
from data.states import FAILED_STATES
from queries.health.backlog import backlog
from queries.health.counts import deleted_stretches
from queries.health.durations import Durations, duration_trend, durations
from queries.health.failure_reasons import failure_reasons
from queries.health.integrations import quarantined_files_by_day
from queries.health.trends import trends
from queries.health.verdict import DayCount, Verdict, daily_failed, verdict
from queries.objectives.results import Measured, measure
from queries.period import Period
from queries.scope import Scope


def count_accounts(states: pd.DataFrame, names: Collection[str]) -> int:
    """The accounts in some states, of a frame with a row per state."""
    return int(states.loc[states["state"].isin(names), "accounts"].sum())


class HealthData:
    """The numbers of a scope. What reads the history, which can take a moment, waits until used."""

    def __init__(self, con: Connection, scope: Period, now: datetime) -> None:
        self._con, self.scope, self.now = con, scope, now
        self.trends = trends(con, scope)
        self._deleted = deleted_stretches(con, scope.integration)  # a click comes without `con`
        self.files = quarantined_files_by_day(con, scope.integration, scope.first, now.date())

    @cached_property
    def verdict(self) -> Verdict | None:
        """The course of the failed accounts; None before the second day that compares."""
        return verdict(self.daily_failed)

    @cached_property
    def daily_failed(self) -> list[DayCount]:
        """As `daily_failed`, of the scope."""
        return daily_failed(self.trends.failed_by_integration)

    @cached_property
    def days(self) -> list[date]:
        """The days of the scope with a snapshot by then of every integration that it shows now.

        Before the first snapshot of an integration, no count compares with now.
        """
        complete_from = self.trends.failed_by_integration.groupby("integration")["day"].min().max()
        return sorted({day for day in self.trends.states["day"] if day >= complete_from})

    @property
    def has_trends(self) -> bool:
        """Whether there are two days to compare."""
        return self.trends.states["day"].nunique() > 1

    @property
    def failed_count(self) -> int:
        """Failed accounts now."""
        return count_accounts(self.trends.current_states, FAILED_STATES)

    @cached_property
    def backlog(self) -> pd.DataFrame:
        """As `backlog`, now."""
        return backlog(self._con, self.scope.integration, self.scope.as_of, self.now)

    def has_only_counts(self, moment: datetime) -> bool:
        """Whether retention has deleted a snapshot that the scope shows at the moment."""
        return any(start <= moment < end for start, end in self._deleted)

    @cached_property
    def durations(self) -> dict[str, Durations]:
        """As `durations`, of the scope."""
        return durations(self._con, self.scope)

    @cached_property
    def previous_durations(self) -> dict[str, Durations]:
        """As `durations`, of the period before."""
        return durations(self._con, self.scope.previous)

    @cached_property
    def duration_trend(self) -> pd.DataFrame:
        """As `duration_trend`, of the scope."""
        return duration_trend(self._con, self.scope)

    @cached_property
    def directories(self) -> tuple[str, ...]:
        """As `directory_names`."""
        return directory_names(self._con)

    @cached_property
    def objectives(self) -> Objectives:
        """As defined now, for moments in the past, too."""
        return read_objectives(self._con)

    @cached_property
    def measured(self) -> Measured:
        """As `measure`, of the scope."""
        scope = Scope(integration=self.scope.integration, as_of=self.scope.as_of)
        return measure(self._con, scope, self.objectives, self.now)

    @cached_property
    def reasons(self) -> pd.DataFrame:
        """As `failure_reasons`, of the scope."""
        return failure_reasons(self._con, self.scope)
