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

from data.files.errors import SnapshotRejected
from data.files.mapping import read_mapping
from data.files.naming import SnapshotFile, parse_moment
from data.history.load import load
from data.home import Home
from data.inbox.inbox import describe_load
from data.records.matches import link_account_keys, unlink_account_keys
from data.schema import RECORD_TABLES, integration, snapshot
from data.store import postgresql
from data.store.citus import distribute_like
from data.store.engine import (
    close_store,
    create_unchecked_engine,
    database_file,
    is_duckdb,
    open_store,
)
from data.store.errors import StoreError, StoreInUse, StoreUnusable

log = logging.getLogger("rollcall")

RebuildProgress = Callable[[int, int, str], None]
"""Told of every file of the archive: its number, how many there are, what became of it. Number 0
comes first, with why the store is made anew or completed."""


class RebuildFailed(StoreError):
    """Files of the archive cannot be loaded; the store stays as it was."""


def open_or_rebuild(home: Home, progress: RebuildProgress) -> Engine:
    """The store of a home. One that is damaged or out of date is first made anew.

    Raises a StoreFault where there is no way to it now.
    """
    url = home.database_url
    try:
        with _rebuild_lock(home, fcntl.LOCK_SH):
            return open_store(url)
    except StoreUnusable as error:
        if not database_file(url):  # others may be at work with it
            raise StoreError(
                f"{error} Stop the others that use it, then: rollcall rebuild."
            ) from error
        message = f"{error} It is made anew from the archive; the file as it was is kept."
        log.warning(message)
        with _rebuild_lock(home, fcntl.LOCK_EX):
            close_store(url)
            _check_archive_complete(home)
            progress(0, len(archived_files(home)), message)
            new_file, _ = _build_store(home, progress)
            close_store(url)
            log.warning("The store as it was: %s", _move_aside(home, error.name))
            new_file.replace(_require_database_file(home))
            return open_store(url)


def rebuild(home: Home, progress: RebuildProgress) -> int:
    """Make the store anew from the archive, beside the old one, and put it in its place.

    Answers with the number of snapshots. Raises NotRebuilt where a file cannot be loaded, or
    another StoreFault; the store is then as it was.
    """
    if not database_file(home.database_url):
        return _rebuild_on_server(home, progress)
    with _rebuild_lock(home, fcntl.LOCK_EX):
        reason = _acquire_store(home)
        new_file, errors = _build_store(home, progress)
        close_store(home.database_url)
        if errors:
            new_file.unlink()
            raise _rebuild_failed(home, errors)
        if (
            reason or Path(f"{_require_database_file(home)}.wal").exists()
        ):  # a full disk can leave the log unmerged
            log.warning("The store as it was: %s", _move_aside(home, reason or "replaced"))
        new_file.replace(_require_database_file(home))
    return len(archived_files(home))


def _rebuild_on_server(home: Home, progress: RebuildProgress) -> int:
    """The same in a schema beside; what was there goes into another, and is kept."""
    _check_archive_complete(home)
    old_engine = create_unchecked_engine(home.database_url)
    try:
        with (
            old_engine.connect() as con,
            postgresql.exclusive_lock(con),
            postgresql.temporary_schema(con) as address,
        ):
            try:
                engine = open_store(address)
                distribute_like(con, engine)
                errors = _load_all(engine, home, archived_files(home), progress)
                _migrate_records(home, engine)
            finally:
                close_store(address)
            if errors:
                raise _rebuild_failed(home, errors)
            log.warning("The store as it was: schema %s", postgresql.swap_schemas(con))
    finally:
        old_engine.dispose()
        close_store(home.database_url)
    return len(archived_files(home))


def _rebuild_failed(home: Home, errors: list[str]) -> RebuildFailed:
    return RebuildFailed(
        "\n".join(errors) + f"\nThe store stays as it was: {len(errors):,} of "
        f"{len(archived_files(home)):,} files of the archive cannot be loaded. Move them out of "
        "the archive to rebuild without them."
    )


def load_missing(engine: Engine, home: Home, progress: RebuildProgress) -> list[str]:
    """Load what the archive has and the store has not: a log that was cut off loses it silently.

    Answers with why, for each file that cannot be loaded. PostgreSQL loses nothing, and what it
    lacks was taken out, on another machine perhaps.
    """
    if not is_duckdb(engine):
        return []
    with engine.connect() as con:
        loaded = _loaded_snapshots(con)
    missing = [
        path for path in archived_files(home) if _parse_archive_path(path) not in loaded | {None}
    ]
    if missing:
        message = "The store lacks snapshots that the archive has; they are loaded again."
        log.warning(message)
        progress(0, len(missing), message)
    return _load_all(engine, home, missing, progress)


def archived_files(home: Home) -> list[Path]:
    """The files of the archive, oldest first."""
    paths = (p for p in home.archive.glob("*/*") if p.is_file() and not p.name.startswith("."))
    return sorted(paths, key=lambda path: (path.name, path.parent.name))


@contextmanager
def _rebuild_lock(home: Home, mode: int) -> Iterator[None]:
    """Shared while a store is being opened, exclusive while it is exchanged.

    DuckDB's own lock is on the file, not on its name. Raises StoreInUse.
    """
    with (home.root / ".rebuilding").open("w") as lock:
        try:
            fcntl.flock(lock, mode | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreInUse("The store is being rebuilt by another process.") from error
        yield


def _check_archive_complete(home: Home) -> None:
    """Raises NotRebuilt where the old store tells of snapshots that the archive does not have."""
    old_engine, file = create_unchecked_engine(home.database_url), database_file(home.database_url)
    try:
        with old_engine.connect() as con:
            missing = _loaded_snapshots(con).difference(
                map(_parse_archive_path, archived_files(home))
            )
    except (StoreError, SQLAlchemyError):
        return  # nobody can tell any more
    finally:
        old_engine.dispose()
        close_store(home.database_url)
    if missing:
        name, taken_at = min(missing)
        raise RebuildFailed(
            f"The store cannot be made anew: {len(missing):,} of its snapshots have no file in "
            f"the archive, {name} at {taken_at:%Y-%m-%d %H:%M:%S} UTC among them. Put them "
            "back into "
            f"{home.archive}{', or go on without them: rollcall rebuild' if file else ''}."
        )


def _acquire_store(home: Home) -> str:
    """By having the old store open; where that is impossible, why, in a word."""
    try:
        open_store(home.database_url)
    except StoreInUse:
        raise
    except StoreError as error:
        log.warning("%s", error)
        return error.name if isinstance(error, StoreUnusable) else "unreadable"
    return ""


def _build_store(home: Home, progress: RebuildProgress) -> tuple[Path, list[str]]:
    """The finished file beside the store, and why, for each file that could not be loaded."""
    file = _require_database_file(home)
    new_file = file.with_name(f"{file.name}.new")
    for leftover in (new_file, Path(f"{new_file}.wal")):
        leftover.unlink(missing_ok=True)
    url = f"duckdb:///{new_file}"
    try:
        engine = open_store(url)
        errors = _load_all(engine, home, archived_files(home), progress)
        _migrate_records(home, engine)
    finally:
        close_store(url)
    return new_file, errors


def _load_all(
    engine: Engine, home: Home, paths: Sequence[Path], progress: RebuildProgress
) -> list[str]:
    errors = []
    for number, path in enumerate(paths, start=1):
        try:
            file = SnapshotFile.from_path(path, integration=path.parent.name)
            file = replace(file, mapping=read_mapping(home, file.integration))
            message = describe_load(load(engine, file, confirmed=True))
        except (SnapshotRejected, OSError) as error:
            message = f"{path}: {getattr(error, 'strerror', None) or error}"
            errors.append(message)
            log.warning("%s cannot be loaded.", path)  # not why, which can quote it
        progress(number, len(paths), message)
    return errors


def _move_aside(home: Home, name: str) -> Path:
    """The store with its log: nothing is deleted that somebody may want to look at."""
    file, now = _require_database_file(home), datetime.now(UTC)
    moved = file.with_name(f"{file.name}.{name}-{now:%Y-%m-%dT%H-%M-%SZ}")
    for suffix in ("", ".wal"):
        if (old := Path(f"{file}{suffix}")).exists():
            old.rename(f"{moved}{suffix}")
    return moved


def _migrate_records(home: Home, new_engine: Engine) -> None:
    """What no file says, by the names of columns that old and new store both have."""
    file = database_file(home.database_url)
    if file and not file.exists():
        return
    old_engine = create_unchecked_engine(home.database_url)
    try:
        with old_engine.connect() as old_con, new_engine.begin() as con:
            columns_by_table = {
                name: _column_names(old_con, name) for name in inspect(old_con).get_table_names()
            }
            _migrate_integration_settings(
                old_con, con, columns_by_table.get(integration.name, set())
            )
            for table in RECORD_TABLES:
                rows = (
                    _read_rows(old_con, table, columns_by_table[table.name])
                    if table.name in columns_by_table
                    else []
                )
                con.execute(insert(table), rows) if rows else None
            unlink_account_keys(con)
            link_account_keys(con)
    except (StoreError, SQLAlchemyError) as error:
        log.warning(
            "Settings, accepted findings and the audit log could not be read: %s",
            error,
        )
    finally:
        old_engine.dispose()


def _migrate_integration_settings(
    old_con: Connection, con: Connection, column_names: set[str]
) -> None:
    settings = [
        c
        for c in integration.c
        if c.name in column_names and c.name not in ("integration_id", "name")
    ]
    for row in _read_rows(old_con, integration, column_names) if settings else ():
        con.execute(
            update(integration)
            .where(integration.c.name == row["name"])
            .values({c: row[c.name] for c in settings})
        )


def _read_rows(old_con: Connection, table: Table, column_names: set[str]) -> list[dict[str, Any]]:
    columns = [c for c in table.c if c.name in column_names]
    return [dict(row) for row in old_con.execute(select(*columns)).mappings()]


def _column_names(old_con: Connection, name: str) -> set[str]:
    return {column["name"] for column in inspect(old_con).get_columns(name)}


def _loaded_snapshots(con: Connection) -> set[tuple[str, datetime]]:
    """Integration and time of every loaded snapshot."""
    joined = snapshot.join(integration, integration.c.integration_id == snapshot.c.integration_id)
    return {
        (row.name, row.taken_at)
        for row in con.execute(select(integration.c.name, snapshot.c.taken_at).select_from(joined))
    }


def _parse_archive_path(path: Path) -> tuple[str, datetime] | None:
    """Integration and time that a file of the archive is named for; None for any other file."""
    moment = parse_moment(path.name.split(".", 1)[0])
    return (path.parent.name, moment) if moment else None


def _require_database_file(home: Home) -> Path:
    file = database_file(home.database_url)
    if not file:
        raise StoreError(f"{home.database_url} is no file that could be rebuilt.")
    return file
