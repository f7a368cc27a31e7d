"""The load report of a snapshot: what its file contained, and what it changed.

Only what the file alone can tell is stored with the snapshot. Comparisons with the previous
snapshot are read from the rollups, because a snapshot loaded later can come between the two.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.files.headers import column_title, heading_key
from data.formatting import count_of
from data.history.confirmation import (
    incomplete_message,
    mass_deletion_message,
    other_ids_message,
)
from data.schema import integration, snapshot, state_change, state_count
from data.states import DELETE_STATES, UNRECOGNIZED
from data.store.engine import write_transaction
from data.values.column_reading import reading_remarks

DEFAULT_DELETION_LIMIT = 0.2
"""Share of an integration's accounts: the mass-deletion guard holds a file that deletes more."""

MIN_MASS_DELETION = 2
"""A single deleted account is no mass deletion, however few accounts there are."""

RENUMBERED_SHARE = 0.8
"""Of the removed accounts: if so many are listed under another ID, the IDs have changed."""

MAX_STATE_SHIFT = 0.1
"""Share of the accounts with another state than before that makes a report's quality Check."""

MOVES = {
    "added": state_change.c.from_state.is_(None),
    "removed": state_change.c.to_state.is_(None),
    "being_deleted": and_(
        state_change.c.from_state.is_not(None),
        state_change.c.from_state.not_in(DELETE_STATES),
        state_change.c.to_state.in_(DELETE_STATES),
    ),
}

Quality = Literal["ok", "check"]
QUALITY_LABELS: dict[Quality, str] = {"ok": "OK", "check": "Check"}


@dataclass(frozen=True)
class PreviousSnapshot:
    """The snapshot before, as far as a load report compares with it."""

    taken_at: datetime
    accounts: int
    headings: Sequence[str]
    states: dict[str, int]  # state → accounts in it

    def state_share(self, state: str) -> float:
        """Share of the accounts that are in the state."""
        return self.states.get(state, 0) / self.accounts if self.accounts else 0.0


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """One snapshot: the contents of its file, its counts, and the changes to the previous one.

    Times are naive UTC. The fields from `headings` on are stored as JSON in `snapshot.facts`.
    """

    integration: str
    taken_at: datetime
    loaded_at: datetime
    file_name: str
    sha256: str
    rows_read: int
    accepted: int
    rejected: int
    flagged: int
    states: dict[str, int]  # state → accounts in it
    added: int
    changed: int
    removed: int
    being_deleted: int  # moved to a Delete state or Deleted
    deletion_limit: float  # share of the accounts that can be removed or deleted at once
    previous: PreviousSnapshot | None
    renumbered: int = 0  # new accounts with the username of a removed one, before a load

    headings: Sequence[str] = ()
    row_noun: str = "line"  # what the number of a rejected row counts
    sheets: Sequence[str] = ()  # names of a workbook's sheets, as it has them
    notes: Sequence[str] = ()  # sentences on how the file was read, for a person to check
    exact_duplicates: int = 0  # rows that equal another one; they are only counted
    conflicting: int = 0  # merged rows with other values than the row that is kept
    shared_ids: int = 0  # rows with the ID of another username, which counts as none
    without_offset: int = 0  # rows with a time without a UTC offset
    marks: int = 0  # of its rows, which decide how texts are read: data.values.column_reading
    flags: dict[str, int] = field(default_factory=dict)  # column → accounts with unreadable text
    source: str = ""  # its name, if the file is another product's
    source_remarks: Sequence[str] = ()  # sentences from the source, if it is another product
    incomplete_reason: str = ""  # why the file cannot be the whole list
    unsure: Sequence[str] = ()  # columns that are not read, though the file can have them
    unsure_reason: str = ""  # why a person has to decide on them; empty where one has
    unreported_states: dict[str, int] = field(default_factory=dict)  # inferred, default → accounts

    @property
    def merged(self) -> int:
        """Rows of an account that another row lists, too."""
        return self.rows_read - self.accepted - self.rejected

    @property
    def listed_rows(self) -> int:
        """Rows that the report lists with their lines."""
        return self.rejected + self.conflicting

    @property
    def deletion_share(self) -> float:
        """Share of the previous accounts that are removed or start being deleted."""
        accounts = self.previous.accounts if self.previous else 0
        return _deletion_share(self.removed + self.being_deleted, accounts)

    @property
    def is_mass_deletion(self) -> bool:
        """Whether a person should confirm the deletions."""
        deletions = self.removed + self.being_deleted
        return _is_mass_deletion(deletions, self.deletion_share, self.deletion_limit)

    @property
    def has_other_ids(self) -> bool:
        """Whether most accounts have another ID than before, and their usernames show it."""
        is_most = self.previous is not None and self.removed > self.previous.accounts / 2
        is_enough = self.renumbered >= max(MIN_MASS_DELETION, RENUMBERED_SHARE * self.removed)
        return is_most and is_enough

    @property
    def confirmation_reason(self) -> str:
        """Why a person has to confirm the file before it is loaded; empty if nobody has to."""
        if self.incomplete_reason:
            return incomplete_message(self.incomplete_reason)
        if self.unsure_reason:
            return self.unsure_reason
        if self.has_other_ids:
            return other_ids_message(self)
        return mass_deletion_message(self) if self.is_mass_deletion else ""

    @property
    def state_shift(self) -> float:
        """Share of the accounts, at least, that are in another state than before."""
        if not self.previous or not self.accepted or not self.previous.accounts:
            return 0.0
        names = {*self.states, *self.previous.states}
        return 0.5 * sum(abs(self.state_share(s) - self.previous.state_share(s)) for s in names)

    def state_share(self, state: str) -> float:
        """Share of the accounts that are in the state."""
        return self.states.get(state, 0) / self.accepted if self.accepted else 0.0

    @property
    def missing_headings(self) -> list[str]:
        """Headings of the previous snapshot that this one does not have."""
        previous = self.previous.headings if self.previous else ()
        return _headings_not_in(previous, self.headings)

    @property
    def new_headings(self) -> list[str]:
        """Headings that the previous snapshot did not have."""
        return _headings_not_in(self.headings, self.previous.headings) if self.previous else []

    @property
    def quality(self) -> Quality:
        """`check` if there are warnings."""
        return "check" if self.warnings() else "ok"

    def warnings(self) -> list[str]:
        """Sentences on what a person should check."""
        messages = [*self.notes]
        if self.incomplete_reason:
            messages.append(incomplete_message(self.incomplete_reason))
        if self.rejected:
            messages.append(f"{self.rejected:,} of {count_of(self.rows_read, 'row')} rejected.")
        if self.conflicting:
            rows = count_of(self.conflicting, "row")
            messages.append(f"{rows} merged with another row of the account, but values differ.")
        if self.shared_ids:
            messages.append(
                f"{count_of(self.shared_ids, 'row')} with the account ID of another username. They "
                "are loaded as separate accounts, identified by username."
            )
        messages += self._unreadable_values()
        if self.missing_headings:
            names = ", ".join(self.missing_headings)
            messages.append(f"Columns missing since the previous snapshot: {names}.")
        if self.has_other_ids or self.is_mass_deletion:
            message = other_ids_message if self.has_other_ids else mass_deletion_message
            messages.append(message(self))
        if self.state_shift > MAX_STATE_SHIFT:
            share = f"{self.state_shift:.0%}"
            messages.append(f"{share} of accounts are in a different state than before.")
        return messages

    def _unreadable_values(self) -> list[str]:
        states = self.flags.get("provisioning_state", 0)
        without_state = self.states.get(UNRECOGNIZED.name, 0) - states
        others = {
            f"Could not read “{column_title(column)}” of": accounts
            for column, accounts in self.flags.items()
            if column != "provisioning_state"
        }
        counts = {"Unrecognised state for": states, "No state for": without_state} | others
        return [f"{text} {self._share(accounts)}." for text, accounts in counts.items() if accounts]

    def remarks(self) -> list[str]:
        """Sentences on what is worth knowing, but needs no action."""
        messages = [*self.source_remarks]
        for source, accounts in self.unreported_states.items():
            messages.append(UNREPORTED_STATE_MESSAGES[source].format(self._share(accounts)))
        if self.merged > self.exact_duplicates:
            rows = count_of(self.merged - self.exact_duplicates, "row")
            messages.append(f"{rows} merged with another row of the same account.")
        if self.exact_duplicates:
            messages.append(f"{count_of(self.exact_duplicates, 'exact duplicate row')}.")
        if self.without_offset:
            times = count_of(self.without_offset, "time")
            messages.append(f"{times} without a time zone, read as UTC.")
        messages += reading_remarks(self.marks)
        if self.new_headings:
            messages.append(f"New columns: {', '.join(self.new_headings)}.")
        return messages

    def _share(self, accounts: int) -> str:
        return f"{accounts:,} of {count_of(self.accepted, 'account')}"


UNREPORTED_STATE_MESSAGES = {
    "inferred": "State inferred for {}, as the source does not report it.",
    "default": "State set to Onboarded for {}, as the source does not provision them.",
}


# ---- the mass-deletion guard ---------------------------------------------------------------------


def set_deletion_limit(engine: sa.Engine, integration_name: str, share: float | None) -> None:
    """Set the share of accounts, from 0 to 1, that a file can delete; None: the default."""
    with write_transaction(engine) as con:
        con.execute(
            sa.update(integration)
            .where(integration.c.name == integration_name)
            .values(deletion_limit=share)
        )


def exceeds_deletion_limit(
    con: Connection, integration_id: int, taken_at: datetime, account_count: int
) -> bool:
    """Whether a loaded snapshot is a mass deletion; faster than its load report."""
    move = state_change.c
    moves = con.execute(
        select(*_move_columns()).where(
            move.integration_id == integration_id, move.taken_at == taken_at
        )
    ).one()
    limit = con.scalar(
        select(integration.c.deletion_limit).where(integration.c.integration_id == integration_id)
    )
    deletions = moves.removed + moves.being_deleted
    share = _deletion_share(deletions, account_count - moves.added + moves.removed)
    return _is_mass_deletion(deletions, share, DEFAULT_DELETION_LIMIT if limit is None else limit)


def _deletion_share(deletions: int, accounts: int) -> float:
    return deletions / accounts if accounts else 0.0


def _is_mass_deletion(deletions: int, share: float, limit: float) -> bool:
    return share > limit and deletions >= MIN_MASS_DELETION


# ---- reading reports -----------------------------------------------------------------------------

SnapshotKey = tuple[int, datetime]


def load_report(con: Connection, integration_name: str, taken_at: datetime) -> LoadReport:
    """The load report of one snapshot. Raises LookupError if it is not loaded."""
    reports = load_reports(
        con, integration.c.name == integration_name, snapshot.c.taken_at == taken_at
    )
    if not reports:
        raise LookupError(f"{integration_name} has no snapshot of {taken_at}")
    return reports[0]


def load_reports(
    con: Connection, *conditions: ColumnElement[bool], limit: int | None = None, offset: int = 0
) -> list[LoadReport]:
    """One load report per snapshot, newest first; the conditions are on its integration, too."""
    chosen = _with_previous(_chosen_snapshots(conditions, limit, offset))
    rows = con.execute(select(chosen).order_by(chosen.c.taken_at.desc(), chosen.c.name)).all()
    states, changed = _count_states(con, chosen)
    moves = _count_moves(con, chosen)
    return [_build_report(row, states, changed, moves) for row in rows]


def _chosen_snapshots(
    conditions: Sequence[ColumnElement[bool]], limit: int | None, offset: int
) -> sa.FromClause:
    deletion_limit = func.coalesce(integration.c.deletion_limit, DEFAULT_DELETION_LIMIT)
    return (
        select(snapshot, integration.c.name, deletion_limit.label("deletion_limit"))
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(*conditions)
        .order_by(snapshot.c.taken_at.desc(), integration.c.name)
        .limit(limit)
        .offset(offset)
        .subquery("chosen")
    )


def _with_previous(chosen: sa.FromClause) -> sa.FromClause:
    """The snapshots, each with the one before it: a lookup per row of the page, not of all."""
    earlier, previous = snapshot.alias("earlier"), snapshot.alias("previous")
    is_earlier = and_(
        earlier.c.integration_id == chosen.c.integration_id,
        earlier.c.taken_at < chosen.c.taken_at,
    )
    last = (
        select(chosen.c.snapshot_id, func.max(earlier.c.taken_at).label("previous_taken_at"))
        .join_from(chosen, earlier, is_earlier)
        .group_by(chosen.c.snapshot_id)
        .subquery("last")
    )
    is_previous = and_(
        previous.c.integration_id == chosen.c.integration_id,
        previous.c.taken_at == last.c.previous_taken_at,
    )
    return (
        select(
            chosen,
            last.c.previous_taken_at,
            previous.c.accepted.label("previous_accounts"),
            previous.c.facts.label("previous_facts"),
        )
        .select_from(
            chosen.outerjoin(last, last.c.snapshot_id == chosen.c.snapshot_id).outerjoin(
                previous, is_previous
            )
        )
        .subquery("snapshots")
    )


def _count_states(
    con: Connection, chosen: sa.FromClause
) -> tuple[dict[SnapshotKey, dict[str, int]], dict[SnapshotKey, int]]:
    """Accounts by state, and changed accounts, of the chosen snapshots and the previous ones."""
    count = state_count.c
    is_chosen_or_previous = sa.or_(
        count.taken_at == chosen.c.taken_at, count.taken_at == chosen.c.previous_taken_at
    )
    is_same = and_(count.integration_id == chosen.c.integration_id, is_chosen_or_previous)
    key = (count.integration_id, count.taken_at, count.provisioning_state)
    rows = con.execute(
        select(*key, func.max(count.accounts), func.max(count.changed))
        .join_from(state_count, chosen, is_same)
        .group_by(*key)
    )
    states: dict[SnapshotKey, dict[str, int]] = defaultdict(dict)
    changed: dict[SnapshotKey, int] = defaultdict(int)
    for integration_id, taken_at, state, accounts, changed_accounts in rows:
        changed[integration_id, taken_at] += changed_accounts
        if accounts:
            states[integration_id, taken_at][state] = accounts
    return states, changed


def _count_moves(con: Connection, chosen: sa.FromClause) -> Mapping[SnapshotKey, sa.Row[Any]]:
    """MOVES of the chosen snapshots, in accounts."""
    key = move_id, taken_at = state_change.c.integration_id, state_change.c.taken_at
    is_same = and_(move_id == chosen.c.integration_id, taken_at == chosen.c.taken_at)
    rows = con.execute(
        select(*key, *_move_columns()).join_from(state_change, chosen, is_same).group_by(*key)
    )
    return {(row.integration_id, row.taken_at): row for row in rows}


def _move_columns() -> list[ColumnElement[int]]:
    accounts = func.sum(state_change.c.accounts)
    return [
        sa.cast(func.coalesce(accounts.filter(is_move), 0), sa.Integer).label(name)
        for name, is_move in MOVES.items()
    ]


def _build_report(
    row: sa.Row[Any],
    states: dict[SnapshotKey, dict[str, int]],
    changed: dict[SnapshotKey, int],
    moves: Mapping[SnapshotKey, sa.Row[Any]],
) -> LoadReport:
    key, previous_key = (
        (row.integration_id, taken_at) for taken_at in (row.taken_at, row.previous_taken_at)
    )
    previous = row.previous_taken_at and PreviousSnapshot(
        row.previous_taken_at,
        row.previous_accounts,
        json.loads(row.previous_facts).get("headings", ()),
        states.get(previous_key, {}),
    )
    columns = ("taken_at", "loaded_at", "file_name", "sha256", "deletion_limit")
    counts = ("rows_read", "accepted", "rejected", "flagged")
    return LoadReport(
        integration=row.name,
        states=states.get(key, {}),
        changed=changed.get(key, 0),
        previous=previous,
        **{name: getattr(row, name) for name in (*columns, *counts)},
        **{name: getattr(moves[key], name) if key in moves else 0 for name in MOVES},
        **json.loads(row.facts),
    )


def _headings_not_in(headings: Sequence[str], other_headings: Sequence[str]) -> list[str]:
    other_keys = {heading_key(heading) for heading in other_headings}
    return [heading for heading in headings if heading_key(heading) not in other_keys]
