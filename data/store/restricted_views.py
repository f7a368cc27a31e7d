"""What somebody sees of the store, as views that stand in front of its tables.

A restricted reader has connections of its own. In each, every table is hidden by a temporary view
of the same name, which leaves out rows and columns; so queries need not know who asks, and none
can forget to. Rows whose integration is not known and columns that are not named here are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CreateView,
    Dialect,
    MetaData,
    Select,
    String,
    Table,
    case,
    cast,
    false,
    literal,
    literal_column,
    null,
    or_,
    quoted_name,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array

from data.access.roles import Personal, Sight
from data.schema import integration, metadata, setting, snapshot
from data.states import NO_REASON
from data.store.dialect import matches
from data.store.pseudonyms import MASKS

IMPERSONAL = frozenset(
    "integration_id account_key snapshot_id name departure_limit valid_from valid_to taken_at "
    "loaded_at found_at last_updated provisioning_state state_source active_in_app state_since "
    "attempt_since job_since active_since user_since same_since state_before job_before from_state "
    "to_state verdict accounts active unmatched entered left changed oldest rows_read accepted "
    "rejected flagged operation began attempt_began outcome jobs value integration people "
    "decided_at withdrawn_at".split()
)
"""Columns that tell nothing of a person."""

COVER = "•"
"""What stands for a text that is there and not shown."""

UNTOLD = "Reason not shown"

CODE = r"[A-Za-z0-9_.:/-]{1,60}"
"""A failure code; any other text there might name somebody."""


def _covered(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((text.is_not(None), COVER))


Covers = Mapping[str, Callable[[ColumnElement[Any]], ColumnElement[Any]]]

HIDDEN: Covers = {
    "username_in_app": _covered,
    "user_name": _covered,
    "user_email": _covered,
    "account_id": _covered,
    "state_reason": lambda text: case((text.is_not(None), UNTOLD)),
    "failure_code": lambda text: case((matches(text, f"^{CODE}$"), text)),
    "failure_reason": lambda text: case(
        (or_(matches(text, f"^{CODE}$"), text == NO_REASON), text),
        (text.is_not(None), UNTOLD),
    ),
    "roles": lambda _: cast(array([]), ARRAY(String)),
    "facts": lambda _: literal("{}"),
    "search": lambda _: literal(""),
    "file_name": lambda _: literal(""),
    "sha256": lambda _: literal(""),
    "reason": lambda _: literal(""),
}
"""What stands for a column where nobody's person is to be seen; unmatched is still unmatched."""

PSEUDONYMS: Covers = {
    **{name: HIDDEN[name] for name in ("state_reason", "failure_code", "failure_reason", "reason")},
    "search": HIDDEN["search"],  # a whole pseudonym is found without
    **MASKS,
    **dict.fromkeys(("roles", "facts", "file_name", "sha256", "rule", "held_at"), lambda c: c),
    **dict.fromkeys(("accepted_at", "until"), lambda c: c),
}
"""What stands for a column where persons are pseudonyms. Free text could name somebody."""

COVERS = {Personal.HIDDEN: HIDDEN, Personal.PSEUDONYMS: PSEUDONYMS}

NOT_SEEN = {
    Personal.HIDDEN: {"rejected_row", "accepted", "delivered_row", "audit"},
    Personal.PSEUDONYMS: {"rejected_row", "delivered_row", "audit"},
}
"""Tables of which nothing is seen."""


def views(sight: Sight, behind: str, dialect: Dialect) -> list[str]:
    """What hides every table of a schema from a connection but for what the sight leaves."""
    schema = MetaData(schema=quoted_name(behind, quote=False))
    tables = {table.name: table.to_metadata(schema) for table in metadata.sorted_tables}
    return [
        str(
            CreateView(_seen(table, tables, sight, dialect), name, temporary=True).compile(
                dialect=dialect
            )
        )
        for name, table in tables.items()
    ]


def _seen(
    table: Table, tables: Mapping[str, Table], sight: Sight, dialect: Dialect
) -> Select[*tuple[Any, ...]]:
    columns = _columns(table, sight.personal)
    if dialect.name == "duckdb":  # its rows have numbers, by which queries find some
        columns.append(literal_column("rowid").label("rowid"))
    return select(*columns).select_from(table).where(_rows(table, tables, sight))


def _columns(table: Table, personal: Personal) -> list[ColumnElement[Any]]:
    if personal is Personal.SHOWN:
        return list(table.c)
    return [_column(column, COVERS[personal]).label(column.name) for column in table.c]


def _column(column: ColumnElement[Any], covers: Covers) -> ColumnElement[Any]:
    if column.name in IMPERSONAL:
        return column
    cover = covers.get(column.name)
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
