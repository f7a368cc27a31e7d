"""The audit log: sign-ins, downloads and changes. Events are appended and never changed.

An event is first written to a file, which does not need the store, and later moved to the store.
There each event has a checksum over itself and the event before, which reveals changes and gaps.
"""

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import select

from data.formatting import utc_now
from data.home import Home
from data.records.tables import audit_event
from data.store.engine import write_transaction

log = logging.getLogger("rollcall")

MAX_TEXT_LENGTH = 2_000
"""Characters of one detail; longer texts are truncated."""

MAX_NAMES_LOGGED = 100
"""Accounts that one event names; it has the number of all."""

MAX_DENIALS = 1_000
"""Denials that are remembered, so that repeated ones are not recorded."""

INITIAL_CHECKSUM = "0" * 64


class Event(StrEnum):
    """The actions that are recorded, as the log shows them after the actor."""

    SIGNED_IN = "signed in"
    ACCESS_DENIED = "was denied access"
    SIGNED_OUT = "signed out"
    SESSIONS_ENDED = "ended sessions"
    PERSON_OPENED = "opened a person"
    DOWNLOADED = "downloaded"
    FILE_DELIVERED = "delivered a file"
    PULL_REQUESTED = "requested a pull"
    LOADED = "loaded"
    QUARANTINED = "quarantined a file"
    FILE_DECIDED = "reviewed a file"
    REMOVED = "removed"
    RESTORED = "loaded again"
    EXCEPTION_ADDED = "added an exception"
    EXCEPTION_WITHDRAWN = "withdrew an exception"
    MATCH_OVERRIDDEN = "assigned an owner"
    MATCH_OVERRIDE_WITHDRAWN = "withdrew an owner"
    NOTE_WRITTEN = "wrote a note"
    NOTE_REMOVED = "removed a note"
    VIEW_SAVED = "saved a view"
    VIEW_RENAMED = "renamed a view"
    VIEW_DELETED = "deleted a view"
    SETTING_CHANGED = "changed a setting"
    REVEALED = "revealed pseudonyms"


_write_lock = Lock()


def record_event(home: Home, actor: str, action: Event, **details: Any) -> None:
    """Record an event. `details` are JSON values, with no more personal data than needed.

    If the file cannot be written, as on a full disk, the program log gets the action only.
    """
    event = {
        "event_id": uuid.uuid4().hex,
        "occurred_at": utc_now().isoformat(),
        "actor": actor[:MAX_TEXT_LENGTH],
        "action": action.value,
        "details": {name: _truncate(value) for name, value in details.items() if _has_value(value)},
    }
    line = json.dumps(event, ensure_ascii=False, default=str)
    try:
        path = _pending_path(home)
        with _write_lock, path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"\n{line}\n")  # the last line could be incomplete
    except OSError as error:
        log.error("Could not write to the audit log (%s): %s.", error.strerror, action)


_recent_denials: dict[tuple[str, str], float] = {}


def record_denial(home: Home, actor: str, action: str) -> None:
    """Record that access was denied; the same denial at most once a minute."""
    now = time.monotonic()
    if now < _recent_denials.get((actor, action), 0):
        return
    if len(_recent_denials) >= MAX_DENIALS:
        _recent_denials.clear()
    _recent_denials[actor, action] = now + 60
    record_event(home, actor or "Unknown user", Event.ACCESS_DENIED, why=action)


def flush_pending(engine: sa.Engine, home: Home) -> int:
    """Move the pending events to the store; returns their number.

    Each is stored once, even if the process is killed before the file is deleted. Processes that
    share a home, as they can with PostgreSQL, take turns.
    """
    with home.exclusive_lock("audit-log"):
        return _flush_locked(engine, home)


def _flush_locked(engine: sa.Engine, home: Home) -> int:
    with _write_lock:
        pending_path = _pending_path(home)
        flushing_path = pending_path.with_suffix(".flushing")
        if pending_path.exists() and not flushing_path.exists():
            pending_path.rename(flushing_path)
    if not flushing_path.exists():
        return 0
    text = flushing_path.read_text(encoding="utf-8", errors="replace")
    events = list(_parse_events(text.splitlines()))
    with write_transaction(engine) as con:
        ids = [event["event_id"] for event in events]
        existing_ids = set(
            con.scalars(select(audit_event.c.event_id).where(audit_event.c.event_id.in_(ids)))
        )
        newest = select(audit_event.c.number, audit_event.c.checksum)
        newest = newest.order_by(audit_event.c.number.desc()).limit(1)
        number, checksum = (con.execute(newest).first() or (0, INITIAL_CHECKSUM))[:2]
        rows = []
        for event in events:
            if event["event_id"] not in existing_ids:
                number, checksum = number + 1, event_checksum(checksum, number + 1, event)
                rows.append({**event, "number": number, "checksum": checksum})
        if rows:
            con.execute(sa.insert(audit_event), rows)
    flushing_path.unlink()
    return len(rows)


def event_checksum(previous_checksum: str, number: int, event: Mapping[Any, Any]) -> str:
    """The SHA-256 of an event and of the checksum before it."""
    fields = [event["occurred_at"].isoformat(), event["actor"], event["action"], event["details"]]
    text = json.dumps([previous_checksum, number, event["event_id"], *fields])
    return hashlib.sha256(text.encode()).hexdigest()


def first_invalid_number(events: Iterable[Mapping[Any, Any]]) -> int | None:
    """The first number at which the checksum chain is broken; takes all events, oldest first."""
    checksum = INITIAL_CHECKSUM
    for number, event in enumerate(events, start=1):
        checksum = event_checksum(checksum, number, event)
        if (event["number"], event["checksum"]) != (number, checksum):
            return number
    return None


def _parse_events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events; an incomplete line, as left by a full disk, is skipped."""
    for line in filter(None, lines):
        try:
            event = json.loads(line)
            event["occurred_at"] = datetime.fromisoformat(event["occurred_at"])
            event["details"] = json.dumps(event["details"], ensure_ascii=False)
        except (ValueError, KeyError, TypeError):
            log.warning("Skipped an unreadable line of the audit log.")
            continue
        yield {
            name: event[name] for name in ("event_id", "occurred_at", "actor", "action", "details")
        }


def _has_value(value: Any) -> bool:
    """Whether a detail is recorded: empty values are not, but zero is."""
    return bool(value) or type(value) is int


def _truncate(value: Any) -> Any:
    return value[:MAX_TEXT_LENGTH] if isinstance(value, str) else value


def _pending_path(home: Home) -> Path:
    return home.root / "audit-log.pending"
