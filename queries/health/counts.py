"""The counts of snapshots: of those in the store, and of those that retention has removed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.records.tables import retained_change, retained_count
from data.schema import (
    integration,
    snapshot,
    state_change,
    state_count,
)
from queries.scope import in_integrations

first_snapshot = (
    select(snapshot.c.integration_id, func.min(snapshot.c.taken_at).label("taken_at"))
    .group_by(snapshot.c.integration_id)
    .subquery("first_snapshot")
)
"""One row per integration: its first snapshot in the store."""


def _retained(table: sa.Table, *names: str) -> sa.Select[Any]:
    """The rows of a table that has the names of integrations: [integration_id, *names]."""
    is_same = integration.c.integration_id == first_snapshot.c.integration_id
    return (
        select(integration.c.integration_id, *(table.c[name] for name in names))
        .join_from(table, integration, integration.c.name == table.c.integration)
        .join(first_snapshot, is_same)
    )


_COUNT_COLUMNS = ("taken_at", "provisioning_state", "accounts", "active", "unmatched", "oldest")
_CHANGE_COLUMNS = ("taken_at", "from_state", "to_state", "accounts")
_is_removed = retained_count.c.taken_at < first_snapshot.c.taken_at

counts = sa.union_all(
    select(state_count.c.integration_id, *(state_count.c[name] for name in _COUNT_COLUMNS)),
    _retained(retained_count, *_COUNT_COLUMNS).where(_is_removed),
).subquery("counts")
"""One row per snapshot and state."""

changes = sa.union_all(
    select(state_change.c.integration_id, *(state_change.c[name] for name in _CHANGE_COLUMNS))
    .join_from(
        state_change,
        first_snapshot,
        first_snapshot.c.integration_id == state_change.c.integration_id,
    )
    .where(state_change.c.taken_at > first_snapshot.c.taken_at),
    _retained(retained_change, *_CHANGE_COLUMNS).where(
        retained_change.c.taken_at <= first_snapshot.c.taken_at
    ),
).subquery("changes")
"""One row per snapshot and change of state. The first snapshot of all has none."""

_removed_moments = _retained(retained_count, "taken_at").where(_is_removed).distinct()

moments = sa.union_all(
    select(snapshot.c.integration_id, snapshot.c.taken_at), _removed_moments
).subquery("moments")
"""One row per snapshot."""


def deleted_stretches(
    con: Connection, integrations: Sequence[str]
) -> list[tuple[datetime, datetime]]:
    """One per integration with snapshots that retention has removed: [first removed, first kept).

    In it there are counts, but no accounts to list. Naive UTC.
    """
    removed = func.min(retained_count.c.taken_at).label("removed")
    query = (
        _retained(retained_count)
        .add_columns(removed, first_snapshot.c.taken_at)
        .where(_is_removed, in_integrations(integration, integrations))
        .group_by(integration.c.integration_id, first_snapshot.c.taken_at)
    )
    return [(row.removed, row.taken_at) for row in con.execute(query)]
