"""The inbox: one process loads the files in the snapshots folder, oldest first."""

import dataclasses
import errno
import filecmp
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from data.files.errors import OnHold, OtherContentLoaded, SnapshotRejected, UnknownSnapshot
from data.files.formats import find_reader
from data.files.mapping import read_mapping
from data.files.naming import CONFIRMED_PREFIX, REPLACE_PREFIX, SnapshotFile, strip_prefixes
from data.formatting import count_of, file_stamp, iso_z
from data.history.load import LoadResult, load
from data.home import Home, printable
from data.inbox.actions import finish_interrupted
from data.inbox.delivered import (
    copy_delivered,
    inbox_files,
    make_inbox_folder,
    reject_other_than_files,
    remove_delivered,
    storable_name,
)
from data.inbox.quarantine import QuarantineStatus, move_to_archive, quarantine_file, target_path
from data.inbox.reread import reread_by_username
from data.metrics import FILES_TOTAL, LOAD_SECONDS, ROWS_TOTAL
from data.records.audit_log import Event, record_event
from data.store.errors import DiskFull, StoreError, is_full_disk
from data.tempfiles import write_atomically

log = logging.getLogger("rollcall")

STABLE_SECONDS = 1.0
"""A file counts as completely written once it has not changed for so many seconds."""

INBOX_POLL_SECONDS = 2.0
"""Seconds between two looks into the inbox."""

MAX_RETRY_SECONDS = 300.0
"""Longest pause before a failed file is tried again; the first pause is INBOX_POLL_SECONDS."""

LOADING_FOLDER = ".being-loaded"
"""The folder of the home with the copy of the file that is being loaded."""

INBOX_ACTOR = "the inbox"
"""The actor of loads in the audit log. Who put the file into the inbox is an event of its own."""


@dataclass(frozen=True)
class Quarantined:
    """A file that was not loaded: where it is now, and why."""

    path: Path
    reason: str
    status: QuarantineStatus


@dataclass(frozen=True)
class LoadFailure:
    """A file that failed to load and stays in the inbox; the cause may lie outside of the file."""

    path: Path
    reason: str
    retry_seconds: float  # seconds until it is tried again
    failed_at: float  # on the monotonic clock
    is_disk_full: bool = False


Outcome = LoadResult | Quarantined | LoadFailure

FileId = tuple[int, int]
"""Device and inode."""

load_failures: dict[Path, LoadFailure] = {}
"""Files that this process cannot load now, e.g. with a full disk. Every page shows them."""


def put_into_inbox(
    home: Home, file: SnapshotFile, *, replace: bool = False, confirmed: bool = False
) -> Path:
    """Copy the file into the inbox, under a name that says how to load it. Returns the new path.

    Raises UnknownFormat, OtherContentLoaded where another file waits under that name,
    UnknownSnapshot where the integration cannot be the name of a folder, or NotARegularFile where
    the folder is a link.
    """
    target, moment = target_path(home.inbox, file), file_stamp(file.taken_at)
    find_reader(file.path)
    marks = f"{CONFIRMED_PREFIX if confirmed else ''}{REPLACE_PREFIX if replace else ''}"
    target = target.with_name(f"{marks}{target.name}")
    waiting = [target] if target.exists() else target.parent.glob(f"{marks}{moment}.*")
    for other in () if replace else waiting:
        if not filecmp.cmp(file.path, other, shallow=False):
            raise OtherContentLoaded(
                f"{file.name}: another file is waiting in the inbox as "
                f"{file.integration}/{other.name}. To replace it, run rollcall load --replace."
            )
    make_inbox_folder(target.parent)
    try:
        with write_atomically(target) as partial:
            shutil.copyfile(file.path, partial)
            stable_time = time.time() - 2 * STABLE_SECONDS  # it is complete: no need to wait
            os.utime(partial, (stable_time, stable_time))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error  # name the full disk
    return target


def load_inbox(
    engine: sa.Engine, home: Home, progress: Callable[[int, int], None] = lambda *_: None
) -> list[Outcome]:
    """Load the files of the inbox, oldest first; each of them moves to another folder of the home.

    A file that is still being written, or that failed just now, stays for the next look. Several
    processes can watch one inbox with PostgreSQL; they take turns.
    """
    with home.exclusive_lock("loading"):
        finish_interrupted(engine, home)
        outcomes: list[Outcome] = []
        pending = _pending_files(home)
        for number, file in enumerate(pending):
            progress(number, len(pending))
            try:
                outcome = _handle_file(engine, home, file)
                load_failures.pop(file.path, None)
            except Exception as error:  # maybe not the file's fault; other files are waiting
                outcome = _record_failure(file.path, error)
            outcomes.append(_count_outcome(outcome))
        own_failures = {path for path in load_failures if path.is_relative_to(home.inbox)}
        for path in own_failures.difference(inbox_files(home)):
            load_failures.pop(path)
        if pending:
            progress(len(pending), len(pending))
        return outcomes


class _PendingFile(NamedTuple):
    """A file of the inbox."""

    path: Path
    meaning: SnapshotFile | Exception  # the snapshot that place and name say it is, or an error

    @property
    def sort_key(self) -> tuple[datetime, str]:
        """Files whose place or name is wrong come first."""
        if isinstance(self.meaning, Exception):
            return datetime.min, ""  # noqa: DTZ901 - naive UTC
        return self.meaning.taken_at, self.meaning.integration


def _pending_files(home: Home) -> list[_PendingFile]:
    """The files that are complete, oldest first."""
    candidates = [path for path in inbox_files(home) if _is_stable(path) and not _is_paused(path)]
    file_ids = {path: _file_id(path, follow_symlinks=False) for path in candidates}
    open_files = _open_for_writing({each for each in file_ids.values() if each})
    pending = [_identify(home, path) for path in candidates if file_ids[path] not in open_files]
    return sorted(pending, key=lambda file: file.sort_key)


def _identify(home: Home, path: Path) -> _PendingFile:
    try:
        return _PendingFile(path, _parse_snapshot_file(home, path))
    except Exception as error:
        return _PendingFile(path, error)


def _handle_file(engine: sa.Engine, home: Home, pending: _PendingFile) -> Outcome:
    """Load the file, or put it into quarantine."""
    if isinstance(pending.meaning, SnapshotFile):
        return _load_file(engine, home, pending.meaning)
    if not isinstance(pending.meaning, SnapshotRejected):
        raise pending.meaning
    reason = str(pending.meaning)
    target = quarantine_file(engine, home, pending.path, "rejected", reason)
    return Quarantined(target, reason, "rejected")


def _is_stable(path: Path) -> bool:
    """Whether nobody has written to the file for a while.

    A time in the future comes from a wrong clock; the file would otherwise never be old enough.
    """
    try:
        return abs(time.time() - path.lstat().st_mtime) >= STABLE_SECONDS
    except FileNotFoundError:
        return False
    except OSError:  # an attempt to load it reports why
        return True


def _open_for_writing(files: set[FileId]) -> set[FileId]:
    """Those of the files that a process has open for writing, as far as Linux shows it in /proc."""
    return {
        file_id
        for descriptor in _open_descriptors()
        if (file_id := _file_id(descriptor, follow_symlinks=True)) in files
        and _is_writing(descriptor)
    }


def _open_descriptors() -> Iterator[os.DirEntry[str]]:
    with suppress(OSError):  # only Linux has it
        for process in os.scandir("/proc"):
            if process.name.isdigit():
                with suppress(OSError):  # another user's, or ended meanwhile
                    yield from os.scandir(f"{process.path}/fd")


def _is_writing(descriptor: os.DirEntry[str]) -> bool:
    try:
        fdinfo = Path(descriptor.path.replace("/fd/", "/fdinfo/")).read_text()
    except OSError:  # closed meanwhile
        return False
    return bool(int(fdinfo.split("flags:", 1)[1].split()[0], 8) & (os.O_WRONLY | os.O_RDWR))


def _file_id(path: Path | os.DirEntry[str], *, follow_symlinks: bool) -> FileId | None:
    """None where the file no longer exists."""
    try:
        status = path.stat(follow_symlinks=follow_symlinks)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_paused(path: Path) -> bool:
    failure = load_failures.get(path)
    return failure is not None and time.monotonic() < failure.failed_at + failure.retry_seconds


def _record_failure(path: Path, error: Exception) -> LoadFailure:
    """Note the failure. Each further one doubles the pause before the next try."""
    previous = load_failures.get(path)
    pause = min(2 * previous.retry_seconds, MAX_RETRY_SECONDS) if previous else INBOX_POLL_SECONDS
    name = printable(f"{path.parent.name}/{path.name}")
    reason = (
        f"{name} could not be loaded and stays in the inbox. Rollcall tries again automatically. "
        f"{_cause(path, error)}"
    )
    if not previous or previous.reason != reason:
        is_explained = isinstance(error, (StoreError, OSError))  # the reason says all
        log.error("%s stays in the inbox.", name, exc_info=None if is_explained else error)
    is_full = is_full_disk(error)
    load_failures[path] = LoadFailure(path, reason, pause, time.monotonic(), is_full)
    return load_failures[path]


def _cause(path: Path, error: Exception) -> str:
    """The cause of a failure, on one line."""
    if isinstance(error, OSError) and is_full_disk(error):
        return str(DiskFull.of_folder(path.parent))
    if isinstance(error, OSError) and error.strerror:
        return printable(f"{error.filename or path.name}: {error.strerror}.")
    lines = str(getattr(error, "orig", error)).splitlines()
    return printable(lines[0]) if lines else type(error).__name__


def _parse_snapshot_file(home: Home, path: Path) -> SnapshotFile:
    reject_other_than_files(path)
    if path.parent.parent != home.inbox:
        raise UnknownSnapshot(
            f"{path.relative_to(home.inbox)} is not in the folder of an integration. "
            "Put it into snapshots as <integration>/<taken_at>.<ext>."
        )
    unmarked_path = path.with_name(strip_prefixes(path.name))
    file = SnapshotFile.from_path(unmarked_path, integration=path.parent.name)
    find_reader(unmarked_path)
    target_path(home.archive, file)
    return SnapshotFile(path, file.integration, file.taken_at)


def _load_file(engine: sa.Engine, home: Home, file: SnapshotFile) -> LoadResult | Quarantined:
    """Load Rollcall's own copy, which then becomes the archive's."""
    delivered = file.path
    own_copy = home.root / LOADING_FOLDER / storable_name(strip_prefixes(delivered.name))
    replace = REPLACE_PREFIX in delivered.name
    confirmed = delivered.name.startswith(CONFIRMED_PREFIX)
    audit_details = {"integration": file.integration, "taken_at": iso_z(file.taken_at)}
    own_copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        mapping = read_mapping(home, file.integration)
        copy_delivered(home, delivered, own_copy)
        file = dataclasses.replace(file, path=own_copy, mapping=mapping)
        if mapping and mapping.ignores_ids:
            reread_by_username(engine, home, file.integration, mapping)
        with LOAD_SECONDS.time():
            result = load(engine, file, replace=replace, confirmed=confirmed)
        move_to_archive(engine, home, file)
    except SnapshotRejected as error:
        status: QuarantineStatus = "on hold" if isinstance(error, OnHold) else "rejected"
        target = quarantine_file(engine, home, delivered, status, str(error))
        record_event(home, INBOX_ACTOR, Event.QUARANTINED, status=status, **audit_details)
        return Quarantined(target, str(error), status)
    finally:
        shutil.rmtree(home.root / LOADING_FOLDER, ignore_errors=True)
    remove_delivered(home, delivered)
    if not result.already_loaded:
        counts = {"replaced": replace, "confirmed": confirmed, "accounts": result.accepted}
        record_event(home, INBOX_ACTOR, Event.LOADED, **audit_details, **counts)
    log.info(describe_load(result))
    return result


def _count_outcome(outcome: Outcome) -> Outcome:
    """Count the outcome in the metrics, and return it."""
    if isinstance(outcome, LoadResult):
        name = outcome.file.integration
        FILES_TOTAL.labels(name, "known" if outcome.already_loaded else "loaded").inc()
        if not outcome.already_loaded:
            for fate in ("accepted", "rejected", "flagged"):
                ROWS_TOTAL.labels(name, fate).inc(getattr(outcome, fate))
        return outcome
    status = outcome.status if isinstance(outcome, Quarantined) else "postponed"
    FILES_TOTAL.labels(printable(outcome.path.parent.name), status).inc()
    return outcome


def describe_load(result: LoadResult) -> str:
    """The result of a load in one sentence."""
    phrases = [count_of(result.accepted, "account")]
    if result.rejected:
        phrases.append(f"{result.rejected:,} of {count_of(result.rows_read, 'row')} rejected")
    if result.merged:
        phrases.append(f"{count_of(result.merged, 'row')} merged")
    if result.flagged:
        phrases.append(f"{count_of(result.flagged, 'account')} with an unrecognized value")
    counts = "already loaded" if result.already_loaded else ", ".join(phrases)
    return f"{result.file.integration} at {result.file.taken_at:%Y-%m-%d %H:%M:%S} UTC: {counts}."
