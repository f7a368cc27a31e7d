"""The inbox: files dropped into the snapshots folder are loaded, oldest first, by one process."""

from __future__ import annotations

import dataclasses
import errno
import filecmp
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from data.files.errors import OnHold, OtherContentLoaded, SnapshotRejected, UnknownSnapshot
from data.files.formats import find_reader
from data.files.mapping import read_mapping
from data.files.naming import CONFIRMED_PREFIX, REPLACE_PREFIX, SnapshotFile, strip_prefixes
from data.history.load import LoadResult, load
from data.home import Home
from data.inbox.quarantine import Verdict, move_to_archive, quarantine_file, target_path
from data.metrics import FILES_TOTAL, LOAD_SECONDS, ROWS_TOTAL
from data.records.audit_log import Event, record_event
from data.tempfiles import write_atomically

log = logging.getLogger("rollcall")

STABLE_SECONDS = 1.0
"""Seconds that a file must lie unchanged before it counts as written to its end."""

INBOX_POLL_SECONDS = 2.0
"""Seconds between two looks into the inbox."""


MAX_RETRY_SECONDS = 300.0
"""Seconds at most until a file that failed is tried again; the first pause is a look's length."""


@dataclass(frozen=True)
class Quarantined:
    """A file that was not loaded, where it is now, and why."""

    path: Path
    reason: str
    verdict: Verdict


@dataclass(frozen=True)
class LoadFailure:
    """A file that stays in the inbox as loading it fails, by no fault of its own perhaps."""

    path: Path
    reason: str
    retry_seconds: float  # seconds until it is tried again
    failed_at: float  # on the monotonic clock


Outcome = LoadResult | Quarantined | LoadFailure

load_failures: dict[Path, LoadFailure] = {}
"""What this process could not load, until it can: a full disk, say. Shown to all."""


def inbox_files(home: Home) -> list[Path]:
    """The files of the inbox; those with a temporary name are still being written."""
    return sorted(
        path
        for path in home.inbox.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(home.inbox).parts)
        and path.suffix not in (".part", ".tmp")
    )


def put_into_inbox(
    home: Home, file: SnapshotFile, *, replace: bool = False, confirmed: bool = False
) -> Path:
    """A copy of the file in the inbox, under the name that says what it is; whole or not at all.

    Raises UnknownFormat, OtherContentKnown where another file waits under that name, or NotPlaced
    for an integration that cannot be the name of a folder.
    """
    target = target_path(home.inbox, file)
    find_reader(file.path)
    marks = f"{CONFIRMED_PREFIX if confirmed else ''}{REPLACE_PREFIX if replace else ''}"
    target = target.with_name(f"{marks}{target.name}")
    if not replace and target.exists() and not filecmp.cmp(file.path, target, shallow=False):
        raise OtherContentLoaded(
            f"{file.path}: another file waits in the inbox as {file.integration}/{target.name}. "
            "To put this one in its place: rollcall load --replace."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    stable_time = time.time() - 2 * STABLE_SECONDS  # the file is complete: nobody has to wait
    try:
        with write_atomically(target) as partial:
            shutil.copyfile(file.path, partial)
            os.utime(partial, (stable_time, stable_time))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error  # it is full, not ours
    return target


def load_inbox(
    engine: Engine, home: Home, progress: Callable[[int, int], None] = lambda *_: None
) -> list[Outcome]:
    """Load what is in the inbox, oldest first; each file ends in another folder of the home.

    Files that were written to just now are left for the next look; those that failed, for later.
    Where several processes watch an inbox, as they can with PostgreSQL, one after the other does.
    """
    with home.exclusive_lock("loading"):
        return _load_locked(engine, home, progress)


def _load_locked(engine: Engine, home: Home, progress: Callable[[int, int], None]) -> list[Outcome]:
    snapshot_files, outcomes = [], []
    candidates = [
        path for path in inbox_files(home) if _is_stable(path) and not _is_backing_off(path)
    ]
    open_files = _files_open_for_writing() if candidates else set()
    for path in candidates:
        if _file_id(path) in open_files:
            continue
        try:
            snapshot_files.append(_parse_snapshot_file(home, path))
        except SnapshotRejected as rejection:
            quarantined_path = quarantine_file(engine, home, path, "refused", str(rejection))
            outcomes.append(
                _count_outcome(Quarantined(quarantined_path, str(rejection), "refused"))
            )
    snapshot_files.sort(key=lambda file: (file.taken_at, file.integration))
    for number, file in enumerate(snapshot_files):
        progress(number, len(snapshot_files))
        try:
            outcomes.append(_count_outcome(_load_file(engine, home, file)))
            load_failures.pop(file.path, None)
        except Exception as error:  # no fault of the file's, perhaps; and others wait behind it
            outcomes.append(_count_outcome(_record_failure(file.path, error)))
    for path in set(load_failures).difference(inbox_files(home)):
        load_failures.pop(path)
    if snapshot_files:
        progress(len(snapshot_files), len(snapshot_files))
    return outcomes


def _is_stable(path: Path) -> bool:
    """Whether nobody has written to the file for a while.

    A time of change in the future is a wrong clock's: such a file would never be old enough.
    """
    try:
        return abs(time.time() - path.stat().st_mtime) >= STABLE_SECONDS
    except FileNotFoundError:
        return False


def _files_open_for_writing() -> set[tuple[int, int] | None]:
    """The files that some process still writes, however long it pauses; Linux tells in /proc."""
    open_files = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            fdinfo = (descriptor.parent.parent / "fdinfo" / descriptor.name).read_text()
        except OSError:  # another user's, or gone meanwhile
            continue
        if int(fdinfo.split("flags:", 1)[1].split()[0], 8) & (os.O_WRONLY | os.O_RDWR):
            open_files.add(_file_id(descriptor))
    return open_files


def _file_id(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others; None where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_backing_off(path: Path) -> bool:
    failure = load_failures.get(path)
    return failure is not None and time.monotonic() < failure.failed_at + failure.retry_seconds


def _record_failure(path: Path, error: Exception) -> LoadFailure:
    """Remember that the file failed; try it again after longer and longer pauses."""
    previous = load_failures.get(path)
    retry_seconds = (
        min(2 * previous.retry_seconds, MAX_RETRY_SECONDS) if previous else INBOX_POLL_SECONDS
    )
    cause = str(getattr(error, "orig", error)).splitlines()
    message = cause[0] if cause else type(error).__name__
    reason = (
        f"{path.parent.name}/{path.name} could not be loaded and stays in the inbox; it is tried "
        f"again by itself. {message}"
    )
    if not previous or previous.reason != reason:
        log.error("%s/%s stays in the inbox.", path.parent.name, path.name, exc_info=error)
    load_failures[path] = LoadFailure(path, reason, retry_seconds, time.monotonic())
    return load_failures[path]


def _parse_snapshot_file(home: Home, path: Path) -> SnapshotFile:
    if path.parent.parent != home.inbox:
        raise UnknownSnapshot(
            f"{path.relative_to(home.inbox)} lies in no integration's folder. "
            "Put it into snapshots as <integration>/<taken_at>.<ext>."
        )
    unmarked_path = path.with_name(strip_prefixes(path.name))
    file = SnapshotFile.from_path(unmarked_path, integration=path.parent.name)
    target_path(home.archive, file)
    return SnapshotFile(path, file.integration, file.taken_at)


def _load_file(engine: Engine, home: Home, file: SnapshotFile) -> LoadResult | Quarantined:
    name = file.path.name
    replace, confirmed = REPLACE_PREFIX in name, name.startswith(CONFIRMED_PREFIX)
    try:
        file = dataclasses.replace(file, mapping=read_mapping(home, file.integration))
        with LOAD_SECONDS.time():
            loaded = load(engine, file, replace=replace, confirmed=confirmed)
    except SnapshotRejected as rejection:
        verdict: Verdict = "held" if isinstance(rejection, OnHold) else "refused"
        quarantined_path = quarantine_file(engine, home, file.path, verdict, str(rejection))
        record_event(
            home, INBOX_ACTOR, Event.QUARANTINED, verdict=verdict, **_snapshot_details(file)
        )
        return Quarantined(quarantined_path, str(rejection), verdict)
    move_to_archive(engine, home, file)
    if not loaded.already_loaded:
        details = {"replaced": replace, "confirmed": confirmed, "accounts": loaded.accepted}
        record_event(home, INBOX_ACTOR, Event.LOADED, **_snapshot_details(file), **details)
    log.info(describe_load(loaded))
    return loaded


def _count_outcome(outcome: Outcome) -> Outcome:
    """For who watches over Rollcall: see data/measures.py."""
    if isinstance(outcome, LoadResult):
        name = outcome.file.integration
        FILES_TOTAL.labels(name, "known" if outcome.already_loaded else "loaded").inc()
        if not outcome.already_loaded:
            for verdict in ("accepted", "rejected", "flagged"):
                ROWS_TOTAL.labels(name, verdict).inc(getattr(outcome, verdict))
        return outcome
    status = outcome.verdict if isinstance(outcome, Quarantined) else "put off"
    FILES_TOTAL.labels(outcome.path.parent.name, status).inc()
    return outcome


INBOX_ACTOR = "the inbox"
"""Who loads, to the audit log; who put a file there is another event."""


def _snapshot_details(file: SnapshotFile) -> dict[str, str]:
    return {"integration": file.integration, "taken_at": f"{file.taken_at.isoformat()}Z"}


def describe_load(loaded: LoadResult) -> str:
    """What became of a file, as a sentence."""
    file = loaded.file
    label = f"{file.integration} at {file.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{label}: {describe_counts(loaded)}"


def describe_counts(loaded: LoadResult) -> str:
    """How many accounts the file gave, and what of it was not understood."""
    if loaded.already_loaded:
        return "known already, nothing changed."
    phrases = [f"{loaded.accepted:,} accounts"]
    if loaded.rejected:
        phrases.append(f"{loaded.rejected:,} of {loaded.rows_read:,} rows rejected")
    if loaded.flagged:
        phrases.append(f"{loaded.flagged:,} accounts with a value that was not understood")
    return f"{', '.join(phrases)}."
