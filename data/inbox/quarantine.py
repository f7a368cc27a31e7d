"""Where a delivered file lies, and how it gets there: nothing that was delivered is deleted.

Inbox → archive, where it is loaded; → held, where a person has to confirm it; → refused, where it
cannot be loaded. What a person takes out of these goes to removed. In each folder a file is
`<integration>/<file name>`.
"""

from __future__ import annotations

import filecmp
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import ColumnElement, Engine, and_, delete, insert

from data.files.encoding import COMPRESSIONS
from data.files.errors import NotPlaced
from data.files.naming import CONFIRMED, SnapshotFile, moment_of, unmarked
from data.history.load import remove
from data.home import Home
from data.schema import unloaded
from data.store.engine import changing

log = logging.getLogger("rollcall")

Verdict = Literal["held", "refused"]

REASON = ".reason.txt"
"""How the name of the file ends that tells why the file beside it was set aside."""

MISPLACED = "misplaced"
"""The folder for refused files that lay in no integration's folder."""


def place(folder: Path, file: SnapshotFile) -> Path:
    """`<integration>/<taken_at>.<ext>` in the folder.

    Raises NotPlaced for an integration that cannot be the name of a folder.
    """
    name = file.integration
    if not name.strip() or name.startswith(".") or any(mark in name for mark in "/\\\0"):
        raise NotPlaced(
            f"“{name}” cannot name an integration: some text, no dot in front, no slashes."
        )
    suffixes = [suffix.lower() for suffix in file.path.suffixes]
    is_compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    ending = "".join(suffixes[-2:] if is_compressed else suffixes[-1:])
    return folder / name / f"{file.taken_at:%Y-%m-%dT%H-%M-%SZ}{ending}"


def into_archive(engine: Engine, home: Home, file: SnapshotFile) -> None:
    """Keep the file of a loaded snapshot; what lay there for the same moment was replaced."""
    kept = place(home.archive, file)
    kept.parent.mkdir(parents=True, exist_ok=True)
    for replaced in kept.parent.glob(f"{kept.name.split('.', 1)[0]}.*"):
        if replaced != kept or not filecmp.cmp(file.path, kept, shallow=False):
            _into(home.removed, replaced)
    shutil.move(file.path, kept)
    _forget(engine, home, file)


def set_aside(engine: Engine, home: Home, path: Path, verdict: Verdict, reason: str) -> Path:
    """Move a file of the inbox to the held or the refused ones, with the reason beside it.

    The reason and the note come first: who waits for the file to leave the inbox finds them then,
    and a process that is killed in between finds the file again.
    """
    reason_file = reason_for(home, path, verdict)
    aside = reason_file.with_name(path.name)
    for old in (aside, reason_file):
        if old.exists():
            _into(home.removed, old)
    reason_file.parent.mkdir(parents=True, exist_ok=True)
    reason_file.write_text(f"{reason}\n", encoding="utf-8")
    note_unloaded(engine, aside, verdict, reason)
    shutil.move(path, aside)
    # Not the reason, which can quote the file: a log goes to other people.
    log.warning("%s/%s is %s; why is beside it.", aside.parent.name, aside.name, verdict)
    return aside


def note_unloaded(engine: Engine, aside: Path, verdict: Verdict, reason: str) -> None:
    """Remember in the store that a file was held or refused, in place of what it said before."""
    with changing(engine) as con:
        con.execute(delete(unloaded).where(_is(aside)))
        con.execute(
            insert(unloaded).values(
                integration=aside.parent.name,
                file_name=aside.name,
                verdict=verdict,
                reason=reason,
                found_at=datetime.now(UTC).replace(tzinfo=None),
                taken_at=moment_of(unmarked(aside.name).split(".", 1)[0]),
            )
        )


def reason_for(home: Home, path: Path, verdict: Verdict = "refused") -> Path:
    """Where the reason is written if a file of the inbox is set aside; the file goes beside it.

    Files outside of an integration's folder get one of their own, so that none of them takes the
    name of a folder.
    """
    is_placed = path.parent.parent == home.inbox
    folder = _folder(home, verdict) / (path.parent.name if is_placed else MISPLACED)
    return folder / (path.name + REASON)


def deliver_again(
    engine: Engine, home: Home, verdict: Verdict, integration: str, name: str, *, confirmed: bool
) -> None:
    """Put a held or refused file back into the inbox; `confirmed`: to be loaded all the same."""
    aside = file_aside(home, verdict, integration, name)
    mark = CONFIRMED if confirmed and not name.startswith(CONFIRMED) else ""
    target = home.inbox / integration / f"{mark}{name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(aside, target)
    _drop_note(engine, aside)


def dismiss(engine: Engine, home: Home, verdict: Verdict, integration: str, name: str) -> None:
    """Take a held or refused file out of sight, into the removed ones."""
    aside = file_aside(home, verdict, integration, name)
    _into(home.removed, aside)
    _drop_note(engine, aside)


def remove_snapshot(engine: Engine, home: Home, integration: str, taken_at: datetime) -> bool:
    """Take a loaded snapshot out, its file into the removed ones. False where there is none.

    The file goes first: were the process killed in between, a rebuild would not bring it back.
    """
    for kept in (home.archive / integration).glob(f"{taken_at:%Y-%m-%dT%H-%M-%SZ}.*"):
        _into(home.removed, kept)
    return remove(engine, integration, taken_at)


def file_aside(home: Home, verdict: Verdict, integration: str, name: str) -> Path:
    """Where a held or refused file lies.

    Raises FileNotFoundError where no such file was set aside: names come from a browser.
    """
    path = _folder(home, verdict) / integration / name
    leads_elsewhere = any(part in ("", ".", "..") or "/" in part for part in (integration, name))
    if leads_elsewhere or not path.is_file():
        raise FileNotFoundError(f"{integration}/{name} is not among the {verdict} files any more.")
    return path


def _folder(home: Home, verdict: Verdict) -> Path:
    return home.held if verdict == "held" else home.refused


def _into(folder: Path, path: Path) -> None:
    """Move the file into the folder, as `name`, or `name~2` where that is taken."""
    target = folder / path.parent.name / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{path.name}~{number}")
    shutil.move(path, target)


def _forget(engine: Engine, home: Home, file: SnapshotFile) -> None:
    """What was held or refused for the moment of a snapshot that is now loaded."""
    for folder in (home.held, home.refused):
        found = (folder / file.integration).glob(f"*{file.taken_at:%Y-%m-%dT%H-%M-%SZ}.*")
        for aside in [path for path in found if not path.name.endswith(REASON)]:
            _into(home.removed, aside)
            _drop_note(engine, aside)


def _drop_note(engine: Engine, aside: Path) -> None:
    aside.with_name(aside.name + REASON).unlink(missing_ok=True)
    with changing(engine) as con:
        con.execute(delete(unloaded).where(_is(aside)))


def _is(aside: Path) -> ColumnElement[bool]:
    return and_(unloaded.c.integration == aside.parent.name, unloaded.c.file_name == aside.name)
