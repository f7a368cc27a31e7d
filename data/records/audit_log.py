"""The audit log: sign-ins, downloads and changes. Events are appended and never changed.

An event is first written to a file, which does not need the store, and later moved to the store.
There each event has a checksum over itself and the event before, which reveals changes and gaps.
Only retention deletes events: the oldest ones.
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
from sqlalchemy import Connection, func, select

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
    PERSON_EXEMPTED = "exempted a person"
    EXEMPTION_WITHDRAWN = "withdrew an exemption"
    MATCH_OVERRIDDEN = "assigned an owner"
    MATCH_OVERRIDE_WITHDRAWN = "withdrew an owner"
    NOTE_WRITTEN = "wrote a note"
    NOTE_REMOVED = "removed a note"
    VIEW_SAVED = "saved a view"
    VIEW_RENAMED = "renamed a view"
    VIEW_DELETED = "deleted a view"
    ROUND_STARTED = "started a review round"
    ROUND_DECIDED = "decided in a review round"
    ROUND_CLOSED = "closed a review round"
    SETTING_CHANGED = "changed a setting"
    REVEALED = "revealed pseudonyms"
    LETTER_SENT = "sent a letter"
    LETTER_NOT_SENT = "did not deliver a letter"
    LETTER_TESTED = "requested a test letter"
    RETENTION_APPLIED = "deleted what is too old"


_write_lock = Lock()


def record_event(home: Home, actor: str, action: Event, **details: Any) -> None:
    """Record an event. `details` are JSON values, with no more personal data than needed.

    If the file cannot be written, as on a full disk, the program log gets the action only.
    """
    line = _line(actor, action, details)
    try:
        path = _pending_path(home)
        with _write_lock, path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"\n{line}\n")  # the last line could be incomplete
    except OSError as error:
        log.error("Could not write to the audit log (%s): %s.", error.strerror, action)


def append_once(
    con: Connection, actor: str, action: Event, key: str, events: Iterable[Mapping[str, Any]]
) -> bool:
    """Record events with these details in the transaction of what they record.

    So both are there, or neither. False if the events of this key are there already.
    """
    lines = [
        _line(actor, action, details, hashlib.sha256(f"{key} {number}".encode()).hexdigest()[:32])
        for number, details in enumerate(events)
    ]
    return bool(_append(con, lines))


def _line(actor: str, action: Event, details: Mapping[str, Any], event_id: str = "") -> str:
    event = {
        "event_id": event_id or uuid.uuid4().hex,
        "occurred_at": utc_now().isoformat(),
        "actor": actor[:MAX_TEXT_LENGTH],
        "action": action.value,
        "details": {name: _truncate(value) for name, value in details.items() if _has_value(value)},
    }
    return json.dumps(event, ensure_ascii=False, default=str)


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
    with write_transaction(engine) as con:
        count = _append(con, text.splitlines())
    flushing_path.unlink()
    return count


def _append(con: Connection, lines: Iterable[str]) -> int:
    """Store the events of the lines that are not stored yet; returns their number."""
    events = list(_parse_events(lines))
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
    return len(rows)


def count_older_events(con: Connection, cutoff: datetime) -> int:
    """The events at the start of the log that are all older than the cutoff."""
    return _older_events(con, cutoff)[0]


def _older_events(con: Connection, cutoff: datetime) -> tuple[int, int]:
    """How many events at the start of the log are older, and the number of the last of them."""
    number = audit_event.c.number
    newer = select(func.min(number)).where(audit_event.c.occurred_at >= cutoff)
    first_newer = con.scalar(newer) or (con.scalar(select(func.max(number))) or 0) + 1
    count = con.scalar(select(func.count()).select_from(audit_event).where(number < first_newer))
    return count or 0, first_newer - 1


def delete_older_events(engine: sa.Engine, home: Home, cutoff: datetime) -> int:
    """Delete the events before the cutoff; an event says how many. Returns their number.

    It also has the last checksum that goes, so that the rest of the chain can still be verified.
    """
    with home.exclusive_lock("audit-log"):
        _flush_locked(engine, home)
        with write_transaction(engine) as con:
            count, last = _older_events(con, cutoff)
            if count:
                checksum = con.scalar(
                    select(audit_event.c.checksum).where(audit_event.c.number == last)
                )
                details = {"events": count, "last_number": last, "checksum": checksum}
                _append(con, [_line("Retention", Event.RETENTION_APPLIED, details)])
                con.execute(sa.delete(audit_event).where(audit_event.c.number <= last))
    return count


def event_checksum(previous_checksum: str, number: int, event: Mapping[Any, Any]) -> str:
    """The SHA-256 of an event and of the checksum before it."""
    fields = [event["occurred_at"].isoformat(), event["actor"], event["action"], event["details"]]
    text = json.dumps([previous_checksum, number, event["event_id"], *fields])
    return hashlib.sha256(text.encode()).hexdigest()


def first_invalid_number(events: Iterable[Mapping[Any, Any]]) -> int | None:
    """The first number at which the checksum chain is broken; takes all events, oldest first.

    Where retention has deleted the events before the first one, a later event has the checksum
    that goes before it.
    """
    number, checksum, unproven = 0, INITIAL_CHECKSUM, None
    for event in events:
        if number == 0 and event["number"] > 1:
            unproven, number, checksum = event, event["number"], event["checksum"]
        else:
            number, checksum = number + 1, event_checksum(checksum, number + 1, event)
            if (event["number"], event["checksum"]) != (number, checksum):
                return number
        if unproven and _proves_start(event, unproven):
            unproven = None
    return unproven["number"] if unproven else None


def _proves_start(event: Mapping[Any, Any], first: Mapping[Any, Any]) -> bool:
    """Whether an event records that all events before the first one were deleted."""
    if event["action"] != Event.RETENTION_APPLIED:
        return False
    deleted, number = json.loads(event["details"]), first["number"]
    is_before = deleted.get("last_number") == number - 1
    return is_before and event_checksum(deleted["checksum"], number, first) == first["checksum"]


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
