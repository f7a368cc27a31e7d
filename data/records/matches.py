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

from data.schema import account, integration, match_override, setting
from data.store.engine import write_transaction

MAX_NAME_LENGTH = 200
"""Characters of what a person types."""

DIRECTORIES_SETTING = "people"
"""The setting that names the integrations which list people, as identity providers do."""


class MissingName(ValueError):
    """The name of who decides is missing."""


class MatchOverride(NamedTuple):
    """An account, and the person whose it is; without `people`, it is nobody's."""

    integration: str
    account_id: str
    evidence: str
    people: str | None = None
    person_id: str | None = None
    user_name: str | None = None
    user_email: str | None = None


def save_match_overrides(
    engine: Engine,
    overrides: Sequence[MatchOverride],
    decided_by: str,
    *,
    decided_at: datetime | None = None,
) -> None:
    """Keep what a person says of accounts, in place of what was said before. Raises NobodySays."""
    decided_at, name = decided_at or _now(), _required_name(decided_by)
    with write_transaction(engine) as con:
        for override in overrides:
            con.execute(_withdrawal(override.integration, override.account_id, name, decided_at))
        keys = _find_account_keys(
            con, ((override.integration, override.account_id) for override in overrides)
        )
        decision = {"decided_by": name, "decided_at": decided_at}
        rows = [
            override._asdict()
            | decision
            | {"account_key": keys.get((override.integration, override.account_id))}
            for override in overrides
        ]
        con.execute(insert(match_override), rows) if rows else None


def withdraw_match_overrides(
    engine: Engine,
    accounts: Sequence[tuple[str, str]],
    withdrawn_by: str,
    *,
    withdrawn_at: datetime | None = None,
) -> None:
    """What was said of accounts, by integration and ID, holds no more. Raises NobodySays."""
    withdrawn_at, name = withdrawn_at or _now(), _required_name(withdrawn_by)
    with write_transaction(engine) as con:
        for integration, account_id in accounts:
            con.execute(_withdrawal(integration, account_id, name, withdrawn_at))


def link_account_keys(con: Connection) -> None:
    """Note the keys of accounts of which something was said, where they have none yet.

    A key is of one store, and gone with the account's integration; what was said outlives both.
    """
    columns, is_unlinked = match_override.c, match_override.c.account_key.is_(None)
    unlinked = con.execute(
        select(columns.integration, columns.account_id).where(is_unlinked).distinct()
    )
    for (name, account_id), key in _find_account_keys(con, map(tuple, unlinked)).items():
        con.execute(
            update(match_override).where(_is_account(name, account_id)).values(account_key=key)
        )


def unlink_account_keys(con: Connection, integration_id: int | None = None) -> None:
    """The accounts of an integration, or all of them, are not there any more under their keys."""
    statement = update(match_override).values(account_key=None)
    if integration_id is not None:
        name = select(integration.c.name).where(integration.c.integration_id == integration_id)
        statement = statement.where(match_override.c.integration.in_(name))
    con.execute(statement)


def _find_account_keys(
    con: Connection, accounts: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Integration and account ID → key, of the accounts that are known."""
    ids: dict[str, list[str]] = {}
    for name, account_id in accounts:
        ids.setdefault(name, []).append(account_id)
    account_integration = account.join(
        integration, integration.c.integration_id == account.c.integration_id
    )
    account_query = select(account.c.account_id, account.c.account_key).select_from(
        account_integration
    )
    return {
        (name, account_id): key
        for name, account_ids in ids.items()
        for account_id, key in con.execute(
            account_query.where(integration.c.name == name, account.c.account_id.in_(account_ids))
        )
    }


def read_directories(con: Connection) -> tuple[str, ...]:
    """The integrations that list people, as a person has said."""
    value = con.scalar(select(setting.c.value).where(setting.c.name == DIRECTORIES_SETTING))
    return tuple(json.loads(value)) if value else ()


def save_directories(engine: Engine, names: Sequence[str]) -> None:
    """From now on, accounts are matched with those whom these integrations list."""
    with write_transaction(engine) as con:
        con.execute(delete(setting).where(setting.c.name == DIRECTORIES_SETTING))
        con.execute(insert(setting).values(name=DIRECTORIES_SETTING, value=json.dumps([*names])))


def _withdrawal(name: str, account_id: str, withdrawn_by: str, withdrawn_at: datetime) -> Any:
    return (
        update(match_override)
        .where(_is_account(name, account_id), match_override.c.withdrawn_at.is_(None))
        .values(withdrawn_by=withdrawn_by, withdrawn_at=withdrawn_at)
    )


def _is_account(name: str, account_id: str) -> ColumnElement[bool]:
    return and_(match_override.c.integration == name, match_override.c.account_id == account_id)


def _required_name(text: str) -> str:
    name = " ".join(text.replace("\0", " ").split())[:MAX_NAME_LENGTH]
    if not name:
        raise MissingName("The name of who decides is missing.")
    return name


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
