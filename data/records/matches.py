"""Whose an account is, as people say it: a suggestion is theirs to take or to refuse.

Kept in the store by names, so that it outlives a rebuild, with the account's key as long as that is
the account's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    insert,
    select,
    update,
)

from data.schema import account, integration, matched, setting
from data.store.engine import changing

LONGEST_NAME = 200
"""Characters of what a person types."""

PEOPLE = "people"
"""The setting that names the integrations which list people, as identity providers do."""


class NobodySays(ValueError):
    """The name of who decides is missing."""


class Match(NamedTuple):
    """An account, and the person whose it is; without `people`, it is nobody's."""

    integration: str
    account_id: str
    evidence: str
    people: str | None = None
    person_id: str | None = None
    user_name: str | None = None
    user_email: str | None = None


def decide(
    engine: Engine, matches: Sequence[Match], by: str, *, at: datetime | None = None
) -> None:
    """Keep what a person says of accounts, in place of what was said before. Raises NobodySays."""
    at, name = at or _now(), _named(by)
    with changing(engine) as con:
        for each in matches:
            con.execute(_withdrawn(each.integration, each.account_id, name, at))
        keys = _keys(con, ((each.integration, each.account_id) for each in matches))
        said = {"decided_by": name, "decided_at": at}
        rows = [
            each._asdict() | said | {"account_key": keys.get((each.integration, each.account_id))}
            for each in matches
        ]
        con.execute(insert(matched), rows) if rows else None


def withdraw(
    engine: Engine, accounts: Sequence[tuple[str, str]], by: str, *, at: datetime | None = None
) -> None:
    """What was said of accounts, by integration and ID, holds no more. Raises NobodySays."""
    at, name = at or _now(), _named(by)
    with changing(engine) as con:
        for integration, account_id in accounts:
            con.execute(_withdrawn(integration, account_id, name, at))


def find_keys(con: Connection) -> None:
    """Note the keys of accounts of which something was said, where they have none yet.

    A key is of one store, and gone with the account's integration; what was said outlives both.
    """
    said, unknown = matched.c, matched.c.account_key.is_(None)
    named = con.execute(select(said.integration, said.account_id).where(unknown).distinct())
    for (name, account_id), key in _keys(con, map(tuple, named)).items():
        con.execute(update(matched).where(_is_of(name, account_id)).values(account_key=key))


def forget_keys(con: Connection, integration_id: int | None = None) -> None:
    """The accounts of an integration, or all of them, are not there any more under their keys."""
    forgotten = update(matched).values(account_key=None)
    if integration_id is not None:
        name = select(integration.c.name).where(integration.c.integration_id == integration_id)
        forgotten = forgotten.where(matched.c.integration.in_(name))
    con.execute(forgotten)


def _keys(con: Connection, of: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Integration and account ID → key, of the accounts that are known."""
    ids: dict[str, list[str]] = {}
    for name, account_id in of:
        ids.setdefault(name, []).append(account_id)
    here = account.join(integration, integration.c.integration_id == account.c.integration_id)
    known = select(account.c.account_id, account.c.account_key).select_from(here)
    return {
        (name, account_id): key
        for name, asked in ids.items()
        for account_id, key in con.execute(
            known.where(integration.c.name == name, account.c.account_id.in_(asked))
        )
    }


def people_lists(con: Connection) -> tuple[str, ...]:
    """The integrations that list people, as a person has said."""
    told = con.scalar(select(setting.c.value).where(setting.c.name == PEOPLE))
    return tuple(json.loads(told)) if told else ()


def set_people_lists(engine: Engine, names: Sequence[str]) -> None:
    """From now on, accounts are matched with those whom these integrations list."""
    with changing(engine) as con:
        con.execute(delete(setting).where(setting.c.name == PEOPLE))
        con.execute(insert(setting).values(name=PEOPLE, value=json.dumps([*names])))


def _withdrawn(name: str, account_id: str, by: str, at: datetime) -> Any:
    return (
        update(matched)
        .where(_is_of(name, account_id), matched.c.withdrawn_at.is_(None))
        .values(withdrawn_by=by, withdrawn_at=at)
    )


def _is_of(name: str, account_id: str) -> ColumnElement[bool]:
    return and_(matched.c.integration == name, matched.c.account_id == account_id)


def _named(by: str) -> str:
    name = " ".join(by.replace("\0", " ").split())[:LONGEST_NAME]
    if not name:
        raise NobodySays("The name of who decides is missing.")
    return name


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
