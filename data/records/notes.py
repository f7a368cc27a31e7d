"""Notes: what people write about an account, perhaps up to a last day."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa

from data.records.decisions import NOTES, InvalidInput

MAX_NOTE_LENGTH = 2_000
"""Characters of a note."""


class NamedAccount(NamedTuple):
    """An account by its names, which stay valid when the store is rebuilt."""

    integration: str
    account_id: str


def save_note(
    engine: sa.Engine,
    accounts: Sequence[NamedAccount],
    text: str,
    author: str,
    until: date | None = None,
    *,
    written_at: datetime | None = None,
) -> None:
    """Write a note on each account, which replaces the one before.

    It keeps its lines. `until`: the last UTC day. Raises InvalidInput.
    """
    text = text.replace("\0", "").strip()[:MAX_NOTE_LENGTH]
    if not text:
        raise InvalidInput("The note is empty. Write a text, or remove the note.")
    rows = ({**account._asdict(), "text": text, "until": until} for account in accounts)
    NOTES.save(engine, rows, author, written_at)
