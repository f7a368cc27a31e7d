"""The rows of a loaded file that are no account, with line and reason; and as a download."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from data.schema import integration, rejected_row, snapshot
from queries.export.formats import tame


def rejected_rows(
    con: Connection, name: str, taken_at: datetime, *, limit: int
) -> Sequence[Row[Any]]:
    """One row per row of the snapshot's file that is no account: [line, text, reason]."""
    return con.execute(_rejected(name, taken_at).limit(limit)).all()


def count_rejected(con: Connection, name: str, taken_at: datetime) -> int:
    """How many rows of the snapshot's file are no account."""
    rows = _rejected(name, taken_at).order_by(None).subquery()
    return con.scalar(select(func.count()).select_from(rows)) or 0


def rejected_csv(con: Connection, name: str, taken_at: datetime) -> Generator[bytes, None, None]:
    """All rejected rows as CSV that is safe in a spreadsheet, a batch at a time."""
    yield _csv_of([("Line", "Reason", "Text")], mark="\ufeff")
    found = con.execution_options(stream_results=True).execute(_rejected(name, taken_at))
    for batch in found.partitions(1_000):
        yield _csv_of((row.line, tame(row.reason), tame(row.text or "")) for row in batch)


def _rejected(name: str, taken_at: datetime) -> Select[*tuple[Any, ...]]:
    row = rejected_row.c
    return (
        select(row.line, row.text, row.reason)
        .join(snapshot, snapshot.c.snapshot_id == row.snapshot_id)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == name, snapshot.c.taken_at == taken_at)
        .order_by(row.line)
    )


def _csv_of(rows: Any, mark: str = "") -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return (mark + written.getvalue()).encode()
