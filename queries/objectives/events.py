"""What spends an error budget: jobs that end or are late, and failing accounts by snapshot."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.history.since import state_operation
from data.schema import SnapshotTime, account_current, integration, job_end, snapshot
from data.states import FAILED_STATES, UNSETTLED_STATES
from queries.health.counts import counts
from queries.health.snapshots import state, total
from queries.scope import Scope, newest_snapshots

LOOK_BACK = timedelta(days=60)
"""Before the newest snapshot: for the budget of 30 days on each of the last 30 days."""


EPOCH = datetime(1970, 1, 1)


class Events(NamedTuple):
    """What counts for an objective of an integration: arrays with a place per moment, in order."""

    at: np.ndarray  # seconds since 1970, UTC
    total: np.ndarray
    bad: np.ndarray
    late_now: np.ndarray
    """Of the bad ones, the jobs that have not settled."""


EventsByKind = dict[tuple[str, str], Events]
"""Integration and kind of objective → its events."""


def seconds_of(moment: datetime) -> int:
    """Whole seconds since 1970 of a moment (naive UTC)."""
    return (moment - EPOCH) // timedelta(seconds=1)


Limits = Mapping[tuple[str, str], timedelta]
"""Integration and operation → how long its jobs can take."""


def job_events(con: Connection, scope: Scope, limits: Limits) -> EventsByKind:
    """The jobs of each integration and operation, by moment.

    A job is bad from its start + limit on, where a snapshot shows it unsettled then or later. It is
    good at the snapshot that shows it settled, where no snapshot has shown it late. Others do not
    count yet, or never.
    """
    newest = newest_snapshots(scope.as_of)
    oldest = con.scalar(select(func.min(newest.c.at)).where(scope.includes(newest)))
    if not limits or oldest is None:
        return {}
    ids = {row.name: row.integration_id for row in con.execute(select(integration))}
    job = sa.union_all(*_jobs(scope, newest, oldest - LOOK_BACK)).subquery("job")
    limit = _limit(job, limits, ids)
    job = select(job, limit.label("within")).where(limit.is_not(None)).subquery("limited")
    deadline = job.c.began + job.c.within
    is_late = job.c.last_open >= deadline
    at = case((is_late, deadline), else_=job.c.settled_at)
    is_late_now = and_(is_late, job.c.is_open)
    keys, jobs = (integration.c.name, job.c.operation, _seconds(at)), job.c.jobs
    query = (
        select(*keys, total(jobs), total(jobs, is_late), total(jobs, is_late_now))
        .join_from(job, integration, integration.c.integration_id == job.c.integration_id)
        .join(newest, newest.c.integration_id == job.c.integration_id)
        .where(sa.or_(at > newest.c.at - LOOK_BACK, is_late_now))
        .group_by(*keys)
        .order_by(*keys)
    )
    return _by_kind(con.execute(query).all())


def _limit(job: sa.FromClause, limits: Limits, ids: Mapping[str, int]) -> ColumnElement[Any]:
    """How long a job can take; NULL without a limit."""
    same_limit: dict[tuple[str, timedelta], list[int]] = defaultdict(list)
    for (name, operation), within in limits.items():
        same_limit[operation, within].append(ids[name])
    return case(
        *(
            (
                and_(job.c.operation == operation, job.c.integration_id.in_(same)),
                sa.literal(within, sa.Interval),
            )
            for (operation, within), same in same_limit.items()
        )
    )


def _jobs(
    scope: Scope, newest: sa.FromClause, since: datetime
) -> list[sa.Select[*tuple[Any, ...]]]:
    """Jobs: [integration_id, operation, began, last_open, settled_at, is_open, jobs].

    `last_open` is the last snapshot that shows them unsettled; `settled_at` is NULL where none
    shows them settled.
    """
    still_open = [_open_jobs(scope, newest)]
    if scope.as_of is not None:
        ended = job_end.c
        still_open.append(
            _open(ended, ended.operation, ended.began, newest, ended.jobs)
            .join_from(job_end, newest, newest.c.integration_id == ended.integration_id)
            .where(_is_whole_job(scope), ended.taken_at > scope.as_of, ended.began <= newest.c.at)
        )
    return [_ended_jobs(scope, since), *still_open]


def _is_whole_job(scope: Scope) -> ColumnElement[bool]:
    """A failed attempt is a part of one."""
    return and_(scope.includes(job_end), job_end.c.outcome != "failed")


def _ended_jobs(scope: Scope, since: datetime) -> sa.Select[*tuple[Any, ...]]:
    """Jobs that a snapshot shows ended, from then on."""
    ended, taken_at, key = job_end.c, snapshot.c.taken_at, snapshot.c.integration_id
    before = func.lag(taken_at).over(partition_by=key, order_by=taken_at).label("before")
    seen = select(key, taken_at, before).where(scope.includes(snapshot)).subquery("seen")
    is_seen = and_(seen.c.integration_id == ended.integration_id, seen.c.taken_at == ended.taken_at)
    return (
        select(
            ended.integration_id,
            ended.operation,
            ended.began,
            seen.c.before.label("last_open"),
            case((ended.outcome == "settled", ended.taken_at)).label("settled_at"),
            sa.false().label("is_open"),
            ended.jobs,
        )
        .join_from(job_end, seen, is_seen)
        .where(_is_whole_job(scope), scope.is_past(ended.taken_at), ended.taken_at > since)
    )


def _open_jobs(scope: Scope, newest: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    """Jobs that have not ended by now, of the current accounts."""
    current = account_current.c
    operation = state_operation(current.provisioning_state)
    return (
        _open(current, operation, current.job_since, newest, sa.literal(1))
        .join_from(account_current, newest, newest.c.integration_id == current.integration_id)
        .where(
            scope.includes(account_current),
            current.provisioning_state.in_(UNSETTLED_STATES),
            current.job_since <= newest.c.at,
        )
    )


def _open(
    rows: Any,
    operation: ColumnElement[Any],
    began: ColumnElement[Any],
    newest: sa.FromClause,
    jobs: ColumnElement[int],
) -> sa.Select[*tuple[Any, ...]]:
    never = sa.cast(sa.null(), SnapshotTime)
    return select(rows.integration_id, operation, began, newest.c.at, never, sa.true(), jobs)


def failing_events(con: Connection, scope: Scope) -> EventsByKind:
    """Of each integration by snapshot: all its accounts, and those in a failed state."""
    newest, taken_at = newest_snapshots(scope.as_of), counts.c.taken_at
    accounts = counts.c.accounts
    query = (
        select(
            integration.c.name,
            sa.literal("failing"),
            _seconds(taken_at),
            total(accounts),
            total(accounts, state.in_(FAILED_STATES)),
            sa.literal(0),
        )
        .join_from(counts, integration, integration.c.integration_id == counts.c.integration_id)
        .join(newest, newest.c.integration_id == counts.c.integration_id)
        .where(scope.includes(counts), taken_at <= newest.c.at, taken_at > newest.c.at - LOOK_BACK)
        .group_by(integration.c.name, taken_at)
        .order_by(integration.c.name, taken_at)
    )
    return _by_kind(con.execute(query).all())


def _seconds(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    """As numbers, rows become arrays in a tenth of the time."""
    return sa.cast(func.floor(sa.extract("epoch", moment)), sa.BigInteger).label("at")


def _by_kind(rows: Iterable[Any]) -> EventsByKind:
    """`rows`: [integration, kind, *Events], in order."""
    return {
        key: Events(*np.array([row[2:] for row in same], dtype=np.int64).T)
        for key, same in groupby(rows, itemgetter(0, 1))
    }
