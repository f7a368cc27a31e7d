"""How long provisioning, updates and deletions take, with those that still run counted as such.

A job is an account's unbroken stay in the states of one operation: awaiting, ongoing, failed, and
again awaiting. It begins at the first snapshot that shows it and ends at the first that shows the
account settled: Onboarded or Deleted. A job that has not ended yet, or whose account went, came
into another operation or into a state that nobody understands, has lasted at least so long: it is
censored. Leaving such jobs out, or taking them for ended, would make every number too good.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    and_,
    case,
    cast,
    extract,
    false,
    func,
    literal,
    select,
    union_all,
)

from data.history.since import state_operation
from data.schema import account_current, job_end, snapshot
from data.states import OPERATIONS, STATES
from queries.cache import cached
from queries.period import Period
from queries.scope import in_integrations, is_past

EPSILON = 1e-9
"""Shares are products of fractions: so much may be lost, and a half is still a half."""


# ---- Kaplan and Meier ----------------------------------------------------------------------------


class Step(NamedTuple):
    """The share of jobs that take longer than the seconds, as estimated."""

    seconds: float
    share: float


@dataclass(frozen=True)
class Durations:
    """How long jobs took, as far as is known. Durations are in seconds."""

    jobs: int
    ended: int
    curve: tuple[Step, ...]
    """Where the share falls: one step per duration at which a job ended, in order."""
    longest_observed: float
    """The longest time that any of the jobs was followed."""

    def quantile(self, share: float) -> float | None:
        """The shortest time after which this share of all jobs has ended; None: not known yet.

        Without censored jobs it is the plain quantile, the smallest duration of which it is true.
        """
        remaining = 1 - share + EPSILON
        return next((step.seconds for step in self.curve if step.share <= remaining), None)

    @property
    def median(self) -> float | None:
        """The time after which half of the jobs have ended; None: more than half still run."""
        return self.quantile(0.5)

    @property
    def mean(self) -> float | None:
        """The mean time, each job counted up to the longest time observed: a restricted mean.

        It is the area below the curve: the plain mean where all jobs have ended, and too short
        where some have not. None without jobs.
        """
        if not self.jobs:
            return None
        area, previous_seconds, share = 0.0, 0.0, 1.0
        for step in self.curve:
            area += share * (step.seconds - previous_seconds)
            previous_seconds, share = step
        return area + share * (self.longest_observed - previous_seconds)


def kaplan_meier(job_groups: Iterable[tuple[float, bool, int]]) -> Durations:
    """The estimate from jobs as (seconds, whether it ended then, how many such jobs).

    At each duration t at which jobs ended, the share still under way falls by the part that those
    are of all jobs followed for at least t: S(t) = S(before) * (1 - ended(t) / followed(t)). Jobs
    censored at t were followed for t.
    """
    ended: dict[float, int] = {}
    exits: dict[float, int] = {}
    for seconds, has_ended, count in job_groups:
        exits[seconds] = exits.get(seconds, 0) + count
        ended[seconds] = ended.get(seconds, 0) + (count if has_ended else 0)
    total = at_risk = sum(exits.values())
    share, curve = 1.0, []
    for seconds in sorted(exits):
        if ended[seconds]:
            share *= 1 - ended[seconds] / at_risk
            curve.append(Step(seconds, share))
        at_risk -= exits[seconds]
    return Durations(total, sum(ended.values()), tuple(curve), max(exits, default=0.0))


# ---- jobs ----------------------------------------------------------------------------------------


@cached(16)
def durations(con: Connection, scope: Period) -> dict[str, Durations]:
    """Operation → how long its jobs take, of those that began in the scope."""
    groups = count_jobs(con, scope)
    return {
        name: kaplan_meier(job[1:] for job in groups if job.operation == name)
        for name in OPERATIONS
    }


class JobGroup(NamedTuple):
    """Jobs of one operation that took the same time, or that are known to last at least so long."""

    operation: str
    seconds: int
    settled: bool
    job_count: int


def count_jobs(con: Connection, scope: Period) -> list[JobGroup]:
    """One row per operation, duration and end.

    Of the jobs that began on a day of the scope, followed until its moment; those that had not
    settled then are censored. What has ended is read from its rollup: a job that was open at a
    moment of the past has ended since, or is open now.
    """
    ended, current, last_seen = job_end.c, account_current, _last_seen(scope)
    in_scope = [in_integrations(job_end, scope.integration), ended.outcome != "failed"]
    open_jobs = select(
        current.c.integration_id,
        state_operation(current.c.provisioning_state).label("operation"),
        current.c.job_since.label("began"),
        last_seen.c.at.label("until"),
        false().label("settled"),
        literal(1).label("jobs"),
    ).join_from(current, last_seen, last_seen.c.integration_id == current.c.integration_id)
    has_ended = is_past(ended.taken_at, scope.as_of)
    ended_jobs = select(
        ended.integration_id,
        ended.operation,
        ended.began,
        case((has_ended, ended.taken_at), else_=last_seen.c.at).label("until"),
        and_(has_ended, ended.outcome == "settled").label("settled"),
        ended.jobs,
    ).join_from(job_end, last_seen, last_seen.c.integration_id == ended.integration_id)
    job = union_all(
        ended_jobs.where(*in_scope),
        open_jobs.where(
            current.c.provisioning_state.in_(UNSETTLED),
            in_integrations(current, scope.integration),
        ),
    ).subquery("job")
    seconds = cast(extract("epoch", job.c.until - job.c.began), BigInteger)
    began_in_scope = job.c.began.between(scope.start, min(filter(None, (scope.end, scope.as_of))))
    rows = con.execute(
        select(job.c.operation, seconds, job.c.settled, cast(func.sum(job.c.jobs), BigInteger))
        .where(began_in_scope)
        .group_by(job.c.operation, seconds, job.c.settled)
    )
    return [JobGroup(*row) for row in rows]


UNSETTLED = tuple(state.name for state in STATES if state.operation)


def _last_seen(scope: Period) -> FromClause:
    """One row per integration: until when its accounts were followed."""
    taken_at = snapshot.c.taken_at
    return (
        select(snapshot.c.integration_id, func.max(taken_at).label("at"))
        .where(is_past(taken_at, scope.as_of))
        .group_by(snapshot.c.integration_id)
        .subquery("seen")
    )
