"""The letter that the store is closed. It waits in an outbox beside the store.

That is a small store in the home, made once the real one has been closed for a while. So claims,
tries and their record are those of data/records/outbox.py: each recipient gets one letter, also
after a restart. DuckDB lets one process of a home open it, and that one sends. If it cannot be
written, as on a full disk, it is in memory: a second letter after a restart is better than none.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from data.home import Home, database_url
from data.letters.recipients import Recipient
from data.records.outbox import (
    ClaimedLetter,
    LetterStatus,
    NewLetter,
    add_letter,
    claim_letters,
    read_letters,
    take_over_letter,
)
from data.store.engine import close_store, open_store
from data.store.errors import StoreError, StoreInUse, StoreUnusable
from queries.letter.kinds import closed_store
from queries.letter.letter import Letter
from queries.letter.render import render
from queries.letter.schedule import SETTLE, Sent
from queries.outbox import LetterTry, letter_counts, recipient_tries

log = logging.getLogger("rollcall")

FILE_NAME = "outage.duckdb"
IN_MEMORY = "duckdb:///:memory:outage"
COVERED = "covered"
"""The progress of a recipient in this outbox. In the one of the store it is JSON."""


class OutageLetters(NamedTuple):
    """The letters of an outage, as they were at the last look."""

    counts: Mapping[str, int]  # by status, as `letter_counts`
    tries: Mapping[str, Sequence[LetterTry]]  # by recipient


outage_letters: dict[Home, OutageLetters] = {}
"""For Snapshots and /metrics: of each home whose store is closed, or was a moment ago."""


@dataclass
class Outage:
    """Since when this process finds the store of a home closed, or open again."""

    home: Home
    since: datetime | None = None
    over_since: datetime | None = None
    url: str = ""  # of the outbox, once it is open

    def pause(self) -> None:
        """The store is neither open nor closed: a rebuild takes its time."""
        self.since = self.over_since = None

    def report(
        self, reason: str, recipients: Collection[Recipient], now: datetime, *, can_read: bool
    ) -> sa.Engine | None:
        """Add a letter for each recipient of alarms who has not been told; returns the outbox.

        None while it is too early, or another process tells. `now`: naive UTC. Raises StoreError.
        """
        self.over_since, self.since = None, self.since or now
        if now - self.since < SETTLE:
            return None
        try:
            engine = self._open()
        except StoreInUse:
            return None
        for recipient in recipients:
            if not recipient.alarms:
                continue
            item = closed_store(self.since, recipient.zone, reason, can_read=can_read)
            letter = Letter(self.since, now, (item,), recipient.zone)
            content = render(letter, recipient.address).to_json()
            whom = recipient.name, recipient.audience, content
            add_letter(
                engine, NewLetter(*whom, self.since, now, [item.key], progress=COVERED), None, now
            )
        with engine.connect() as con:
            names = [recipient.name for recipient in recipients]
            tries = {name: recipient_tries(con, name) for name in names}
            outage_letters[self.home] = OutageLetters(letter_counts(con), tries)
        return engine

    def end(self, store: sa.Engine, now: datetime) -> list[ClaimedLetter]:
        """Once the store has been open for a while, let the next daily letter of each say so.

        Returns the letters that did not go out, which are given up. Raises StoreError.
        """
        self.since, self.over_since = None, self.over_since or now
        if now - self.over_since < SETTLE or not (self.url or self._file.exists()):
            return []
        try:
            engine = self._open()
        except StoreInUse:
            return []
        ended = claim_letters(engine, {}, (), now)  # those of a process that was killed
        with engine.connect() as con:
            rows = read_letters(con)
        is_sending = any(row["status"] == LetterStatus.SENDING for row in rows)
        late = [row for row in rows if row["status"] == LetterStatus.QUEUED]
        for row in late:
            reason = row["last_error"] or "The store was open again before."
            row |= {"status": LetterStatus.GIVEN_UP, "last_error": reason, "ended_at": now}
        if is_sending or not all(_take_over(store, row) for row in rows):
            return ended
        self._delete()
        fields = ClaimedLetter._fields
        return [*ended, *(ClaimedLetter(*(row[name] for name in fields)) for row in late)]

    @property
    def _file(self) -> Path:
        return self.home.root / FILE_NAME

    def _open(self) -> sa.Engine:
        """The outbox, which stays where it is. Raises StoreInUse."""
        self.url = self.url or self._find_place()
        return open_store(self.url)

    def _find_place(self) -> str:
        url = database_url(self._file)
        for _ in range(2):
            try:
                open_store(url)
            except StoreInUse:
                raise
            except StoreUnusable:  # of another version, or half written
                self._delete()
            except StoreError as error:
                log.error("A restart can repeat the letter that the store is closed: %s", error)
                return IN_MEMORY
            else:
                return url
        return IN_MEMORY

    def _delete(self) -> None:
        outage_letters.pop(self.home, None)
        close_store(self.url or database_url(self._file))
        self.url = ""
        for suffix in ("", ".wal"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)


def _take_over(store: sa.Engine, row: dict[str, Any]) -> bool:
    """Keep the letter in the store, and let the next daily one say that the store is open."""

    def end(progress: str) -> str:
        sent = Sent.from_data(json.loads(progress))
        ended = replace(sent, ended=sent.ended.union(row["keys"]))
        return json.dumps(ended.to_data())

    return take_over_letter(store, row, end)
