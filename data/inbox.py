"""The inbox: files dropped into the snapshots folder are loaded, oldest first, by one process."""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from sqlalchemy import Engine

from data.home import Home
from data.loading import Loaded, SnapshotFile, load
from data.reading import COMPRESSIONS, reader_of
from data.refusals import NotPlaced, OtherContentKnown, SnapshotRefused

log = logging.getLogger("rollcall")

SETTLED_AFTER = 1.0
"""Seconds that a file must lie unchanged before it counts as written to its end."""

LOOKED_AT_EVERY = 2.0
"""Seconds between two looks into the inbox."""


@dataclass(frozen=True)
class Refused:
    """A file that was not loaded, where it is now, and why."""

    path: Path
    reason: str


def waiting_files(home: Home) -> list[Path]:
    """The files of the inbox; those with a temporary name are still being written."""
    return sorted(
        path
        for path in home.inbox.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(home.inbox).parts)
        and path.suffix not in (".part", ".tmp")
    )


def put_into_inbox(home: Home, file: SnapshotFile, *, replace: bool = False) -> Path:
    """A copy of the file in the inbox, under the name that says what it is; whole or not at all.

    Raises UnknownFormat, OtherContentKnown where another file waits under that name, or NotPlaced
    for an integration that cannot be the name of a folder.
    """
    target = _place(home.inbox, file)
    reader_of(file.path)
    if replace:
        target = target.with_name(f"{REPLACING}{target.name}")
    elif target.exists() and not filecmp.cmp(file.path, target, shallow=False):
        raise OtherContentKnown(
            f"{file.path}: another file waits in the inbox as {file.integration}/{target.name}. "
            "To put this one in its place: rollcall load --replace."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(file.path, partial)
    settled = time.time() - 2 * SETTLED_AFTER  # it is whole: nobody has to wait for its end
    os.utime(partial, (settled, settled))
    partial.replace(target)
    return target


REPLACING = "replace~"
"""A file whose name starts so takes the place of what is loaded for its moment."""


def load_waiting(engine: Engine, home: Home) -> list[Loaded | Refused]:
    """Load what is in the inbox, oldest first; each file ends in the archive or among the refused.

    Files that were written to just now are left for the next look.
    """
    placed, outcomes = [], []
    for path in waiting_files(home):
        if not _is_settled(path):
            continue
        try:
            placed.append(_what_it_is(home, path))
        except SnapshotRefused as refusal:
            outcomes.append(_refuse(home, path, str(refusal)))
    for file in sorted(placed, key=lambda file: (file.taken_at, file.integration)):
        try:
            outcomes.append(_load_one(engine, home, file))
        except Exception as fault:  # no fault of the file's, perhaps; and others wait behind it
            log.exception("%s could not be loaded; it stays in the inbox.", file.path)
            outcomes.append(Refused(file.path, f"{file.path} could not be loaded: {fault}"))
    return outcomes


def _is_settled(path: Path) -> bool:
    """A time of change in the future is a wrong clock's: such a file would never be old enough."""
    try:
        return abs(time.time() - path.stat().st_mtime) >= SETTLED_AFTER
    except FileNotFoundError:
        return False


def watch(engine: Engine, home: Home, stop: Event) -> None:
    """Look into the inbox until told to stop. A failing look is logged and tried again."""
    while not stop.wait(LOOKED_AT_EVERY):
        try:
            load_waiting(engine, home)
        except Exception:
            log.exception("Looking into the inbox failed; trying again.")


def _what_it_is(home: Home, path: Path) -> SnapshotFile:
    if path.parent.parent != home.inbox:
        raise NotPlaced(
            f"{path.relative_to(home.inbox)} lies in no integration's folder. "
            "Put it into snapshots as <integration>/<taken_at>.<ext>."
        )
    named = path.with_name(path.name.removeprefix(REPLACING))
    file = SnapshotFile.placed(named, integration=path.parent.name)
    _place(home.archive, file)
    return SnapshotFile(path, file.integration, file.taken_at)


def _load_one(engine: Engine, home: Home, file: SnapshotFile) -> Loaded | Refused:
    try:
        loaded = load(engine, file, replace=file.path.name.startswith(REPLACING))
    except SnapshotRefused as refusal:
        return _refuse(home, file.path, str(refusal))
    _forget_refusals(home, file)
    kept = _place(home.archive, file)
    kept.parent.mkdir(parents=True, exist_ok=True)
    for replaced in kept.parent.glob(f"{kept.name.split('.', 1)[0]}.*"):
        if replaced != kept:
            replaced.unlink()
    shutil.move(file.path, kept)
    log.info(in_words(loaded))
    return loaded


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


def _refuse(home: Home, path: Path, reason: str) -> Refused:
    """Move the file out of the way, with the reason beside it.

    The reason comes first: who waits for the file to leave the inbox finds it then.
    """
    reason_file = reason_for(home, path)
    reason_file.parent.mkdir(parents=True, exist_ok=True)
    reason_file.write_text(f"{reason}\n", encoding="utf-8")
    refused = reason_file.with_name(path.name)
    shutil.move(path, refused)
    log.warning("Refused: %s", reason)
    return Refused(refused, reason)


def reason_for(home: Home, path: Path) -> Path:
    """Where the reason is written if a file of the inbox is refused; the file goes beside it.

    Files outside of an integration's folder get one of their own, so that none of them takes the
    name of a folder.
    """
    is_placed = path.parent.parent == home.inbox
    folder = home.refused / (path.parent.name if is_placed else MISPLACED)
    return folder / f"{path.name}.reason.txt"


MISPLACED = "misplaced"
"""The folder for refused files that lay in no integration's folder."""


def _forget_refusals(home: Home, file: SnapshotFile) -> None:
    """What was refused under the name of a file that is now loaded."""
    name = file.path.name.removeprefix(REPLACING)
    for refused in (file.path.with_name(name), file.path.with_name(REPLACING + name)):
        reason_file = reason_for(home, refused)
        reason_file.with_name(refused.name).unlink(missing_ok=True)
        reason_file.unlink(missing_ok=True)


def _place(folder: Path, file: SnapshotFile) -> Path:
    """`<integration>/<taken_at>.<ext>` in the folder."""
    name = file.integration
    if not name.strip() or name.startswith(".") or any(mark in name for mark in "/\\\0"):
        raise NotPlaced(
            f"“{name}” cannot name an integration: some text, no dot in front, no slashes."
        )
    suffixes = [suffix.lower() for suffix in file.path.suffixes]
    is_compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    ending = "".join(suffixes[-2:] if is_compressed else suffixes[-1:])
    return folder / name / f"{file.taken_at:%Y-%m-%dT%H-%M-%SZ}{ending}"
