"""How long provisioning, updates and deletions take, with those that still run counted as such.

A job is an account's unbroken stay in the states of one operation: awaiting, ongoing, failed, and
again awaiting. It begins at the first snapshot that shows it and ends at the first that shows the
account settled: Onboarded or Deleted. A job that has not ended yet, or whose account went, came
into another operation or into a state that nobody understands, has lasted at least so long: it is
censored. Leaving such jobs out, or taking them for ended, would make every number too good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    true,
)

from data.states import OPERATIONS, STATES, state_names
from data.tables import FOREVER, account_version, integration, snapshot
from queries.days import Scope
from queries.remembering import remembered

NEWER = FOREVER - timedelta(days=1)
"""Every version that has ended ended before."""

EXACT = 1e-9
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
    observed: float
    """The longest time that any of the jobs was followed."""

    def quantile(self, share: float) -> float | None:
        """The shortest time after which this share of all jobs has ended; None: not known yet.

        Without censored jobs it is the plain quantile, the smallest duration of which it is true.
        """
        left = 1 - share + EXACT
        return next((step.seconds for step in self.curve if step.share <= left), None)

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
        area, since, share = 0.0, 0.0, 1.0
        for step in self.curve:
            area += share * (step.seconds - since)
            since, share = step
        return area + share * (self.observed - since)


def kaplan_meier(jobs: Iterable[tuple[float, bool, int]]) -> Durations:
    """The estimate from jobs as (seconds, whether it ended then, how many such jobs).

    At each duration t at which jobs ended, the share still under way falls by the part that those
    are of all jobs followed for at least t: S(t) = S(before) * (1 - ended(t) / followed(t)). Jobs
    censored at t were followed for t.
    """
    ended: dict[float, int] = {}
    leaving: dict[float, int] = {}
    for seconds, has_ended, count in jobs:
        leaving[seconds] = leaving.get(seconds, 0) + count
        ended[seconds] = ended.get(seconds, 0) + (count if has_ended else 0)
    total = followed = sum(leaving.values())
    share, curve = 1.0, []
    for seconds in sorted(leaving):
        if ended[seconds]:
            share *= 1 - ended[seconds] / followed
            curve.append(Step(seconds, share))
        followed -= leaving[seconds]
    return Durations(total, sum(ended.values()), tuple(curve), max(leaving, default=0.0))


# ---- jobs ----------------------------------------------------------------------------------------


@remembered(16)
def durations(con: Connection, scope: Scope) -> dict[str, Durations]:
    """Operation → how long its jobs take, of those that began in the scope."""
    found = jobs(con, scope)
    return {
        name: kaplan_meier(job[1:] for job in found if job.operation == name) for name in OPERATIONS
    }


class Jobs(NamedTuple):
    """Jobs of one operation that took the same time, or that are known to last at least so long."""

    operation: str
    seconds: int
    settled: bool
    jobs: int


def jobs(con: Connection, scope: Scope) -> list[Jobs]:
    """One row per operation, duration and end.

    Of the jobs that began on a day of the scope, followed until its moment; those that had not
    settled then are censored.
    """
    version = account_version.c
    of_the_days = or_(  # or ended there: then what follows has not begun, but gone on
        version.valid_from >= scope.begins,
        version.valid_to.between(scope.begins, scope.at or NEWER),
    )
    states = [state.name for state in STATES if state.operation]
    asked = (of_the_days, *known(scope.integrations, scope.at))
    run = runs(operation_of(_state), states, *asked).subquery("run")
    settled, seen = _settled(scope), _last_seen(scope)
    is_settled = settled.c.account_key.is_not(None)
    lasted = func.least(run.c.ended, seen.c.at) - run.c.began
    seconds = cast(func.extract("epoch", lasted), BigInteger)
    rows = con.execute(
        select(
            run.c.label.label("operation"),
            seconds.label("seconds"),
            is_settled.label("settled"),
            func.count().label("jobs"),
        )
        .select_from(
            run.join(seen, seen.c.integration_id == run.c.integration_id).outerjoin(
                settled,
                and_(
                    settled.c.account_key == run.c.account_key,
                    settled.c.valid_from == run.c.ended,
                ),
            )
        )
        .where(run.c.began.between(scope.begins, scope.ends))
        .group_by(run.c.label, seconds, is_settled)
    )
    return [Jobs(*row) for row in rows]


_state = account_version.c.provisioning_state


def runs(
    label: ColumnElement[Any], states: Sequence[str], *conditions: ColumnElement[bool]
) -> Select[Any]:
    """One row per account's unbroken run of versions in the states with the same label.

    [account_key, integration_id, label, began, ended], of the versions that fulfil the conditions.
    `ended` is when the account was no longer so; the end of time where it still is.
    """
    version = account_version.c
    columns = (version.account_key, version.integration_id, version.valid_from, version.valid_to)
    rows = select(*columns, label.label("label")).where(_state.in_(states), *conditions).subquery()
    earlier: Any = {"partition_by": rows.c.account_key, "order_by": rows.c.valid_from}
    begins = or_(
        func.lag(rows.c.valid_to).over(**earlier).is_distinct_from(rows.c.valid_from),
        func.lag(rows.c.label).over(**earlier).is_distinct_from(rows.c.label),
    )
    marked = select(rows, case((begins, 1), else_=0).label("begins")).subquery()
    nth = func.sum(marked.c.begins).over(
        partition_by=marked.c.account_key, order_by=marked.c.valid_from
    )
    numbered = select(marked, nth.label("nth")).subquery()
    same = [numbered.c[name] for name in ("account_key", "integration_id", "label")]
    return select(
        *same,
        func.min(numbered.c.valid_from).label("began"),
        func.max(numbered.c.valid_to).label("ended"),
    ).group_by(*same, numbered.c.nth)


def known(integrations: Sequence[str], at: datetime | None) -> list[ColumnElement[bool]]:
    """Versions of the integrations, all where none is named, that were known at the moment."""
    version, named = account_version.c, integration.c.name.in_(integrations)
    chosen = select(integration.c.integration_id).where(named)
    return [
        *([version.integration_id.in_(chosen)] if integrations else []),
        *([version.valid_from <= at] if at is not None else []),
    ]


def operation_of(state: ColumnElement[Any]) -> ColumnElement[Any]:
    """The operation that a state is of; NULL for the settled ones."""
    return case({s.name: s.operation for s in STATES if s.operation}, value=state)


def _settled(scope: Scope) -> FromClause:
    """One row per version in a settled state that begins in the scope."""
    version = account_version.c
    return (
        select(version.account_key, version.valid_from)
        .where(
            _state.in_(state_names(phase="settled")),
            version.valid_from >= scope.begins,
            *known(scope.integrations, scope.at),
        )
        .subquery("settled")
    )


def _last_seen(scope: Scope) -> FromClause:
    """One row per integration: until when its accounts were followed."""
    taken = snapshot.c.taken_at
    known = true() if scope.at is None else taken <= scope.at
    return (
        select(snapshot.c.integration_id, func.max(taken).label("at"))
        .where(known)
        .group_by(snapshot.c.integration_id)
        .subquery("seen")
    )
