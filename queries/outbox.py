"""What became of the letters: for Snapshots, for /metrics and for the next letter."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import Connection, and_, case, func, or_, select

from data.records.outbox import WAITING, LetterStatus
from data.records.tables import letter

MAX_ROWS = 200
"""Letters of a recipient that are looked at, the newest first."""

FAILING = "failing"


class LetterTry(NamedTuple):
    """A letter, and how far it is. Times are naive UTC."""

    status: LetterStatus
    is_test: bool
    queued_at: datetime
    tries: int
    next_try_at: datetime
    last_error: str
    ended_at: datetime | None
    since: datetime | None  # the range that it covers; None: a test
    until: datetime | None
    keys: list[str]  # of its items


class RecipientStanding(NamedTuple):
    """How a recipient's letters fare; None where there was none."""

    last_sent_at: datetime | None
    waiting: LetterTry | None
    undelivered: tuple[LetterTry, ...]
    """Letters since the last one sent that were given up, or perhaps sent; the newest first."""
    last_test: LetterTry | None


def recipient_tries(con: Connection, recipient: str) -> list[LetterTry]:
    """The letters of one recipient, the newest first."""
    columns = [letter.c[name] for name in LetterTry._fields]
    newest_first = select(*columns).where(letter.c.recipient == recipient)
    newest_first = newest_first.order_by(letter.c.queued_at.desc()).limit(MAX_ROWS)
    rows = con.execute(newest_first)
    return [LetterTry(LetterStatus(status), *others) for status, *others in rows]


def recipient_standing(
    con: Connection, recipient: str, elsewhere: Sequence[LetterTry] = ()
) -> RecipientStanding:
    """The standing of one recipient, with letters of another outbox."""
    tries = [*recipient_tries(con, recipient), *elsewhere]
    tries.sort(key=attrgetter("queued_at"), reverse=True)
    letters = [one for one in tries if not one.is_test]
    statuses = [one.status for one in letters]
    sent = statuses.index(LetterStatus.SENT) if LetterStatus.SENT in statuses else len(letters)
    return RecipientStanding(
        letters[sent].ended_at if sent < len(letters) else None,
        next((one for one in letters if one.status in WAITING), None),
        tuple(one for one in letters[:sent] if one.status not in WAITING),
        next((one for one in tries if one.is_test), None),
    )


def letter_counts(con: Connection) -> dict[str, int]:
    """Letters by status, without tests; of those that wait, `failing` have been tried in vain."""
    has_failed = or_(
        and_(letter.c.status == LetterStatus.QUEUED, letter.c.tries > 0),
        and_(letter.c.status == LetterStatus.SENDING, letter.c.tries > 1),
    )
    status = case((has_failed, FAILING), else_=letter.c.status)
    query = select(status, func.count()).where(letter.c.is_test.is_(False)).group_by(status)
    counts: dict[str, int] = dict.fromkeys((*LetterStatus, FAILING), 0)
    return counts | {row[0]: row[1] for row in con.execute(query)}
