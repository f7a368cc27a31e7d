"""Backups: the files of the home, and a small store with the records that are in no file.

Everything else can be rebuilt. A backup that is unpacked into an empty folder is a home: the first
start, or `rollcall rebuild`, loads its archive.
"""

import logging
import os
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from data.formatting import file_stamp
from data.home import Home, database_url, is_regular_file
from data.inbox.actions import finish_interrupted
from data.records.audit_log import flush_pending
from data.records.decisions import unlink_account_keys
from data.records.tables import RECORD_TABLES
from data.schema import integration
from data.service.archive_check import (
    archive_key,
    archived_files,
    describe_problems,
    missing_and_changed,
    recorded_hashes,
)
from data.store.copy import copy_store
from data.store.engine import close_store, open_store, write_transaction
from data.store.errors import StoreError, StoreInUse
from data.tempfiles import write_atomically

log = logging.getLogger("rollcall")

WAIT_TIMEOUT = 600
"""Seconds to wait for a running app, which may be loading."""

STORE_FILE_NAME = "rollcall.duckdb"
HASHES_FILE_NAME = "archive.sha256"
"""The SHA-256 of each loaded file, as the store recorded it; `sha256sum --check` reads it."""

EXCLUDED_NAMES = ("sample", "serving.json", HASHES_FILE_NAME)
"""Names in the home that are left out, besides stores and hidden files."""


class Backup(NamedTuple):
    """What a backup contains."""

    file_count: int
    problems: list[str]  # files of the archive that are not as they were loaded


def write_backup(home: Home, file: Path) -> Backup:
    """Write the backup, and compare its archive with the SHA-256 of each loaded file.

    Only its owner can read it. Raises StoreError and OSError.
    """
    with _consistent_copy(home) as copy_folder, write_atomically(file) as partial:
        mode = "w:gz" if file.suffix in (".gz", ".tgz") else "w"
        with tarfile.open(partial, mode) as tar:
            paths = sorted(path for path in copy_folder.rglob("*") if path.is_file())
            for path in paths:
                tar.add(path, path.relative_to(copy_folder))
        return Backup(len(paths), _changed_files(copy_folder))


@contextmanager
def _consistent_copy(home: Home) -> Iterator[Path]:
    """A copy of the home that does not change. If an app has the store open, it makes the copy."""
    copy_folder, request_file = _copy_folder(home), _request_file(home)
    with home.exclusive_lock("backing-up"):
        shutil.rmtree(copy_folder, ignore_errors=True)
        try:
            _make_or_request_copy(home)
            yield copy_folder
        finally:
            request_file.unlink(missing_ok=True)
            shutil.rmtree(copy_folder, ignore_errors=True)


def _make_or_request_copy(home: Home) -> None:
    copy_folder, request_file, is_requested = _copy_folder(home), _request_file(home), False
    deadline = time.monotonic() + WAIT_TIMEOUT
    while not copy_folder.is_dir():
        try:
            make_consistent_copy(open_store(home.database_url), home)
        except StoreInUse:
            if time.monotonic() > deadline:
                raise
            if is_requested and not request_file.exists() and not copy_folder.is_dir():
                raise StoreError(
                    "The running app could not make the copy. Its log says why."
                ) from None
            if not is_requested:
                request_file.touch()
                is_requested = True
            time.sleep(0.2)
        finally:
            close_store(home.database_url)


def make_requested_copy(engine: sa.Engine, home: Home) -> None:
    """Make the copy if a backup waits for this process, which has the store open."""
    if not _request_file(home).exists():
        return
    try:
        make_consistent_copy(engine, home)
    except (StoreError, OSError) as error:  # the app goes on without it
        log.error("The copy for a backup failed: %s", error)
    except Exception:
        log.exception("The copy for a backup failed.")
    finally:
        _request_file(home).unlink(missing_ok=True)


def make_consistent_copy(engine: sa.Engine, home: Home) -> None:
    """Make the copy. It needs almost no space, because its files are hard links."""
    partial = _copy_folder(home).with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    with home.exclusive_lock("loading"):  # no file leaves the inbox during the copy
        finish_interrupted(engine, home)
        flush_pending(engine, home)
        _copy_records(engine, partial / STORE_FILE_NAME)
        _write_hashes(engine, home, partial / HASHES_FILE_NAME)
        for path in _files_to_copy(home):
            target = partial / path.relative_to(home.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # moved to a folder that comes later
                _link_or_copy(path, target)
    partial.rename(_copy_folder(home))


def _copy_records(engine: sa.Engine, file: Path) -> None:
    url = database_url(file)
    try:
        target = open_store(url)
        copy_store(engine, target, tables=(integration, *RECORD_TABLES))
        with write_transaction(target) as con:
            unlink_account_keys(con)  # a rebuild gives accounts new keys
    finally:
        close_store(url)


def _write_hashes(engine: sa.Engine, home: Home, file: Path) -> None:
    """One line per loaded file that the archive has, or should have."""
    with engine.connect() as con:
        recorded = recorded_hashes(con)
    paths = {archive_key(path): path.relative_to(home.root) for path in archived_files(home)}
    lines = [
        f"{sha256}  {paths.get(key, f'archive/{key.integration}/{file_stamp(key.taken_at)}')}\n"
        for key, sha256 in sorted(recorded.items())
    ]
    file.write_text("".join(lines), encoding="utf-8")


def _changed_files(copy_folder: Path) -> list[str]:
    """The files of a copy that are not as they were loaded."""
    recorded = {}
    for line in (copy_folder / HASHES_FILE_NAME).read_text(encoding="utf-8").splitlines():
        sha256, name = line.split("  ", 1)
        if key := archive_key(Path(name)):
            recorded[key] = sha256
    missing, changed = missing_and_changed(Home(copy_folder), recorded)
    return describe_problems(missing, [path.relative_to(copy_folder) for path in changed])


def _files_to_copy(home: Home) -> Iterator[Path]:
    """The files to copy. The order of the folders is the one in which people move files."""
    folders = (home.on_hold, home.rejected, home.inbox, home.archive, home.removed)
    for entry in (*folders, *(path for path in sorted(home.root.iterdir()) if path not in folders)):
        if entry.name in EXCLUDED_NAMES or ".duckdb" in entry.name or entry.name.startswith("."):
            continue
        for path in (entry, *entry.rglob("*")):
            is_hidden = any(part.startswith(".") for part in path.relative_to(home.root).parts)
            if is_regular_file(path) and not is_hidden:
                yield path


def _link_or_copy(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except FileNotFoundError:
        raise
    except OSError:  # no hard links, or another file system
        shutil.copy2(path, target)


def _copy_folder(home: Home) -> Path:
    return home.root / ".backup"


def _request_file(home: Home) -> Path:
    return home.root / ".backup-wanted"
