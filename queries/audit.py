"""The audit log as Owners read it, and as a file."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, true

from data.records.audit_log import first_broken
from data.schema import audit
from queries.filters import MOST_WORDS
from queries.search import contains

PAGE_SIZE = 50
BATCH = 1_000
"""Events that are written at a time."""


def count_events(con: Connection, search: str = "") -> int:
    """How many events there are that the search finds."""
    return con.scalar(select(func.count()).select_from(audit).where(_found(search))) or 0


def page_of_events(con: Connection, search: str, page: int) -> Sequence[Row[Any]]:
    """One row per event of the page (from 1), the newest first: the columns of `audit`."""
    asked = select(audit).where(_found(search)).order_by(audit.c.number.desc())
    return con.execute(asked.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()


def broken_from(con: Connection) -> int | None:
    """The number of the first event that was changed, or stands after a gap; None: all is whole."""
    return first_broken(_all(con))


def events_ndjson(con: Connection) -> Generator[bytes, None, None]:
    """All events, oldest first: a JSON object a line, with its seal."""
    for event in _all(con):
        told = {**event, "at": _in_utc(event["at"]), "details": json.loads(event["details"])}
        yield json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _all(con: Connection) -> Generator[dict[str, Any], None, None]:
    streamed = con.execution_options(stream_results=True)
    found = streamed.execute(select(audit).order_by(audit.c.number)).mappings()
    for batch in found.partitions(BATCH):
        yield from map(dict, batch)


def _found(search: str) -> ColumnElement[bool]:
    """Every word in one of the columns."""
    columns = (audit.c.who, audit.c.what, audit.c.details)
    words = search.split(None, MOST_WORDS)
    return and_(true(), *(or_(*(contains(c, word) for c in columns)) for word in words))


def _in_utc(at: datetime) -> str:
    return f"{at.isoformat()}Z"
