"""What all decisions of people have in common: who made them, and that they can be withdrawn.

Decisions refer to integrations and accounts by name, not by key, so that they stay valid when the
store is rebuilt.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

MAX_NAME_LENGTH = 200
"""Characters of the name of a person."""


class InvalidInput(ValueError):
    """A name or a reason is missing, or a day has passed; the message says which."""


def required_text(text: str, label: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """The text in one line. Raises InvalidInput if it is empty."""
    cleaned = " ".join(text.replace("\0", " ").split())
    if not cleaned:
        raise InvalidInput(f"The {label} is missing.")
    return cleaned[:max_length]


def withdraw(
    con: Connection,
    table: sa.Table,
    subjects: Iterable[Mapping[str, Any]],
    actor: str,
    at: datetime,
) -> None:
    """Withdraw the decisions on each subject, given as column → value."""
    for subject in subjects:
        is_subject = (table.c[name] == value for name, value in subject.items())
        con.execute(
            sa.update(table)
            .where(*is_subject, table.c.withdrawn_at.is_(None))
            .values(withdrawn_by=actor, withdrawn_at=at)
        )


def replace(
    con: Connection,
    table: sa.Table,
    subject_columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    actor: str,
    at: datetime,
) -> None:
    """Add decisions, and withdraw earlier ones on the same subjects."""
    withdraw(con, table, ({name: row[name] for name in subject_columns} for row in rows), actor, at)
    if rows:
        con.execute(sa.insert(table), [*rows])
