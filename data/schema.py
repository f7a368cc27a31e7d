"""The store's tables. Times are naive UTC; texts from snapshots are stored as delivered.

In DuckDB they have no indexes and no constraints but NOT NULL: measurements showed that both cost
more than they gain. The loader ensures unique keys. data/store/postgresql.py adds indexes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Dialect,
    Float,
    FromClause,
    Integer,
    MetaData,
    Select,
    String,
    Subquery,
    Table,
    and_,
    cast,
    insert,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import TypeCompiler

OPEN_END = datetime(9999, 12, 31)
"""`valid_to` of an open version."""


class SnapshotTime(DateTime):
    """When a snapshot was taken: naive UTC, to the second, as in its file name.

    DuckDB packs numbers by their range, so seconds take half the space of microseconds.
    """

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """With a value of the column's own type, DuckDB skips row groups."""
        return cast(bindvalue, SnapshotTime)

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        """Truncate to the second; DuckDB would round."""
        return lambda moment: moment and moment.replace(microsecond=0)


@compiles(SnapshotTime, "duckdb")
def _duckdb_snapshot_time(_: SnapshotTime, __: TypeCompiler, **___: Any) -> str:
    return "TIMESTAMP_S"


metadata = MetaData()

RAW_COLUMNS = (
    "username_in_app",
    "user_text",
    "user_name",
    "user_email",
    "roles",
    "active_in_app",
    "upstream_user_id",
    "provisioning_state",
    "state_source",
    "state_reason",
    "failure_code",
    "last_updated",
    "attributes",
)
"""The columns of a row as delivered: text that nothing has interpreted yet."""

SLOW_CHANGING_COLUMNS = (
    "username_in_app",
    "user_name",
    "user_email",
    "roles",
    "role_details",
    "upstream_user_id",
    "attributes",
)
"""Tracked columns that seldom change and take most space: stored once for many versions."""


def tracked_columns(*names: str) -> list[Column]:
    """The content of an account: the named columns, or all of them."""
    columns = [
        Column("username_in_app", String, nullable=False),
        Column("user_name", String),
        Column("user_email", String),
        Column("roles", ARRAY(String), nullable=False),  # names, sorted, without duplicates
        Column("role_details", String),  # JSON array of objects; NULL if roles are only names
        Column("active_in_app", Boolean),  # NULL: unknown
        Column("upstream_user_id", String),
        Column("provisioning_state", String, nullable=False),
        Column("state_source", String),  # inferred or default; NULL: the source reports the state
        Column("state_reason", String),
        Column("failure_code", String),
        Column("last_updated", DateTime),
        Column("attributes", String),  # JSON object: the other columns of the snapshot
        Column("flags", String),  # JSON object: column → the text that could not be read
    ]
    return [column for column in columns if not names or column.name in names]


TRACKED_COLUMNS = tuple(column.name for column in tracked_columns())
"""The content of an account. A difference in any of them opens a new version."""


def derived_columns() -> list[Column]:
    """Columns computed from the content and the versions before; see data/history/since.py."""
    return [
        Column("failure_reason", String),  # failure_reasons.failure_reason; NULL: not failed
        Column("state_since", SnapshotTime, nullable=False),  # continuously in its state
        Column("attempt_since", SnapshotTime, nullable=False),  # its job awaiting or ongoing
        Column("job_since", SnapshotTime, nullable=False),  # in states of its operation
        Column("active_since", SnapshotTime, nullable=False),  # with the same `active_in_app`
        Column("user_since", SnapshotTime, nullable=False),  # with the same user, or with none
        Column("content_since", SnapshotTime, nullable=False),  # with the same content hash
        Column("previous_state", String),  # the state before; NULL: the account was not listed
        Column("previous_job_since", SnapshotTime),  # `job_since` before this job or settled state
    ]


DERIVED_COLUMNS = tuple(column.name for column in derived_columns())

# One row per integration.
integration = Table(
    "integration",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("deletion_limit", Float),  # share of accounts; NULL: the default
)

# One row per loaded snapshot: one integration at one moment, from one file.
snapshot = Table(
    "snapshot",
    metadata,
    Column("snapshot_id", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", SnapshotTime, nullable=False),
    Column("loaded_at", DateTime, nullable=False),
    Column("file_name", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("flagged", BigInteger, nullable=False),  # accepted, with a value that could not be read
    Column("facts", String, nullable=False),  # JSON object: load_report.LoadReport
)

# One row per delivered file that is not loaded: on hold until a person decides, or rejected. It is
# in the folder of that name, as <integration>/<file_name>.
quarantined_file = Table(
    "quarantined_file",
    metadata,
    Column("integration", String, nullable=False),
    Column("file_name", String, nullable=False),
    Column("status", String, nullable=False),  # on hold or rejected
    Column("reason", String, nullable=False),
    Column("quarantined_at", DateTime, nullable=False),
    Column("taken_at", SnapshotTime),  # NULL if the file name has no time
)

# One row per row of a snapshot file that is not an account.
rejected_row = Table(
    "rejected_row",
    metadata,
    Column("snapshot_id", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),  # of the file, from 1, with headings
    Column("text", String),
    Column("reason", String, nullable=False),
)

# One row per account that was ever listed. It stays when the account is removed or returns.
account = Table(
    "account",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    Column("account_id", String, nullable=False),
)

# One row per account and interval [valid_from, valid_to) of unchanged content, without
# SLOW_CHANGING_COLUMNS.
account_version = Table(
    "account_version",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    *tracked_columns(*(name for name in TRACKED_COLUMNS if name not in SLOW_CHANGING_COLUMNS)),
    *derived_columns(),
    Column("valid_from", SnapshotTime, nullable=False),
    Column("valid_to", SnapshotTime, nullable=False),
)

# One row per account and `content_since`: SLOW_CHANGING_COLUMNS of all its versions since then.
account_profile = Table(
    "account_profile",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    Column("content_since", SnapshotTime, nullable=False),
    *tracked_columns(*SLOW_CHANGING_COLUMNS),
)

# One row per account in its integration's newest snapshot: a copy of the open versions, so that
# the most frequent queries do not slow down as the history grows.
account_current = Table(
    "account_current",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    *tracked_columns(),
    *derived_columns(),
    Column("valid_from", SnapshotTime, nullable=False),
    Column("search", String, nullable=False),  # search_text.search_text: all that is searched
    Column("content_hash", BigInteger, nullable=False),  # since.content_hash
    Column("is_matched", Boolean, nullable=False),  # has a user name or email
)

# One row per account in its integration's newest snapshot: the fingerprint of its raw row. It is a
# cache that lets the next load skip unchanged rows, and can be emptied at any time. If a new DuckDB
# version computes other fingerprints, one load treats all rows as changed.
row_fingerprint = Table(
    "row_fingerprint",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("fingerprint", BigInteger, nullable=False),
)

# One row per snapshot and state.
state_count = Table(
    "state_count",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", SnapshotTime, nullable=False),
    Column("provisioning_state", String, nullable=False),
    Column("accounts", BigInteger, nullable=False),
    Column("active", BigInteger, nullable=False),
    Column("unmatched", BigInteger, nullable=False),
    Column("entered", BigInteger, nullable=False),  # entered the state since the previous snapshot
    Column("left", BigInteger, nullable=False),  # left the state or were removed
    Column("changed", BigInteger, nullable=False),  # were listed before, with other content
    Column("oldest", SnapshotTime),  # earliest `state_since`; NULL: settled, or no accounts
)

# One row per snapshot and change of state; NULL stands for accounts that are not listed.
state_change = Table(
    "state_change",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", SnapshotTime, nullable=False),
    Column("from_state", String),
    Column("to_state", String),
    Column("accounts", BigInteger, nullable=False),
)

# One row per snapshot, operation, start times and outcome: how many jobs or attempts ended there.
# A job is an account's continuous time in the states of one operation, an attempt its time in the
# open ones of them. A job continues after a failed attempt.
job_end = Table(
    "job_end",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", SnapshotTime, nullable=False),
    Column("operation", String, nullable=False),
    Column("began", SnapshotTime, nullable=False),
    Column("attempt_began", SnapshotTime),  # NULL: the job had failed
    Column(
        "outcome", String, nullable=False
    ),  # settled, failed, or other (removed, other operation)
    Column("jobs", BigInteger, nullable=False),
)

# One row per exception: a finding that a person accepts, as it was in the snapshot of
# `snapshot_taken_at`. It ends when the finding does. Withdrawn and expired rows stay, as evidence.
exception = Table(
    "exception",
    metadata,
    Column("integration", String, nullable=False),
    Column("account_id", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("snapshot_taken_at", SnapshotTime, nullable=False),
    Column("reason", String, nullable=False),
    Column("accepted_by", String, nullable=False),
    Column("accepted_at", DateTime, nullable=False),
    Column("until", Date),  # the last UTC day; NULL: until the finding ends
    Column("withdrawn_by", String),
    Column("withdrawn_at", DateTime),
)

# One row per event of the audit log: append-only.
audit_event = Table(
    "audit_event",
    metadata,
    Column("number", BigInteger, nullable=False),  # from 1, without a gap
    Column("event_id", String, nullable=False),
    Column("occurred_at", DateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),  # audit_log.Event
    Column("details", String, nullable=False),  # JSON object
    Column("checksum", String, nullable=False),  # audit_log.event_checksum
)

# One row per decision of a person on an account's owner: a person of a directory, or nobody. The
# newest that is not withdrawn counts. It refers to names, which stay valid when a store is rebuilt.
match_override = Table(
    "match_override",
    metadata,
    Column("integration", String, nullable=False),
    Column("account_id", String, nullable=False),
    Column("account_key", BigInteger),  # NULL: no snapshot lists the account
    Column("person_integration", String),  # which lists the person; NULL: no owner
    Column("person_id", String),  # the account ID in it
    Column("user_name", String),
    Column("user_email", String),
    Column("evidence", String, nullable=False),
    Column("decided_by", String, nullable=False),
    Column("decided_at", DateTime, nullable=False),
    Column("withdrawn_by", String),
    Column("withdrawn_at", DateTime),
)

# One row per setting that a person has changed.
setting = Table(
    "setting",
    metadata,
    Column("name", String, nullable=False),
    Column("value", String, nullable=False),  # JSON
)

RECORD_TABLES = (quarantined_file, exception, match_override, setting, audit_event)
"""Actions and decisions of people, which no snapshot file contains. A rebuild copies them, and
`integration.deletion_limit`."""


def insert_rows(con: Connection, table: Table, rows: Select[*tuple[Any, ...]]) -> None:
    """Insert rows that have the table's columns in their order."""
    con.execute(insert(table).from_select([c.name for c in table.c], rows))


def is_same_account(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    """Whether two rows are of one account. The key would do, but Citus joins by integration."""
    return and_(
        left.c.integration_id == right.c.integration_id, left.c.account_key == right.c.account_key
    )


def is_valid_at(versions: FromClause, moment: datetime) -> ColumnElement[bool]:
    """Whether a version holds at the moment."""
    return and_(versions.c.valid_from <= moment, versions.c.valid_to > moment)


def join_profile(versions: FromClause, profiles: FromClause = account_profile) -> Subquery:
    """The versions with SLOW_CHANGING_COLUMNS of their profiles."""
    condition = and_(
        is_same_account(profiles, versions), profiles.c.content_since == versions.c.content_since
    )
    return (
        select(*versions.c, *(profiles.c[name] for name in SLOW_CHANGING_COLUMNS))
        .join_from(versions, profiles, condition)
        .subquery()
    )


def is_unmatched(rows: FromClause) -> ColumnElement[bool]:
    """Whether the account has neither a user name nor an email."""
    return and_(rows.c.user_name.is_(None), rows.c.user_email.is_(None))
