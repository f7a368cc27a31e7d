"""What spends an error budget: jobs that end or are late, and failing accounts by snapshot."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.history.since import state_operation
from data.schema import account_current, integration, job_end, snapshot
from data.states import FAILED_STATES, UNSETTLED_STATES
from queries.health.counts import counts
from queries.health.snapshots import state, total
from queries.scope import Scope, newest_snapshots

LOOK_BACK = timedelta(days=60)
"""Before the newest snapshot: for the budget of 30 days on each of the last 30 days."""


class Event(NamedTuple):
    """What counts at a moment (naive UTC) for an objective: how many in all, how many bad."""

    integration: str
    kind: str
    at: datetime
    total: int
    bad: int


Limits = Mapping[tuple[str, str], timedelta]
"""Integration and operation → how long its jobs can take."""


def job_events(con: Connection, scope: Scope, limits: Limits) -> list[Event]:
    """One event per integration, operation, moment and outcome of jobs, in order.

    A job is bad from its start + limit on, where a snapshot shows it unsettled then or later. It is
    good at the snapshot that shows it settled, where no snapshot has shown it late. Others do not
    count yet, or never.
    """
    if not limits:
        return []
    newest = newest_snapshots(scope.as_of)
    job = sa.union_all(*_jobs(scope, newest)).subquery("job")
    began: ColumnElement[Any] = job.c.began
    deadline = began + _limit(job, limits)
    is_late = job.c.last_open >= deadline
    at = case((is_late, deadline), else_=job.c.settled_at)
    keys = integration.c.name, job.c.operation, at.label("at"), func.coalesce(is_late, sa.false())
    jobs = sa.cast(func.sum(job.c.jobs), sa.BigInteger)
    query = (
        select(*keys, jobs)
        .join_from(job, integration, integration.c.integration_id == job.c.integration_id)
        .join(newest, newest.c.integration_id == job.c.integration_id)
        .where(at > newest.c.at - LOOK_BACK, began.is_not(None), _limit(job, limits).is_not(None))
        .group_by(*keys)
        .order_by("at")
    )
    return [
        Event(name, kind, moment, count, count if late else 0)
        for name, kind, moment, late, count in con.execute(query)
    ]


def _limit(job: sa.FromClause, limits: Limits) -> ColumnElement[Any]:
    """How long a job can take; NULL without a limit."""
    names: dict[tuple[str, timedelta], list[str]] = defaultdict(list)
    for (name, operation), within in limits.items():
        names[operation, within].append(name)
    return case(
        *(
            (
                and_(job.c.operation == operation, integration.c.name.in_(same)),
                sa.literal(within, sa.Interval),
            )
            for (operation, within), same in names.items()
        )
    )


def _jobs(scope: Scope, newest: sa.FromClause) -> list[sa.Select[*tuple[Any, ...]]]:
    """Jobs: [integration_id, operation, began, last_open, settled_at, jobs].

    `last_open` is the last snapshot that shows them unsettled; `settled_at` is NULL where none
    shows them settled.
    """
    ended, current = job_end.c, account_current.c
    taken_at, key = snapshot.c.taken_at, snapshot.c.integration_id
    before = func.lag(taken_at).over(partition_by=key, order_by=taken_at).label("before")
    seen = select(key, taken_at, before).where(scope.includes(snapshot)).subquery("seen")
    is_seen = and_(seen.c.integration_id == ended.integration_id, seen.c.taken_at == ended.taken_at)
    is_its = newest.c.integration_id == ended.integration_id
    never = sa.cast(sa.null(), ended.taken_at.type)
    keys = ended.integration_id, ended.operation, ended.began
    is_whole = and_(scope.includes(job_end), ended.outcome != "failed")
    over = (
        select(
            *keys,
            seen.c.before.label("last_open"),
            case((ended.outcome == "settled", ended.taken_at)).label("settled_at"),
            ended.jobs,
        )
        .join_from(job_end, seen, is_seen)
        .join(newest, is_its)
        .where(is_whole, scope.is_past(ended.taken_at), ended.taken_at > newest.c.at - LOOK_BACK)
    )
    still_open = (
        select(
            current.integration_id,
            state_operation(current.provisioning_state).label("operation"),
            current.job_since.label("began"),
            newest.c.at.label("last_open"),
            never.label("settled_at"),
            sa.literal(1).label("jobs"),
        )
        .join_from(account_current, newest, newest.c.integration_id == current.integration_id)
        .where(
            scope.includes(account_current),
            current.provisioning_state.in_(UNSETTLED_STATES),
            current.job_since <= newest.c.at,
        )
    )
    if scope.as_of is None:
        return [over, still_open]
    over_later = (
        select(*keys, newest.c.at.label("last_open"), never.label("settled_at"), ended.jobs)
        .join_from(job_end, newest, is_its)
        .where(is_whole, ended.taken_at > scope.as_of, ended.began <= newest.c.at)
    )
    return [over, over_later, still_open]


def failing_events(con: Connection, scope: Scope) -> list[Event]:
    """One event per snapshot, in order: all its accounts, and those in a failed state."""
    newest, taken_at = newest_snapshots(scope.as_of), counts.c.taken_at
    accounts = counts.c.accounts
    query = (
        select(
            integration.c.name,
            sa.literal("failing"),
            taken_at,
            total(accounts),
            total(accounts, state.in_(FAILED_STATES)),
        )
        .join_from(counts, integration, integration.c.integration_id == counts.c.integration_id)
        .join(newest, newest.c.integration_id == counts.c.integration_id)
        .where(scope.includes(counts), taken_at <= newest.c.at, taken_at > newest.c.at - LOOK_BACK)
        .group_by(integration.c.name, taken_at)
        .order_by(taken_at)
    )
    return [Event(*row) for row in con.execute(query)]
