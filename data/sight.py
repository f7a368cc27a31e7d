"""What somebody sees of the store, as views that stand in front of its tables.

A restricted reader has connections of its own. In each, every table is hidden by a temporary view
of the same name, which leaves out rows and columns; so queries need not know who asks, and none
can forget to. Rows whose integration is not known and columns that are not named here are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CreateView,
    Dialect,
    MetaData,
    Table,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    quoted_name,
    select,
    true,
)

from data.access import Personal, Sight
from data.failures import NO_REASON
from data.tables import integration, metadata, setting, snapshot

IMPERSONAL = frozenset(
    "integration_id account_key snapshot_id name departure_limit valid_from valid_to taken_at "
    "loaded_at found_at last_updated provisioning_state state_source active_in_app state_since "
    "attempt_since job_since active_since user_since same_since state_before job_before from_state "
    "to_state verdict accounts active unmatched entered left changed oldest rows_read accepted "
    "rejected flagged operation began attempt_began outcome jobs value integration".split()
)
"""Columns that tell nothing of a person."""

COVER = "•"
"""What stands for a text that is there and not shown."""

UNTOLD = "Reason not shown"

CODE = r"[A-Za-z0-9_.:/-]{1,60}"
"""A failure code; any other text there might name somebody."""


def _covered(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((text.is_not(None), COVER))


HIDDEN: Mapping[str, Callable[[ColumnElement[Any]], ColumnElement[Any]]] = {
    "username_in_app": _covered,
    "user_name": _covered,
    "user_email": _covered,
    "account_id": _covered,
    "state_reason": lambda text: case((text.is_not(None), UNTOLD)),
    "failure_code": lambda text: case((func.regexp_full_match(text, CODE), text)),
    "failure_reason": lambda text: case(
        (or_(func.regexp_full_match(text, CODE), text == NO_REASON), text),
        (text.is_not(None), UNTOLD),
    ),
    "roles": lambda _: literal_column("[]::VARCHAR[]"),
    "facts": lambda _: literal("{}"),
    "search": lambda _: literal(""),
    "file_name": lambda _: literal(""),
    "sha256": lambda _: literal(""),
    "reason": lambda _: literal(""),
}
"""What stands for a column where nobody's person is to be seen; unmatched is still unmatched."""

NOT_SEEN = {Personal.HIDDEN: {"rejected_row", "accepted", "delivered_row", "audit"}}
"""Tables of which nothing is seen."""


def views(sight: Sight, database: str, dialect: Dialect) -> list[str]:
    """What hides every table of the database from a connection but for what the sight leaves."""
    quoted = dialect.identifier_preparer.quote(database)
    behind = MetaData(schema=quoted_name(f"{quoted}.main", quote=False))
    tables = {table.name: table.to_metadata(behind) for table in metadata.sorted_tables}
    number = literal_column("rowid").label("rowid")
    return [
        str(
            CreateView(
                select(*_columns(table, sight.personal), number)
                .select_from(table)
                .where(_rows(table, tables, sight)),
                table.name,
                temporary=True,
            ).compile(dialect=dialect)
        )
        for table in tables.values()
    ]


def _columns(table: Table, personal: Personal) -> list[ColumnElement[Any]]:
    if personal is Personal.SHOWN:
        return list(table.c)
    return [_column(c).label(c.name) for c in table.c]


def _column(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if column.name in IMPERSONAL:
        return column
    cover = HIDDEN.get(column.name)
    return cover(column) if cover else cast(null(), column.type)


def _rows(table: Table, tables: Mapping[str, Table], sight: Sight) -> ColumnElement[bool]:
    if table.name in NOT_SEEN.get(sight.personal, ()):
        return false()
    if table.name == setting.name or sight.integrations is None:
        return true()
    named = tables[integration.name].c
    ids = select(named.integration_id).where(named.name.in_(sight.integrations))
    if table.name == integration.name:
        return table.c.name.in_(sight.integrations)
    if "integration_id" in table.c:
        return table.c.integration_id.in_(ids)
    if "integration" in table.c:
        return table.c.integration.in_(sight.integrations)
    if "snapshot_id" in table.c:
        loaded = tables[snapshot.name].c
        return table.c.snapshot_id.in_(
            select(loaded.snapshot_id).where(loaded.integration_id.in_(ids))
        )
    return false()
