"""The audit log: who came in, took what along and changed what. Events are added, never changed.

An event is written to a file at once, whatever the store is doing, and put into the store at the
next look. There each one is sealed over the one before, so that a change or a gap can be seen.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Engine, insert, select

from data.home import Home
from data.schema import audit
from data.store.engine import changing

log = logging.getLogger("rollcall")

LONGEST_TEXT = 2_000
"""Characters of one detail; more is cut off."""

MOST_REFUSED = 1_000
"""Kinds of refusals that are known to have been written down just now."""

FIRST_SEAL = "0" * 64


class Event(StrEnum):
    """What can happen."""

    SIGNED_IN = "signed in"
    REFUSED = "was refused"
    SIGNED_OUT = "signed out"
    DOWNLOADED = "downloaded"
    DELIVERED = "delivered a file"
    PULLED = "asked for a pull"
    LOADED = "loaded"
    SET_ASIDE = "set a file aside"
    DECIDED = "decided on a file"
    REMOVED = "removed"
    ACCEPTED = "accepted findings"
    WITHDREW = "withdrew an acceptance"
    MATCHED = "said whose accounts are"
    UNMATCHED = "withdrew whose accounts are"
    SET = "changed a setting"
    REVEALED = "revealed pseudonyms"


_writing = Lock()


def note(home: Home, who: str, what: Event, **details: Any) -> None:
    """Write an event down; `details` are what JSON can say, and no more personal than needed.

    Where that fails, as on a full disk, the program's own log has what happened, but no details.
    """
    event = {
        "event_id": uuid.uuid4().hex,
        "at": datetime.now(UTC).replace(tzinfo=None).isoformat(),
        "who": who[:LONGEST_TEXT],
        "what": what.value,
        "details": {name: _short(value) for name, value in details.items() if _says(value)},
    }
    line = json.dumps(event, ensure_ascii=False, default=str)
    try:
        with _writing, _pending(home).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")  # before it, as the last one may be cut off
    except OSError as fault:
        log.error("The audit log cannot be written (%s): %s.", fault.strerror, what)


_refused: dict[tuple[str, str], float] = {}


def note_refusal(home: Home, who: str, what: str) -> None:
    """Write down that somebody was refused; once a minute at most, however often they try."""
    now = time.monotonic()
    if now < _refused.get((who, what), 0):
        return
    if len(_refused) >= MOST_REFUSED:
        _refused.clear()
    _refused[who, what] = now + 60
    note(home, who or "somebody unknown", Event.REFUSED, why=what)


def settle(engine: Engine, home: Home) -> int:
    """Put what was written down into the store; answers with how many events that were.

    Each is there once, even if the process is killed between the store and the file. Where several
    processes share a home, as they can with PostgreSQL, one after the other does.
    """
    with home.in_turn("settling"):
        return _settle_in_turn(engine, home)


def _settle_in_turn(engine: Engine, home: Home) -> int:
    with _writing:
        pending, settling = _pending(home), _pending(home).with_suffix(".settling")
        if pending.exists() and not settling.exists():
            pending.rename(settling)
    if not settling.exists():
        return 0
    events = list(_events(settling.read_text(encoding="utf-8", errors="replace").splitlines()))
    with changing(engine) as con:
        ids = [event["event_id"] for event in events]
        there = set(con.scalars(select(audit.c.event_id).where(audit.c.event_id.in_(ids))))
        newest = select(audit.c.number, audit.c.seal).order_by(audit.c.number.desc()).limit(1)
        number, seal = (con.execute(newest).first() or (0, FIRST_SEAL))[:2]
        rows = []
        for event in events:
            if event["event_id"] not in there:
                number, seal = number + 1, seal_of(seal, number + 1, event)
                rows.append({**event, "number": number, "seal": seal})
        if rows:
            con.execute(insert(audit), rows)
    settling.unlink()
    return len(rows)


def seal_of(before: str, number: int, event: Mapping[Any, Any]) -> str:
    """The SHA-256 of an event and of the seal before it."""
    told = [event["at"].isoformat(), event["who"], event["what"], event["details"]]
    text = json.dumps([before, number, event["event_id"], *told])
    return hashlib.sha256(text.encode()).hexdigest()


def first_broken(events: Iterable[Mapping[Any, Any]]) -> int | None:
    """The number of the first event that is not as it was sealed; all of `audit`, oldest first."""
    seal = FIRST_SEAL
    for number, event in enumerate(events, start=1):
        seal = seal_of(seal, number, event)
        if (event["number"], event["seal"]) != (number, seal):
            return number
    return None


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events; a line that is cut off, as on a full disk, is none."""
    for line in filter(None, lines):
        try:
            event = json.loads(line)
            event["at"] = datetime.fromisoformat(event["at"])
            event["details"] = json.dumps(event["details"], ensure_ascii=False)
        except (ValueError, KeyError, TypeError):
            log.warning("A line of the audit log cannot be read.")
            continue
        yield {name: event[name] for name in ("event_id", "at", "who", "what", "details")}


def _says(value: Any) -> bool:
    """Whether a detail tells something: what is empty does not, but that it was none does."""
    return bool(value) or type(value) is int


def _short(value: Any) -> Any:
    return value[:LONGEST_TEXT] if isinstance(value, str) else value


def _pending(home: Home) -> Path:
    return home.root / "audit-log.pending"
