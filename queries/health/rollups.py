"""Parts of the queries that count accounts by state from the rollups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    cast,
    func,
    select,
)

from data.schema import integration, state_count
from queries.filters import accounts_as_of
from queries.owners import has_match_overrides, is_matched_by_override
from queries.scope import in_integrations

state = state_count.c.provisioning_state


def join_counts(snapshots: FromClause, *, outer: bool = False) -> FromClause:
    """The snapshots [integration_id, taken_at] with their counts by state."""
    is_counted = and_(
        state_count.c.integration_id == snapshots.c.integration_id,
        state_count.c.taken_at == snapshots.c.taken_at,
    )
    return snapshots.join(state_count, is_counted, isouter=outer)


def total(
    value: ColumnElement[Any], condition: ColumnElement[bool] | None = None
) -> ColumnElement[Any]:
    """The sum of the values for which the condition holds; 0 without any."""
    values = func.sum(value)
    values = values if condition is None else values.filter(condition)
    return cast(func.coalesce(values, 0), BigInteger)


def account_totals() -> list[ColumnElement[Any]]:
    """[accounts, active, unmatched]."""
    counts = state_count.c
    return [total(counts[name]).label(name) for name in ("accounts", "active", "unmatched")]


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
    counts = con.execute(
        select(key, func.count())
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(in_integrations(rows, integrations), is_matched_by_override(rows, as_of))
        .group_by(key)
    )
    matched = frame[key_column].map({row[0]: row[1] for row in counts}).fillna(0).astype(int)
    return frame.assign(unmatched=frame["unmatched"] - matched)


def read_frame(con: Connection, query: Select[*tuple[Any, ...]]) -> pd.DataFrame:
    """The rows of a query."""
    rows = con.execute(query)
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))
