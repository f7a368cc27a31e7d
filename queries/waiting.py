"""Since when accounts have waited, as the snapshots tell it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, or_, select, true

from data.states import WAITING
from data.tables import account_version


def waiting_since(rows: FromClause, at: datetime | None) -> FromClause:
    """One row per account of `rows` that waits: [account_key, since], in naive UTC.

    `rows` are accounts as they were at the moment, which None says is now. An account waits in a
    state since the first snapshot that shows it there without interruption: another state, or a
    snapshot without the account, begins the wait anew.
    """
    version = account_version.c
    waiting = (
        select(rows.c.account_key).where(rows.c.provisioning_state.in_(WAITING)).subquery("waiting")
    )

    def before(column: ColumnElement[Any]) -> ColumnElement[Any]:
        """What the account's version before says; NULL for its first."""
        mine, in_time = version.account_key, version.valid_from
        return func.lag(column).over(partition_by=mine, order_by=in_time)

    stretches = (
        select(
            version.account_key,
            version.valid_from,
            or_(
                before(version.provisioning_state).is_distinct_from(version.provisioning_state),
                before(version.valid_to).is_distinct_from(version.valid_from),
            ).label("begins"),
        )
        .join_from(account_version, waiting, waiting.c.account_key == version.account_key)
        .where(true() if at is None else version.valid_from <= at)
        .subquery("stretches")
    )
    return (
        select(stretches.c.account_key, func.max(stretches.c.valid_from).label("since"))
        .where(stretches.c.begins)
        .group_by(stretches.c.account_key)
        .subquery("waiting_since")
    )
