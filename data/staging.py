"""The temporary tables of a load."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    String,
    Table,
)

from data.schema import (
    RAW_COLUMNS,
    SLOW_CHANGING_COLUMNS,
    TRACKED_COLUMNS,
    SnapshotTime,
    account_current,
    account_profile,
    account_version,
    derived_columns,
    tracked_columns,
)

workspace_metadata = MetaData()
"""Temporary tables of a load, where its file is read. Each is filled and committed before the
store's one transaction, as DuckDB reads what is not committed yet on one core only."""
staging_metadata = MetaData()
"""Temporary tables of a load in the store: what is handed to it, and what that changes. With an
integration each, so that a store on many machines keeps a load on one of them."""

# One row per account that is known at the moment of a file: its row as it was delivered, where that
# is remembered; where the store is not in the database that reads the file.
stage_known = Table(
    "stage_known",
    workspace_metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("fingerprint", BigInteger),
    prefixes=["TEMPORARY"],
)

# One row per account that was ever seen and the file may list as news, likewise.
stage_known_id = Table(
    "stage_known_id",
    workspace_metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("account_id", String, nullable=False),
    prefixes=["TEMPORARY"],
)

# One row per record of the file, as delivered and in the file's order; account_id is NULL where
# the record is no account. Of a record that says what is known its texts are left out, and its
# account_id.
stage_row = Table(
    "stage_row",
    workspace_metadata,
    Column("account_id", String),
    Column("texts", ARRAY(String)),  # DELIVERED; one column, as to write empty ones takes time
    Column("without_offset", Boolean, nullable=False),  # its time is taken for UTC for want of one
    Column("fingerprint", BigInteger),
    Column("known", Boolean, nullable=False),
    prefixes=["TEMPORARY"],
)

# One row per known account whose row as it was delivered is not among the known ones of the file.
stage_missing = Table(
    "stage_missing",
    workspace_metadata,
    *(Column(c.name, c.type) for c in stage_known.c),
    prefixes=["TEMPORARY"],
)

# One row per row of the file that is no account.
stage_rejected = Table(
    "stage_rejected",
    workspace_metadata,
    Column("line", BigInteger),
    Column("text", String),
    Column("reason", String),
    prefixes=["TEMPORARY"],
)

# One row per account whose text in the file is not what is known of it; `listed` is false for an
# account that is known and not in the file.
stage_changed = Table(
    "stage_changed",
    workspace_metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("account_id", String),
    *(Column(name, String) for name in RAW_COLUMNS),
    Column("fingerprint", BigInteger),
    prefixes=["TEMPORARY"],
)

# One row per account ID of rows that are news, where those are not in the store's own database.
stage_id = Table(
    "stage_id",
    staging_metadata,
    Column("integration_id", Integer, nullable=False),
    Column("account_id", String, nullable=False),
    prefixes=["TEMPORARY"],
)

# One row per account of `stage_changed`, likewise.
stage_change = Table(
    "stage_change",
    staging_metadata,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("fingerprint", BigInteger),
    prefixes=["TEMPORARY"],
)

# What the listed ones of them mean, likewise.
stage_normalized = Table(
    "stage_normalized",
    staging_metadata,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("account_id", String, nullable=False),
    *tracked_columns(*TRACKED_COLUMNS),
    prefixes=["TEMPORARY"],
)

# One row per account whose content differs from before: `now` says whether it is in the snapshot;
# of one that is not, nothing else is told.
stage_delta = Table(
    "stage_delta",
    staging_metadata,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("account_id", String),  # of one that a file lists; NULL: it was in the store before
    Column("now", Boolean, nullable=False),
    *(
        Column(c.name, c.type)
        for c in (
            *tracked_columns(*TRACKED_COLUMNS),
            *derived_columns(),
            account_current.c.content_hash,
        )
    ),
    prefixes=["TEMPORARY"],
)

# One row per version of the accounts in `stage_delta`, while their history is written anew; whole.
stage_version = Table(
    "stage_version",
    staging_metadata,
    *(
        Column(c.name, c.type)
        for c in (*account_version.c, *(account_profile.c[name] for name in SLOW_CHANGING_COLUMNS))
    ),
    prefixes=["TEMPORARY"],
)

# One row per account whose versions on both sides of a moment say the same: they become one.
stage_merged = Table(
    "stage_merged",
    staging_metadata,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("valid_from", SnapshotTime, nullable=False),
    Column("valid_to", SnapshotTime, nullable=False),
    prefixes=["TEMPORARY"],
)


def raw_columns() -> dict[str, ColumnElement[str]]:
    """The DELIVERED columns of `stage_row`, each by its name."""
    numbered = enumerate(RAW_COLUMNS, start=1)
    return {name: stage_row.c.texts[number].label(name) for number, name in numbered}
