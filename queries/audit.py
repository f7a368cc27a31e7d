"""The audit log as Owners read it, and as a file."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, true

from data.records.audit_log import first_invalid_number
from data.schema import audit_event
from data.store.search_text import contains
from queries.filters import MAX_SEARCH_WORDS

PAGE_SIZE = 50
BATCH_SIZE = 1_000
"""Events that are written at a time."""


def count_events(con: Connection, search_text: str = "") -> int:
    """How many events there are that the search finds."""
    return (
        con.scalar(
            select(func.count()).select_from(audit_event).where(_search_condition(search_text))
        )
        or 0
    )


def page_of_events(con: Connection, search_text: str, page: int) -> Sequence[Row[Any]]:
    """One row per event of the page (from 1), the newest first: the columns of `audit`."""
    query = (
        select(audit_event)
        .where(_search_condition(search_text))
        .order_by(audit_event.c.number.desc())
    )
    return con.execute(query.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()


def find_broken_event(con: Connection) -> int | None:
    """The number of the first event that was changed, or stands after a gap; None: all is whole."""
    return first_invalid_number(_stream_events(con))


def events_ndjson(con: Connection) -> Generator[bytes, None, None]:
    """All events, oldest first: a JSON object a line, with its seal."""
    for event in _stream_events(con):
        payload = {
            **event,
            "occurred_at": _format_utc(event["occurred_at"]),
            "details": json.loads(event["details"]),
        }
        yield json.dumps(payload, ensure_ascii=False).encode() + b"\n"


def _stream_events(con: Connection) -> Generator[dict[str, Any], None, None]:
    stream = con.execution_options(stream_results=True)
    rows = stream.execute(select(audit_event).order_by(audit_event.c.number)).mappings()
    for batch in rows.partitions(BATCH_SIZE):
        yield from map(dict, batch)


def _search_condition(search_text: str) -> ColumnElement[bool]:
    """Every word in one of the columns."""
    columns = (audit_event.c.actor, audit_event.c.action, audit_event.c.details)
    words = search_text.split(None, MAX_SEARCH_WORDS)
    return and_(true(), *(or_(*(contains(c, word) for c in columns)) for word in words))


def _format_utc(moment: datetime) -> str:
    return f"{moment.isoformat()}Z"
