"""The store's tables, as a list. Times are naive UTC; texts from snapshots are kept as delivered.

DuckDB holds them without indexes or constraints beyond NOT NULL: both were measured to cost
more than they give. What a key would promise, the loader checks. What PostgreSQL has besides is
in `postgresql`.
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
    Date,
    DateTime,
    Dialect,
    Float,
    FromClause,
    Integer,
    MetaData,
    String,
    Subquery,
    Table,
    and_,
    cast,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import TypeCompiler

OPEN_END = datetime(9999, 12, 31)
"""`valid_to` of a version that is still so."""


class SnapshotTime(DateTime):
    """When a snapshot was taken, naive UTC: to the second, as its file's name says it.

    DuckDB packs numbers by their range, so seconds take half the room that microseconds do.
    """

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """Of the column's own type, DuckDB knows where in a table not to look for it."""
        return cast(bindvalue, SnapshotTime)

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        """What lies between two seconds is of the first; DuckDB would round it."""
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
"""The columns of a row as delivered: text, before anything is understood of it."""

TRACKED_COLUMNS = (
    "username_in_app",
    "user_name",
    "user_email",
    "roles",
    "role_details",
    "active_in_app",
    "upstream_user_id",
    "provisioning_state",
    "state_source",
    "state_reason",
    "failure_code",
    "last_updated",
    "attributes",
    "flags",
)
"""What a version says of an account. A difference in any of them opens a new version."""

SLOW_CHANGING_COLUMNS = (
    "username_in_app",
    "user_name",
    "user_email",
    "roles",
    "role_details",
    "upstream_user_id",
    "attributes",
)
"""What of it seldom changes, and takes most room: written once for many versions."""

DERIVED_COLUMNS = (
    "failure_reason",
    "state_since",
    "attempt_since",
    "job_since",
    "active_since",
    "user_since",
    "content_since",
    "previous_state",
    "previous_job_since",
)
"""What follows from an account's content, and from its versions before: see data/stays.py."""


def tracked_columns(*names: str) -> list[Column]:
    """The columns of an account's content, or those of them that are named."""
    every = [
        Column("username_in_app", String, nullable=False),
        Column("user_name", String),
        Column("user_email", String),
        Column("roles", ARRAY(String), nullable=False),  # names, sorted, each once
        Column("role_details", String),  # JSON array of objects; NULL where a role is a name only
        Column("active_in_app", Boolean),  # NULL: unknown
        Column("upstream_user_id", String),
        Column("provisioning_state", String, nullable=False),
        Column("state_source", String),  # inferred or default; NULL: the source reports the state
        Column("state_reason", String),
        Column("failure_code", String),
        Column("last_updated", DateTime),
        Column("attributes", String),  # JSON object: the snapshot's other columns
        Column("flags", String),  # JSON object: column → the text that was not understood
    ]
    return [column for column in every if column.name in names]


def derived_columns() -> list[Column]:
    """Kept beside the content, so that no question has to go through the history for it."""
    return [
        Column("failure_reason", String),  # failures.reason_of; NULL: it does not fail
        Column("state_since", SnapshotTime, nullable=False),  # in its state, without interruption
        Column("attempt_since", SnapshotTime, nullable=False),  # its job awaiting or ongoing
        Column("job_since", SnapshotTime, nullable=False),  # in states of its operation
        Column("active_since", SnapshotTime, nullable=False),  # as active as it is
        Column("user_since", SnapshotTime, nullable=False),  # with its user, or with none
        Column(
            "content_since", SnapshotTime, nullable=False
        ),  # in all that a job may be there to change
        Column("previous_state", String),  # the state before this one; NULL: it was not there
        Column(
            "previous_job_since", SnapshotTime
        ),  # `job_since` of what was before this job or settled state
    ]


# One row per integration.
integration = Table(
    "integration",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("deletion_limit", Float),  # share of accounts; NULL: the usual one
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
    Column("flagged", BigInteger, nullable=False),  # accepted rows with a value not understood
    Column("facts", String, nullable=False),  # JSON object: passport.FileFacts
)

# One row per file that is on hold for a person to confirm, or rejected. It is in the folder of
# that name, as <integration>/<file_name>.
quarantined_file = Table(
    "quarantined_file",
    metadata,
    Column("integration", String, nullable=False),
    Column("file_name", String, nullable=False),
    Column("status", String, nullable=False),  # on hold or rejected
    Column("reason", String, nullable=False),
    Column("quarantined_at", DateTime, nullable=False),
    Column("taken_at", SnapshotTime),  # NULL where the name does not say it
)

# One row per row of a snapshot file that is no account.
rejected_row = Table(
    "rejected_row",
    metadata,
    Column("snapshot_id", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),  # of the file, headings included; from 1
    Column("text", String),
    Column("reason", String, nullable=False),
)

# One row per account that was ever seen: its identity, kept when it goes and when it comes back.
account = Table(
    "account",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    Column("account_id", String, nullable=False),
)

# One row per account and interval [valid_from, valid_to) of unchanged content: the truth, but for
# PROFILE.
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

# One row per account and `content_since` of its versions: what all of these say of PROFILE.
account_profile = Table(
    "account_profile",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    Column("content_since", SnapshotTime, nullable=False),
    *tracked_columns(*SLOW_CHANGING_COLUMNS),
)

# One row per account in its integration's newest snapshot: a copy of the open versions, so that
# what people look at most does not depend on how long the history is.
account_current = Table(
    "account_current",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    *tracked_columns(*TRACKED_COLUMNS),
    *derived_columns(),
    Column("valid_from", SnapshotTime, nullable=False),
    Column("search", String, nullable=False),  # plain.searched of the row: one text to look through
    Column(
        "content_hash", BigInteger, nullable=False
    ),  # stays.substance_of the row, to be compared
    Column("is_matched", Boolean, nullable=False),  # with a user's name or email, to be counted
)

# One row per account in its integration's newest snapshot: the fingerprint of its row as delivered.
# A cache: it spares the next load from understanding again what has not changed, and may be emptied
# any time. DuckDB versions need not agree on fingerprints; then one load takes all rows for news.
row_fingerprint = Table(
    "row_fingerprint",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("account_key", BigInteger, nullable=False),
    Column("fingerprint", BigInteger, nullable=False),
)

# One row per snapshot and state: what charts read instead of the history.
state_count = Table(
    "state_count",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", SnapshotTime, nullable=False),
    Column("provisioning_state", String, nullable=False),
    Column("accounts", BigInteger, nullable=False),
    Column("active", BigInteger, nullable=False),
    Column("unmatched", BigInteger, nullable=False),
    Column("entered", BigInteger, nullable=False),  # came into the state since the one before
    Column("left", BigInteger, nullable=False),  # left it, gone from the snapshot included
    Column("changed", BigInteger, nullable=False),  # there before as well, with other content
    Column(
        "oldest", SnapshotTime
    ),  # the earliest `state_since` in it; NULL: settled, or without any
)

# One row per snapshot and pair of states that differ; NULL where an account was, or is, not there.
state_change = Table(
    "state_change",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", SnapshotTime, nullable=False),
    Column("from_state", String),
    Column("to_state", String),
    Column("accounts", BigInteger, nullable=False),
)

# One row per snapshot, operation, beginnings and outcome: how many jobs, or attempts of them, ended
# there. A job is an account's unbroken stay in the states of one operation; an attempt is its stay
# in those in which it waits or works. Where an attempt fails, its job goes on.
job_end = Table(
    "job_end",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", SnapshotTime, nullable=False),
    Column("operation", String, nullable=False),
    Column("began", SnapshotTime, nullable=False),
    Column("attempt_began", SnapshotTime),  # NULL: it had failed before
    Column("outcome", String, nullable=False),  # settled, failed, or other: gone, another operation
    Column("jobs", BigInteger, nullable=False),
)

# One row per finding that a person has accepted: what a rule finds of an account. It holds for as
# long as the finding does that held at `snapshot_taken_at`. A
# row stays when it is withdrawn or out of date: who said what, and when, is part of the evidence.
exception = Table(
    "exception",
    metadata,
    Column("integration", String, nullable=False),
    Column("account_id", String, nullable=False),
    Column("rule", String, nullable=False),
    Column(
        "snapshot_taken_at", SnapshotTime, nullable=False
    ),  # the snapshot that the person looked at
    Column("reason", String, nullable=False),
    Column("accepted_by", String, nullable=False),
    Column("accepted_at", DateTime, nullable=False),
    Column("until", Date),  # the last UTC day; NULL: as long as the finding holds
    Column("withdrawn_by", String),
    Column("withdrawn_at", DateTime),  # NULL: it was not
)

# One row per event of the audit log: rows are added, never changed.
audit_event = Table(
    "audit_event",
    metadata,
    Column("number", BigInteger, nullable=False),  # from 1, without a gap
    Column("event_id", String, nullable=False),
    Column("occurred_at", DateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),  # audit.Event
    Column("details", String, nullable=False),  # JSON object
    Column("checksum", String, nullable=False),  # audit.seal_of
)

# One row per word of a person on whose an account is: somebody's, of a list of people, or nobody's.
# The newest that is not withdrawn holds. By names, so that it outlives a rebuild.
match_override = Table(
    "match_override",
    metadata,
    Column("integration", String, nullable=False),
    Column("account_id", String, nullable=False),
    Column("account_key", BigInteger),  # NULL: no snapshot tells of the account
    Column("people", String),  # the integration that lists the person; NULL: nobody's
    Column("person_id", String),  # the account ID there
    Column("user_name", String),
    Column("user_email", String),
    Column("evidence", String, nullable=False),
    Column("decided_by", String, nullable=False),
    Column("decided_at", DateTime, nullable=False),
    Column("withdrawn_by", String),
    Column("withdrawn_at", DateTime),  # NULL: it was not
)

# One row per setting that a person has changed.
setting = Table(
    "setting",
    metadata,
    Column("name", String, nullable=False),
    Column("value", String, nullable=False),  # JSON
)

RECORD_TABLES = (quarantined_file, exception, match_override, setting, audit_event)
"""What only people have said or done: no file tells it, and `deletion_limit` of integrations."""


def is_same_account(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    """Whether two rows are of one account. The key alone says it; the integration says where.

    A store that is spread over machines has all rows of an integration on one.
    """
    return and_(
        left.c.integration_id == right.c.integration_id, left.c.account_key == right.c.account_key
    )


def is_valid_at(versions: FromClause, moment: datetime) -> ColumnElement[bool]:
    """Whether a version was how the account was at the moment."""
    return and_(versions.c.valid_from <= moment, versions.c.valid_to > moment)


def join_profile(versions: FromClause, profiles: FromClause = account_profile) -> Subquery:
    """The versions, with what their profiles say of them besides."""
    condition = and_(
        is_same_account(profiles, versions), profiles.c.content_since == versions.c.content_since
    )
    return (
        select(*versions.c, *(profiles.c[name] for name in SLOW_CHANGING_COLUMNS))
        .join_from(versions, profiles, condition)
        .subquery()
    )


def is_unmatched(rows: FromClause) -> ColumnElement[bool]:
    """Whether no user is known."""
    return and_(rows.c.user_name.is_(None), rows.c.user_email.is_(None))
