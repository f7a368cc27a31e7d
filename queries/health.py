"""How provisioning goes: counts per day and per integration, read from the rollups.

A day is a UTC day; it shows each integration's last snapshot of the day, or, where there is none,
the last one before. A day without any snapshot at all is not in the answers: a gap, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)

from data.states import FAILED, OPERATIONS, STATES, WAITING, state_names
from data.tables import (
    account_current,
    integration,
    snapshot,
    state_change,
    state_count,
)
from queries.waiting import waiting_since


def newest_day(con: Connection, integrations: Sequence[str]) -> date | None:
    """The UTC day of the newest snapshot; None without any."""
    newest = con.scalar(
        select(func.max(snapshot.c.taken_at)).where(_chosen(snapshot, integrations))
    )
    return newest.date() if newest else None


def daily_states(con: Connection, integrations: Sequence[str], since: date) -> pd.DataFrame:
    """One row per day and state: [day, state, accounts, active, unmatched] at the day's end."""
    shown = _shown_snapshots(integrations, since)
    totals = [
        cast(func.sum(state_count.c[name]), BigInteger).label(name)
        for name in ("accounts", "active", "unmatched")
    ]
    state = state_count.c.provisioning_state
    return _frame(
        con,
        select(shown.c.day, state.label("state"), *totals)
        .select_from(_counts_of(shown))
        .group_by(shown.c.day, state)
        .order_by(shown.c.day, state),
    )


def daily_outcomes(con: Connection, integrations: Sequence[str], since: date) -> pd.DataFrame:
    """One row per day and operation: [day, operation, failed, settled, rate].

    `failed` are the accounts that came into the operation's failed state, `settled` those that
    left it for Onboarded or Deleted; rate = failed / (failed + settled), NaN where neither
    happened. An integration's first snapshot tells no moves and is left out.
    """
    moved = state_change
    first = (
        select(snapshot.c.integration_id, func.min(snapshot.c.taken_at).label("taken_at"))
        .group_by(snapshot.c.integration_id)
        .subquery("first")
    )
    day = cast(moved.c.taken_at, Date)
    came_into = _operation_of(moved.c.to_state)
    came_from = _operation_of(moved.c.from_state)
    failed = moved.c.to_state.in_(FAILED)
    settled = and_(moved.c.to_state.in_(state_names(phase="settled")), came_from.is_not(None))
    operation = case((failed, came_into), (settled, came_from))
    outcomes = (
        select(
            day.label("day"),
            operation.label("operation"),
            _total(moved.c.accounts, failed).label("failed"),
            _total(moved.c.accounts, settled).label("settled"),
        )
        .join_from(
            moved,
            first,
            and_(
                first.c.integration_id == moved.c.integration_id,
                moved.c.taken_at > first.c.taken_at,
            ),
        )
        .where(_chosen(moved, integrations), moved.c.taken_at >= since, or_(failed, settled))
        .group_by(day, operation)
        .subquery("outcomes")
    )
    days = _days(integrations, since)
    every = select(literal(OPERATIONS[0]).label("operation")).union_all(
        *(select(literal(name)) for name in OPERATIONS[1:])
    )
    operations = every.subquery("operations")
    frame = _frame(
        con,
        select(
            days.c.day,
            operations.c.operation,
            func.coalesce(outcomes.c.failed, 0).label("failed"),
            func.coalesce(outcomes.c.settled, 0).label("settled"),
        )
        .select_from(
            days.join(operations, true()).outerjoin(
                outcomes,
                and_(
                    outcomes.c.day == days.c.day,
                    outcomes.c.operation == operations.c.operation,
                ),
            )
        )
        .order_by(days.c.day, operations.c.operation),
    )
    finished = frame["failed"] + frame["settled"]
    return frame.assign(rate=frame["failed"] / finished.where(finished > 0))


def integrations_now(con: Connection, integrations: Sequence[str]) -> pd.DataFrame:
    """One row per integration, by name: its newest snapshot and what that counts.

    [integration, taken_at, accounts, active, unmatched, failed, waiting]
    """
    newest = (
        select(snapshot.c.integration_id, func.max(snapshot.c.taken_at).label("taken_at"))
        .where(_chosen(snapshot, integrations))
        .group_by(snapshot.c.integration_id)
        .subquery("newest")
    )
    count, state = state_count.c, state_count.c.provisioning_state
    return _frame(
        con,
        select(
            integration.c.name.label("integration"),
            newest.c.taken_at,
            _total(count.accounts, true()).label("accounts"),
            _total(count.active, true()).label("active"),
            _total(count.unmatched, true()).label("unmatched"),
            _total(count.accounts, state.in_(FAILED)).label("failed"),
            _total(count.accounts, state.in_(WAITING)).label("waiting"),
        )
        .select_from(
            newest.join(
                integration, integration.c.integration_id == newest.c.integration_id
            ).outerjoin(
                state_count,
                and_(
                    count.integration_id == newest.c.integration_id,
                    count.taken_at == newest.c.taken_at,
                ),
            )
        )
        .group_by(integration.c.name, newest.c.taken_at)
        .order_by(func.lower(integration.c.name)),
    )


def daily_failing(con: Connection, integrations: Sequence[str], since: date) -> pd.DataFrame:
    """One row per integration and day: [integration, day, failed] at the day's end."""
    shown = _shown_snapshots(integrations, since)
    failed = _total(state_count.c.accounts, state_count.c.provisioning_state.in_(FAILED))
    return _frame(
        con,
        select(integration.c.name.label("integration"), shown.c.day, failed.label("failed"))
        .select_from(
            _counts_of(shown).join(
                integration, integration.c.integration_id == shown.c.integration_id
            )
        )
        .group_by(integration.c.name, shown.c.day)
        .order_by(integration.c.name, shown.c.day),
    )


def failure_reasons(
    con: Connection, integrations: Sequence[str], *, limit: int = 8
) -> pd.DataFrame:
    """One row per reason that accounts fail for now: [reason, example, accounts], most first.

    Accounts with a failure code are one reason by the code, the others by their text.
    """
    now = account_current
    reason = func.coalesce(now.c.failure_code, now.c.state_reason, "No reason given")
    return _frame(
        con,
        select(
            reason.label("reason"),
            func.min(now.c.state_reason).label("example"),
            func.count().label("accounts"),
        )
        .where(now.c.provisioning_state.in_(FAILED), _chosen(now, integrations))
        .group_by(reason)
        .order_by(func.count().desc(), reason)
        .limit(limit),
    )


def oldest_wait(con: Connection, integrations: Sequence[str]) -> datetime | None:
    """Since when the longest waiting account has waited (naive UTC); None: none waits."""
    now = select(account_current).where(_chosen(account_current, integrations)).subquery("now")
    return con.scalar(select(func.min(waiting_since(now, at=None).c.since)))


def _days(integrations: Sequence[str], since: date) -> FromClause:
    day = cast(snapshot.c.taken_at, Date).label("day")
    return (
        select(day)
        .where(_chosen(snapshot, integrations), snapshot.c.taken_at >= since)
        .distinct()
        .subquery("days")
    )


def _shown_snapshots(integrations: Sequence[str], since: date) -> FromClause:
    """One row per day and integration: the snapshot that the day shows."""
    day = cast(snapshot.c.taken_at, Date)
    last = (
        select(
            snapshot.c.integration_id, day.label("day"), func.max(snapshot.c.taken_at).label("at")
        )
        .where(_chosen(snapshot, integrations))
        .group_by(snapshot.c.integration_id, day)
        .subquery("last")
    )
    until = func.lead(last.c.day).over(partition_by=last.c.integration_id, order_by=last.c.day)
    spans = select(last, until.label("until")).subquery("spans")
    days = _days(integrations, since)
    in_span = and_(
        days.c.day >= spans.c.day, or_(spans.c.until.is_(None), days.c.day < spans.c.until)
    )
    return (
        select(days.c.day, spans.c.integration_id, spans.c.at)
        .join_from(days, spans, in_span)
        .subquery("shown")
    )


def _counts_of(shown: FromClause) -> FromClause:
    return shown.join(
        state_count,
        and_(
            state_count.c.integration_id == shown.c.integration_id,
            state_count.c.taken_at == shown.c.at,
        ),
    )


def _chosen(of: FromClause, integrations: Sequence[str]) -> ColumnElement[bool]:
    """All integrations where none is chosen."""
    if not integrations:
        return true()
    named = select(integration.c.integration_id).where(integration.c.name.in_(integrations))
    return of.c.integration_id.in_(named)


def _operation_of(state: ColumnElement[Any]) -> ColumnElement[Any]:
    return case({s.name: s.operation for s in STATES if s.operation}, value=state)


def _total(number: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[Any]:
    return cast(func.coalesce(func.sum(number).filter(where), 0), BigInteger)


def _frame(con: Connection, statement: Select[*tuple[Any, ...]]) -> pd.DataFrame:
    rows = con.execute(statement)
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))
