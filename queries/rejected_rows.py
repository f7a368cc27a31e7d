"""The rows of a loaded file that are no account, with line and reason; and as a download."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from data.schema import integration, rejected_row, snapshot
from queries.export.formats import escape_formula


def rejected_rows(
    con: Connection, name: str, taken_at: datetime, *, limit: int
) -> Sequence[Row[Any]]:
    """One row per row of the snapshot's file that is no account: [line, text, reason]."""
    return con.execute(_rejected_query(name, taken_at).limit(limit)).all()


def count_rejected(con: Connection, name: str, taken_at: datetime) -> int:
    """How many rows of the snapshot's file are no account."""
    rows = _rejected_query(name, taken_at).order_by(None).subquery()
    return con.scalar(select(func.count()).select_from(rows)) or 0


def rejected_csv(con: Connection, name: str, taken_at: datetime) -> Generator[bytes, None, None]:
    """All rejected rows as CSV that is safe in a spreadsheet, a batch at a time."""
    yield _csv_bytes([("Line", "Reason", "Text")], bom="\ufeff")
    result = con.execution_options(stream_results=True).execute(_rejected_query(name, taken_at))
    for batch in result.partitions(1_000):
        yield _csv_bytes(
            (row.line, escape_formula(row.reason), escape_formula(row.text or "")) for row in batch
        )


def _rejected_query(name: str, taken_at: datetime) -> Select[*tuple[Any, ...]]:
    columns = rejected_row.c
    return (
        select(columns.line, columns.text, columns.reason)
        .join(snapshot, snapshot.c.snapshot_id == columns.snapshot_id)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == name, snapshot.c.taken_at == taken_at)
        .order_by(columns.line)
    )


def _csv_bytes(rows: Any, bom: str = "") -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return (bom + buffer.getvalue()).encode()
