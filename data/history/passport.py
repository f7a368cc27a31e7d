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

from data.files.headers import squash
from data.schema import integration, snapshot, state_change, state_count
from data.states import LEAVING, UNRECOGNISED
from data.store.engine import changing

DEPARTURE_LIMIT = 0.2
"""Share of an integration's accounts: a file that takes more of them away at once is held."""

FEWEST_DEPARTURES = 2
"""One account that leaves is no mass departure, however few accounts there are."""

SHIFT = 0.1
"""Share of the accounts that are in other states than before: more is worth a look."""

JOINED = state_change.c.from_state.is_(None)
GONE = state_change.c.to_state.is_(None)
REMOVED = and_(
    state_change.c.from_state.is_not(None),
    state_change.c.from_state.not_in(LEAVING),
    state_change.c.to_state.in_(LEAVING),
)

Grade = Literal["good", "look at it"]


@dataclass(frozen=True)
class FileFacts:
    """What a file says of itself, besides its rows."""

    headings: Sequence[str] = ()
    notes: Sequence[str] = ()  # how it had to be read, in sentences
    repeated: int = 0  # rows that repeat an account of an earlier row
    exact_repeats: int = 0  # … word for word; those are counted only
    without_offset: int = 0  # rows whose time of change names no UTC offset
    flags: dict[str, int] = field(default_factory=dict)  # column → accounts with unclear text
    remarks: Sequence[str] = ()  # what another product's file has to say, in sentences
    incomplete: str = ""  # why it cannot be the whole list
    states_not_reported: dict[str, int] = field(
        default_factory=dict
    )  # inferred, default → accounts

    def as_json(self) -> str:
        """For the store."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True)
class Passport:
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
    joined: int
    changed: int
    gone: int
    removed: int  # still listed, but now in a Delete state or Deleted, and not before
    limit: float  # share of the accounts that may go or be removed at once
    before: Before | None

    @property
    def departing(self) -> float:
        """Share of the accounts before that go, or fall into a Delete state."""
        accounts = self.before.accounts if self.before else 0
        return _share(self.gone + self.removed, accounts)

    @property
    def is_mass_departure(self) -> bool:
        """Whether so many accounts leave at once that a person should look first."""
        return _are_too_many(self.gone + self.removed, self.departing, self.limit)

    @property
    def doubt(self) -> str:
        """Why a person should confirm the file before it is loaded; empty where nothing is."""
        if self.facts.incomplete:
            return incomplete_in_words(self.facts.incomplete)
        return departure_in_words(self) if self.is_mass_departure else ""

    @property
    def shift(self) -> float:
        """Share of the accounts that would have to change state to get the mix before."""
        if not self.before or not self.accepted or not self.before.accounts:
            return 0.0
        names = {*self.states, *self.before.states}
        return 0.5 * sum(abs(self.share(s) - self.before.share(s)) for s in names)

    def share(self, state: str) -> float:
        """Of the accounts, those in the state."""
        return self.states.get(state, 0) / self.accepted if self.accepted else 0.0

    @property
    def missing(self) -> list[str]:
        """Headings that the snapshot before had and this one has not."""
        return _besides(self.before.headings, self.facts.headings) if self.before else []

    @property
    def new(self) -> list[str]:
        """Headings that the snapshot before had not."""
        return _besides(self.facts.headings, self.before.headings) if self.before else []

    @property
    def grade(self) -> Grade:
        """Whether a person should look at it."""
        return "look at it" if self.findings() else "good"

    def findings(self) -> list[str]:
        """What a person should look at, in sentences."""
        found = [*self.facts.notes]
        if self.facts.incomplete:
            found.append(incomplete_in_words(self.facts.incomplete))
        if self.rejected > self.facts.exact_repeats:
            kept = self.rejected - self.facts.exact_repeats
            found.append(f"{_of(kept, self.rows_read, 'row')} rejected: no account.")
        odd = self.facts.flags.get("provisioning_state", 0)
        if odd:
            found.append(f"State not recognised for {_of(odd, self.accepted, 'account')}.")
        if none := self.states.get(UNRECOGNISED.name, 0) - odd:
            found.append(f"No state given for {_of(none, self.accepted, 'account')}.")
        for column, accounts in self.facts.flags.items():
            if column != "provisioning_state":
                label = column.replace("_", " ").capitalize()
                found.append(
                    f"{label} not understood for {_of(accounts, self.accepted, 'account')}."
                )
        if self.missing:
            found.append(f"Columns that the snapshot before had: {', '.join(self.missing)}.")
        if self.is_mass_departure:
            found.append(departure_in_words(self))
        if self.shift > SHIFT:
            found.append(f"{self.shift:.0%} of the accounts are in other states than before.")
        return found

    def remarks(self) -> list[str]:
        """What is worth knowing and needs nobody, in sentences."""
        said = [*self.facts.remarks]
        for how, accounts in self.facts.states_not_reported.items():
            told = _of(accounts, self.accepted, "account")
            said.append(HOW_IN_WORDS[how].format(told))
        if self.facts.exact_repeats:
            said.append(f"{_count(self.facts.exact_repeats, 'row')} repeated word for word.")
        if self.facts.without_offset:
            times = _count(self.facts.without_offset, "time")
            said.append(f"{times} without an offset, read as UTC.")
        if self.new:
            said.append(f"Columns that the snapshot before had not: {', '.join(self.new)}.")
        return said


@dataclass(frozen=True)
class Before:
    """The snapshot before, as far as a passport compares with it."""

    taken_at: datetime
    accounts: int
    headings: Sequence[str]
    states: dict[str, int]

    def share(self, state: str) -> float:
        """Of the accounts, those in the state."""
        return self.states.get(state, 0) / self.accounts if self.accounts else 0.0


HOW_IN_WORDS = {
    "inferred": "The state of {} is inferred: the source does not report it.",
    "default": "The state of {} is taken for Onboarded: nothing is provisioned for them.",
}


def incomplete_in_words(why: str) -> str:
    """Why a file cannot be the whole list, as a sentence."""
    return f"The list is not complete: {why}. Accounts that are not in it would count as gone."


def departure_in_words(passport: Passport) -> str:
    """How many accounts leave at once, out of how many."""
    before = passport.before
    leave = passport.gone + passport.removed
    accounts = before.accounts if before else 0
    parts = [
        f"{passport.gone:,} are not listed any more" if passport.gone else "",
        f"{passport.removed:,} fall into a Delete state" if passport.removed else "",
    ]
    return (
        f"{leave:,} of {accounts:,} accounts ({passport.departing:.0%}) would leave at once: "
        f"{' and '.join(filter(None, parts))}; more than {passport.limit:.0%} need a person’s word."
    )


def set_departure_limit(engine: Engine, integration_name: str, share: float | None) -> None:
    """How many of an integration's accounts may leave at once, from 0 to 1; None: the usual."""
    with changing(engine) as con:
        con.execute(
            update(integration)
            .where(integration.c.name == integration_name)
            .values(departure_limit=share)
        )


def passport_of(con: Connection, integration_name: str, taken_at: datetime) -> Passport:
    """The passport of one snapshot. Raises LookupError where it is not loaded."""
    found = passports(con, integration.c.name == integration_name, snapshot.c.taken_at == taken_at)
    if not found:
        raise LookupError(f"{integration_name} has no snapshot of {taken_at}")
    return found[0]


def passports(
    con: Connection,
    *which: ColumnElement[bool],
    limit: int | None = None,
    offset: int = 0,
) -> list[Passport]:
    """One passport per snapshot for which the conditions hold, newest first.

    The conditions are on `snapshot` and `integration`.
    """
    shown = _with_the_one_before(which, limit, offset)
    rows = con.execute(select(shown).order_by(shown.c.taken_at.desc(), shown.c.name)).all()
    states, changed = _states_in(con, shown)
    moves = _moves_in(con, shown)
    return [_passport(row, states, changed, moves) for row in rows]


def too_many_leave(con: Connection, integration_id: int, taken_at: datetime, accounts: int) -> bool:
    """Whether a snapshot of so many accounts is a mass departure, without its whole passport."""
    move = state_change.c
    moved = con.execute(
        select(*_moves()).where(move.integration_id == integration_id, move.taken_at == taken_at)
    ).one()
    limit = con.scalar(
        select(integration.c.departure_limit).where(integration.c.integration_id == integration_id)
    )
    departing = moved.gone + moved.removed
    share = _share(departing, accounts - moved.joined + moved.gone)
    return _are_too_many(departing, share, DEPARTURE_LIMIT if limit is None else limit)


def _share(departing: int, accounts: int) -> float:
    return departing / accounts if accounts else 0.0


def _are_too_many(departing: int, share: float, limit: float) -> bool:
    return share > limit and departing >= FEWEST_DEPARTURES


def _with_the_one_before(
    which: Sequence[ColumnElement[bool]], limit: int | None, offset: int
) -> FromClause:
    """One row per snapshot that is asked for: its columns, its name, the snapshot before it.

    Only those that are asked for look for the one before them: of a page it is a page, not all.
    """
    chosen = (
        select(
            snapshot,
            integration.c.name,
            func.coalesce(integration.c.departure_limit, DEPARTURE_LIMIT).label("departure_limit"),
        )
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(*which)
        .order_by(snapshot.c.taken_at.desc(), integration.c.name)
        .limit(limit)
        .offset(offset)
        .subquery("chosen")
    )
    earlier, before = snapshot.alias("earlier"), snapshot.alias("before")
    last = (
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
            last.c.before_at,
            before.c.accepted.label("before_accounts"),
            before.c.facts.label("before_facts"),
        )
        .select_from(
            chosen.outerjoin(last, last.c.snapshot_id == chosen.c.snapshot_id).outerjoin(
                before,
                and_(
                    before.c.integration_id == chosen.c.integration_id,
                    before.c.taken_at == last.c.before_at,
                ),
            )
        )
        .subquery("shown")
    )


Moment = tuple[int, datetime]


def _states_in(
    con: Connection, shown: FromClause
) -> tuple[dict[Moment, dict[str, int]], dict[Moment, int]]:
    """Of the snapshots shown and those before them: accounts by state, and how many changed."""
    at = state_count.c.taken_at
    is_asked_for = or_(at == shown.c.taken_at, at == shown.c.before_at)
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
            shown,
            and_(state_count.c.integration_id == shown.c.integration_id, is_asked_for),
        )
        .group_by(
            state_count.c.integration_id, state_count.c.taken_at, state_count.c.provisioning_state
        )
    )
    states: dict[Moment, dict[str, int]] = defaultdict(dict)
    changed: dict[Moment, int] = defaultdict(int)
    for integration_id, taken_at, state, accounts, others in counts:
        changed[integration_id, taken_at] += others
        if accounts:
            states[integration_id, taken_at][state] = accounts
    return states, changed


def _moves_in(con: Connection, shown: FromClause) -> Mapping[Moment, Any]:
    """Of the snapshots shown: how many accounts joined, went, and fell into a Delete state."""
    move = state_change.c
    found = con.execute(
        select(
            move.integration_id,
            move.taken_at,
            *_moves(),
        )
        .join_from(
            state_change,
            shown,
            and_(move.integration_id == shown.c.integration_id, move.taken_at == shown.c.taken_at),
        )
        .group_by(move.integration_id, move.taken_at)
    )
    return {(row.integration_id, row.taken_at): row for row in found}


def _moves() -> list[ColumnElement[int]]:
    """How many accounts of `state_change` joined, went, and fell into a Delete state."""
    which = {"joined": JOINED, "gone": GONE, "removed": REMOVED}
    accounts = func.sum(state_change.c.accounts)
    return [
        cast(func.coalesce(accounts.filter(moves), 0), Integer).label(name)
        for name, moves in which.items()
    ]


def _passport(
    row: Row[Any],
    states: dict[Moment, dict[str, int]],
    changed: dict[Moment, int],
    moves: Mapping[Moment, Any],
) -> Passport:
    key = row.integration_id, row.taken_at
    move = moves.get(key)
    before = row.before_at and Before(
        row.before_at,
        row.before_accounts,
        FileFacts(**json.loads(row.before_facts)).headings,
        states.get((row.integration_id, row.before_at), {}),
    )
    counts = ("taken_at", "loaded_at", "file_name", "sha256")
    numbers = ("rows_read", "accepted", "rejected", "flagged")
    return Passport(
        integration=row.name,
        **{name: getattr(row, name) for name in (*counts, *numbers)},
        facts=FileFacts(**json.loads(row.facts)),
        states=states.get(key, {}),
        joined=move.joined if move else 0,
        gone=move.gone if move else 0,
        removed=move.removed if move else 0,
        changed=changed.get(key, 0),
        limit=row.departure_limit,
        before=before,
    )


def _besides(some: Sequence[str], others: Sequence[str]) -> list[str]:
    known = {squash(heading) for heading in others}
    return [heading for heading in some if squash(heading) not in known]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _of(number: int, all_: int, noun: str) -> str:
    return f"{number:,} of {all_:,} {noun}s"
