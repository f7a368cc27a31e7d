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
from data.files.errors import UnknownSnapshot
from data.files.naming import CONFIRMED_PREFIX, SnapshotFile, parse_moment, strip_prefixes
from data.history.remove import remove_snapshot
from data.home import Home
from data.schema import quarantined_file
from data.store.engine import write_transaction

log = logging.getLogger("rollcall")

Verdict = Literal["held", "refused"]

REASON_SUFFIX = ".reason.txt"
"""How the name of the file ends that tells why the file beside it was set aside."""

MISPLACED_FOLDER = "misplaced"
"""The folder for refused files that lay in no integration's folder."""


def target_path(folder: Path, file: SnapshotFile) -> Path:
    """`<integration>/<taken_at>.<ext>` in the folder.

    Raises NotPlaced for an integration that cannot be the name of a folder.
    """
    name = file.integration
    if not name.strip() or name.startswith(".") or any(character in name for character in "/\\\0"):
        raise UnknownSnapshot(
            f"“{name}” cannot name an integration: some text, no dot in front, no slashes."
        )
    suffixes = [suffix.lower() for suffix in file.path.suffixes]
    is_compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    extension = "".join(suffixes[-2:] if is_compressed else suffixes[-1:])
    return folder / name / f"{file.taken_at:%Y-%m-%dT%H-%M-%SZ}{extension}"


def move_to_archive(engine: Engine, home: Home, file: SnapshotFile) -> None:
    """Keep the file of a loaded snapshot; what lay there for the same moment was replaced."""
    archived_path = target_path(home.archive, file)
    archived_path.parent.mkdir(parents=True, exist_ok=True)
    for replaced_path in archived_path.parent.glob(f"{archived_path.name.split('.', 1)[0]}.*"):
        if replaced_path != archived_path or not filecmp.cmp(
            file.path, archived_path, shallow=False
        ):
            _move_into(home.removed, replaced_path)
    shutil.move(file.path, archived_path)
    _remove_superseded(engine, home, file)


def quarantine_file(engine: Engine, home: Home, path: Path, verdict: Verdict, reason: str) -> Path:
    """Move a file of the inbox to the held or the refused ones, with the reason beside it.

    The reason and the note come first: who waits for the file to leave the inbox finds them then,
    and a process that is killed in between finds the file again.
    """
    reason_file = reason_path(home, path, verdict)
    quarantined_path = reason_file.with_name(path.name)
    for existing_path in (quarantined_path, reason_file):
        if existing_path.exists():
            _move_into(home.removed, existing_path)
    reason_file.parent.mkdir(parents=True, exist_ok=True)
    reason_file.write_text(f"{reason}\n", encoding="utf-8")
    record_quarantined(engine, quarantined_path, verdict, reason)
    shutil.move(path, quarantined_path)
    # Not the reason, which can quote the file: a log goes to other people.
    log.warning(
        "%s/%s is %s; why is beside it.",
        quarantined_path.parent.name,
        quarantined_path.name,
        verdict,
    )
    return quarantined_path


def record_quarantined(
    engine: Engine, quarantined_path: Path, verdict: Verdict, reason: str
) -> None:
    """Remember in the store that a file was held or refused, in place of what it said before."""
    with write_transaction(engine) as con:
        con.execute(delete(quarantined_file).where(_is_file(quarantined_path)))
        con.execute(
            insert(quarantined_file).values(
                integration=quarantined_path.parent.name,
                file_name=quarantined_path.name,
                verdict=verdict,
                reason=reason,
                quarantined_at=datetime.now(UTC).replace(tzinfo=None),
                taken_at=parse_moment(strip_prefixes(quarantined_path.name).split(".", 1)[0]),
            )
        )


def reason_path(home: Home, path: Path, verdict: Verdict = "refused") -> Path:
    """Where the reason is written if a file of the inbox is set aside; the file goes beside it.

    Files outside of an integration's folder get one of their own, so that none of them takes the
    name of a folder.
    """
    is_placed = path.parent.parent == home.inbox
    folder = _verdict_folder(home, verdict) / (path.parent.name if is_placed else MISPLACED_FOLDER)
    return folder / (path.name + REASON_SUFFIX)


def requeue_file(
    engine: Engine, home: Home, verdict: Verdict, integration: str, name: str, *, confirmed: bool
) -> None:
    """Put a held or refused file back into the inbox; `confirmed`: to be loaded all the same."""
    quarantined_path = find_quarantined_path(home, verdict, integration, name)
    mark = CONFIRMED_PREFIX if confirmed and not name.startswith(CONFIRMED_PREFIX) else ""
    target = home.inbox / integration / f"{mark}{name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(quarantined_path, target)
    _drop_record(engine, quarantined_path)


def dismiss_file(engine: Engine, home: Home, verdict: Verdict, integration: str, name: str) -> None:
    """Take a held or refused file out of sight, into the removed ones."""
    quarantined_path = find_quarantined_path(home, verdict, integration, name)
    _move_into(home.removed, quarantined_path)
    _drop_record(engine, quarantined_path)


def withdraw_snapshot(engine: Engine, home: Home, integration: str, taken_at: datetime) -> bool:
    """Take a loaded snapshot out, its file into the removed ones. False where there is none.

    The file goes first: were the process killed in between, a rebuild would not bring it back.
    """
    for kept in (home.archive / integration).glob(f"{taken_at:%Y-%m-%dT%H-%M-%SZ}.*"):
        _move_into(home.removed, kept)
    return remove_snapshot(engine, integration, taken_at)


def find_quarantined_path(home: Home, verdict: Verdict, integration: str, name: str) -> Path:
    """Where a held or refused file lies.

    Raises FileNotFoundError where no such file was set aside: names come from a browser.
    """
    path = _verdict_folder(home, verdict) / integration / name
    is_unsafe = any(part in ("", ".", "..") or "/" in part for part in (integration, name))
    if is_unsafe or not path.is_file():
        raise FileNotFoundError(f"{integration}/{name} is not among the {verdict} files any more.")
    return path


def _verdict_folder(home: Home, verdict: Verdict) -> Path:
    return home.on_hold if verdict == "held" else home.rejected


def _move_into(folder: Path, path: Path) -> None:
    """Move the file into the folder, as `name`, or `name~2` where that is taken."""
    target = folder / path.parent.name / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{path.name}~{number}")
    shutil.move(path, target)


def _remove_superseded(engine: Engine, home: Home, file: SnapshotFile) -> None:
    """What was held or refused for the moment of a snapshot that is now loaded."""
    for folder in (home.on_hold, home.rejected):
        candidates = (folder / file.integration).glob(f"*{file.taken_at:%Y-%m-%dT%H-%M-%SZ}.*")
        for quarantined_path in [
            path for path in candidates if not path.name.endswith(REASON_SUFFIX)
        ]:
            _move_into(home.removed, quarantined_path)
            _drop_record(engine, quarantined_path)


def _drop_record(engine: Engine, quarantined_path: Path) -> None:
    quarantined_path.with_name(quarantined_path.name + REASON_SUFFIX).unlink(missing_ok=True)
    with write_transaction(engine) as con:
        con.execute(delete(quarantined_file).where(_is_file(quarantined_path)))


def _is_file(quarantined_path: Path) -> ColumnElement[bool]:
    return and_(
        quarantined_file.c.integration == quarantined_path.parent.name,
        quarantined_file.c.file_name == quarantined_path.name,
    )
