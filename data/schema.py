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

FOREVER = datetime(9999, 12, 31)
"""`valid_to` of a version that is still so."""


class Moment(DateTime):
    """When a snapshot was taken, naive UTC: to the second, as its file's name says it.

    DuckDB packs numbers by their range, so seconds take half the room that microseconds do.
    """

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """Of the column's own type, DuckDB knows where in a table not to look for it."""
        return cast(bindvalue, Moment)

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        """What lies between two seconds is of the first; DuckDB would round it."""
        return lambda moment: moment and moment.replace(microsecond=0)


@compiles(Moment, "duckdb")
def _in_seconds(_: Moment, __: TypeCompiler, **___: Any) -> str:
    return "TIMESTAMP_S"


metadata = MetaData()

DELIVERED = (
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

CONTENT = (
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

PROFILE = (
    "username_in_app",
    "user_name",
    "user_email",
    "roles",
    "role_details",
    "upstream_user_id",
    "attributes",
)
"""What of it seldom changes, and takes most room: written once for many versions."""

DERIVED = (
    "failure_reason",
    "state_since",
    "attempt_since",
    "job_since",
    "active_since",
    "user_since",
    "same_since",
    "state_before",
    "job_before",
)
"""What follows from an account's content, and from its versions before: see data/stays.py."""


def content_columns(*names: str) -> list[Column]:
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
        Column("state_since", Moment, nullable=False),  # in its state, without interruption
        Column("attempt_since", Moment, nullable=False),  # its job awaiting or ongoing
        Column("job_since", Moment, nullable=False),  # in states of its operation
        Column("active_since", Moment, nullable=False),  # as active as it is
        Column("user_since", Moment, nullable=False),  # with its user, or with none
        Column("same_since", Moment, nullable=False),  # in all that a job may be there to change
        Column("state_before", String),  # the state before this one; NULL: it was not there
        Column("job_before", Moment),  # `job_since` of what was before this job or settled state
    ]


# One row per integration.
integration = Table(
    "integration",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("departure_limit", Float),  # share of accounts; NULL: the usual one
)

# One row per loaded snapshot: one integration at one moment, from one file.
snapshot = Table(
    "snapshot",
    metadata,
    Column("snapshot_id", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", Moment, nullable=False),
    Column("loaded_at", DateTime, nullable=False),
    Column("file_name", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("flagged", BigInteger, nullable=False),  # accepted rows with a value not understood
    Column("facts", String, nullable=False),  # JSON object: passport.FileFacts
)

# One row per delivered file that is not loaded: held for a person to decide, or refused. It lies
# in the folder of that name, as <integration>/<file_name>.
unloaded = Table(
    "unloaded",
    metadata,
    Column("integration", String, nullable=False),
    Column("file_name", String, nullable=False),
    Column("verdict", String, nullable=False),  # held or refused
    Column("reason", String, nullable=False),
    Column("found_at", DateTime, nullable=False),
    Column("taken_at", Moment),  # NULL where the name does not say it
    Column("passport", String),  # JSON object; NULL where the file could not be read so far
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
    *content_columns(*(name for name in CONTENT if name not in PROFILE)),
    *derived_columns(),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment, nullable=False),
)

# One row per account and `same_since` of its versions: what all of these say of PROFILE.
account_profile = Table(
    "account_profile",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    Column("same_since", Moment, nullable=False),
    *content_columns(*PROFILE),
)

# One row per account in its integration's newest snapshot: a copy of the open versions, so that
# what people look at most does not depend on how long the history is.
account_current = Table(
    "account_current",
    metadata,
    Column("account_key", BigInteger, nullable=False),
    Column("integration_id", Integer, nullable=False),
    *content_columns(*CONTENT),
    *derived_columns(),
    Column("valid_from", Moment, nullable=False),
    Column("search", String, nullable=False),  # plain.searched of the row: one text to look through
    Column("substance", BigInteger, nullable=False),  # stays.substance_of the row, to be compared
    Column("is_matched", Boolean, nullable=False),  # with a user's name or email, to be counted
)

# One row per account in its integration's newest snapshot: the fingerprint of its row as delivered.
# A cache: it spares the next load from understanding again what has not changed, and may be emptied
# any time. DuckDB versions need not agree on fingerprints; then one load takes all rows for news.
delivered_row = Table(
    "delivered_row",
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
    Column("taken_at", Moment, nullable=False),
    Column("provisioning_state", String, nullable=False),
    Column("accounts", BigInteger, nullable=False),
    Column("active", BigInteger, nullable=False),
    Column("unmatched", BigInteger, nullable=False),
    Column("entered", BigInteger, nullable=False),  # came into the state since the one before
    Column("left", BigInteger, nullable=False),  # left it, gone from the snapshot included
    Column("changed", BigInteger, nullable=False),  # there before as well, with other content
    Column("oldest", Moment),  # the earliest `state_since` in it; NULL: settled, or without any
)

# One row per snapshot and pair of states that differ; NULL where an account was, or is, not there.
state_change = Table(
    "state_change",
    metadata,
    Column("integration_id", Integer, nullable=False),
    Column("taken_at", Moment, nullable=False),
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
    Column("taken_at", Moment, nullable=False),
    Column("operation", String, nullable=False),
    Column("began", Moment, nullable=False),
    Column("attempt_began", Moment),  # NULL: it had failed before
    Column("outcome", String, nullable=False),  # settled, failed, or other: gone, another operation
    Column("jobs", BigInteger, nullable=False),
)

# One row per finding that a person has accepted: what a rule finds of an account. It holds for as
# long as the finding does that held at `held_at`; what ends and begins again needs another word. A
# row stays when it is withdrawn or out of date: who said what, and when, is part of the evidence.
accepted = Table(
    "accepted",
    metadata,
    Column("integration", String, nullable=False),
    Column("account_id", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("held_at", Moment, nullable=False),  # the snapshot that the person looked at
    Column("reason", String, nullable=False),
    Column("accepted_by", String, nullable=False),
    Column("accepted_at", DateTime, nullable=False),
    Column("until", Date),  # the last UTC day; NULL: as long as the finding holds
    Column("withdrawn_by", String),
    Column("withdrawn_at", DateTime),  # NULL: it was not
)

# One row per event of the audit log: rows are added, never changed.
audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, nullable=False),  # from 1, without a gap
    Column("event_id", String, nullable=False),
    Column("at", DateTime, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),  # audit.Event
    Column("details", String, nullable=False),  # JSON object
    Column("seal", String, nullable=False),  # audit.seal_of
)

# One row per word of a person on whose an account is: somebody's, of a list of people, or nobody's.
# The newest that is not withdrawn holds. By names, so that it outlives a rebuild.
matched = Table(
    "matched",
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

TOLD = (unloaded, accepted, matched, setting, audit)
"""What only people have said or done: no file tells it, and `departure_limit` of integrations."""


def same_account(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Whether two rows are of one account. The key alone says it; the integration says where.

    A store that is spread over machines has all rows of an integration on one.
    """
    return and_(
        one.c.integration_id == other.c.integration_id, one.c.account_key == other.c.account_key
    )


def held_at(versions: FromClause, moment: datetime) -> ColumnElement[bool]:
    """Whether a version was how the account was at the moment."""
    return and_(versions.c.valid_from <= moment, versions.c.valid_to > moment)


def with_profile(versions: FromClause, profiles: FromClause = account_profile) -> Subquery:
    """The versions, with what their profiles say of them besides."""
    same = and_(same_account(profiles, versions), profiles.c.same_since == versions.c.same_since)
    return (
        select(*versions.c, *(profiles.c[name] for name in PROFILE))
        .join_from(versions, profiles, same)
        .subquery()
    )


def is_unmatched(rows: FromClause) -> ColumnElement[bool]:
    """Whether no user is known."""
    return and_(rows.c.user_name.is_(None), rows.c.user_email.is_(None))
