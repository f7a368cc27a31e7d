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

from data.history.as_of import accounts_at, fill, is_matched
from data.history.since import attempt_of, job_of, operation_of, version
from data.schema import FOREVER, Moment, job_end, same_account, state_change, state_count
from data.states import FAILED, WAITING, state_names


def count_job_ends(con: Connection, integration_id: int, since: datetime) -> None:
    """Write `job_end` of the integration's snapshots from a moment on."""
    of_each = ("integration_id", "account_key", "valid_from", "provisioning_state")
    later = select(*(version.c[name] for name in of_each)).where(
        version.c.integration_id == integration_id, version.c.valid_from >= since
    )
    after = later.subquery("after")
    was, is_ = version.c.provisioning_state, after.c.provisioning_state
    attempts = was.in_(WAITING)
    same_job = job_of(is_) == job_of(was)
    outcome = case(
        (is_.in_(state_names(phase="settled")), "settled"),
        (and_(is_.in_(FAILED), same_job), "failed"),
        else_="other",
    )
    told = [
        version.c.valid_to,
        operation_of(was),
        version.c.job_since,
        case((attempts, version.c.attempt_since)),
        outcome,
    ]
    ends = case(
        (attempts, attempt_of(was).is_distinct_from(attempt_of(is_))),
        else_=same_job.is_not(True),
    )
    ended = (
        select(literal(integration_id, Integer), *told, func.count())
        .select_from(
            version.outerjoin(
                after,
                and_(
                    same_account(after, version),
                    after.c.valid_from == version.c.valid_to,
                ),
            )
        )
        .where(
            version.c.integration_id == integration_id,
            version.c.valid_to >= since,
            version.c.valid_to < FOREVER,
            was.in_((*WAITING, *FAILED)),
            ends,
        )
        .group_by(*told)
    )
    con.execute(insert(job_end).from_select([c.name for c in job_end.c], ended))


def forget_job_ends(con: Connection, integration_id: int, since: datetime) -> None:
    """Drop `job_end` of the integration's snapshots from a moment on."""
    con.execute(
        delete(job_end).where(
            job_end.c.integration_id == integration_id, job_end.c.taken_at >= since
        )
    )


def tell_oldest_anew(con: Connection, integration_id: int, since: datetime) -> None:
    """Write `state_count.oldest` of the integration's snapshots from a moment on.

    Of all stays in a state with the same beginning the longest says at which snapshots there was
    any: there are few of these to look at.
    """
    state = version.c.provisioning_state
    stay = (
        select(state, version.c.state_since, func.max(version.c.valid_to).label("until"))
        .where(version.c.integration_id == integration_id, state.in_((*WAITING, *FAILED)))
        .group_by(state, version.c.state_since)
        .subquery("stay")
    )
    of = state_count.alias("of")
    there = and_(
        stay.c.provisioning_state == of.c.provisioning_state,
        stay.c.state_since <= of.c.taken_at,
        stay.c.until > of.c.taken_at,
    )
    told = (
        select(of.c.taken_at, of.c.provisioning_state, func.min(stay.c.state_since).label("oldest"))
        .select_from(of.outerjoin(stay, there))
        .where(of.c.integration_id == integration_id, of.c.taken_at >= since)
        .group_by(of.c.taken_at, of.c.provisioning_state)
        .subquery("told")
    )
    con.execute(
        update(state_count)
        .values(oldest=told.c.oldest)
        .where(
            state_count.c.integration_id == integration_id,
            state_count.c.taken_at == told.c.taken_at,
            state_count.c.provisioning_state == told.c.provisioning_state,
            state_count.c.oldest.is_distinct_from(told.c.oldest),
        )
    )


NUMBERS = ("accounts", "active", "unmatched", "entered", "left", "changed")
"""What `state_count` counts."""


def count_states(
    con: Connection, integration_id: int, moment: datetime, *, newest: bool = False
) -> None:
    """Write `state_change` and `state_count` of one snapshot, from the versions alone."""
    here = [literal(integration_id, Integer), literal(moment, Moment)]
    ended = _states_of(integration_id, version.c.valid_to == moment, "ended")
    began = _states_of(integration_id, version.c.valid_from == moment, "began")
    fill(
        con,
        state_change,
        select(*here, ended.c.state, began.c.state, func.count())
        .select_from(ended.join(began, same_account(ended, began), full=True))
        .where(ended.c.state.is_distinct_from(began.c.state))
        .group_by(ended.c.state, began.c.state),
    )
    parts = union_all(
        _counted(accounts_at(integration_id, None if newest else moment)),
        _moved(here, entered=state_change.c.to_state),
        _moved(here, left=state_change.c.from_state),
        _numbers(began.c.state, changed=func.count())
        .select_from(began.join(ended, same_account(began, ended)))
        .group_by(began.c.state),
    ).subquery("parts")
    fill(
        con,
        state_count,
        select(
            *here,
            parts.c.state,
            *(func.sum(parts.c[name]) for name in NUMBERS),
            func.min(parts.c.oldest),
        ).group_by(parts.c.state),
    )


def forget_counts(con: Connection, integration_id: int, moment: datetime) -> None:
    """Drop what charts read of one snapshot."""
    for rollup in (state_change, state_count):
        con.execute(
            delete(rollup).where(
                rollup.c.integration_id == integration_id, rollup.c.taken_at == moment
            )
        )


def _states_of(integration_id: int, which: ColumnElement[bool], name: str) -> FromClause:
    return (
        select(
            version.c.integration_id,
            version.c.account_key,
            version.c.provisioning_state.label("state"),
        )
        .where(version.c.integration_id == integration_id, which)
        .subquery(name)
    )


def _counted(accounts: FromClause) -> Select[Any]:
    """One row per state: accounts in it, active ones, unmatched ones, and the longest in it."""
    state = accounts.c.provisioning_state
    settles_not = state.in_((*WAITING, *FAILED))  # asked per state, as per account it takes longer
    return _numbers(
        state,
        accounts=func.count(),
        active=func.count().filter(accounts.c.active_in_app),
        unmatched=func.count().filter(~is_matched(accounts)),
        oldest=case((settles_not, func.min(accounts.c.state_since))),
    ).group_by(state)


def _moved(here: list[ColumnElement[Any]], **direction: ColumnElement[Any]) -> Select[Any]:
    """One row per change into a state, or out of one: how many accounts made it."""
    ((name, state),) = direction.items()
    integration_id, moment = here
    return _numbers(state, **{name: state_change.c.accounts}).where(
        state_change.c.integration_id == integration_id,
        state_change.c.taken_at == moment,
        state.is_not(None),
    )


def _numbers(state: ColumnElement[Any], **given: ColumnElement[Any]) -> Select[Any]:
    """The numbers of `state_count`, zero where they are not given."""
    nothing = literal(0, BigInteger)
    return select(
        state.label("state"),
        *(given.get(name, nothing).label(name) for name in NUMBERS),
        given.get("oldest", cast(null(), Moment)).label("oldest"),
    )
