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

from data.access.roles import PersonalData, Visibility
from data.schema import integration, metadata, setting, snapshot
from data.states import NO_REASON
from data.store.dialect import regex_matches
from data.store.pseudonyms import MASKS

NON_PERSONAL_COLUMNS = frozenset(
    "integration_id account_key snapshot_id name deletion_limit valid_from valid_to taken_at "
    "loaded_at quarantined_at last_updated provisioning_state state_source active_in_app "
    "state_since "
    "attempt_since job_since active_since user_since content_since previous_state "
    "previous_job_since from_state "
    "to_state status accounts active unmatched entered left changed oldest rows_read accepted "
    "rejected flagged operation began attempt_began outcome jobs value integration "
    "person_integration decided_at withdrawn_at".split()
)
"""Columns that tell nothing of a person."""

PLACEHOLDER = "•"
"""What stands for a text that is there and not shown."""

REASON_NOT_SHOWN = "Reason not shown"

FAILURE_CODE_PATTERN = r"[A-Za-z0-9_.:/-]{1,60}"
"""A failure code; any other text there might name somebody."""


def _replace_text(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((text.is_not(None), PLACEHOLDER))


ColumnMasks = Mapping[str, Callable[[ColumnElement[Any]], ColumnElement[Any]]]

HIDING_MASKS: ColumnMasks = {
    "username_in_app": _replace_text,
    "user_name": _replace_text,
    "user_email": _replace_text,
    "account_id": _replace_text,
    "state_reason": lambda text: case((text.is_not(None), REASON_NOT_SHOWN)),
    "failure_code": lambda text: case((regex_matches(text, f"^{FAILURE_CODE_PATTERN}$"), text)),
    "failure_reason": lambda text: case(
        (or_(regex_matches(text, f"^{FAILURE_CODE_PATTERN}$"), text == NO_REASON), text),
        (text.is_not(None), REASON_NOT_SHOWN),
    ),
    "roles": lambda _: cast(array([]), ARRAY(String)),
    "facts": lambda _: literal("{}"),
    "search": lambda _: literal(""),
    "file_name": lambda _: literal(""),
    "sha256": lambda _: literal(""),
    "reason": lambda _: literal(""),
}
"""What stands for a column where nobody's person is to be seen; unmatched is still unmatched."""

PSEUDONYM_MASKS: ColumnMasks = {
    **{
        name: HIDING_MASKS[name]
        for name in ("state_reason", "failure_code", "failure_reason", "reason")
    },
    "search": HIDING_MASKS["search"],  # a whole pseudonym is found without
    **MASKS,
    **dict.fromkeys(
        ("roles", "facts", "file_name", "sha256", "rule", "snapshot_taken_at"), lambda c: c
    ),
    **dict.fromkeys(("accepted_at", "until"), lambda c: c),
}
"""What stands for a column where persons are pseudonyms. Free text could name somebody."""

MASKS_BY_MODE = {PersonalData.HIDDEN: HIDING_MASKS, PersonalData.PSEUDONYMS: PSEUDONYM_MASKS}

HIDDEN_TABLES = {
    PersonalData.HIDDEN: {"rejected_row", "exception", "row_fingerprint", "audit_event"},
    PersonalData.PSEUDONYMS: {"rejected_row", "row_fingerprint", "audit_event"},
}
"""Tables of which nothing is seen."""


def create_view_statements(sight: Visibility, source_schema: str, dialect: Dialect) -> list[str]:
    """What hides every table of a schema from a connection but for what the sight leaves."""
    schema = MetaData(schema=quoted_name(source_schema, quote=False))
    tables = {table.name: table.to_metadata(schema) for table in metadata.sorted_tables}
    return [
        str(
            CreateView(
                _restricted_select(table, tables, sight, dialect), name, temporary=True
            ).compile(dialect=dialect)
        )
        for name, table in tables.items()
    ]


def _restricted_select(
    table: Table, tables: Mapping[str, Table], sight: Visibility, dialect: Dialect
) -> Select[*tuple[Any, ...]]:
    columns = _masked_columns(table, sight.personal_data)
    if dialect.name == "duckdb":  # its rows have numbers, by which queries find some
        columns.append(literal_column("rowid").label("rowid"))
    return select(*columns).select_from(table).where(_row_condition(table, tables, sight))


def _masked_columns(table: Table, personal: PersonalData) -> list[ColumnElement[Any]]:
    if personal is PersonalData.SHOWN:
        return list(table.c)
    return [
        _masked_column(column, MASKS_BY_MODE[personal]).label(column.name) for column in table.c
    ]


def _masked_column(column: ColumnElement[Any], masks: ColumnMasks) -> ColumnElement[Any]:
    if column.name in NON_PERSONAL_COLUMNS:
        return column
    mask = masks.get(column.name)
    return mask(column) if mask else cast(null(), column.type)


def _row_condition(
    table: Table, tables: Mapping[str, Table], sight: Visibility
) -> ColumnElement[bool]:
    if table.name in HIDDEN_TABLES.get(sight.personal_data, ()):
        return false()
    if table.name == setting.name or sight.integrations is None:
        return true()
    integrations = tables[integration.name].c
    ids = select(integrations.integration_id).where(integrations.name.in_(sight.integrations))
    if table.name == integration.name:
        return table.c.name.in_(sight.integrations)
    if "integration_id" in table.c:
        return table.c.integration_id.in_(ids)
    if "integration" in table.c:
        return table.c.integration.in_(sight.integrations)
    if "snapshot_id" in table.c:
        snapshots = tables[snapshot.name].c
        return table.c.snapshot_id.in_(
            select(snapshots.snapshot_id).where(snapshots.integration_id.in_(ids))
        )
    return false()
