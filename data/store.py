"""The database: opened once per process, upgraded to the tables of today."""

from __future__ import annotations

from pathlib import Path
from threading import Lock, RLock

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from data.tables import metadata

writing = RLock()
"""Held while the store is written. DuckDB refuses two writers; here the second one waits."""


class StoreInUse(Exception):
    """Another process has the store open; DuckDB lets only one in."""


_opened: dict[str, Engine] = {}
_opening = Lock()
"""Two threads that make the same tables at once would fail each other."""


def close_stores() -> None:
    """Close every store; DuckDB then writes what its log holds into the file."""
    with _opening:
        while _opened:
            _opened.popitem()[1].dispose()


def open_store(url: str) -> Engine:
    """The one engine of a store, its tables made where they are missing.

    Raises StoreInUse where another process holds the DuckDB file.
    """
    with _opening:
        if url not in _opened:
            _opened[url] = _open(url)
        return _opened[url]


def _open(url: str) -> Engine:
    database = make_url(url).database
    if url.startswith("duckdb") and database and database != ":memory:":
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    event.listen(engine, "connect", _speak_utc)
    try:
        metadata.create_all(engine)
    except Exception as fault:
        engine.dispose()
        if "Conflicting lock" in str(fault) or "Could not set lock" in str(fault):
            raise StoreInUse(f"{database} is open in another process.") from fault
        raise
    return engine


def _speak_utc(connection: object, _: ConnectionPoolEntry) -> None:
    """Without it DuckDB reads times that name no offset in the machine's own zone."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("SET TimeZone = 'UTC'")
    cursor.close()
