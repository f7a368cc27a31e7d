"""Metrics of the store."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, func, select

from data.schema import integration, snapshot


def newest_snapshots(con: Connection) -> Sequence[sa.Row[Any, Any, Any, Any]]:
    """One row per integration: [name, snapshots, taken_at, accounts].

    `taken_at` (naive UTC) and `accounts` are of the newest snapshot.
    """
    newest = (
        select(
            snapshot.c.integration_id,
            func.count().label("snapshots"),
            func.max(snapshot.c.taken_at).label("taken_at"),
        )
        .group_by(snapshot.c.integration_id)
        .subquery()
    )
    is_newest = and_(
        snapshot.c.integration_id == newest.c.integration_id,
        snapshot.c.taken_at == newest.c.taken_at,
    )
    return con.execute(
        select(
            integration.c.name,
            newest.c.snapshots,
            newest.c.taken_at,
            snapshot.c.accepted.label("accounts"),
        )
        .join_from(integration, newest, newest.c.integration_id == integration.c.integration_id)
        .join(snapshot, is_newest)
        .order_by(integration.c.name)
    ).all()
