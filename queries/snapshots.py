"""What was loaded, one row per snapshot."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from data.tables import snapshot


def newest_load(con: Connection) -> tuple[int, datetime | None]:
    """How many snapshots there are, and when the last one was loaded (naive UTC)."""
    return tuple(  # type: ignore[return-value]
        con.execute(
            select(func.count(), func.max(snapshot.c.loaded_at)).select_from(snapshot)
        ).one()
    )


def newest_taken_at(con: Connection) -> datetime | None:
    """When the newest snapshot of any integration was taken (naive UTC); None without any."""
    return con.scalar(select(func.max(snapshot.c.taken_at)))
