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
from data.schema import audit_event
from data.store.engine import write_transaction

log = logging.getLogger("rollcall")

MAX_TEXT_LENGTH = 2_000
"""Characters of one detail; more is cut off."""

MAX_DENIALS = 1_000
"""Kinds of refusals that are known to have been written down just now."""

INITIAL_CHECKSUM = "0" * 64


class Event(StrEnum):
    """What can happen."""

    SIGNED_IN = "signed in"
    ACCESS_DENIED = "was refused"
    SIGNED_OUT = "signed out"
    DOWNLOADED = "downloaded"
    FILE_DELIVERED = "delivered a file"
    PULL_REQUESTED = "asked for a pull"
    LOADED = "loaded"
    QUARANTINED = "set a file aside"
    FILE_DECIDED = "decided on a file"
    REMOVED = "removed"
    EXCEPTION_ADDED = "accepted findings"
    EXCEPTION_WITHDRAWN = "withdrew an acceptance"
    MATCH_OVERRIDDEN = "said whose accounts are"
    MATCH_OVERRIDE_WITHDRAWN = "withdrew whose accounts are"
    SETTING_CHANGED = "changed a setting"
    REVEALED = "revealed pseudonyms"


_write_lock = Lock()


def record_event(home: Home, actor: str, action: Event, **details: Any) -> None:
    """Write an event down; `details` are what JSON can say, and no more personal than needed.

    Where that fails, as on a full disk, the program's own log has what happened, but no details.
    """
    event = {
        "event_id": uuid.uuid4().hex,
        "occurred_at": datetime.now(UTC).replace(tzinfo=None).isoformat(),
        "actor": actor[:MAX_TEXT_LENGTH],
        "action": action.value,
        "details": {name: _truncate(value) for name, value in details.items() if _has_value(value)},
    }
    line = json.dumps(event, ensure_ascii=False, default=str)
    try:
        with _write_lock, _pending_path(home).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")  # before it, as the last one may be cut off
    except OSError as error:
        log.error("The audit log cannot be written (%s): %s.", error.strerror, action)


_recent_denials: dict[tuple[str, str], float] = {}


def record_denial(home: Home, actor: str, action: str) -> None:
    """Write down that somebody was refused; once a minute at most, however often they try."""
    now = time.monotonic()
    if now < _recent_denials.get((actor, action), 0):
        return
    if len(_recent_denials) >= MAX_DENIALS:
        _recent_denials.clear()
    _recent_denials[actor, action] = now + 60
    record_event(home, actor or "somebody unknown", Event.ACCESS_DENIED, why=action)


def flush_pending(engine: Engine, home: Home) -> int:
    """Put what was written down into the store; answers with how many events that were.

    Each is there once, even if the process is killed between the store and the file. Where several
    processes share a home, as they can with PostgreSQL, one after the other does.
    """
    with home.exclusive_lock("settling"):
        return _flush_locked(engine, home)


def _flush_locked(engine: Engine, home: Home) -> int:
    with _write_lock:
        pending_path, flushing_path = (
            _pending_path(home),
            _pending_path(home).with_suffix(".settling"),
        )
        if pending_path.exists() and not flushing_path.exists():
            pending_path.rename(flushing_path)
    if not flushing_path.exists():
        return 0
    events = list(
        _parse_events(flushing_path.read_text(encoding="utf-8", errors="replace").splitlines())
    )
    with write_transaction(engine) as con:
        ids = [event["event_id"] for event in events]
        existing_ids = set(
            con.scalars(select(audit_event.c.event_id).where(audit_event.c.event_id.in_(ids)))
        )
        newest_query = (
            select(audit_event.c.number, audit_event.c.checksum)
            .order_by(audit_event.c.number.desc())
            .limit(1)
        )
        number, checksum = (con.execute(newest_query).first() or (0, INITIAL_CHECKSUM))[:2]
        rows = []
        for event in events:
            if event["event_id"] not in existing_ids:
                number, checksum = number + 1, event_checksum(checksum, number + 1, event)
                rows.append({**event, "number": number, "checksum": checksum})
        if rows:
            con.execute(insert(audit_event), rows)
    flushing_path.unlink()
    return len(rows)


def event_checksum(previous_checksum: str, number: int, event: Mapping[Any, Any]) -> str:
    """The SHA-256 of an event and of the seal before it."""
    fields = [event["occurred_at"].isoformat(), event["actor"], event["action"], event["details"]]
    text = json.dumps([previous_checksum, number, event["event_id"], *fields])
    return hashlib.sha256(text.encode()).hexdigest()


def first_invalid_number(events: Iterable[Mapping[Any, Any]]) -> int | None:
    """The number of the first event that is not as it was sealed; all of `audit`, oldest first."""
    checksum = INITIAL_CHECKSUM
    for number, event in enumerate(events, start=1):
        checksum = event_checksum(checksum, number, event)
        if (event["number"], event["checksum"]) != (number, checksum):
            return number
    return None


def _parse_events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events; a line that is cut off, as on a full disk, is none."""
    for line in filter(None, lines):
        try:
            event = json.loads(line)
            event["occurred_at"] = datetime.fromisoformat(event["occurred_at"])
            event["details"] = json.dumps(event["details"], ensure_ascii=False)
        except (ValueError, KeyError, TypeError):
            log.warning("A line of the audit log cannot be read.")
            continue
        yield {
            name: event[name] for name in ("event_id", "occurred_at", "actor", "action", "details")
        }


def _has_value(value: Any) -> bool:
    """Whether a detail tells something: what is empty does not, but that it was none does."""
    return bool(value) or type(value) is int


def _truncate(value: Any) -> Any:
    return value[:MAX_TEXT_LENGTH] if isinstance(value, str) else value


def _pending_path(home: Home) -> Path:
    return home.root / "audit-log.pending"
