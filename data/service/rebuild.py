"""The store from the archive: made anew where it is of no use, completed where it lost something.

The files are the source of truth. What only people have said or done – settings, findings that
they have accepted, whose an account is, what was held or refused, the audit log – is carried over
from the old store where that can be read.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from data.files.errors import SnapshotRefused
from data.files.mapping import mapping_of
from data.files.naming import SnapshotFile, moment_of
from data.history.load import load
from data.home import Home
from data.inbox.inbox import in_words
from data.records.matches import find_keys, forget_keys
from data.schema import TOLD, integration, snapshot
from data.store import postgresql
from data.store.citus import distribute_like
from data.store.engine import close_store, file_of, is_duckdb, open_store, unchecked
from data.store.errors import StoreFault, StoreInUse, StoreUnusable

log = logging.getLogger("rollcall")

Progress = Callable[[int, int, str], None]
"""Told of every file of the archive: its number, how many there are, what became of it. Number 0
comes first, with why the store is made anew or completed."""


class NotRebuilt(StoreFault):
    """Files of the archive cannot be loaded; the store stays as it was."""


def opened(home: Home, progress: Progress) -> Engine:
    """The store of a home. One that is damaged or out of date is first made anew.

    Raises a StoreFault where there is no way to it now.
    """
    url = home.database_url
    try:
        with _door(home, fcntl.LOCK_SH):
            return open_store(url)
    except StoreUnusable as fault:
        if not file_of(url):  # others may be at work with it
            raise StoreFault(
                f"{fault} Stop the others that use it, then: rollcall rebuild."
            ) from fault
        words = f"{fault} It is made anew from the archive; the file as it was is kept."
        log.warning(words)
        with _door(home, fcntl.LOCK_EX):
            close_store(url)
            _refuse_to_lose(home)
            progress(0, len(archived(home)), words)
            fresh, _ = _made_anew(home, progress)
            close_store(url)
            log.warning("The store as it was: %s", _move_aside(home, fault.name))
            fresh.replace(_file(home))
            return open_store(url)


def rebuild(home: Home, progress: Progress) -> int:
    """Make the store anew from the archive, beside the old one, and put it in its place.

    Answers with the number of snapshots. Raises NotRebuilt where a file cannot be loaded, or
    another StoreFault; the store is then as it was.
    """
    if not file_of(home.database_url):
        return _rebuild_on_server(home, progress)
    with _door(home, fcntl.LOCK_EX):
        why = _keep_others_out(home)
        fresh, failed = _made_anew(home, progress)
        close_store(home.database_url)
        if failed:
            fresh.unlink()
            raise _not_rebuilt(home, failed)
        if why or Path(f"{_file(home)}.wal").exists():  # a full disk can leave the log unmerged
            log.warning("The store as it was: %s", _move_aside(home, why or "replaced"))
        fresh.replace(_file(home))
    return len(archived(home))


def _rebuild_on_server(home: Home, progress: Progress) -> int:
    """The same in a schema beside; what was there goes into another, and is kept."""
    _refuse_to_lose(home)
    old = unchecked(home.database_url)
    try:
        with old.connect() as con, postgresql.alone(con), postgresql.beside(con) as address:
            try:
                engine = open_store(address)
                distribute_like(con, engine)
                failed = _load_all(engine, home, archived(home), progress)
                _carry_over(home, engine)
            finally:
                close_store(address)
            if failed:
                raise _not_rebuilt(home, failed)
            log.warning("The store as it was: schema %s", postgresql.exchange(con))
    finally:
        old.dispose()
        close_store(home.database_url)
    return len(archived(home))


def _not_rebuilt(home: Home, failed: list[str]) -> NotRebuilt:
    return NotRebuilt(
        "\n".join(failed) + f"\nThe store stays as it was: {len(failed):,} of "
        f"{len(archived(home)):,} files of the archive cannot be loaded. Move them out of "
        "the archive to rebuild without them."
    )


def complete(engine: Engine, home: Home, progress: Progress) -> list[str]:
    """Load what the archive has and the store has not: a log that was cut off loses it silently.

    Answers with why, for each file that cannot be loaded. PostgreSQL loses nothing, and what it
    lacks was taken out, on another machine perhaps.
    """
    if not is_duckdb(engine):
        return []
    with engine.connect() as con:
        there = _moments(con)
    missing = [path for path in archived(home) if _moment_named(path) not in there | {None}]
    if missing:
        words = "The store lacks snapshots that the archive has; they are loaded again."
        log.warning(words)
        progress(0, len(missing), words)
    return _load_all(engine, home, missing, progress)


def archived(home: Home) -> list[Path]:
    """The files of the archive, oldest first."""
    found = (p for p in home.archive.glob("*/*") if p.is_file() and not p.name.startswith("."))
    return sorted(found, key=lambda path: (path.name, path.parent.name))


@contextmanager
def _door(home: Home, way: int) -> Iterator[None]:
    """Shared while a store is being opened, exclusive while it is exchanged.

    DuckDB's own lock is on the file, not on its name. Raises StoreInUse.
    """
    with (home.root / ".rebuilding").open("w") as lock:
        try:
            fcntl.flock(lock, way | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise StoreInUse("The store is being rebuilt by another process.") from fault
        yield


def _refuse_to_lose(home: Home) -> None:
    """Raises NotRebuilt where the old store tells of snapshots that the archive does not have."""
    old, file = unchecked(home.database_url), file_of(home.database_url)
    try:
        with old.connect() as con:
            lost = _moments(con).difference(map(_moment_named, archived(home)))
    except (StoreFault, SQLAlchemyError):
        return  # nobody can tell any more
    finally:
        old.dispose()
        close_store(home.database_url)
    if lost:
        name, at = min(lost)
        raise NotRebuilt(
            f"The store cannot be made anew: {len(lost):,} of its snapshots have no file in "
            f"the archive, {name} at {at:%Y-%m-%d %H:%M:%S} UTC among them. Put them back into "
            f"{home.archive}{', or go on without them: rollcall rebuild' if file else ''}."
        )


def _keep_others_out(home: Home) -> str:
    """By having the old store open; where that is impossible, why, in a word."""
    try:
        open_store(home.database_url)
    except StoreInUse:
        raise
    except StoreFault as fault:
        log.warning("%s", fault)
        return fault.name if isinstance(fault, StoreUnusable) else "unreadable"
    return ""


def _made_anew(home: Home, progress: Progress) -> tuple[Path, list[str]]:
    """The finished file beside the store, and why, for each file that could not be loaded."""
    file = _file(home)
    fresh = file.with_name(f"{file.name}.new")
    for left_over in (fresh, Path(f"{fresh}.wal")):
        left_over.unlink(missing_ok=True)
    url = f"duckdb:///{fresh}"
    try:
        engine = open_store(url)
        failed = _load_all(engine, home, archived(home), progress)
        _carry_over(home, engine)
    finally:
        close_store(url)
    return fresh, failed


def _load_all(engine: Engine, home: Home, paths: Sequence[Path], progress: Progress) -> list[str]:
    failed = []
    for number, path in enumerate(paths, start=1):
        try:
            file = SnapshotFile.placed(path, integration=path.parent.name)
            file = replace(file, columns=mapping_of(home, file.integration))
            words = in_words(load(engine, file, confirmed=True))
        except (SnapshotRefused, OSError) as fault:
            words = f"{path}: {getattr(fault, 'strerror', None) or fault}"
            failed.append(words)
            log.warning("%s cannot be loaded.", path)  # not why, which can quote it
        progress(number, len(paths), words)
    return failed


def _move_aside(home: Home, name: str) -> Path:
    """The store with its log: nothing is deleted that somebody may want to look at."""
    file, now = _file(home), datetime.now(UTC)
    aside = file.with_name(f"{file.name}.{name}-{now:%Y-%m-%dT%H-%M-%SZ}")
    for ending in ("", ".wal"):
        if (old := Path(f"{file}{ending}")).exists():
            old.rename(f"{aside}{ending}")
    return aside


def _carry_over(home: Home, fresh: Engine) -> None:
    """What no file says, by the names of columns that old and new store both have."""
    file = file_of(home.database_url)
    if file and not file.exists():
        return
    old = unchecked(home.database_url)
    try:
        with old.connect() as before, fresh.begin() as con:
            there = {name: _columns(before, name) for name in inspect(before).get_table_names()}
            _carry_settings(before, con, there.get(integration.name, set()))
            for table in TOLD:
                rows = _rows(before, table, there[table.name]) if table.name in there else []
                con.execute(insert(table), rows) if rows else None
            forget_keys(con)
            find_keys(con)
    except (StoreFault, SQLAlchemyError) as fault:
        log.warning(
            "Settings, accepted findings and the audit log could not be read: %s",
            fault,
        )
    finally:
        old.dispose()


def _carry_settings(before: Connection, con: Connection, there: set[str]) -> None:
    settings = [
        c for c in integration.c if c.name in there and c.name not in ("integration_id", "name")
    ]
    for row in _rows(before, integration, there) if settings else ():
        con.execute(
            update(integration)
            .where(integration.c.name == row["name"])
            .values({c: row[c.name] for c in settings})
        )


def _rows(before: Connection, table: Table, there: set[str]) -> list[dict[str, Any]]:
    columns = [c for c in table.c if c.name in there]
    return [dict(row) for row in before.execute(select(*columns)).mappings()]


def _columns(before: Connection, name: str) -> set[str]:
    return {column["name"] for column in inspect(before).get_columns(name)}


def _moments(con: Connection) -> set[tuple[str, datetime]]:
    """Integration and time of every loaded snapshot."""
    named = snapshot.join(integration, integration.c.integration_id == snapshot.c.integration_id)
    return {
        (row.name, row.taken_at)
        for row in con.execute(select(integration.c.name, snapshot.c.taken_at).select_from(named))
    }


def _moment_named(path: Path) -> tuple[str, datetime] | None:
    """Integration and time that a file of the archive is named for; None for any other file."""
    moment = moment_of(path.name.split(".", 1)[0])
    return (path.parent.name, moment) if moment else None


def _file(home: Home) -> Path:
    file = file_of(home.database_url)
    if not file:
        raise StoreFault(f"{home.database_url} is no file that could be rebuilt.")
    return file
