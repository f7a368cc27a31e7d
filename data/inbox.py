"""The inbox: files dropped into the snapshots folder are loaded, oldest first, by one process."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from sqlalchemy import Engine

from data.home import Home
from data.loading import Loaded, SnapshotFile, load
from data.reading import reader_of
from data.refusals import NotPlaced, SnapshotRefused

log = logging.getLogger("rollcall")

SETTLED_AFTER = 1.0
"""Seconds that a file must lie unchanged before it counts as written to its end."""

LOOKED_AT_EVERY = 2.0
"""Seconds between two looks into the inbox."""


@dataclass(frozen=True)
class Refused:
    """A file that was not loaded, and why."""

    path: Path
    reason: str


def waiting_files(home: Home) -> list[Path]:
    """The files of the inbox; those with a temporary name are still being written."""
    return sorted(
        path
        for path in home.inbox.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".part", ".tmp")
    )


def put_into_inbox(home: Home, file: SnapshotFile, *, replace: bool = False) -> Path:
    """A copy of the file in the inbox, under the name that says what it is; whole or not at all.

    Raises UnknownFormat, or NotPlaced for an integration that cannot be the name of a folder.
    """
    target = _place(home.inbox, file)
    reader_of(file.path)
    if replace:
        target = target.with_name(f"{REPLACING}{target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(file.path, partial)
    partial.replace(target)
    return target


REPLACING = "replace~"
"""A file whose name starts so takes the place of what is loaded for its moment."""


def load_waiting(engine: Engine, home: Home, *, settled: bool = True) -> list[Loaded | Refused]:
    """Load what is in the inbox, oldest first; each file ends in the archive or among the refused.

    `settled`: leave files alone that were written to just now.
    """
    placed, outcomes = [], []
    for path in waiting_files(home):
        if settled and time.time() - path.stat().st_mtime < SETTLED_AFTER:
            continue
        try:
            placed.append(_what_it_is(home, path))
        except SnapshotRefused as refusal:
            outcomes.append(_refuse(home, path, str(refusal)))
    for file in sorted(placed, key=lambda file: (file.taken_at, file.integration)):
        outcomes.append(_load_one(engine, home, file))
    return outcomes


def watch(engine: Engine, home: Home, stop: Event) -> None:
    """Look into the inbox until told to stop. A failing look is logged and tried again."""
    while not stop.wait(LOOKED_AT_EVERY):
        try:
            load_waiting(engine, home)
        except Exception:
            log.exception("Looking into the inbox failed; trying again.")


def _what_it_is(home: Home, path: Path) -> SnapshotFile:
    file = SnapshotFile.placed(path.with_name(path.name.removeprefix(REPLACING)))
    if path.parent.parent != home.inbox:
        raise NotPlaced(f"{path.name} lies in no integration's folder of the snapshots folder.")
    return SnapshotFile(path, file.integration, file.taken_at)


def _load_one(engine: Engine, home: Home, file: SnapshotFile) -> Loaded | Refused:
    try:
        loaded = load(engine, file, replace=file.path.name.startswith(REPLACING))
    except SnapshotRefused as refusal:
        return _refuse(home, file.path, str(refusal))
    kept = _place(home.archive, file)
    kept.parent.mkdir(parents=True, exist_ok=True)
    for replaced in kept.parent.glob(f"{kept.name.split('.', 1)[0]}.*"):
        replaced.unlink()
    shutil.move(file.path, kept)
    log.info(in_words(loaded))
    return loaded


def in_words(loaded: Loaded) -> str:
    """What became of a file, as a sentence."""
    file = loaded.file
    which = f"{file.integration} at {file.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    if loaded.already:
        return f"{which}: known already, nothing changed."
    parts = [f"{loaded.accepted:,} accounts"]
    if loaded.rejected:
        parts.append(f"{loaded.rejected:,} of {loaded.rows_read:,} rows rejected")
    if loaded.flagged:
        parts.append(f"{loaded.flagged:,} accounts with a value that was not understood")
    return f"{which}: {', '.join(parts)}."


def _refuse(home: Home, path: Path, reason: str) -> Refused:
    """Move the file out of the way, with the reason beside it."""
    folder = home.refused / path.parent.relative_to(home.inbox)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.move(path, folder / path.name)
    (folder / f"{path.name}.reason.txt").write_text(f"{reason}\n", encoding="utf-8")
    log.warning("Refused: %s", reason)
    return Refused(folder / path.name, reason)


def _place(folder: Path, file: SnapshotFile) -> Path:
    """`<integration>/<taken_at>.<ext>` in the folder."""
    name = file.integration
    if name.startswith(".") or any(mark in name for mark in "/\\\0"):
        raise NotPlaced(f"“{name}” cannot name an integration: no dot in front, no slashes.")
    suffixes = file.path.suffixes
    ending = "".join(suffixes[-2:] if suffixes[-1:] in ([".gz"], [".zst"]) else suffixes[-1:])
    return folder / name / f"{file.taken_at:%Y-%m-%dT%H-%M-%SZ}{ending}"
