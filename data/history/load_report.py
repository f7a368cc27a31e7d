"""The passport of a snapshot: what its file says of itself, and against the snapshot before it.

Only what the file alone says is kept with the snapshot. Everything that compares it with the one
before is read from the rollups, which a snapshot that arrives late between the two rewrites.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Integer,
    Row,
    and_,
    cast,
    func,
    or_,
    select,
    update,
)

from data.files.headers import heading_key
from data.schema import integration, snapshot, state_change, state_count
from data.states import DELETE_STATES, UNRECOGNIZED
from data.store.engine import write_transaction

DEFAULT_DELETION_LIMIT = 0.2
"""Share of an integration's accounts: a file that takes more of them away at once is held."""

MIN_MASS_DELETION = 2
"""One account that leaves is no mass departure, however few accounts there are."""

MAX_STATE_SHIFT = 0.1
"""Share of the accounts that are in other states than before: more is worth a look."""

ADDED = state_change.c.from_state.is_(None)
REMOVED = state_change.c.to_state.is_(None)
BEING_DELETED = and_(
    state_change.c.from_state.is_not(None),
    state_change.c.from_state.not_in(DELETE_STATES),
    state_change.c.to_state.in_(DELETE_STATES),
)

Quality = Literal["good", "look at it"]


@dataclass(frozen=True)
class FileFacts:
    """What a file says of itself, besides its rows."""

    headings: Sequence[str] = ()
    notes: Sequence[str] = ()  # how it had to be read, in sentences
    duplicates: int = 0  # rows that repeat an account of an earlier row
    exact_duplicates: int = 0  # … word for word; those are counted only
    without_offset: int = 0  # rows whose time of change names no UTC offset
    flags: dict[str, int] = field(default_factory=dict)  # column → accounts with unclear text
    remarks: Sequence[str] = ()  # what another product's file has to say, in sentences
    incomplete_reason: str = ""  # why it cannot be the whole list
    unreported_states: dict[str, int] = field(default_factory=dict)  # inferred, default → accounts

    def as_json(self) -> str:
        """For the store."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True)
class LoadReport:
    """One snapshot: its counts, and what it changed against the one before it in time."""

    integration: str
    taken_at: datetime  # naive UTC, as all times here
    loaded_at: datetime
    file_name: str
    sha256: str
    rows_read: int
    accepted: int
    rejected: int
    flagged: int
    facts: FileFacts
    states: dict[str, int]  # state → accounts in it
    added: int
    changed: int
    removed: int
    being_deleted: int  # still listed, but now in a Delete state or Deleted, and not before
    deletion_limit: float  # share of the accounts that may go or be removed at once
    previous: PreviousSnapshot | None

    @property
    def deletion_share(self) -> float:
        """Share of the accounts before that go, or fall into a Delete state."""
        accounts = self.previous.accounts if self.previous else 0
        return _deletion_share(self.removed + self.being_deleted, accounts)

    @property
    def is_mass_deletion(self) -> bool:
        """Whether so many accounts leave at once that a person should look first."""
        return _is_mass_deletion(
            self.removed + self.being_deleted, self.deletion_share, self.deletion_limit
        )

    @property
    def confirmation_reason(self) -> str:
        """Why a person should confirm the file before it is loaded; empty where nothing is."""
        if self.facts.incomplete_reason:
            return incomplete_message(self.facts.incomplete_reason)
        return mass_deletion_message(self) if self.is_mass_deletion else ""

    @property
    def state_shift(self) -> float:
        """Share of the accounts that would have to change state to get the mix before."""
        if not self.previous or not self.accepted or not self.previous.accounts:
            return 0.0
        names = {*self.states, *self.previous.states}
        return 0.5 * sum(abs(self.state_share(s) - self.previous.state_share(s)) for s in names)

    def state_share(self, state: str) -> float:
        """Of the accounts, those in the state."""
        return self.states.get(state, 0) / self.accepted if self.accepted else 0.0

    @property
    def missing_headings(self) -> list[str]:
        """Headings that the snapshot before had and this one has not."""
        return (
            _headings_not_in(self.previous.headings, self.facts.headings) if self.previous else []
        )

    @property
    def new_headings(self) -> list[str]:
        """Headings that the snapshot before had not."""
        return (
            _headings_not_in(self.facts.headings, self.previous.headings) if self.previous else []
        )

    @property
    def quality(self) -> Quality:
        """Whether a person should look at it."""
        return "look at it" if self.warnings() else "good"

    def warnings(self) -> list[str]:
        """What a person should look at, in sentences."""
        messages = [*self.facts.notes]
        if self.facts.incomplete_reason:
            messages.append(incomplete_message(self.facts.incomplete_reason))
        if self.rejected > self.facts.exact_duplicates:
            rejected = self.rejected - self.facts.exact_duplicates
            messages.append(f"{_share_text(rejected, self.rows_read, 'row')} rejected: no account.")
        unrecognized = self.facts.flags.get("provisioning_state", 0)
        if unrecognized:
            messages.append(
                f"State not recognised for {_share_text(unrecognized, self.accepted, 'account')}."
            )
        if without_state := self.states.get(UNRECOGNIZED.name, 0) - unrecognized:
            messages.append(
                f"No state given for {_share_text(without_state, self.accepted, 'account')}."
            )
        for column, accounts in self.facts.flags.items():
            if column != "provisioning_state":
                label = column.replace("_", " ").capitalize()
                messages.append(
                    f"{label} not understood for {_share_text(accounts, self.accepted, 'account')}."
                )
        if self.missing_headings:
            messages.append(
                f"Columns that the snapshot before had: {', '.join(self.missing_headings)}."
            )
        if self.is_mass_deletion:
            messages.append(mass_deletion_message(self))
        if self.state_shift > MAX_STATE_SHIFT:
            messages.append(
                f"{self.state_shift:.0%} of the accounts are in other states than before."
            )
        return messages

    def remarks(self) -> list[str]:
        """What is worth knowing and needs nobody, in sentences."""
        messages = [*self.facts.remarks]
        for state_source, accounts in self.facts.unreported_states.items():
            count_text = _share_text(accounts, self.accepted, "account")
            messages.append(STATE_SOURCE_MESSAGES[state_source].format(count_text))
        if self.facts.exact_duplicates:
            messages.append(
                f"{_count_text(self.facts.exact_duplicates, 'row')} repeated word for word."
            )
        if self.facts.without_offset:
            count_of_times = _count_text(self.facts.without_offset, "time")
            messages.append(f"{count_of_times} without an offset, read as UTC.")
        if self.new_headings:
            messages.append(
                f"Columns that the snapshot before had not: {', '.join(self.new_headings)}."
            )
        return messages


@dataclass(frozen=True)
class PreviousSnapshot:
    """The snapshot before, as far as a passport compares with it."""

    taken_at: datetime
    accounts: int
    headings: Sequence[str]
    states: dict[str, int]

    def state_share(self, state: str) -> float:
        """Of the accounts, those in the state."""
        return self.states.get(state, 0) / self.accounts if self.accounts else 0.0


STATE_SOURCE_MESSAGES = {
    "inferred": "The state of {} is inferred: the source does not report it.",
    "default": "The state of {} is taken for Onboarded: nothing is provisioned for them.",
}


def incomplete_message(reason: str) -> str:
    """Why a file cannot be the whole list, as a sentence."""
    return f"The list is not complete: {reason}. Accounts that are not in it would count as gone."


def mass_deletion_message(report: LoadReport) -> str:
    """How many accounts leave at once, out of how many."""
    previous = report.previous
    deletions = report.removed + report.being_deleted
    accounts = previous.accounts if previous else 0
    parts = [
        f"{report.removed:,} are not listed any more" if report.removed else "",
        f"{report.being_deleted:,} fall into a Delete state" if report.being_deleted else "",
    ]
    return (
        f"{deletions:,} of {accounts:,} accounts ({report.deletion_share:.0%}) would leave at "
        "once: "
        f"{' and '.join(filter(None, parts))}; more than {report.deletion_limit:.0%} need a "
        "person’s word."
    )


def set_deletion_limit(engine: Engine, integration_name: str, share: float | None) -> None:
    """How many of an integration's accounts may leave at once, from 0 to 1; None: the usual."""
    with write_transaction(engine) as con:
        con.execute(
            update(integration)
            .where(integration.c.name == integration_name)
            .values(deletion_limit=share)
        )


def load_report(con: Connection, integration_name: str, taken_at: datetime) -> LoadReport:
    """The passport of one snapshot. Raises LookupError where it is not loaded."""
    reports = load_reports(
        con, integration.c.name == integration_name, snapshot.c.taken_at == taken_at
    )
    if not reports:
        raise LookupError(f"{integration_name} has no snapshot of {taken_at}")
    return reports[0]


def load_reports(
    con: Connection,
    *conditions: ColumnElement[bool],
    limit: int | None = None,
    offset: int = 0,
) -> list[LoadReport]:
    """One passport per snapshot for which the conditions hold, newest first.

    The conditions are on `snapshot` and `integration`.
    """
    chosen = _with_previous_snapshot(conditions, limit, offset)
    rows = con.execute(select(chosen).order_by(chosen.c.taken_at.desc(), chosen.c.name)).all()
    states, changed = _count_states(con, chosen)
    move_counts = _count_moves(con, chosen)
    return [_build_report(row, states, changed, move_counts) for row in rows]


def exceeds_deletion_limit(
    con: Connection, integration_id: int, taken_at: datetime, account_count: int
) -> bool:
    """Whether a snapshot of so many accounts is a mass departure, without its whole passport."""
    move = state_change.c
    move_counts = con.execute(
        select(*_move_columns()).where(
            move.integration_id == integration_id, move.taken_at == taken_at
        )
    ).one()
    limit = con.scalar(
        select(integration.c.deletion_limit).where(integration.c.integration_id == integration_id)
    )
    deletions = move_counts.removed + move_counts.being_deleted
    share = _deletion_share(deletions, account_count - move_counts.added + move_counts.removed)
    return _is_mass_deletion(deletions, share, DEFAULT_DELETION_LIMIT if limit is None else limit)


def _deletion_share(deletions: int, accounts: int) -> float:
    return deletions / accounts if accounts else 0.0


def _is_mass_deletion(deletions: int, share: float, limit: float) -> bool:
    return share > limit and deletions >= MIN_MASS_DELETION


def _with_previous_snapshot(
    conditions: Sequence[ColumnElement[bool]], limit: int | None, offset: int
) -> FromClause:
    """One row per snapshot that is asked for: its columns, its name, the snapshot before it.

    Only those that are asked for look for the one before them: of a page it is a page, not all.
    """
    chosen = (
        select(
            snapshot,
            integration.c.name,
            func.coalesce(integration.c.deletion_limit, DEFAULT_DELETION_LIMIT).label(
                "deletion_limit"
            ),
        )
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(*conditions)
        .order_by(snapshot.c.taken_at.desc(), integration.c.name)
        .limit(limit)
        .offset(offset)
        .subquery("chosen")
    )
    earlier, previous = snapshot.alias("earlier"), snapshot.alias("before")
    previous_moment = (
        select(chosen.c.snapshot_id, func.max(earlier.c.taken_at).label("before_at"))
        .join_from(
            chosen,
            earlier,
            and_(
                earlier.c.integration_id == chosen.c.integration_id,
                earlier.c.taken_at < chosen.c.taken_at,
            ),
        )
        .group_by(chosen.c.snapshot_id)
        .subquery("last")
    )
    return (
        select(
            chosen,
            previous_moment.c.before_at,
            previous.c.accepted.label("before_accounts"),
            previous.c.facts.label("before_facts"),
        )
        .select_from(
            chosen.outerjoin(
                previous_moment, previous_moment.c.snapshot_id == chosen.c.snapshot_id
            ).outerjoin(
                previous,
                and_(
                    previous.c.integration_id == chosen.c.integration_id,
                    previous.c.taken_at == previous_moment.c.before_at,
                ),
            )
        )
        .subquery("shown")
    )


SnapshotKey = tuple[int, datetime]


def _count_states(
    con: Connection, chosen: FromClause
) -> tuple[dict[SnapshotKey, dict[str, int]], dict[SnapshotKey, int]]:
    """Of the snapshots shown and those before them: accounts by state, and how many changed."""
    count_taken_at = state_count.c.taken_at
    is_chosen_or_previous = or_(
        count_taken_at == chosen.c.taken_at, count_taken_at == chosen.c.before_at
    )
    counts = con.execute(
        select(
            state_count.c.integration_id,
            state_count.c.taken_at,
            state_count.c.provisioning_state,
            func.max(state_count.c.accounts),
            func.max(state_count.c.changed),
        )
        .join_from(
            state_count,
            chosen,
            and_(state_count.c.integration_id == chosen.c.integration_id, is_chosen_or_previous),
        )
        .group_by(
            state_count.c.integration_id, state_count.c.taken_at, state_count.c.provisioning_state
        )
    )
    states: dict[SnapshotKey, dict[str, int]] = defaultdict(dict)
    changed: dict[SnapshotKey, int] = defaultdict(int)
    for integration_id, taken_at, state, accounts, changed_accounts in counts:
        changed[integration_id, taken_at] += changed_accounts
        if accounts:
            states[integration_id, taken_at][state] = accounts
    return states, changed


def _count_moves(con: Connection, chosen: FromClause) -> Mapping[SnapshotKey, Any]:
    """Of the snapshots shown: how many accounts joined, went, and fell into a Delete state."""
    move = state_change.c
    rows = con.execute(
        select(
            move.integration_id,
            move.taken_at,
            *_move_columns(),
        )
        .join_from(
            state_change,
            chosen,
            and_(
                move.integration_id == chosen.c.integration_id, move.taken_at == chosen.c.taken_at
            ),
        )
        .group_by(move.integration_id, move.taken_at)
    )
    return {(row.integration_id, row.taken_at): row for row in rows}


def _move_columns() -> list[ColumnElement[int]]:
    """How many accounts of `state_change` joined, went, and fell into a Delete state."""
    conditions = {"added": ADDED, "removed": REMOVED, "being_deleted": BEING_DELETED}
    accounts = func.sum(state_change.c.accounts)
    return [
        cast(func.coalesce(accounts.filter(condition), 0), Integer).label(name)
        for name, condition in conditions.items()
    ]


def _build_report(
    row: Row[Any],
    states: dict[SnapshotKey, dict[str, int]],
    changed: dict[SnapshotKey, int],
    move_counts: Mapping[SnapshotKey, Any],
) -> LoadReport:
    key = row.integration_id, row.taken_at
    move = move_counts.get(key)
    previous = row.before_at and PreviousSnapshot(
        row.before_at,
        row.before_accounts,
        FileFacts(**json.loads(row.before_facts)).headings,
        states.get((row.integration_id, row.before_at), {}),
    )
    file_fields = ("taken_at", "loaded_at", "file_name", "sha256")
    count_fields = ("rows_read", "accepted", "rejected", "flagged")
    return LoadReport(
        integration=row.name,
        **{name: getattr(row, name) for name in (*file_fields, *count_fields)},
        facts=FileFacts(**json.loads(row.facts)),
        states=states.get(key, {}),
        added=move.added if move else 0,
        removed=move.removed if move else 0,
        being_deleted=move.being_deleted if move else 0,
        changed=changed.get(key, 0),
        deletion_limit=row.deletion_limit,
        previous=previous,
    )


def _headings_not_in(headings: Sequence[str], other_headings: Sequence[str]) -> list[str]:
    other_keys = {heading_key(heading) for heading in other_headings}
    return [heading for heading in headings if heading_key(heading) not in other_keys]


def _count_text(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _share_text(number: int, total: int, noun: str) -> str:
    return f"{number:,} of {total:,} {noun}s"
