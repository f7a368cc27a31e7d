"""How long jobs take, with open jobs counted as censored.

A job is the time that an account spends without interruption in the states of one operation. It
starts at the first snapshot that shows it and ends at the first that shows the account Onboarded or
Deleted. A job that is open, failed, or cut short by a removal, another operation or an unrecognized
state has lasted at least so long: it is censored. Without such jobs every result would look too
good.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection, and_, case, func, select

from data.history.since import state_operation
from data.schema import account_current, job_end
from data.states import OPERATIONS, UNSETTLED_STATES
from queries.cache import cached
from queries.health.snapshots import newest_snapshots
from queries.period import Period, day_column

EPSILON = 1e-9
"""Shares are products of fractions; within this error a half is still a half."""


# ---- Kaplan–Meier --------------------------------------------------------------------------------


class Step(NamedTuple):
    """The estimated share of jobs that take longer than `seconds`."""

    seconds: float
    share: float


@dataclass(frozen=True)
class Durations:
    """How long jobs took, in seconds."""

    jobs: int
    ended: int
    curve: tuple[Step, ...]
    """Where the share falls: one step per duration at which jobs ended, in order."""
    longest_observed: float

    def quantile(self, share: float) -> float | None:
        """The shortest time after which this share of the jobs has ended; None where too few have.

        Without censored jobs it is the plain quantile: the smallest such duration.
        """
        remaining = 1 - share + EPSILON
        return next((step.seconds for step in self.curve if step.share <= remaining), None)

    @property
    def median(self) -> float | None:
        """The time after which half of the jobs have ended; None where fewer have."""
        return self.quantile(0.5)

    @property
    def mean(self) -> float | None:
        """The mean time up to the longest time observed; None without jobs.

        It is the area below the curve: a lower bound where some jobs have not ended.
        """
        if not self.jobs:
            return None
        area, previous_seconds, share = 0.0, 0.0, 1.0
        for step in self.curve:
            area += share * (step.seconds - previous_seconds)
            previous_seconds, share = step
        return area + share * (self.longest_observed - previous_seconds)


def kaplan_meier(job_groups: Iterable[tuple[float, bool, int]]) -> Durations:
    """The estimate from jobs as (seconds, whether they ended then, number of jobs).

    At each duration t at which jobs ended: S(t) = S(before) * (1 - ended(t) / followed(t)).
    Jobs censored at t were followed for t.
    """
    ended: Counter[float] = Counter()
    exits: Counter[float] = Counter()
    for seconds, has_ended, count in job_groups:
        exits[seconds] += count
        ended[seconds] += count if has_ended else 0
    total = at_risk = exits.total()
    share, curve = 1.0, []
    for seconds in sorted(exits):
        if ended[seconds]:
            share *= 1 - ended[seconds] / at_risk
            curve.append(Step(seconds, share))
        at_risk -= exits[seconds]
    return Durations(total, ended.total(), tuple(curve), max(exits, default=0.0))


# ---- jobs ----------------------------------------------------------------------------------------


@cached(16)
def durations(con: Connection, scope: Period) -> dict[str, Durations]:
    """Operation → how long its jobs take, of those that started in the scope."""
    groups = count_jobs(con, scope)
    return {
        name: kaplan_meier(
            (g.seconds, g.settled, g.job_count) for g in groups if g.operation == name
        )
        for name in OPERATIONS
    }


@cached(16)
def duration_trend(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per week and operation: how long the jobs take that started in the week.

    [week, operation, jobs, median, percentile_90]: `week` is its first day, a Monday; times are in
    seconds, NaN where too few jobs have ended yet.
    """
    groups = pd.DataFrame(count_jobs(con, scope), columns=JobGroup._fields)
    weeks = pd.to_datetime(groups["day"]).dt.to_period("W").dt.start_time
    rows = []
    for (week, operation), jobs in groups.groupby([weeks, "operation"]):
        took = kaplan_meier(jobs[["seconds", "settled", "job_count"]].itertuples(index=False))
        rows.append((week, operation, took.jobs, took.median, took.quantile(0.9)))
    columns = ["week", "operation", "jobs", "median", "percentile_90"]
    return pd.DataFrame(rows, columns=columns).astype({"median": float, "percentile_90": float})


class JobGroup(NamedTuple):
    """Jobs of one operation, start day and duration that settled, or lasted at least so long."""

    operation: str
    day: date
    seconds: int
    settled: bool
    job_count: int


@cached(16)
def count_jobs(con: Connection, scope: Period) -> list[JobGroup]:
    """One row per operation, day, duration and end, of the jobs that started on a day of the scope.

    Jobs are followed until the moment of the scope; those that had not settled then are censored.
    """
    last_seen = newest_snapshots((), scope.as_of).subquery("last_seen")
    job = sa.union_all(_ended_jobs(scope, last_seen), _open_jobs(scope, last_seen)).subquery("job")
    seconds = sa.cast(sa.extract("epoch", job.c.until - job.c.began), sa.BigInteger)
    keys = job.c.operation, day_column(job.c.began, scope.zone), seconds, job.c.settled
    last_moment = min(filter(None, (scope.end, scope.as_of)))
    rows = con.execute(
        select(*keys, sa.cast(func.sum(job.c.jobs), sa.BigInteger))
        .where(job.c.began.between(scope.start, last_moment))
        .group_by(*keys)
    )
    return [JobGroup(*row) for row in rows]


def _ended_jobs(scope: Period, last_seen: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    """Jobs that have ended, from their rollup; open until `last_seen` where they ended later."""
    ended = job_end.c
    has_ended = scope.is_past(ended.taken_at)
    return (
        select(
            ended.operation,
            ended.began,
            case((has_ended, ended.taken_at), else_=last_seen.c.taken_at).label("until"),
            and_(has_ended, ended.outcome == "settled").label("settled"),
            ended.jobs,
        )
        .join_from(job_end, last_seen, last_seen.c.integration_id == ended.integration_id)
        .where(scope.includes(job_end), ended.outcome != "failed")
    )


def _open_jobs(scope: Period, last_seen: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    """Jobs that have not ended, from the current accounts."""
    current = account_current.c
    return (
        select(
            state_operation(current.provisioning_state).label("operation"),
            current.job_since.label("began"),
            last_seen.c.taken_at.label("until"),
            sa.false().label("settled"),
            sa.literal(1).label("jobs"),
        )
        .join_from(account_current, last_seen, last_seen.c.integration_id == current.integration_id)
        .where(
            current.provisioning_state.in_(UNSETTLED_STATES),
            scope.includes(account_current),
        )
    )
