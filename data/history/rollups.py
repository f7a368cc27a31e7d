"""Counts that charts read instead of the history: states, state changes, ended jobs."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.history.as_of import Span, SpanKind, accounts_at, is_matched, version
from data.history.since import attempt_key, job_key, state_operation
from data.records.tables import retained_change
from data.schema import (
    OPEN_END,
    SnapshotTime,
    insertion,
    integration,
    is_same_account,
    job_end,
    state_change,
    state_count,
)
from data.states import FAILED_STATES, OPEN_STATES, UNSETTLED_STATES, state_names


def count_job_ends(con: Connection, span: Span) -> None:
    """Insert `job_end` of the integration's snapshots from the start of the span on."""
    span.execute(con, _job_ends)


def _job_ends(span: SpanKind) -> sa.Insert:
    names = ("integration_id", "account_key", "valid_from", "provisioning_state")
    later_versions = select(*(version.c[name] for name in names)).where(
        version.c.integration_id == span.integration_id, version.c.valid_from >= span.taken_at
    )
    after = later_versions.subquery("after")
    is_next = and_(is_same_account(after, version), after.c.valid_from == version.c.valid_to)
    state, next_state = version.c.provisioning_state, after.c.provisioning_state
    columns = [
        version.c.valid_to,
        state_operation(state),
        version.c.job_since,
        case((state.in_(OPEN_STATES), version.c.attempt_since)),
        _job_outcome(state, next_state),
    ]
    job_ends = (
        select(span.integration_id, *columns, func.count())
        .select_from(version.outerjoin(after, is_next))
        .where(
            version.c.integration_id == span.integration_id,
            version.c.valid_to >= span.taken_at,
            version.c.valid_to < OPEN_END,
            state.in_(UNSETTLED_STATES),
            _ends_job_or_attempt(state, next_state),
        )
        .group_by(*columns)
    )
    return insertion(job_end, job_ends)


def _job_outcome(state: ColumnElement[str], next_state: ColumnElement[str]) -> ColumnElement[str]:
    is_same_job = job_key(next_state) == job_key(state)
    return case(
        (next_state.in_(state_names(phase="settled")), "settled"),
        (and_(next_state.in_(FAILED_STATES), is_same_job), "failed"),
        else_="other",
    )


def _ends_job_or_attempt(
    state: ColumnElement[str], next_state: ColumnElement[str]
) -> ColumnElement[bool]:
    """An open job's attempt ends when it fails or leaves the job; a failed job when it leaves."""
    ends_attempt = attempt_key(state).is_distinct_from(attempt_key(next_state))
    leaves_job = (job_key(next_state) == job_key(state)).is_not(True)
    return case((state.in_(OPEN_STATES), ends_attempt), else_=leaves_job)


def delete_job_ends(con: Connection, integration_id: int, since: datetime) -> None:
    """Delete `job_end` of the integration's snapshots from a moment on."""
    con.execute(
        sa.delete(job_end).where(
            job_end.c.integration_id == integration_id, job_end.c.taken_at >= since
        )
    )


def recompute_oldest(con: Connection, integration_id: int, since: datetime) -> None:
    """Update `state_count.oldest` of the integration's snapshots from a moment on.

    Of the periods in a state that start at the same moments, only the longest is looked at: it
    covers every snapshot that any of them covers, and there are few of these.
    """
    state = version.c.provisioning_state
    keys = state, version.c.state_since, version.c.attempt_since
    periods = (
        select(*keys, func.max(version.c.valid_to).label("until"))
        .where(version.c.integration_id == integration_id, state.in_(UNSETTLED_STATES))
        .group_by(*keys)
        .subquery("periods")
    )
    counts = state_count.alias("counts")
    is_within = and_(
        periods.c.provisioning_state == counts.c.provisioning_state,
        periods.c.state_since <= counts.c.taken_at,
        periods.c.until > counts.c.taken_at,
    )
    key = (counts.c.taken_at, counts.c.provisioning_state)
    oldest = (
        select(*key, func.min(periods.c.attempt_since).label("oldest"))
        .select_from(counts.outerjoin(periods, is_within))
        .where(counts.c.integration_id == integration_id, counts.c.taken_at >= since)
        .group_by(*key)
        .subquery("oldest_by_state")
    )
    con.execute(
        sa.update(state_count)
        .values(oldest=oldest.c.oldest)
        .where(
            state_count.c.integration_id == integration_id,
            state_count.c.taken_at == oldest.c.taken_at,
            state_count.c.provisioning_state == oldest.c.provisioning_state,
            state_count.c.oldest.is_distinct_from(oldest.c.oldest),
        )
    )


COUNT_COLUMNS = ("accounts", "active", "unmatched", "entered", "left", "changed")
"""The counts in `state_count`."""


def count_states(con: Connection, span: Span, *, at_end: bool = False) -> None:
    """Insert `state_change` and `state_count` of one snapshot, from the versions alone.

    It is the one that the span starts with, or the one at its end.
    """
    span.execute(con, _state_changes, at_end)
    span.execute(con, _state_counts, at_end)


def _state_changes(span: SpanKind, at_end: bool) -> sa.Insert:
    ended, began = _ended_and_began(span, at_end)
    changes = (
        select(span.integration_id, _moment(span, at_end), ended.c.state, began.c.state)
        .add_columns(func.count())
        .select_from(ended.join(began, is_same_account(ended, began), full=True))
        .where(ended.c.state.is_distinct_from(began.c.state))
        .group_by(ended.c.state, began.c.state)
    )
    return insertion(state_change, changes)


def _state_counts(span: SpanKind, at_end: bool) -> sa.Insert:
    key = [span.integration_id, _moment(span, at_end)]
    ended, began = _ended_and_began(span, at_end)
    is_newest = span.is_newest and not at_end
    counts = sa.union_all(
        _account_counts(accounts_at(key[0], None if is_newest else key[1])),
        _move_counts(key, entered=state_change.c.to_state),
        _move_counts(key, left=state_change.c.from_state),
        _count_row(began.c.state, changed=func.count())
        .select_from(began.join(ended, is_same_account(began, ended)))
        .group_by(began.c.state),
    ).subquery("counts")
    sums = (func.sum(counts.c[name]) for name in COUNT_COLUMNS)
    totals = select(*key, counts.c.state, *sums, func.min(counts.c.oldest))
    return insertion(state_count, totals.group_by(counts.c.state))


def delete_counts(con: Connection, integration_id: int, moment: datetime) -> None:
    """Delete `state_change` and `state_count` of one snapshot."""
    for rollup in (state_change, state_count):
        con.execute(
            sa.delete(rollup).where(
                rollup.c.integration_id == integration_id, rollup.c.taken_at == moment
            )
        )


def delete_retained_changes(con: Connection, integration_id: int, moment: datetime) -> None:
    """Delete the changes to a snapshot that is replaced or removed, which retention has kept."""
    name = select(integration.c.name).where(integration.c.integration_id == integration_id)
    retained = retained_change.c
    con.execute(
        sa.delete(retained_change).where(
            retained.integration == name.scalar_subquery(), retained.taken_at == moment
        )
    )


def _moment(span: SpanKind, at_end: bool) -> ColumnElement[Any]:
    return span.until if at_end else span.taken_at


def _ended_and_began(span: SpanKind, at_end: bool) -> tuple[sa.FromClause, sa.FromClause]:
    """The versions that end at the moment, and those that start there, each with its state."""
    moment = _moment(span, at_end)
    rows = select(
        version.c.integration_id,
        version.c.account_key,
        version.c.provisioning_state.label("state"),
    ).where(version.c.integration_id == span.integration_id)
    ended, began = version.c.valid_to == moment, version.c.valid_from == moment
    return rows.where(ended).subquery("ended"), rows.where(began).subquery("began")


def _account_counts(accounts: sa.FromClause) -> sa.Select[Any]:
    """One row per state: all accounts, active ones, unmatched ones, and the earliest since."""
    state = accounts.c.provisioning_state
    is_unsettled = state.in_(UNSETTLED_STATES)  # evaluated per state: faster than per account
    return _count_row(
        state,
        accounts=func.count(),
        active=func.count().filter(accounts.c.active_in_app),
        unmatched=func.count().filter(~is_matched(accounts)),
        oldest=case((is_unsettled, func.min(accounts.c.attempt_since))),
    ).group_by(state)


def _move_counts(key: list[ColumnElement[Any]], **direction: ColumnElement[Any]) -> sa.Select[Any]:
    """One row per change into a state, or out of one, with its accounts."""
    ((name, state),) = direction.items()
    integration_id, moment = key
    return _count_row(state, **{name: state_change.c.accounts}).where(
        state_change.c.integration_id == integration_id,
        state_change.c.taken_at == moment,
        state.is_not(None),
    )


def _count_row(state: ColumnElement[Any], **counts: ColumnElement[Any]) -> sa.Select[Any]:
    """COUNT_COLUMNS with `oldest`; a count that is not given is zero."""
    zero = sa.literal(0, sa.BigInteger)
    return select(
        state.label("state"),
        *(counts.get(name, zero).label(name) for name in COUNT_COLUMNS),
        counts.get("oldest", sa.cast(sa.null(), SnapshotTime)).label("oldest"),
    )
