"""The rejected rows of a loaded file, with line and reason: on the page and as a download."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.schema import integration, rejected_row, snapshot
from data.store.output import write_csv
from data.store.transfer import as_workspace, scan


def rejected_rows(
    con: Connection, name: str, taken_at: datetime, *, limit: int
) -> Sequence[sa.Row[Any]]:
    """One row per rejected row of the snapshot's file: [line, text, reason]."""
    return con.execute(_rejected_query(name, taken_at).limit(limit)).all()


def count_rejected(con: Connection, name: str, taken_at: datetime) -> int:
    """The number of rejected rows of the snapshot's file."""
    rows = _rejected_query(name, taken_at).order_by(None).subquery()
    return con.scalar(select(func.count()).select_from(rows)) or 0


def write_rejected_csv(con: Connection, name: str, taken_at: datetime, path: Path) -> None:
    """Write all rejected rows as CSV that is safe in a spreadsheet."""
    workspace = as_workspace(con)
    rows = scan(con, _rejected_query(name, taken_at), workspace, "rejected").c
    query = select(rows.line, rows.reason, func.coalesce(rows.text, ""))
    write_csv(workspace, query, ("Line", "Reason", "Text"), path)


def _rejected_query(name: str, taken_at: datetime) -> sa.Select[*tuple[Any, ...]]:
    columns = rejected_row.c
    return (
        select(columns.line, columns.text, columns.reason)
        .join(snapshot, snapshot.c.snapshot_id == columns.snapshot_id)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == name, snapshot.c.taken_at == taken_at)
        .order_by(columns.line)
    )
