"""Match overrides: whom people name as the owner of an account that no snapshot matches."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.formatting import utc_now
from data.records.decisions import replace, required_text, withdraw
from data.schema import account, integration, match_override
from data.store.engine import write_transaction


class MatchOverride(NamedTuple):
    """An account and its owner; without `person_integration`, it has none."""

    integration: str
    account_id: str
    evidence: str
    person_integration: str | None = None
    person_id: str | None = None
    user_name: str | None = None
    user_email: str | None = None


def save_match_overrides(
    engine: sa.Engine,
    overrides: Sequence[MatchOverride],
    decided_by: str,
    *,
    decided_at: datetime | None = None,
) -> None:
    """Save overrides, which replace earlier ones for the same accounts. Raises InvalidInput."""
    at, actor = decided_at or utc_now(), required_text(decided_by, "name")
    with write_transaction(engine) as con:
        keys = _find_account_keys(con, (override[:2] for override in overrides))
        rows = [
            {
                **override._asdict(),
                "account_key": keys.get(override[:2]),
                "decided_by": actor,
                "decided_at": at,
            }
            for override in overrides
        ]
        replace(con, match_override, ("integration", "account_id"), rows, actor, at)


def withdraw_match_overrides(
    engine: sa.Engine,
    accounts: Sequence[tuple[str, str]],
    withdrawn_by: str,
    *,
    withdrawn_at: datetime | None = None,
) -> None:
    """Withdraw the overrides of accounts, given by integration and ID. Raises InvalidInput."""
    actor = required_text(withdrawn_by, "name")
    subjects = [{"integration": name, "account_id": account_id} for name, account_id in accounts]
    with write_transaction(engine) as con:
        withdraw(con, match_override, subjects, actor, withdrawn_at or utc_now())


def link_account_keys(con: Connection) -> None:
    """Fill `account_key` of the overrides without one.

    A key belongs to one store, and is deleted with the account's integration; overrides stay.
    """
    columns = match_override.c
    unlinked = con.execute(
        select(columns.integration, columns.account_id)
        .where(columns.account_key.is_(None))
        .distinct()
    )
    for (name, account_id), key in _find_account_keys(con, map(tuple, unlinked)).items():
        con.execute(
            sa.update(match_override)
            .where(columns.integration == name, columns.account_id == account_id)
            .values(account_key=key)
        )


def unlink_account_keys(con: Connection, integration_id: int | None = None) -> None:
    """Empty `account_key` of the overrides of one integration, or of all."""
    statement = sa.update(match_override).values(account_key=None)
    if integration_id is not None:
        name = select(integration.c.name).where(integration.c.integration_id == integration_id)
        statement = statement.where(match_override.c.integration.in_(name))
    con.execute(statement)


def _find_account_keys(
    con: Connection, accounts: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Integration and account ID → key, for the accounts in the store."""
    ids: dict[str, list[str]] = defaultdict(list)
    for name, account_id in accounts:
        ids[name].append(account_id)
    rows = select(account.c.account_id, account.c.account_key).join_from(
        account, integration, integration.c.integration_id == account.c.integration_id
    )
    return {
        (name, account_id): key
        for name, account_ids in ids.items()
        for account_id, key in con.execute(
            rows.where(integration.c.name == name, account.c.account_id.in_(account_ids))
        )
    }
