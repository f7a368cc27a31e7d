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
    CONTENT,
    DELIVERED,
    PROFILE,
    Moment,
    account_current,
    account_profile,
    account_version,
    content_columns,
    derived_columns,
)

scratch = MetaData()
"""Temporary tables of a load, where its file is read. Each is filled and committed before the
store's one transaction, as DuckDB reads what is not committed yet on one core only."""
staging = MetaData()
"""Temporary tables of a load in the store: what is handed to it, and what that changes. With an
integration each, so that a store on many machines keeps a load on one of them."""

# One row per account that is known at the moment of a file: its row as it was delivered, where that
# is remembered; where the store is not in the database that reads the file.
load_known = Table(
    "load_known",
    scratch,
    Column("account_key", BigInteger, nullable=False),
    Column("fingerprint", BigInteger),
    prefixes=["TEMPORARY"],
)

# One row per account that was ever seen and the file may list as news, likewise.
load_named = Table(
    "load_named",
    scratch,
    Column("account_key", BigInteger, nullable=False),
    Column("account_id", String, nullable=False),
    prefixes=["TEMPORARY"],
)

# One row per record of the file, as delivered and in the file's order; account_id is NULL where
# the record is no account. Of a record that says what is known its texts are left out, and its
# account_id.
load_row = Table(
    "load_row",
    scratch,
    Column("account_id", String),
    Column("texts", ARRAY(String)),  # DELIVERED; one column, as to write empty ones takes time
    Column("without_offset", Boolean, nullable=False),  # its time is taken for UTC for want of one
    Column("fingerprint", BigInteger),
    Column("known", Boolean, nullable=False),
    prefixes=["TEMPORARY"],
)

# One row per known account whose row as it was delivered is not among the known ones of the file.
load_missed = Table(
    "load_missed",
    scratch,
    *(Column(c.name, c.type) for c in load_known.c),
    prefixes=["TEMPORARY"],
)

# One row per row of the file that is no account.
load_unfit = Table(
    "load_unfit",
    scratch,
    Column("line", BigInteger),
    Column("text", String),
    Column("reason", String),
    prefixes=["TEMPORARY"],
)

# One row per account whose text in the file is not what is known of it; `listed` is false for an
# account that is known and not in the file.
load_news = Table(
    "load_news",
    scratch,
    Column("account_key", BigInteger, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("account_id", String),
    *(Column(name, String) for name in DELIVERED),
    Column("fingerprint", BigInteger),
    prefixes=["TEMPORARY"],
)

# One row per account ID of rows that are news, where those are not in the store's own database.
load_asked = Table(
    "load_asked",
    staging,
    Column("integration_id", Integer, nullable=False),
    Column("account_id", String, nullable=False),
    prefixes=["TEMPORARY"],
)

# One row per account of `load_news`, likewise.
load_told = Table(
    "load_told",
    staging,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("fingerprint", BigInteger),
    prefixes=["TEMPORARY"],
)

# What the listed ones of them mean, likewise.
load_meant = Table(
    "load_meant",
    staging,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("account_id", String, nullable=False),
    *content_columns(*CONTENT),
    prefixes=["TEMPORARY"],
)

# One row per account whose content differs from before: `now` says whether it is in the snapshot;
# of one that is not, nothing else is told.
load_delta = Table(
    "load_delta",
    staging,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("account_id", String),  # of one that a file lists; NULL: it was in the store before
    Column("now", Boolean, nullable=False),
    *(
        Column(c.name, c.type)
        for c in (*content_columns(*CONTENT), *derived_columns(), account_current.c.substance)
    ),
    prefixes=["TEMPORARY"],
)

# One row per version of the accounts in `load_delta`, while their history is written anew; whole.
load_version = Table(
    "load_version",
    staging,
    *(
        Column(c.name, c.type)
        for c in (*account_version.c, *(account_profile.c[name] for name in PROFILE))
    ),
    prefixes=["TEMPORARY"],
)

# One row per account whose versions on both sides of a moment say the same: they become one.
load_joined = Table(
    "load_joined",
    staging,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment, nullable=False),
    prefixes=["TEMPORARY"],
)


def delivered_texts() -> dict[str, ColumnElement[str]]:
    """The DELIVERED columns of `load_row`, each by its name."""
    numbered = enumerate(DELIVERED, start=1)
    return {name: load_row.c.texts[number].label(name) for number, name in numbered}
