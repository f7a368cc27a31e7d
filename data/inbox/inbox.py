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

from data.files.errors import Held, NotPlaced, OtherContentKnown, SnapshotRefused
from data.files.formats import reader_of
from data.files.mapping import mapping_of
from data.files.naming import CONFIRMED, REPLACING, SnapshotFile, unmarked
from data.history.load import Loaded, load
from data.home import Home
from data.inbox.quarantine import Verdict, into_archive, place, set_aside
from data.metrics import FILES, LOAD_SECONDS, ROWS
from data.records.audit_log import Event, note

log = logging.getLogger("rollcall")

SETTLED_AFTER = 1.0
"""Seconds that a file must lie unchanged before it counts as written to its end."""

LOOKED_AT_EVERY = 2.0
"""Seconds between two looks into the inbox."""


LONGEST_PAUSE = 300.0
"""Seconds at most until a file that failed is tried again; the first pause is a look's length."""


@dataclass(frozen=True)
class SetAside:
    """A file that was not loaded, where it is now, and why."""

    path: Path
    reason: str
    verdict: Verdict


@dataclass(frozen=True)
class Trouble:
    """A file that stays in the inbox as loading it fails, by no fault of its own perhaps."""

    path: Path
    reason: str
    pause: float  # seconds until it is tried again
    since: float  # on the monotonic clock


Outcome = Loaded | SetAside | Trouble

troubles: dict[Path, Trouble] = {}
"""What this process could not load, until it can: a full disk, say. Shown to all."""


def waiting_files(home: Home) -> list[Path]:
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
    target = place(home.inbox, file)
    reader_of(file.path)
    marks = f"{CONFIRMED if confirmed else ''}{REPLACING if replace else ''}"
    target = target.with_name(f"{marks}{target.name}")
    if not replace and target.exists() and not filecmp.cmp(file.path, target, shallow=False):
        raise OtherContentKnown(
            f"{file.path}: another file waits in the inbox as {file.integration}/{target.name}. "
            "To put this one in its place: rollcall load --replace."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(file.path, partial)
        settled = time.time() - 2 * SETTLED_AFTER  # it is whole: nobody has to wait for its end
        os.utime(partial, (settled, settled))
        partial.replace(target)
    except OSError as fault:
        partial.unlink(missing_ok=True)
        if fault.errno != errno.ENOSPC:
            raise
        raise OSError(fault.errno, fault.strerror, str(target)) from fault  # it is full, not ours
    return target


def load_waiting(
    engine: Engine, home: Home, progress: Callable[[int, int], None] = lambda *_: None
) -> list[Outcome]:
    """Load what is in the inbox, oldest first; each file ends in another folder of the home.

    Files that were written to just now are left for the next look; those that failed, for later.
    Where several processes watch an inbox, as they can with PostgreSQL, one after the other does.
    """
    with home.in_turn("loading"):
        return _load_in_turn(engine, home, progress)


def _load_in_turn(
    engine: Engine, home: Home, progress: Callable[[int, int], None]
) -> list[Outcome]:
    placed, outcomes = [], []
    still = [path for path in waiting_files(home) if _is_settled(path) and not _is_paused(path)]
    written = _open_for_writing() if still else set()
    for path in still:
        if _identity(path) in written:
            continue
        try:
            placed.append(_what_it_is(home, path))
        except SnapshotRefused as refusal:
            aside = set_aside(engine, home, path, "refused", str(refusal))
            outcomes.append(_counted(SetAside(aside, str(refusal), "refused")))
    placed.sort(key=lambda file: (file.taken_at, file.integration))
    for number, file in enumerate(placed):
        progress(number, len(placed))
        try:
            outcomes.append(_counted(_load_one(engine, home, file)))
            troubles.pop(file.path, None)
        except Exception as fault:  # no fault of the file's, perhaps; and others wait behind it
            outcomes.append(_counted(_put_off(file.path, fault)))
    for path in set(troubles).difference(waiting_files(home)):
        troubles.pop(path)
    if placed:
        progress(len(placed), len(placed))
    return outcomes


def _is_settled(path: Path) -> bool:
    """Whether nobody has written to the file for a while.

    A time of change in the future is a wrong clock's: such a file would never be old enough.
    """
    try:
        return abs(time.time() - path.stat().st_mtime) >= SETTLED_AFTER
    except FileNotFoundError:
        return False


def _open_for_writing() -> set[tuple[int, int] | None]:
    """The files that some process still writes, however long it pauses; Linux tells in /proc."""
    written = set()
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            told = (opened.parent.parent / "fdinfo" / opened.name).read_text()
        except OSError:  # another user's, or gone meanwhile
            continue
        if int(told.split("flags:", 1)[1].split()[0], 8) & (os.O_WRONLY | os.O_RDWR):
            written.add(_identity(opened))
    return written


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others; None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_paused(path: Path) -> bool:
    trouble = troubles.get(path)
    return trouble is not None and time.monotonic() < trouble.since + trouble.pause


def _put_off(path: Path, fault: Exception) -> Trouble:
    """Remember that the file failed; try it again after longer and longer pauses."""
    before = troubles.get(path)
    pause = min(2 * before.pause, LONGEST_PAUSE) if before else LOOKED_AT_EVERY
    cause = str(getattr(fault, "orig", fault)).splitlines()
    said = cause[0] if cause else type(fault).__name__
    reason = (
        f"{path.parent.name}/{path.name} could not be loaded and stays in the inbox; it is tried "
        f"again by itself. {said}"
    )
    if not before or before.reason != reason:
        log.error("%s/%s stays in the inbox.", path.parent.name, path.name, exc_info=fault)
    troubles[path] = Trouble(path, reason, pause, time.monotonic())
    return troubles[path]


def _what_it_is(home: Home, path: Path) -> SnapshotFile:
    if path.parent.parent != home.inbox:
        raise NotPlaced(
            f"{path.relative_to(home.inbox)} lies in no integration's folder. "
            "Put it into snapshots as <integration>/<taken_at>.<ext>."
        )
    named = path.with_name(unmarked(path.name))
    file = SnapshotFile.placed(named, integration=path.parent.name)
    place(home.archive, file)
    return SnapshotFile(path, file.integration, file.taken_at)


def _load_one(engine: Engine, home: Home, file: SnapshotFile) -> Loaded | SetAside:
    name = file.path.name
    replace, confirmed = REPLACING in name, name.startswith(CONFIRMED)
    try:
        file = dataclasses.replace(file, columns=mapping_of(home, file.integration))
        with LOAD_SECONDS.time():
            loaded = load(engine, file, replace=replace, confirmed=confirmed)
    except SnapshotRefused as refusal:
        verdict: Verdict = "held" if isinstance(refusal, Held) else "refused"
        aside = set_aside(engine, home, file.path, verdict, str(refusal))
        note(home, INBOX, Event.SET_ASIDE, verdict=verdict, **_named(file))
        return SetAside(aside, str(refusal), verdict)
    into_archive(engine, home, file)
    if not loaded.already:
        how = {"replaced": replace, "confirmed": confirmed, "accounts": loaded.accepted}
        note(home, INBOX, Event.LOADED, **_named(file), **how)
    log.info(in_words(loaded))
    return loaded


def _counted(outcome: Outcome) -> Outcome:
    """For who watches over Rollcall: see data/measures.py."""
    if isinstance(outcome, Loaded):
        name = outcome.file.integration
        FILES.labels(name, "known" if outcome.already else "loaded").inc()
        if not outcome.already:
            for verdict in ("accepted", "rejected", "flagged"):
                ROWS.labels(name, verdict).inc(getattr(outcome, verdict))
        return outcome
    what = outcome.verdict if isinstance(outcome, SetAside) else "put off"
    FILES.labels(outcome.path.parent.name, what).inc()
    return outcome


INBOX = "the inbox"
"""Who loads, to the audit log; who put a file there is another event."""


def _named(file: SnapshotFile) -> dict[str, str]:
    return {"integration": file.integration, "taken_at": f"{file.taken_at.isoformat()}Z"}


def in_words(loaded: Loaded) -> str:
    """What became of a file, as a sentence."""
    file = loaded.file
    which = f"{file.integration} at {file.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{which}: {counts_in_words(loaded)}"


def counts_in_words(loaded: Loaded) -> str:
    """How many accounts the file gave, and what of it was not understood."""
    if loaded.already:
        return "known already, nothing changed."
    parts = [f"{loaded.accepted:,} accounts"]
    if loaded.rejected:
        parts.append(f"{loaded.rejected:,} of {loaded.rows_read:,} rows rejected")
    if loaded.flagged:
        parts.append(f"{loaded.flagged:,} accounts with a value that was not understood")
    return f"{', '.join(parts)}."
