"""All that is known of some accounts: what the table shows of them and more, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from data.tables import account, account_version, integration
from queries.filters import Filters, accounts


def details_of(
    con: Connection, filters: Filters, account_keys: Sequence[int]
) -> Sequence[Row[Any]]:
    """One row per account: role details, attributes, flags, and what the table shows besides."""
    rows = accounts(filters)
    return con.execute(
        select(rows, integration.c.name.label("integration"), account.c.account_id)
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .join(account, account.c.account_key == rows.c.account_key)
        .where(rows.c.account_key.in_(account_keys))
    ).all()


def history_of(con: Connection, account_keys: Sequence[int]) -> Sequence[Row[Any]]:
    """One row per version of the accounts, oldest first."""
    return con.execute(
        select(account_version)
        .where(account_version.c.account_key.in_(account_keys))
        .order_by(account_version.c.account_key, account_version.c.valid_from)
    ).all()
