"""The tables of records: actions and decisions of people, which no snapshot file contains.

They refer to integrations and accounts by name, which stays valid when a store is rebuilt.
"""

import sqlalchemy as sa

from data.schema import SnapshotTime, metadata

# One row per file that is on hold for a person to confirm, or rejected. It is in the folder of
# that name, as <integration>/<file_name>.
quarantined_file = sa.Table(
    "quarantined_file",
    metadata,
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("file_name", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # on hold or rejected
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("quarantined_at", sa.DateTime, nullable=False),
    sa.Column("taken_at", SnapshotTime),  # NULL if the file name has no time
)


def decision_columns(verb: str) -> list[sa.Column]:
    """Who decided and when, such as `accepted_by`, and who withdrew the decision and when."""
    return [
        sa.Column(f"{verb}_by", sa.String, nullable=False),
        sa.Column(f"{verb}_at", sa.DateTime, nullable=False),
        sa.Column("withdrawn_by", sa.String),
        sa.Column("withdrawn_at", sa.DateTime),
    ]


# One row per exception: a finding that a person accepts, as it was in the snapshot of
# `snapshot_taken_at`. It ends when the finding does. Withdrawn and expired rows stay, as evidence.
exception = sa.Table(
    "exception",
    metadata,
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("snapshot_taken_at", SnapshotTime, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    *decision_columns("accepted"),
    sa.Column("until", sa.Date),  # the last UTC day; NULL: until the finding ends
)

# One row per event of the audit log: append-only.
audit_event = sa.Table(
    "audit_event",
    metadata,
    sa.Column("number", sa.BigInteger, nullable=False),  # from 1, without a gap
    sa.Column("event_id", sa.String, nullable=False),
    sa.Column("occurred_at", sa.DateTime, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),  # audit_log.Event
    sa.Column("details", sa.String, nullable=False),  # JSON object
    sa.Column("checksum", sa.String, nullable=False),  # audit_log.event_checksum
)

# One row per decision of a person on an account's owner: a person of a directory, or nobody. The
# newest that is not withdrawn counts. It refers to names, which stay valid when a store is rebuilt.
match_override = sa.Table(
    "match_override",
    metadata,
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
    sa.Column("account_key", sa.BigInteger),  # NULL: no snapshot lists the account
    sa.Column("person_integration", sa.String),  # which lists the person; NULL: no owner
    sa.Column("person_id", sa.String),  # the account ID in it
    sa.Column("user_name", sa.String),
    sa.Column("user_email", sa.String),
    sa.Column("evidence", sa.String, nullable=False),
    *decision_columns("decided"),
)

# One row per note on an account, which it names as a match override does; the newest counts.
note = sa.Table(
    "note",
    metadata,
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
    sa.Column("account_key", sa.BigInteger),  # NULL: no snapshot lists the account
    sa.Column("text", sa.String, nullable=False),
    *decision_columns("written"),
    sa.Column("until", sa.Date),  # the last UTC day; NULL: until it is removed
)

# One row per view that a person saved: a name for an address of Users.
saved_view = sa.Table(
    "saved_view",
    metadata,
    sa.Column("name", sa.String, nullable=False),
    sa.Column("owner", sa.String),  # who sees it; NULL: everybody
    sa.Column("integrations", sa.ARRAY(sa.String)),  # all that it can show; NULL: any
    sa.Column("address", sa.String, nullable=False),  # the parameters: state=Deleted&active=yes
    *decision_columns("saved"),
)

# One row per setting that a person has changed.
setting = sa.Table(
    "setting",
    metadata,
    sa.Column("name", sa.String, nullable=False),
    sa.Column("value", sa.String, nullable=False),  # JSON
)

# One row per snapshot that retention has removed and state: its counts, as in `state_count`.
retained_count = sa.Table(
    "retained_count",
    metadata,
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("taken_at", SnapshotTime, nullable=False),
    sa.Column("provisioning_state", sa.String, nullable=False),
    sa.Column("accounts", sa.BigInteger, nullable=False),
    sa.Column("active", sa.BigInteger, nullable=False),
    sa.Column("unmatched", sa.BigInteger, nullable=False),
    sa.Column("oldest", SnapshotTime),
)

# The same as in `state_change`, and of the first snapshot that stays: the store has nothing to
# compare it with.
retained_change = sa.Table(
    "retained_change",
    metadata,
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("taken_at", SnapshotTime, nullable=False),
    sa.Column("from_state", sa.String),
    sa.Column("to_state", sa.String),
    sa.Column("accounts", sa.BigInteger, nullable=False),
)

# One row per review round: people decide on a list of accounts that was frozen at its start.
review_round = sa.Table(
    "review_round",
    metadata,
    sa.Column("round_id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("is_by_role", sa.Boolean, nullable=False),  # each role is decided, not the account
    sa.Column("population", sa.String, nullable=False),  # in words: what was frozen
    sa.Column("address", sa.String, nullable=False),  # its parameters: of Users, or of a rule
    sa.Column("settings", sa.String, nullable=False),  # that the list follows from; JSON object
    sa.Column("frozen_at", sa.DateTime, nullable=False),  # the list is as of this moment
    sa.Column("last_day", sa.Date, nullable=False),  # UTC
    sa.Column("late_days", sa.Integer, nullable=False),  # after which what was revoked is late
    sa.Column("deciders", sa.ARRAY(sa.String), nullable=False),  # empty: whoever may
    sa.Column("started_by", sa.String, nullable=False),
    sa.Column("started_at", sa.DateTime, nullable=False),
    sa.Column("closed_by", sa.String),
    sa.Column("closed_at", sa.DateTime),
)

# One row per round and snapshot that its list follows from, the older ones included.
review_snapshot = sa.Table(
    "review_snapshot",
    metadata,
    sa.Column("round_id", sa.String, nullable=False),
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("taken_at", SnapshotTime, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
)

# One row per account of a round, as it was; with `is_by_role`, one per account and role.
review_item = sa.Table(
    "review_item",
    metadata,
    sa.Column("round_id", sa.String, nullable=False),
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),  # empty: the account, or it has no roles
    sa.Column("username_in_app", sa.String, nullable=False),
    sa.Column("user_name", sa.String),
    sa.Column("user_email", sa.String),
    sa.Column("roles", sa.ARRAY(sa.String), nullable=False),
    sa.Column("active_in_app", sa.Boolean),
    sa.Column("upstream_user_id", sa.String),
    sa.Column("provisioning_state", sa.String, nullable=False),
)

# One row per decision on an item of a round. The newest that is not withdrawn counts.
review_decision = sa.Table(
    "review_decision",
    metadata,
    sa.Column("round_id", sa.String, nullable=False),
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("account_id", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("decision", sa.String, nullable=False),  # keep, revoke or unsure
    sa.Column("note", sa.String, nullable=False),
    *decision_columns("decided"),
)

# One row per integration whose pulls fail: each that has ended since then.
pull_failure = sa.Table(
    "pull_failure",
    metadata,
    sa.Column("integration", sa.String, nullable=False),
    sa.Column("since", sa.DateTime, nullable=False),
    sa.Column("message", sa.String, nullable=False),  # of the last one; without secrets
)

# One row per recipient of letters: a section [letter.to.NAME] of the secrets file.
letter_recipient = sa.Table(
    "letter_recipient",
    metadata,
    sa.Column("recipient", sa.String, nullable=False),
    sa.Column("progress", sa.String, nullable=False),  # JSON: what the letters have covered so far
)

# One row per letter to a recipient. Its content goes when it is sent or given up.
letter = sa.Table(
    "letter",
    metadata,
    sa.Column("letter_id", sa.String, nullable=False),  # of the Message-ID, or the webhook-id
    sa.Column("recipient", sa.String, nullable=False),
    sa.Column("audience", sa.String, nullable=False),  # a hash of role, integrations and channel
    sa.Column("is_test", sa.Boolean, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # outbox.LetterStatus
    sa.Column("queued_at", sa.DateTime, nullable=False),
    sa.Column("since", sa.DateTime),  # the range that it covers; NULL: a test
    sa.Column("until", sa.DateTime),
    sa.Column("keys", sa.ARRAY(sa.String), nullable=False),  # what it reports
    sa.Column("content", sa.String, nullable=False),  # JSON: outbox.Message
    sa.Column("progress", sa.String, nullable=False),  # of the recipient, once it is sent
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_try_at", sa.DateTime, nullable=False),  # while it is sent: when the try is lost
    sa.Column("last_error", sa.String, nullable=False),  # in words, without secrets
    sa.Column("ended_at", sa.DateTime),  # sent, given up, or perhaps sent
)

RECORD_TABLES = (
    quarantined_file,
    exception,
    match_override,
    note,
    saved_view,
    review_round,
    review_snapshot,
    review_item,
    review_decision,
    setting,
    audit_event,
    retained_count,
    retained_change,
    pull_failure,
    letter_recipient,
    letter,
)
"""Actions and decisions of people, and counts, which no snapshot file contains. A rebuild copies
them, and `integration.deletion_limit`."""
