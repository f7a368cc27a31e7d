"""The store's tables. Times are naive UTC; texts from snapshots are stored as delivered.

In DuckDB they have no indexes and no constraints but NOT NULL: measurements showed that both cost
more than they gain. The loader ensures unique keys. data/store/postgresql.py adds indexes.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import TypeCompiler

OPEN_END = datetime(9999, 12, 31)
"""`valid_to` of an open version."""


class SnapshotTime(sa.DateTime):
    """When a snapshot was taken: naive UTC, to the second, as in its file name.

    DuckDB packs numbers by their range, so seconds take half the space of microseconds.
    """

    def bind_expression(self, bindvalue: sa.BindParameter[Any]) -> ColumnElement[Any]:
        """With a value of the column's own type, DuckDB skips row groups."""
        return sa.cast(bindvalue, SnapshotTime)

    def bind_processor(self, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        """Truncate to the second; DuckDB would round."""
        return lambda moment: moment and moment.replace(microsecond=0)


@compiles(SnapshotTime, "duckdb")
def _duckdb_snapshot_time(_: SnapshotTime, __: TypeCompiler, **___: Any) -> str:
    return "TIMESTAMP_S"


metadata = sa.MetaData()

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


def tracked_columns(*names: str) -> list[sa.Column]:
    """The content of an account: the named columns, or all of them."""
    columns = [
        sa.Column("username_in_app", sa.String, nullable=False),
        sa.Column("user_name", sa.String),
        sa.Column("user_email", sa.String),
        sa.Column("roles", sa.ARRAY(sa.String), nullable=False),  # different names, sorted
        sa.Column("role_details", sa.String),  # JSON array of objects; NULL if roles are only names
        sa.Column("active_in_app", sa.Boolean),  # NULL: unknown
        sa.Column("upstream_user_id", sa.String),
        sa.Column("provisioning_state", sa.String, nullable=False),
        sa.Column("state_source", sa.String),  # inferred or default; NULL: the source reports it
        sa.Column("state_reason", sa.String),
        sa.Column("failure_code", sa.String),
        sa.Column("last_updated", sa.DateTime),
        sa.Column("attributes", sa.String),  # JSON object: the other columns of the snapshot
        sa.Column("flags", sa.String),  # JSON object: column → the text that could not be read
    ]
    return [column for column in columns if not names or column.name in names]


TRACKED_COLUMNS = tuple(column.name for column in tracked_columns())
"""The content of an account. A difference in any of them opens a new version."""


def derived_columns() -> list[sa.Column]:
    """Columns computed from the content and the versions before; see data/history/since.py."""
    return [
        sa.Column("failure_text", sa.String),  # failure_reasons.with_failure_reason; NULL: not
        sa.Column("failure_reason", sa.String),  # failed. The reason is that of failure_reason
        sa.Column("state_since", SnapshotTime, nullable=False),  # continuously in its state
        sa.Column("attempt_since", SnapshotTime, nullable=False),  # its job awaiting or ongoing
        sa.Column("job_since", SnapshotTime, nullable=False),  # in states of its operation
        sa.Column("active_since", SnapshotTime, nullable=False),  # with the same `active_in_app`
        sa.Column("user_since", SnapshotTime, nullable=False),  # with the same user, or with none
        sa.Column("content_since", SnapshotTime, nullable=False),  # with the same content hash
        sa.Column("previous_state", sa.String),  # NULL: the account was not listed
        sa.Column("previous_job_since", SnapshotTime),  # `job_since` before this job or state
    ]


DERIVED_COLUMNS = tuple(column.name for column in derived_columns())


def clue_columns() -> list[sa.Column]:
    """What an account has in common with its person: numbers, which name nobody.

    They are clues.email_clue and clues.id_clue of SLOW_CHANGING_COLUMNS.
    """
    return [sa.Column("email_clue", sa.BigInteger), sa.Column("id_clue", sa.BigInteger)]


FAILURE_COLUMNS = ("failure_text", "failure_reason")

# One row per integration and `failure_text` of its versions: what is shown for it, in which no
# account of the integration is named.
failure_reason = sa.Table(
    "failure_reason",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("failure_text", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),  # the code or, without one, the template
    sa.Column("template", sa.String),  # of the reason's text; NULL: it has none
)

# One row per integration.
integration = sa.Table(
    "integration",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("deletion_limit", sa.Float),  # share of accounts; NULL: the default
    sa.Column("is_directory", sa.Boolean),  # a person's word; NULL: what its files are decides
)

# One row per loaded snapshot: one integration at one moment, from one file.
snapshot = sa.Table(
    "snapshot",
    metadata,
    sa.Column("snapshot_id", sa.BigInteger, nullable=False),  # random: of one load, never of two
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("taken_at", SnapshotTime, nullable=False),
    sa.Column("loaded_at", sa.DateTime, nullable=False),
    sa.Column("file_name", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("rows_read", sa.BigInteger, nullable=False),
    sa.Column("accepted", sa.BigInteger, nullable=False),
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("flagged", sa.BigInteger, nullable=False),  # accepted, with an unreadable value
    sa.Column("facts", sa.String, nullable=False),  # JSON object: load_report.LoadReport
)

# One row per row of a snapshot file that is not an account.
rejected_row = sa.Table(
    "rejected_row",
    metadata,
    sa.Column("snapshot_id", sa.BigInteger, nullable=False),
    sa.Column("line", sa.BigInteger, nullable=False),  # of the file, from 1, with headings
    sa.Column("text", sa.String),
    sa.Column("reason", sa.String, nullable=False),
)

# One row per account that was ever listed. It stays when the account is removed or returns.
account = sa.Table(
    "account",
    metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
)

# One row per account and interval [valid_from, valid_to) of unchanged content, without
# SLOW_CHANGING_COLUMNS.
account_version = sa.Table(
    "account_version",
    metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("integration_id", sa.Integer, nullable=False),
    *tracked_columns(*(name for name in TRACKED_COLUMNS if name not in SLOW_CHANGING_COLUMNS)),
    *derived_columns(),
    sa.Column("valid_from", SnapshotTime, nullable=False),
    sa.Column("valid_to", SnapshotTime, nullable=False),
)

# One row per account and `content_since`: SLOW_CHANGING_COLUMNS of all its versions since then.
account_profile = sa.Table(
    "account_profile",
    metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("content_since", SnapshotTime, nullable=False),
    *tracked_columns(*SLOW_CHANGING_COLUMNS),
    *clue_columns(),
)

# One row per account in its integration's newest snapshot: a copy of the open versions, so that
# the most frequent queries do not slow down as the history grows.
account_current = sa.Table(
    "account_current",
    metadata,
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("integration_id", sa.Integer, nullable=False),
    *tracked_columns(),
    *derived_columns(),
    sa.Column("valid_from", SnapshotTime, nullable=False),
    sa.Column("search", sa.String, nullable=False),  # search_text.search_text: all that is searched
    sa.Column("content_hash", sa.BigInteger, nullable=False),  # since.content_hash
    sa.Column("is_matched", sa.Boolean, nullable=False),  # has a user name or email
    *clue_columns(),
)

# One row per account of a directory that was ever listed, and that is a person. Accounts of one
# person have one `person_key`: the smallest `account_key` of them.
person = sa.Table(
    "person",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("person_key", sa.BigInteger, nullable=False),
    sa.Column("is_from_provider", sa.Boolean, nullable=False),  # an identity provider lists it
)

# One row per account of `person` and email or ID that it ever had.
person_clue = sa.Table(
    "person_clue",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String, nullable=False),  # email, account, upstream or employee
    sa.Column("clue", sa.BigInteger, nullable=False),  # as in the columns of accounts
    sa.Column("since", SnapshotTime, nullable=False),  # the first snapshot that shows it
)

# One row per account whose last sign-in its integration's newest snapshot has. It changes daily,
# so it is no part of the history: each load of a newest snapshot brings it up to date.
last_sign_in = sa.Table(
    "last_sign_in",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("signed_in_at", SnapshotTime),  # to the second; NULL: never
)

# One row per account in its integration's newest snapshot: the fingerprint of its raw row, and what
# the row shows of its columns. It is a cache that lets the next load skip unchanged rows, and can
# be emptied at any time. If a new DuckDB version computes other fingerprints, one load treats all
# rows as changed.
row_fingerprint = sa.Table(
    "row_fingerprint",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("account_key", sa.BigInteger, nullable=False),
    sa.Column("fingerprint", sa.BigInteger, nullable=False),
    sa.Column("marks", sa.Integer, nullable=False),  # data.values.column_reading
)

# One row per snapshot and state.
state_count = sa.Table(
    "state_count",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("taken_at", SnapshotTime, nullable=False),
    sa.Column("provisioning_state", sa.String, nullable=False),
    sa.Column("accounts", sa.BigInteger, nullable=False),
    sa.Column("active", sa.BigInteger, nullable=False),
    sa.Column("unmatched", sa.BigInteger, nullable=False),
    sa.Column("entered", sa.BigInteger, nullable=False),  # since the previous snapshot
    sa.Column("left", sa.BigInteger, nullable=False),  # left the state or were removed
    sa.Column("changed", sa.BigInteger, nullable=False),  # were listed before, with other content
    sa.Column("oldest", SnapshotTime),  # earliest `attempt_since`; NULL: settled, or none
)

# One row per snapshot and change of state; NULL stands for accounts that are not listed.
state_change = sa.Table(
    "state_change",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("taken_at", SnapshotTime, nullable=False),
    sa.Column("from_state", sa.String),
    sa.Column("to_state", sa.String),
    sa.Column("accounts", sa.BigInteger, nullable=False),
)

# One row per snapshot, operation, start times and outcome: how many jobs or attempts ended there.
# A job is an account's continuous time in the states of one operation, an attempt its time in the
# open ones of them. A job continues after a failed attempt.
job_end = sa.Table(
    "job_end",
    metadata,
    sa.Column("integration_id", sa.Integer, nullable=False),
    sa.Column("taken_at", SnapshotTime, nullable=False),
    sa.Column("operation", sa.String, nullable=False),
    sa.Column("began", SnapshotTime, nullable=False),
    sa.Column("attempt_began", SnapshotTime),  # NULL: the job had failed
    sa.Column("outcome", sa.String, nullable=False),  # settled, failed, other (such as removed)
    sa.Column("jobs", sa.BigInteger, nullable=False),
)


def insert_rows(con: Connection, table: sa.Table, rows: sa.Select[*tuple[Any, ...]]) -> None:
    """Insert rows that have the table's columns in their order."""
    con.execute(insertion(table, rows))


def insertion(table: sa.Table, rows: sa.Select[*tuple[Any, ...]]) -> sa.Insert:
    """The statement that inserts rows with the table's columns in their order."""
    return sa.insert(table).from_select([c.name for c in table.c], rows)


def is_same_account(left: sa.FromClause, right: sa.FromClause) -> ColumnElement[bool]:
    """Whether two rows are of one account. The key would do, but Citus joins by integration."""
    return and_(
        left.c.integration_id == right.c.integration_id, left.c.account_key == right.c.account_key
    )


def is_valid_at(
    versions: sa.FromClause, moment: datetime | ColumnElement[datetime]
) -> ColumnElement[bool]:
    """Whether a version holds at the moment."""
    return and_(versions.c.valid_from <= moment, versions.c.valid_to > moment)


def is_its_profile(profiles: sa.FromClause, versions: sa.FromClause) -> ColumnElement[bool]:
    """Whether a profile has the slow-changing columns of a version."""
    return and_(
        is_same_account(profiles, versions), profiles.c.content_since == versions.c.content_since
    )


def join_profile(versions: sa.FromClause, profiles: sa.FromClause = account_profile) -> sa.Subquery:
    """The versions with SLOW_CHANGING_COLUMNS of their profiles."""
    return (
        select(*versions.c, *(profiles.c[name] for name in SLOW_CHANGING_COLUMNS))
        .join_from(versions, profiles, is_its_profile(profiles, versions))
        .subquery()
    )


def is_unmatched(rows: sa.FromClause) -> ColumnElement[bool]:
    """Whether the account has neither a user name nor an email."""
    return and_(rows.c.user_name.is_(None), rows.c.user_email.is_(None))
