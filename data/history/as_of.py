"""The accounts of an integration as of a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, insert, select

from data.schema import account_current, account_version, is_unmatched, is_valid_at, join_profile

version = account_version


def accounts_at(integration_id: int, moment: datetime | None) -> FromClause:
    """One row per account of the integration at a moment; None is now."""
    if moment is None:
        current = account_current
        return (
            select(current).where(current.c.integration_id == integration_id).subquery("accounts")
        )
    versions = select(version).where(
        version.c.integration_id == integration_id, is_valid_at(version, moment)
    )
    return join_profile(versions.subquery("accounts"))


def insert_rows(con: Connection, table: Table, rows: Select[*tuple[Any, ...]]) -> None:
    """Add rows that have the table's columns in their order."""
    con.execute(insert(table).from_select([c.name for c in table.c], rows))


def is_matched(accounts: FromClause) -> ColumnElement[bool]:
    """Told of current accounts by a column, as to read texts of all of them takes longer."""
    if "is_matched" in accounts.c:
        return accounts.c.is_matched
    return ~is_unmatched(accounts)
