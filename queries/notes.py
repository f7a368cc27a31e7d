"""The notes on accounts, for lists."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, select

from data.records.decisions import NOTES
from data.records.notes import NamedAccount
from data.records.tables import note
from data.schema import account, integration

NoteFilter = Literal["yes", "no"]


def notes_in_force(as_of: datetime | None) -> sa.FromClause:
    """One row per account in this store with a note: [account_key, text]."""
    query = select(note.c.account_key, note.c.text)
    is_linked = note.c.account_key.is_not(None)
    return query.where(NOTES.is_in_force(as_of), is_linked).subquery("notes")


def named_accounts(con: Connection, account_keys: Sequence[int]) -> list[NamedAccount]:
    """The names of those of the accounts that the reader can see, in the order of the names."""
    query = (
        select(integration.c.name, account.c.account_id)
        .join_from(account, integration, integration.c.integration_id == account.c.integration_id)
        .where(account.c.account_key.in_(account_keys))
        .order_by(integration.c.name, account.c.account_id)
    )
    return [NamedAccount(*row) for row in con.execute(query)] if account_keys else []


def has_note(rows: sa.FromClause, value: NoteFilter, as_of: Any) -> ColumnElement[bool]:
    """Whether an account has a note, or has none."""
    is_noted = rows.c.account_key.in_(select(notes_in_force(as_of).c.account_key))
    return is_noted if value == "yes" else ~is_noted
