"""Review rounds: a frozen list of accounts, and what people decide on each of them."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, get_args

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.access.claims import comparable
from data.formatting import utc_now
from data.records.audit_log import MAX_NAMES_LOGGED
from data.records.decisions import REVIEW_DECISIONS, InvalidInput, required_text
from data.records.tables import review_item, review_round, review_snapshot
from data.schema import insert_rows
from data.store.engine import write_transaction

Decision = Literal["keep", "revoke", "unsure"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)

MAX_ROUND_NAME_LENGTH = 100
"""Characters of the name of a round."""

MAX_DECISION_NOTE_LENGTH = 1_000
"""Characters of a note on a decision."""

MAX_ITEMS = 100_000
"""Accounts, or roles of accounts, that people decide on in one round."""

DEFAULT_LATE_DAYS = 14


class NewRound(NamedTuple):
    """What people say of a round when they start it."""

    name: str
    last_day: date  # UTC
    is_by_role: bool = False  # each role of an account is decided, not the account
    late_days: int = DEFAULT_LATE_DAYS
    deciders: tuple[str, ...] = ()  # names as in the audit log; none: whoever may


class Population(NamedTuple):
    """What a round freezes."""

    description: str  # in words
    address: str
    settings: Mapping[str, Any]  # that the list follows from
    frozen_at: datetime  # naive UTC
    items: sa.Select[*tuple[Any, ...]]  # the columns of `review_item` in their order
    snapshots: sa.Select[*tuple[Any, ...]]  # the columns of `review_snapshot` in their order


class ItemKey(NamedTuple):
    """What people decide on: an account or, in a round by role, one of its roles."""

    integration: str
    account_id: str
    role: str = ""


class DecisionOn(NamedTuple):
    """A decision on an item."""

    item: ItemKey
    decision: Decision
    note: str = ""


def start_round(
    engine: sa.Engine,
    new_round: NewRound,
    freeze: Callable[[Connection, str], Population],
    author: str,
    *,
    started_at: datetime | None = None,
    record: Callable[[Connection, str], None] = lambda *_: None,
) -> str:
    """Freeze the population of a new round. Returns its ID. Raises InvalidInput.

    `freeze` gets the connection that writes, and the ID; so does `record`, at the end.
    """
    now, round_id = started_at or utc_now(), secrets.token_hex(6)
    name = required_text(new_round.name, "name of the round", MAX_ROUND_NAME_LENGTH)
    author = required_text(author, "name")
    if new_round.last_day < now.date():
        raise InvalidInput(f"The last day, {new_round.last_day}, has passed.")
    with write_transaction(engine) as con:
        population = freeze(con, round_id)
        values = {
            **new_round._asdict(),
            "name": name,
            "deciders": list(new_round.deciders),
            "round_id": round_id,
            "population": population.description,
            "address": population.address,
            "settings": json.dumps(population.settings),
            "frozen_at": population.frozen_at,
            "started_by": author,
            "started_at": now,
        }
        con.execute(sa.insert(review_round).values(values))
        insert_population(con, population)
        _check_size(con, round_id)
        record(con, round_id)
    return round_id


def insert_population(con: Connection, population: Population) -> None:
    """Write what a round freezes."""
    insert_rows(con, review_item, population.items)
    insert_rows(con, review_snapshot, population.snapshots)


def _check_size(con: Connection, round_id: str) -> None:
    is_its_own = review_item.c.round_id == round_id
    count = con.scalar(select(func.count()).select_from(review_item).where(is_its_own)) or 0
    if not count:
        raise InvalidInput("This list is empty, so there is nothing to decide.")
    if count > MAX_ITEMS:
        raise InvalidInput(
            f"This list has {count:,} rows to decide on, and a round has at most {MAX_ITEMS:,}. "
            "Filter it further, and start several rounds."
        )


def decide(
    engine: sa.Engine,
    round_id: str,
    decisions: Sequence[DecisionOn],
    author: str,
    *,
    decided_at: datetime | None = None,
    record: Callable[[Connection, datetime], None] = lambda *_: None,
) -> None:
    """Decide on items of an open round; earlier decisions on them are replaced, and kept.

    `record` writes to the audit log, in the same transaction. Raises InvalidInput.
    """
    author = required_text(author, "name")
    rows = [
        {
            "round_id": round_id,
            **each.item._asdict(),
            "decision": each.decision,
            "note": _clean_note(each.note),
        }
        for each in decisions
    ]

    def check(con: Connection, at: datetime) -> None:
        record(con, at)
        _check_may_decide(con, round_id, author)
        _check_items(con, round_id, (each.item for each in decisions), author)

    REVIEW_DECISIONS.save(engine, rows, author, decided_at, check=check)


def _clean_note(note: str) -> str:
    return note.replace("\0", "").strip()[:MAX_DECISION_NOTE_LENGTH]


def logged_decisions(decisions: Iterable[DecisionOn]) -> Iterator[dict[str, Any]]:
    """The decisions as details of events of the audit log, which names every one of them."""
    items: dict[tuple[str, str, str], list[ItemKey]] = defaultdict(list)
    for each in decisions:
        items[each.decision, each.item.integration, _clean_note(each.note)].append(each.item)
    for (decision, name, note), found in items.items():
        for start in range(0, len(found), MAX_NAMES_LOGGED):
            batch = found[start : start + MAX_NAMES_LOGGED]
            yield {
                "decision": decision,
                "integration": name,
                "accounts": [item.account_id for item in batch],
                "roles": [item.role for item in batch] if any(i.role for i in batch) else [],
                "note": note,
            }


def decisions_in(details: Mapping[str, Any]) -> list[DecisionOn]:
    """The decisions in the details of an event, as `logged_decisions` writes them."""
    accounts: list[str] = details["accounts"]
    roles: list[str] = details.get("roles") or [""] * len(accounts)
    return [
        DecisionOn(
            ItemKey(details["integration"], account_id, role),
            details["decision"],
            details.get("note", ""),
        )
        for account_id, role in zip(accounts, roles, strict=True)
    ]


def _check_may_decide(con: Connection, round_id: str, author: str) -> None:
    row = con.execute(select(review_round).where(review_round.c.round_id == round_id)).first()
    if row is None:
        raise InvalidInput("This round does not exist.")
    if row.closed_at:
        raise InvalidInput(f"{row.closed_by} has closed this round. It does not change anymore.")
    if not is_decider(row.deciders, author):
        raise InvalidInput(f"Only {', '.join(row.deciders)} may decide in this round.")


def _check_items(con: Connection, round_id: str, items: Iterable[ItemKey], author: str) -> None:
    """That the items are of the round, and not the author's own accounts."""
    wanted = set(items)
    columns = review_item.c
    query = select(
        *(columns[name] for name in ItemKey._fields),
        columns.username_in_app,
        columns.user_email,
        columns.user_name,
    ).where(
        columns.round_id == round_id,
        columns.account_id.in_({item.account_id for item in wanted}),
    )
    found = {ItemKey(row.integration, row.account_id, row.role): row for row in con.execute(query)}
    if missing := wanted - found.keys():
        item = min(missing)
        raise InvalidInput(f"{item.account_id} in {item.integration} is not in this round.")
    own = [item for item in sorted(wanted) if is_own_account(author, found[item])]
    if own:
        raise InvalidInput(
            f"{found[own[0]].username_in_app} in {own[0].integration} is your own account. "
            "Somebody else has to decide on it."
        )


def is_decider(deciders: Sequence[str], author: str) -> bool:
    """Whether somebody is among those who decide; without any, everybody is."""
    return not deciders or comparable(author) in map(comparable, deciders)


def is_own_account(author: str, row: sa.Row[Any]) -> bool:
    """Whether one of the names of an item's account is the author's."""
    names = row.username_in_app, row.user_email, row.user_name
    return comparable(author) in {comparable(name) for name in names if name}


def close_round(
    engine: sa.Engine,
    round_id: str,
    author: str,
    *,
    closed_at: datetime | None = None,
    record: Callable[[Connection, datetime], None] = lambda *_: None,
) -> None:
    """Close a round: nobody decides in it anymore; `record` as in `decide`. Raises InvalidInput."""
    author = required_text(author, "name")
    with write_transaction(engine) as con:
        closed_at = closed_at or utc_now()
        closed = con.execute(
            sa.update(review_round)
            .where(review_round.c.round_id == round_id, review_round.c.closed_at.is_(None))
            .values(closed_by=author, closed_at=closed_at)
        )
        if not closed.rowcount:
            raise InvalidInput("This round is closed already, or does not exist.")
        record(con, closed_at)
