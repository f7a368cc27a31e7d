"""Whose an account is, as people say it: a suggestion is theirs to take or to refuse.

Kept in the store by names, not by keys, so that it outlives a rebuild.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, insert, select, update

from data.store import changing
from data.tables import matched, setting

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
        rows = [each._asdict() | {"decided_by": name, "decided_at": at} for each in matches]
        con.execute(insert(matched), rows) if rows else None


def withdraw(
    engine: Engine, accounts: Sequence[tuple[str, str]], by: str, *, at: datetime | None = None
) -> None:
    """What was said of accounts, by integration and ID, holds no more. Raises NobodySays."""
    at, name = at or _now(), _named(by)
    with changing(engine) as con:
        for integration, account_id in accounts:
            con.execute(_withdrawn(integration, account_id, name, at))


def people_lists(con: Connection) -> tuple[str, ...]:
    """The integrations that list people, as a person has said."""
    told = con.scalar(select(setting.c.value).where(setting.c.name == PEOPLE))
    return tuple(json.loads(told)) if told else ()


def set_people_lists(engine: Engine, names: Sequence[str]) -> None:
    """From now on, accounts are matched with those whom these integrations list."""
    with changing(engine) as con:
        con.execute(delete(setting).where(setting.c.name == PEOPLE))
        con.execute(insert(setting).values(name=PEOPLE, value=json.dumps([*names])))


def _withdrawn(integration: str, account_id: str, by: str, at: datetime) -> Any:
    said = matched.c
    return (
        update(matched)
        .where(
            said.integration == integration,
            said.account_id == account_id,
            said.withdrawn_at.is_(None),
        )
        .values(withdrawn_by=by, withdrawn_at=at)
    )


def _named(by: str) -> str:
    name = " ".join(by.replace("\0", " ").split())[:LONGEST_NAME]
    if not name:
        raise NobodySays("The name of who decides is missing.")
    return name


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
