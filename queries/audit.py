"""The audit log: a page of it, its integrity, and all of it as a file."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.formatting import iso_z
from data.records.audit_log import first_invalid_number
from data.records.tables import audit_event
from data.store.search_text import contains
from queries.filter_conditions import MAX_SEARCH_WORDS

PAGE_SIZE = 50
BATCH_SIZE = 1_000
"""Events to fetch at a time."""


def count_events(con: Connection, search_text: str = "") -> int:
    """The number of events that match the search."""
    query = select(func.count()).select_from(audit_event).where(_search_condition(search_text))
    return con.scalar(query) or 0


def page_of_events(con: Connection, search_text: str, page: int) -> Sequence[sa.Row[Any]]:
    """One row per event of the page (from 1), newest first, with the columns of `audit_event`."""
    query = (
        select(audit_event)
        .where(_search_condition(search_text))
        .order_by(audit_event.c.number.desc())
    )
    return con.execute(query.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()


def find_broken_event(con: Connection) -> int | None:
    """The first event that was changed or follows a gap, by number; None if the log is intact."""
    return first_invalid_number(stream_events(con))


def write_events(con: Connection, path: Path, on_batch: Callable[[], None] = lambda: None) -> None:
    """Write all events, oldest first: one JSON object per line, with its checksum.

    `on_batch` runs before each batch of events and can raise to stop.
    """
    with path.open("w", encoding="utf-8") as file:
        for number, event in enumerate(stream_events(con)):
            if number % BATCH_SIZE == 0:
                on_batch()
            file.write(f"{json.dumps(event_to_json(event), ensure_ascii=False)}\n")


def event_to_json(event: Mapping[Any, Any]) -> dict[str, Any]:
    """An event as JSON values, as it is in the file."""
    occurred_at = iso_z(event["occurred_at"], "auto")
    return {**event, "occurred_at": occurred_at, "details": json.loads(event["details"])}


def event_from_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The event of these JSON values, as it is in the store, so that its checksum can be tested."""
    occurred_at = datetime.fromisoformat(values["occurred_at"].removesuffix("Z"))
    details = json.dumps(values["details"], ensure_ascii=False)
    return {**values, "occurred_at": occurred_at, "details": details}


def stream_events(con: Connection) -> Generator[dict[str, Any], None, None]:
    """All events, oldest first."""
    stream = con.execution_options(stream_results=True)
    rows = stream.execute(select(audit_event).order_by(audit_event.c.number)).mappings()
    for batch in rows.partitions(BATCH_SIZE):
        yield from map(dict, batch)


def _search_condition(search_text: str) -> ColumnElement[bool]:
    """Each word occurs in one of the columns."""
    columns = (audit_event.c.actor, audit_event.c.action, audit_event.c.details)
    words = search_text.split(None, MAX_SEARCH_WORDS)
    return and_(sa.true(), *(sa.or_(*(contains(c, word) for c in columns)) for word in words))
