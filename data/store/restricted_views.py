"""Restricted views: row and column security for readers with restricted access.

A restricted reader has connections of its own. In each, a temporary view with the name of each
table hides the table, and leaves out rows and columns. Queries do not know about this, so none can
forget it. Rows without an integration, and columns that are not listed here, are hidden.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, select
from sqlalchemy.dialects.postgresql import array

from data.access.roles import PersonalData, Visibility
from data.records.tables import review_item, review_round, setting
from data.schema import integration, metadata, snapshot
from data.states import NO_REASON
from data.store.dialect import has_only, regex_matches
from data.store.pseudonyms import MASKS

NON_PERSONAL_COLUMNS = frozenset(
    "integration_id account_key snapshot_id name deletion_limit valid_from valid_to taken_at "
    "loaded_at quarantined_at last_updated signed_in_at provisioning_state state_source "
    "active_in_app state_since "
    "attempt_since job_since active_since user_since content_since previous_state "
    "previous_job_since from_state "
    "to_state status accounts active unmatched entered left changed oldest rows_read accepted "
    "rejected flagged operation began attempt_began outcome jobs value integration "
    "person_integration decided_at withdrawn_at is_directory email_clue id_clue person_key "
    "is_from_provider kind clue since is_test tries".split()
)
"""Columns without personal data."""

PLACEHOLDER = "•"
"""Replaces a text that is not shown."""

REASON_NOT_SHOWN = "Reason not shown"

FAILURE_CODE_PATTERN = r"[A-Za-z0-9_.:/-]{1,60}"
"""A failure code. Any other text could name somebody who has no account."""


def _replace_text(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((text.is_not(None), PLACEHOLDER))


def _is_code(rows: Any) -> ColumnElement[bool]:
    """Whether the row has a code in which loading found no name: it is the reason as it is."""
    code = rows.c.failure_code
    return sa.and_(code == rows.c.failure_reason, regex_matches(code, f"^{FAILURE_CODE_PATTERN}$"))


ColumnMasks = Mapping[str, Callable[[ColumnElement[Any]], ColumnElement[Any]]]

HIDING_MASKS: ColumnMasks = {
    "username_in_app": _replace_text,
    "user_name": _replace_text,
    "user_email": _replace_text,
    "account_id": _replace_text,
    "state_reason": lambda text: case((text.is_not(None), REASON_NOT_SHOWN)),
    "failure_code": lambda text: case((_is_code(text.table), text)),
    "failure_reason": lambda text: case(
        (sa.or_(_is_code(text.table), text == NO_REASON), text),
        (text.is_not(None), REASON_NOT_SHOWN),
    ),
    "roles": lambda _: sa.cast(array([]), sa.ARRAY(sa.String)),
    "facts": lambda _: sa.literal("{}"),
    "search": lambda _: sa.literal(""),
    "file_name": lambda _: sa.literal(""),
    "sha256": lambda _: sa.literal(""),
    "reason": lambda _: sa.literal(""),
}
"""Column → its replacement without personal data. NULL stays NULL, so unmatched accounts remain."""

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
"""Column → its replacement with pseudonyms. Free text could contain a name, so it is hidden."""

MASKS_BY_MODE = {PersonalData.HIDDEN: HIDING_MASKS, PersonalData.PSEUDONYMS: PSEUDONYM_MASKS}

ROUND_TABLES = {"review_round", "review_snapshot", "review_item", "review_decision"}
FREE_TEXT_TABLES = {
    *("rejected_row", "row_fingerprint", "audit_event", "note", "saved_view"),
    *ROUND_TABLES,
}
HIDDEN_TABLES = {
    PersonalData.HIDDEN: {*FREE_TEXT_TABLES, "exception", "last_sign_in"},
    PersonalData.PSEUDONYMS: FREE_TEXT_TABLES,
}
"""Tables without any visible row."""


def create_view_statements(
    visibility: Visibility, source_schema: str, dialect: sa.Dialect, row_id_columns: Sequence[str]
) -> list[str]:
    """The statements that hide the tables of a schema from a connection."""
    schema = sa.MetaData(schema=sa.quoted_name(source_schema, quote=False))
    tables = {table.name: table.to_metadata(schema) for table in metadata.sorted_tables}
    row_ids = [sa.literal_column(name).label(name) for name in row_id_columns]
    selects = {
        name: select(*_masked_columns(table, visibility.personal_data), *row_ids)
        .select_from(table)
        .where(_row_condition(table, tables, visibility))
        for name, table in tables.items()
    }
    return [
        str(sa.CreateView(query, name, temporary=True).compile(dialect=dialect))
        for name, query in selects.items()
    ]


def _masked_columns(table: sa.Table, personal_data: PersonalData) -> list[ColumnElement[Any]]:
    if personal_data is PersonalData.SHOWN:
        return list(table.c)
    return [
        _masked_column(column, MASKS_BY_MODE[personal_data]).label(column.name)
        for column in table.c
    ]


def _masked_column(column: ColumnElement[Any], masks: ColumnMasks) -> ColumnElement[Any]:
    if column.name in NON_PERSONAL_COLUMNS:
        return column
    mask = masks.get(column.name)
    return mask(column) if mask else sa.cast(sa.null(), column.type)


def _row_condition(
    table: sa.Table, tables: Mapping[str, sa.Table], visibility: Visibility
) -> ColumnElement[bool]:
    if table.name in HIDDEN_TABLES.get(visibility.personal_data, ()):
        return sa.false()
    if table.name == setting.name or visibility.integrations is None:
        return sa.true()
    integrations = tables[integration.name].c
    ids = select(integrations.integration_id).where(integrations.name.in_(visibility.integrations))
    if table.name == integration.name:
        return table.c.name.in_(visibility.integrations)
    if "integration_id" in table.c:
        return table.c.integration_id.in_(ids)
    if "integrations" in table.c:
        return has_only(table.c.integrations, visibility.integrations)
    if "integration" in table.c:
        return table.c.integration.in_(visibility.integrations)
    if table.name == review_round.name:  # rounds that list an account the reader can see
        items = tables[review_item.name].c
        return table.c.round_id.in_(
            select(items.round_id).where(items.integration.in_(visibility.integrations))
        )
    if "snapshot_id" in table.c:
        snapshots = tables[snapshot.name].c
        return table.c.snapshot_id.in_(
            select(snapshots.snapshot_id).where(snapshots.integration_id.in_(ids))
        )
    return sa.false()
