"""The temporary tables of a load: what each step leaves for the next."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from data.schema import (
    RAW_COLUMNS,
    SLOW_CHANGING_COLUMNS,
    SnapshotTime,
    account_current,
    account_profile,
    account_version,
    derived_columns,
    tracked_columns,
)

workspace_metadata = sa.MetaData()
"""Tables in the workspace, where the file is read. Each is filled and committed before the store's
one transaction: DuckDB reads uncommitted rows on one core only."""
staging_metadata = sa.MetaData()
"""Tables in the store. Each row has an integration, so that a load on Citus stays on one node."""


def _table(name: str, metadata: sa.MetaData, *columns: sa.Column) -> sa.Table:
    return sa.Table(name, metadata, *columns, prefixes=["TEMPORARY"])


def _columns_of(*columns: sa.Column) -> list[sa.Column]:
    """Columns of the same names and types, all nullable."""
    return [sa.Column(c.name, c.type) for c in columns]


def _account_columns() -> list[sa.Column]:
    return [
        sa.Column("integration_id", sa.Integer, nullable=False),
        sa.Column("account_key", sa.BigInteger, nullable=False),
    ]


# One row per account in the store at the file's moment, with the fingerprint and the marks of its
# raw row if the store has them.
stage_known = _table(
    "stage_known",
    workspace_metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("fingerprint", sa.BigInteger),
    sa.Column("marks", sa.Integer),
)

# One row per account that the store has ever had, and that is on a changed row of the file.
stage_known_id = _table(
    "stage_known_id",
    workspace_metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
)

# One row per account whose last sign-in the store has.
stage_known_sign_in = _table(
    "stage_known_sign_in",
    workspace_metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("signed_in_at", SnapshotTime),
)

# One row per record of the file, in its order. A record with a known fingerprint has neither
# account_id nor raw_values, and its marks are 0.
stage_row = _table(
    "stage_row",
    workspace_metadata,
    sa.Column("account_id", sa.String),  # NULL also where the record is no account
    sa.Column(
        "raw_values", sa.ARRAY(sa.String)
    ),  # RAW_COLUMNS; one column, as writing NULLs takes time
    sa.Column("marks", sa.Integer, nullable=False),  # what it shows of a column: column_reading
    sa.Column("fingerprint", sa.BigInteger),
    sa.Column("is_known", sa.Boolean, nullable=False),
    sa.Column("last_sign_in", sa.String),  # as delivered; in no fingerprint
)

# One row per row of `stage_known` with a fingerprint that no record of the file has.
stage_missing = _table(
    "stage_missing",
    workspace_metadata,
    *_columns_of(*stage_known.c),
)

# One row per account that several rows of the file list: the row that takes their place.
stage_repeat = _table(
    "stage_repeat",
    workspace_metadata,
    *_columns_of(*stage_row.c),
    sa.Column("kept_values", sa.ARRAY(sa.String)),  # raw values of the row that is kept
    sa.Column("has_more_roles", sa.Boolean),  # than that row
    sa.Column("exact_repeats", sa.BigInteger),  # rows that equal another one
)

# One row per row of the file that is not an account, or is merged in spite of other values.
stage_rejected = _table(
    "stage_rejected",
    workspace_metadata,
    sa.Column("line", sa.BigInteger),
    sa.Column("text", sa.String),
    sa.Column("reason", sa.String),
)

# One row per account with a raw row that differs from the store's; also, with is_listed false, per
# account of the store that the file does not list.
stage_changed = _table(
    "stage_changed",
    workspace_metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("is_listed", sa.Boolean, nullable=False),
    sa.Column("account_id", sa.String),
    *(sa.Column(name, sa.String) for name in RAW_COLUMNS),
    sa.Column("fingerprint", sa.BigInteger),
    sa.Column("marks", sa.Integer),
)

# One row per account with a text for its last sign-in: when it was, if the text says it.
stage_reported_sign_in = _table(
    "stage_reported_sign_in",
    workspace_metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("is_reported", sa.Boolean, nullable=False),
    sa.Column("signed_in_at", SnapshotTime),  # NULL where reported: never
)

# One row per account ID on a changed row; only used where the store is not the workspace.
stage_id = _table(
    "stage_id",
    staging_metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
)

# One row per account of `stage_changed`.
stage_change = _table(
    "stage_change",
    staging_metadata,
    *_account_columns(),
    sa.Column("is_listed", sa.Boolean, nullable=False),
    sa.Column("fingerprint", sa.BigInteger),
    sa.Column("marks", sa.Integer),
)

# One row per account whose last sign-in is to change: the new one, or that the file lacks it.
stage_sign_in = _table(
    "stage_sign_in",
    staging_metadata,
    *_account_columns(),
    sa.Column("is_reported", sa.Boolean, nullable=False),
    sa.Column("signed_in_at", SnapshotTime),  # NULL: never
)

# One row per listed account of `stage_changed`, normalized.
stage_normalized = _table(
    "stage_normalized",
    staging_metadata,
    *_account_columns(),
    sa.Column("account_id", sa.String, nullable=False),
    *tracked_columns(),
)

# One row per account that the snapshot adds, changes or removes. A removed one, with is_listed
# false, has no content.
stage_delta = _table(
    "stage_delta",
    staging_metadata,
    *_account_columns(),
    sa.Column("account_id", sa.String),  # NULL where a snapshot is removed
    sa.Column("is_listed", sa.Boolean, nullable=False),
    *_columns_of(*tracked_columns(), *derived_columns(), account_current.c.content_hash),
)

# One row per version, with its profile, of the accounts in `stage_delta` while their history is
# rewritten.
stage_version = _table(
    "stage_version",
    staging_metadata,
    *_columns_of(*account_version.c, *(account_profile.c[name] for name in SLOW_CHANGING_COLUMNS)),
)

# One row per account with equal versions on both sides of a moment: the interval of the two.
stage_merged = _table(
    "stage_merged",
    staging_metadata,
    *_account_columns(),
    sa.Column("valid_from", SnapshotTime, nullable=False),
    sa.Column("valid_to", SnapshotTime, nullable=False),
)


def raw_columns(raw_values: ColumnElement[Any] = stage_row.c.raw_values) -> dict[str, Any]:
    """RAW_COLUMNS, by name, of the list that holds them."""
    numbered = enumerate(RAW_COLUMNS, start=1)
    return {name: raw_values[number].label(name) for number, name in numbered}
