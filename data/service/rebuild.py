"""Rebuilds the store from the archive, and loads snapshots that the store lacks.

The delivered files are the source of truth. Records that are in no file – settings, exceptions,
match overrides, quarantined files and the audit log – are copied from the old store, where that can
be read.
"""

import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from data.files.errors import SnapshotRejected
from data.files.mapping import read_mapping
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.inbox.actions import finish_interrupted
from data.inbox.inbox import describe_load
from data.people.directories import refresh_people
from data.records.decisions import link_account_keys, unlink_account_keys
from data.records.tables import RECORD_TABLES
from data.schema import integration
from data.service.archive_check import (
    archive_key,
    archived_files,
    describe_problems,
    missing_and_changed,
    recorded_hashes,
)
from data.store.adapter import Replacement, adapter_for, adapter_of
from data.store.engine import close_store, open_store, unchecked_connection
from data.store.errors import StoreError, StoreInUse, StoreUnusable

log = logging.getLogger("rollcall")

RebuildProgress = Callable[[int, int, str], None]
"""Called for every file of the archive, with its number, the number of files, and the result.
Number 0 comes first, with the reason for the rebuild."""


MAX_PROBLEMS = 20
"""Files that a message names."""

REBUILD = "rollcall rebuild --accept-changed"
REBUILD_ANYWAY = f", or rebuild from what is there: {REBUILD}"


class RebuildFailed(StoreError):
    """Files of the archive cannot be loaded, or are not as loaded. The store is unchanged."""


def open_or_rebuild(home: Home, progress: RebuildProgress) -> sa.Engine:
    """The store of a home. A damaged or outdated file is rebuilt first.

    Raises StoreError.
    """
    url = home.database_url
    try:
        with _rebuild_lock(home, fcntl.LOCK_SH):
            return open_store(url)
    except StoreUnusable as error:
        if adapter_for(url).is_server:  # other processes may use it
            raise StoreError(
                f"{error} Stop all other processes that use it, then run: rollcall rebuild."
            ) from error
        message = f"{error} It is rebuilt from the archive. The old file is kept."
        log.warning(message)
        with _rebuild_lock(home, fcntl.LOCK_EX):
            close_store(url)
            try:
                _check_archive(home)
            finally:
                close_store(url)
            progress(0, len(archived_files(home)), message)
            with adapter_for(url).replacement(url) as replacement:
                _build(home, replacement, progress)
                _install(home, replacement, error.name)
            return open_store(url)


def rebuild(home: Home, progress: RebuildProgress, *, accept_changed: bool = False) -> int:
    """Build a new store from the archive and put it in place. Returns the number of snapshots.

    Raises StoreError, and RebuildFailed where, without `accept_changed`, a file cannot be loaded or
    is not as it was loaded. The store is then unchanged.
    """
    adapter, reason = adapter_for(home.database_url), ""
    with ExitStack() as stack:
        if not adapter.is_server:
            stack.enter_context(_rebuild_lock(home, fcntl.LOCK_EX))
            reason = _acquire_store(home)
        _check_archive(home, accept_changed=accept_changed)
        if not archived_files(home):
            return 0
        replacement = stack.enter_context(adapter.replacement(home.database_url))
        errors = _build(home, replacement, progress)
        if errors and (adapter.is_server or not accept_changed):
            close_store(home.database_url)
            way_on = "move them out of the archive" if adapter.is_server else f"run: {REBUILD}"
            raise RebuildFailed(
                "\n".join(errors) + f"\nThe store is unchanged: {len(errors):,} of "
                f"{len(archived_files(home)):,} files of the archive cannot be loaded. To rebuild "
                f"without them, {way_on}."
            )
        _install(home, replacement, reason)
    return len(archived_files(home)) - len(errors)


def _build(home: Home, replacement: Replacement, progress: RebuildProgress) -> list[str]:
    """Load the archive into the new store. Returns one error for each file that is not loaded."""
    try:
        engine = open_store(replacement.url)
        replacement.prepare(engine)
        errors = _load_all(engine, home, archived_files(home), progress)
        _migrate_records(home, engine)
    finally:
        close_store(replacement.url)
    return errors


def _install(home: Home, replacement: Replacement, reason: str) -> None:
    close_store(home.database_url)
    if backup := replacement.install(reason):
        log.warning("The old store is kept: %s", backup)


def load_missing(engine: sa.Engine, home: Home, progress: RebuildProgress) -> list[str]:
    """Load the snapshots of the archive that the store lacks. Returns an error for each failure.

    DuckDB silently drops a write-ahead log that was cut off. A server loses nothing: what it lacks
    was removed, perhaps by another machine.
    """
    with home.exclusive_lock("loading"):
        finish_interrupted(engine, home)  # otherwise it would load what a person removed
    if adapter_of(engine).is_server:
        return []
    with engine.connect() as con:
        loaded = recorded_hashes(con)
    missing = [path for path in archived_files(home) if archive_key(path) not in {*loaded, None}]
    if missing:
        message = "The store lacks snapshots of the archive. They are loaded again."
        log.warning(message)
        progress(0, len(missing), message)
    return _load_all(engine, home, missing, progress)


@contextmanager
def _rebuild_lock(home: Home, mode: int) -> Iterator[None]:
    """Shared while a store is opened, exclusive while it is replaced. Raises StoreInUse.

    DuckDB's own lock is on the file, not on its name.
    """
    with (home.root / ".rebuilding").open("w") as lock:
        try:
            fcntl.flock(lock, mode | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreInUse("Another process is rebuilding the store.") from error
        yield


def _check_archive(home: Home, *, accept_changed: bool = False) -> None:
    """Raises RebuildFailed where the archive is not as the old store recorded it.

    A server can have snapshots from the archive of another machine, so a rebuild never drops one.
    """
    try:
        with unchecked_connection(home.database_url) as con:
            recorded = recorded_hashes(con)
    except (StoreError, SQLAlchemyError):
        log.warning("The old store cannot be read, so the archive is not compared with it.")
        return
    is_server = adapter_for(home.database_url).is_server
    missing, changed = missing_and_changed(home, recorded)
    if accept_changed:
        missing, changed = missing if is_server else [], []
    if problems := describe_problems(missing, changed):
        more = [f"And {len(problems) - MAX_PROBLEMS:,} more."] * (len(problems) > MAX_PROBLEMS)
        way_on = "" if is_server and missing else REBUILD_ANYWAY
        raise RebuildFailed(
            "\n".join(["The archive is not as it was loaded.", *problems[:MAX_PROBLEMS], *more])
            + f"\nThe store is unchanged. Put the files back into {home.archive}, for example from "
            f"a backup{way_on}."
        )


def _acquire_store(home: Home) -> str:
    """Open the old store, so that no other process can. Returns why it cannot be opened, if so."""
    try:
        open_store(home.database_url)
    except StoreInUse:
        raise
    except StoreError as error:
        log.warning("%s", error)
        return error.name if isinstance(error, StoreUnusable) else "unreadable"
    return ""


def _load_all(
    engine: sa.Engine, home: Home, paths: Sequence[Path], progress: RebuildProgress
) -> list[str]:
    errors = []
    for number, path in enumerate(paths, start=1):
        try:
            file = SnapshotFile.from_path(path, integration=path.parent.name)
            file = replace(file, mapping=read_mapping(home, file.integration))
            message = describe_load(load(engine, file, confirmed=True, was_loaded=True))
        except (SnapshotRejected, OSError) as error:
            message = f"{path}: {getattr(error, 'strerror', None) or error}"
            errors.append(message)
            log.warning("%s cannot be loaded.", path)  # the reason can quote the file
        progress(number, len(paths), message)
    return errors


# ---- records -------------------------------------------------------------------------------------


def _migrate_records(home: Home, new_engine: sa.Engine) -> None:
    """Copy the records, by the names of the columns that the old and the new store both have."""
    if not adapter_for(home.database_url).exists(home.database_url):
        return
    try:
        with unchecked_connection(home.database_url) as old_con, new_engine.begin() as con:
            old_tables = sa.inspect(old_con).get_table_names()
            if integration.name in old_tables:
                _migrate_integration_settings(old_con, con)
            for table in RECORD_TABLES:
                if table.name in old_tables and (rows := _read_rows(old_con, table)):
                    con.execute(sa.insert(table), rows)
            unlink_account_keys(con)
            link_account_keys(con)
            refresh_people(con)
    except (StoreError, SQLAlchemyError) as error:
        log.warning("Settings, exceptions and the audit log could not be read: %s", error)


def _migrate_integration_settings(old_con: Connection, con: Connection) -> None:
    for row in _read_rows(old_con, integration):
        settings = {c: row[c] for c in row if c not in ("integration_id", "name")}
        if settings:
            condition = integration.c.name == row["name"]
            con.execute(sa.update(integration).where(condition).values(settings))


def _read_rows(old_con: Connection, table: sa.Table) -> list[dict[str, Any]]:
    names = {column["name"] for column in sa.inspect(old_con).get_columns(table.name)}
    columns = [c for c in table.c if c.name in names]
    return [dict(row) for row in old_con.execute(select(*columns)).mappings()]
