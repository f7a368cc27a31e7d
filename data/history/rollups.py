"""Counts that charts read instead of the history: states, state changes, ends of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    union_all,
    update,
)

from data.history.as_of import accounts_at, insert_rows, is_matched
from data.history.since import attempt_key, job_key, state_operation, version
from data.schema import OPEN_END, SnapshotTime, is_same_account, job_end, state_change, state_count
from data.states import FAILED_STATES, OPEN_STATES, state_names


def count_job_ends(con: Connection, integration_id: int, since: datetime) -> None:
    """Write `job_end` of the integration's snapshots from a moment on."""
    version_columns = ("integration_id", "account_key", "valid_from", "provisioning_state")
    later_versions = select(*(version.c[name] for name in version_columns)).where(
        version.c.integration_id == integration_id, version.c.valid_from >= since
    )
    after = later_versions.subquery("after")
    old_state, new_state = version.c.provisioning_state, after.c.provisioning_state
    is_attempt = old_state.in_(OPEN_STATES)
    is_same_job = job_key(new_state) == job_key(old_state)
    outcome = case(
        (new_state.in_(state_names(phase="settled")), "settled"),
        (and_(new_state.in_(FAILED_STATES), is_same_job), "failed"),
        else_="other",
    )
    group_columns = [
        version.c.valid_to,
        state_operation(old_state),
        version.c.job_since,
        case((is_attempt, version.c.attempt_since)),
        outcome,
    ]
    is_end = case(
        (is_attempt, attempt_key(old_state).is_distinct_from(attempt_key(new_state))),
        else_=is_same_job.is_not(True),
    )
    job_ends = (
        select(literal(integration_id, Integer), *group_columns, func.count())
        .select_from(
            version.outerjoin(
                after,
                and_(
                    is_same_account(after, version),
                    after.c.valid_from == version.c.valid_to,
                ),
            )
        )
        .where(
            version.c.integration_id == integration_id,
            version.c.valid_to >= since,
            version.c.valid_to < OPEN_END,
            old_state.in_((*OPEN_STATES, *FAILED_STATES)),
            is_end,
        )
        .group_by(*group_columns)
    )
    con.execute(insert(job_end).from_select([c.name for c in job_end.c], job_ends))


def delete_job_ends(con: Connection, integration_id: int, since: datetime) -> None:
    """Drop `job_end` of the integration's snapshots from a moment on."""
    con.execute(
        delete(job_end).where(
            job_end.c.integration_id == integration_id, job_end.c.taken_at >= since
        )
    )


def recompute_oldest(con: Connection, integration_id: int, since: datetime) -> None:
    """Write `state_count.oldest` of the integration's snapshots from a moment on.

    Of all stays in a state with the same beginning the longest says at which snapshots there was
    any: there are few of these to look at.
    """
    state = version.c.provisioning_state
    intervals = (
        select(state, version.c.state_since, func.max(version.c.valid_to).label("until"))
        .where(
            version.c.integration_id == integration_id, state.in_((*OPEN_STATES, *FAILED_STATES))
        )
        .group_by(state, version.c.state_since)
        .subquery("stay")
    )
    counts = state_count.alias("of")
    is_within = and_(
        intervals.c.provisioning_state == counts.c.provisioning_state,
        intervals.c.state_since <= counts.c.taken_at,
        intervals.c.until > counts.c.taken_at,
    )
    oldest_by_state = (
        select(
            counts.c.taken_at,
            counts.c.provisioning_state,
            func.min(intervals.c.state_since).label("oldest"),
        )
        .select_from(counts.outerjoin(intervals, is_within))
        .where(counts.c.integration_id == integration_id, counts.c.taken_at >= since)
        .group_by(counts.c.taken_at, counts.c.provisioning_state)
        .subquery("told")
    )
    con.execute(
        update(state_count)
        .values(oldest=oldest_by_state.c.oldest)
        .where(
            state_count.c.integration_id == integration_id,
            state_count.c.taken_at == oldest_by_state.c.taken_at,
            state_count.c.provisioning_state == oldest_by_state.c.provisioning_state,
            state_count.c.oldest.is_distinct_from(oldest_by_state.c.oldest),
        )
    )


COUNT_COLUMNS = ("accounts", "active", "unmatched", "entered", "left", "changed")
"""What `state_count` counts."""


def count_states(
    con: Connection, integration_id: int, moment: datetime, *, newest: bool = False
) -> None:
    """Write `state_change` and `state_count` of one snapshot, from the versions alone."""
    key_columns = [literal(integration_id, Integer), literal(moment, SnapshotTime)]
    ended = _version_states(integration_id, version.c.valid_to == moment, "ended")
    began = _version_states(integration_id, version.c.valid_from == moment, "began")
    insert_rows(
        con,
        state_change,
        select(*key_columns, ended.c.state, began.c.state, func.count())
        .select_from(ended.join(began, is_same_account(ended, began), full=True))
        .where(ended.c.state.is_distinct_from(began.c.state))
        .group_by(ended.c.state, began.c.state),
    )
    counts = union_all(
        _account_counts(accounts_at(integration_id, None if newest else moment)),
        _move_counts(key_columns, entered=state_change.c.to_state),
        _move_counts(key_columns, left=state_change.c.from_state),
        _count_row(began.c.state, changed=func.count())
        .select_from(began.join(ended, is_same_account(began, ended)))
        .group_by(began.c.state),
    ).subquery("parts")
    insert_rows(
        con,
        state_count,
        select(
            *key_columns,
            counts.c.state,
            *(func.sum(counts.c[name]) for name in COUNT_COLUMNS),
            func.min(counts.c.oldest),
        ).group_by(counts.c.state),
    )


def delete_counts(con: Connection, integration_id: int, moment: datetime) -> None:
    """Drop what charts read of one snapshot."""
    for rollup in (state_change, state_count):
        con.execute(
            delete(rollup).where(
                rollup.c.integration_id == integration_id, rollup.c.taken_at == moment
            )
        )


def _version_states(integration_id: int, condition: ColumnElement[bool], name: str) -> FromClause:
    return (
        select(
            version.c.integration_id,
            version.c.account_key,
            version.c.provisioning_state.label("state"),
        )
        .where(version.c.integration_id == integration_id, condition)
        .subquery(name)
    )


def _account_counts(accounts: FromClause) -> Select[Any]:
    """One row per state: accounts in it, active ones, unmatched ones, and the longest in it."""
    state = accounts.c.provisioning_state
    is_unsettled = state.in_(
        (*OPEN_STATES, *FAILED_STATES)
    )  # asked per state, as per account it takes longer
    return _count_row(
        state,
        accounts=func.count(),
        active=func.count().filter(accounts.c.active_in_app),
        unmatched=func.count().filter(~is_matched(accounts)),
        oldest=case((is_unsettled, func.min(accounts.c.state_since))),
    ).group_by(state)


def _move_counts(
    key_columns: list[ColumnElement[Any]], **direction: ColumnElement[Any]
) -> Select[Any]:
    """One row per change into a state, or out of one: how many accounts made it."""
    ((name, state),) = direction.items()
    integration_id, moment = key_columns
    return _count_row(state, **{name: state_change.c.accounts}).where(
        state_change.c.integration_id == integration_id,
        state_change.c.taken_at == moment,
        state.is_not(None),
    )


def _count_row(state: ColumnElement[Any], **counts: ColumnElement[Any]) -> Select[Any]:
    """The numbers of `state_count`, zero where they are not given."""
    zero = literal(0, BigInteger)
    return select(
        state.label("state"),
        *(counts.get(name, zero).label(name) for name in COUNT_COLUMNS),
        counts.get("oldest", cast(null(), SnapshotTime)).label("oldest"),
    )
