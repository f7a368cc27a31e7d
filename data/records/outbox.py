"""The outbox: letters that wait, are being sent, and have ended.

Each step is one transaction, and all processes of a store take turns at it:

- A letter is added only where the progress of its recipient is still the one that it was written
  for, and no letter of the recipient waits. So of two processes that write it, one adds it.
- A try is claimed before it begins, for `CLAIM`. A process that is killed leaves a claim that runs
  out. Then a channel that recognizes a repeated letter gets it again. Elsewhere the letter was
  perhaps sent: it does not go out again, and the next letter says that it may be missing.
- The progress of a recipient does not move when a letter is given up, so the next letter covers the
  same range.
"""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, and_, func, select

from data.records.tables import letter, letter_recipient
from data.store.engine import write_transaction

CLAIM = timedelta(minutes=5)
"""How long a try can take. After that, its process is taken for dead."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=2)
"""Pauses between tries: each is twice as long as the one before."""

GIVE_UP_AFTER = timedelta(days=1)


class LetterStatus(StrEnum):
    """Where a letter is."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    PERHAPS_SENT = "perhaps sent"
    GIVEN_UP = "given up"


WAITING = (LetterStatus.QUEUED, LetterStatus.SENDING)


class NewLetter(NamedTuple):
    """A letter to add."""

    recipient: str
    audience: str
    content: str
    since: datetime | None = None  # naive UTC; None: a test
    until: datetime | None = None
    keys: Sequence[str] = ()
    progress: str = ""  # of the recipient, once it is sent
    is_test: bool = False


class ClaimedLetter(NamedTuple):
    """A letter whose next try belongs to this process, or that has ended instead."""

    letter_id: str
    recipient: str
    content: str
    tries: int
    status: LetterStatus  # SENDING, or how it has ended
    last_error: str
    since: datetime | None
    until: datetime | None
    keys: Sequence[str]
    is_test: bool


# ---- progress ------------------------------------------------------------------------------------


def read_progress(con: Connection, recipient: str) -> str | None:
    """What the letters to a recipient have covered, as JSON; None before the first."""
    return con.scalar(
        select(letter_recipient.c.progress).where(letter_recipient.c.recipient == recipient)
    )


def is_waiting(con: Connection, recipient: str) -> bool:
    """Whether a letter waits, tests not counted. Until it has ended, no other is written."""
    is_theirs = and_(letter.c.recipient == recipient, letter.c.is_test.is_(False))
    return bool(con.scalar(select(func.count()).where(is_theirs, letter.c.status.in_(WAITING))))


def replace_progress(engine: sa.Engine, recipient: str, old: str | None, new: str) -> None:
    """Set the progress, if it is still the old one and no letter waits."""
    with write_transaction(engine) as con:
        if _is_unchanged(con, recipient, old):
            _set_progress(con, recipient, new)


def _is_unchanged(con: Connection, recipient: str, progress: str | None) -> bool:
    return read_progress(con, recipient) == progress and not is_waiting(con, recipient)


def _set_progress(con: Connection, recipient: str, progress: str) -> None:
    con.execute(sa.delete(letter_recipient).where(letter_recipient.c.recipient == recipient))
    con.execute(sa.insert(letter_recipient).values(recipient=recipient, progress=progress))


def read_letters(con: Connection) -> list[dict[str, Any]]:
    """All letters as rows, the oldest first."""
    return [
        dict(row) for row in con.execute(select(letter).order_by(letter.c.queued_at)).mappings()
    ]


def take_over_letter(
    engine: sa.Engine, row: Mapping[str, Any], change: Callable[[str], str]
) -> bool:
    """Add a letter of another outbox that has ended, and change the progress of its recipient.

    Once: where the letter is known, nothing happens. Returns False while another letter waits.
    """
    recipient = row["recipient"]
    with write_transaction(engine) as con:
        if con.scalar(select(func.count()).where(letter.c.letter_id == row["letter_id"])):
            return True
        if is_waiting(con, recipient):
            return False
        if (progress := read_progress(con, recipient)) is not None:
            _set_progress(con, recipient, change(progress))
        con.execute(sa.insert(letter).values({**row, "content": "", "progress": ""}))
        return True


# ---- add and claim -------------------------------------------------------------------------------


def add_letter(engine: sa.Engine, new: NewLetter, old: str | None, now: datetime) -> bool:
    """Add a letter that was written for the progress `old`; returns whether. `now`: naive UTC.

    A test is always added.
    """
    row = new._asdict() | {"keys": list(new.keys), "letter_id": uuid.uuid4().hex}
    start = {"status": LetterStatus.QUEUED, "tries": 0, "last_error": "", "next_try_at": now}
    with write_transaction(engine) as con:
        is_added = new.is_test or _is_unchanged(con, new.recipient, old)
        if is_added:
            con.execute(sa.insert(letter).values(**row, **start, queued_at=now))
        return is_added


def claim_letters(
    engine: sa.Engine, audiences: Mapping[str, str], repeatable: Collection[str], now: datetime
) -> list[ClaimedLetter]:
    """Claim the letters whose next try is due, or end them. `now`: naive UTC.

    `audiences`: recipient → its audience; a letter that was written for another ends. `repeatable`:
    the recipients whose channel recognizes a repeated letter.
    """
    is_due = and_(letter.c.status.in_(WAITING), letter.c.next_try_at <= now)
    with engine.connect() as con:  # most of the time there is nothing, and no lock is needed
        if not con.scalar(select(func.count()).where(is_due)):
            return []
    claimed: list[ClaimedLetter] = []
    with write_transaction(engine) as con:
        for row in con.execute(select(letter).where(is_due).order_by(letter.c.queued_at)).all():
            one = _claimed(row)
            if outcome := _outcome_without_try(row, audiences, repeatable, now):
                _end(con, row, *outcome, now)
                claimed.append(one._replace(status=outcome[0], last_error=outcome[1]))
            elif row.recipient in audiences:  # a section that is being edited can be wrong
                one = one._replace(status=LetterStatus.SENDING, tries=row.tries + 1)
                values = {"status": one.status, "tries": one.tries, "next_try_at": now + CLAIM}
                con.execute(_update(row.letter_id).values(values))
                claimed.append(one)
    return claimed


def _claimed(row: Any) -> ClaimedLetter:
    return ClaimedLetter(*(getattr(row, name) for name in ClaimedLetter._fields))


def _outcome_without_try(
    row: Any, audiences: Mapping[str, str], repeatable: Collection[str], now: datetime
) -> tuple[LetterStatus, str] | None:
    """How a letter ends that is not tried again."""
    if row.status == LetterStatus.SENDING and row.recipient not in repeatable:
        return LetterStatus.PERHAPS_SENT, "Rollcall stopped while it was being sent."
    if audiences.get(row.recipient, row.audience) != row.audience:
        return LetterStatus.GIVEN_UP, "The settings of the recipient have changed."
    if now - row.queued_at >= GIVE_UP_AFTER:
        return LetterStatus.GIVEN_UP, row.last_error or "Rollcall did not run."
    return None


def _update(letter_id: str) -> sa.Update:
    return sa.update(letter).where(letter.c.letter_id == letter_id)


# ---- after a try ---------------------------------------------------------------------------------


def record_try(
    engine: sa.Engine,
    letter_id: str,
    now: datetime,
    failure: str = "",
    *,
    may_have_arrived: bool = False,
) -> LetterStatus:
    """A try has ended: the letter is sent, waits for the next try, or is given up.

    `failure` says why it is not sent. A test has one try. `now`: naive UTC.
    """
    with write_transaction(engine) as con:
        row = con.execute(select(letter).where(letter.c.letter_id == letter_id)).one()
        pause = min(FIRST_PAUSE * 2 ** min(row.tries - 1, 10), LONGEST_PAUSE)
        if not failure:
            status = LetterStatus.SENT
        elif row.status not in WAITING:  # the claim ran out
            return LetterStatus(row.status)
        elif may_have_arrived:
            status = LetterStatus.PERHAPS_SENT
        elif row.is_test or now + pause - row.queued_at >= GIVE_UP_AFTER:
            status = LetterStatus.GIVEN_UP
        else:
            waits = {"status": LetterStatus.QUEUED, "last_error": failure}
            con.execute(_update(letter_id).values(**waits, next_try_at=now + pause))
            return LetterStatus.QUEUED
        _end(con, row, status, failure, now)
        return status


def _end(con: Connection, row: Any, status: LetterStatus, reason: str, now: datetime) -> None:
    """The content, which can name people, goes."""
    ended = {"status": status, "last_error": reason, "ended_at": now, "content": ""}
    con.execute(_update(row.letter_id).values(ended))
    is_covered = status != LetterStatus.GIVEN_UP and row.status in WAITING
    if is_covered and not row.is_test:
        _set_progress(con, row.recipient, row.progress)
