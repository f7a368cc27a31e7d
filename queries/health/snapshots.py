"""The snapshots that Health shows, when they were taken, and what they count.

A day shows the last snapshot of each integration on that day or, without one, the last before it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.schema import integration, snapshot
from queries.health.counts import counts, moments
from queries.owners import has_match_overrides, is_matched_by_override
from queries.period import Period, day_column, local_date
from queries.scope import accounts_as_of, in_integrations, is_past

taken_at = snapshot.c.taken_at


def snapshot_span(
    con: Connection, integrations: Sequence[str], as_of: datetime | None = None
) -> tuple[datetime, datetime] | None:
    """When the first and the newest snapshot by the moment were taken (naive UTC)."""
    span = select(func.min(taken_at), func.max(taken_at))
    first, newest = con.execute(span.where(snapshots_until(integrations, as_of))).one()
    return (first, newest) if first else None


def newest_day(
    con: Connection, integrations: Sequence[str], zone: str = "UTC", as_of: datetime | None = None
) -> date | None:
    """The day of the newest snapshot by the moment; None without any."""
    span = snapshot_span(con, integrations, as_of)
    return local_date(span[1], zone) if span else None


def oldest_day(con: Connection, integrations: Sequence[str], zone: str = "UTC") -> date | None:
    """The day of the first counts, also of snapshots that retention has removed; None without."""
    is_included = snapshots_until(integrations, None, moments)
    first = con.scalar(select(func.min(moments.c.taken_at)).where(is_included))
    return local_date(first, zone) if first else None


def snapshot_times(con: Connection, scope: Period) -> list[datetime]:
    """When the last snapshot before the scope and those in it were taken (naive UTC)."""
    in_scope = snapshots_until(scope.integration, scope.as_of)
    previous = con.scalar(select(func.max(taken_at)).where(in_scope, taken_at < scope.start))
    times = select(taken_at).distinct().where(in_scope, taken_at >= scope.start).order_by(taken_at)
    return [*([previous] if previous else []), *con.scalars(times)]


def adjacent_snapshots(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """When the snapshots before and after the one shown at the moment were taken (naive UTC)."""
    current = con.scalar(select(func.max(taken_at)).where(snapshots_until(integrations, as_of)))
    if current is None:
        return None, None
    is_included = snapshots_until(integrations, None)
    return (
        con.scalar(select(func.max(taken_at)).where(is_included, taken_at < current)),
        con.scalar(select(func.min(taken_at)).where(is_included, taken_at > current)),
    )


# ---- parts of queries ----------------------------------------------------------------------------


def snapshots_until(
    integrations: Sequence[str], as_of: datetime | None, rows: sa.FromClause = snapshot
) -> ColumnElement[bool]:
    """Whether a snapshot is of the integrations and was taken by the moment."""
    return and_(in_integrations(rows, integrations), is_past(rows.c.taken_at, as_of))


def newest_snapshots(
    integrations: Sequence[str], as_of: datetime | None, rows: sa.FromClause = snapshot
) -> sa.Select[Any, Any]:
    """One row per integration: its last snapshot by the moment [integration_id, taken_at]."""
    return (
        select(rows.c.integration_id, func.max(rows.c.taken_at).label("taken_at"))
        .where(snapshots_until(integrations, as_of, rows))
        .group_by(rows.c.integration_id)
    )


def shown_snapshots(scope: Period) -> sa.FromClause:
    """One row per day and integration: the snapshot that the day shows.

    [day, integration_id, taken_at]; only days on which some integration has a snapshot, or had one
    that retention has removed.
    """
    taken_at = moments.c.taken_at
    day = day_column(taken_at, scope.zone)
    before_scope = newest_snapshots(scope.integration, scope.previous.as_of, moments).add_columns(
        day_column(func.max(taken_at), scope.zone).label("day")
    )
    in_scope = (
        newest_snapshots(scope.integration, scope.as_of, moments)
        .add_columns(day.label("day"))
        .where(taken_at >= scope.start)
        .group_by(day)
    )
    last_of_day = before_scope.union_all(in_scope).subquery("last")
    next_day = func.lead(last_of_day.c.day).over(
        partition_by=last_of_day.c.integration_id, order_by=last_of_day.c.day
    )
    spans = select(last_of_day, next_day.label("until")).subquery("spans")
    days = _snapshot_days(scope)
    in_span = and_(
        days.c.day >= spans.c.day, sa.or_(spans.c.until.is_(None), days.c.day < spans.c.until)
    )
    return (
        select(days.c.day, spans.c.integration_id, spans.c.taken_at)
        .join_from(days, spans, in_span)
        .subquery("shown")
    )


def _snapshot_days(scope: Period) -> sa.FromClause:
    """One row per day of the scope on which a snapshot was taken."""
    day = day_column(moments.c.taken_at, scope.zone).label("day")
    is_included = snapshots_until(scope.integration, scope.as_of, moments)
    in_days = select(day).where(is_included, moments.c.taken_at >= scope.start, day <= scope.last)
    return in_days.distinct().subquery("days")


# ---- counts, from the rollups --------------------------------------------------------------------

state = counts.c.provisioning_state


def join_counts(snapshots: sa.FromClause, *, outer: bool = False) -> sa.FromClause:
    """The snapshots [integration_id, taken_at] with their counts by state."""
    is_counted = and_(
        counts.c.integration_id == snapshots.c.integration_id,
        counts.c.taken_at == snapshots.c.taken_at,
    )
    return snapshots.join(counts, is_counted, isouter=outer)


def total(
    value: ColumnElement[Any], condition: ColumnElement[bool] | None = None
) -> ColumnElement[Any]:
    """The sum of the values for which the condition holds; 0 without any."""
    values = func.sum(value)
    values = values if condition is None else values.filter(condition)
    return sa.cast(func.coalesce(values, 0), sa.BigInteger)


def account_totals() -> list[ColumnElement[Any]]:
    """[accounts, active, unmatched]."""
    return [total(counts.c[name]).label(name) for name in ("accounts", "active", "unmatched")]


def subtract_matched(
    con: Connection,
    frame: pd.DataFrame,
    key_column: str,
    integrations: Sequence[str],
    as_of: datetime | None,
) -> pd.DataFrame:
    """The frame, by state or by integration, where accounts with a match override are matched."""
    if not has_match_overrides(con):
        return frame
    rows = accounts_as_of(as_of)
    key = {"state": rows.c.provisioning_state, "integration": integration.c.name}[key_column]
    overrides = con.execute(
        select(key, func.count())
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(in_integrations(rows, integrations), is_matched_by_override(rows, as_of))
        .group_by(key)
    )
    matched = frame[key_column].map({row[0]: row[1] for row in overrides}).fillna(0).astype(int)
    return frame.assign(unmatched=frame["unmatched"] - matched)
