"""Where a delivered file lies, and how it gets there. Rollcall never deletes a delivered file.

A file goes from the inbox into one of three folders: `archive` once it is loaded, `on-hold` where a
person has to confirm it, `rejected` where it cannot be loaded. A file that a person takes out of
these goes to `removed`. In each folder a file is `<integration>/<file name>`.
"""

import filecmp
import logging
import shutil
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_

from data.files.naming import SnapshotFile, parse_file_moment, parse_moment, split_ending
from data.formatting import file_stamp, utc_now
from data.home import Home, is_regular_file, is_safe_name, printable, safe_name
from data.inbox.delivered import storable_name, take_delivered
from data.records.tables import quarantined_file
from data.store.engine import write_transaction

log = logging.getLogger("rollcall")

QuarantineStatus = Literal["on hold", "rejected"]

REASON_SUFFIX = ".reason.txt"
"""Appended to a quarantined file's name for the file with the reason beside it."""

MAX_OWN_NAME_BYTES = 120
"""Bytes of a file's own name that stay beside the moment."""

MISPLACED_FOLDER = "misplaced"
"""The folder for rejected files that were not in an integration's folder."""


def target_path(folder: Path, file: SnapshotFile) -> Path:
    """`<integration>/<taken_at>.<own name>.<ext>` in the folder; without a name that is a moment.

    Raises UnknownSnapshot where the integration cannot be the name of a folder.
    """
    stem, ending = split_ending(printable(file.name).replace("\\", "_"))
    own_name = stem.encode()[:MAX_OWN_NAME_BYTES].decode(errors="ignore").strip()
    named = f".{own_name}" if own_name and not parse_moment(stem) else ""
    name = f"{file_stamp(file.taken_at)}{named}{ending.lower()}"
    return folder / safe_name(file.integration) / name


def move_to_archive(engine: sa.Engine, home: Home, file: SnapshotFile) -> None:
    """Keep the file of a loaded snapshot; a file that it replaces goes to `removed`."""
    target = target_path(home.archive, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(f"{file_stamp(file.taken_at)}.*"):
        if old != target or not filecmp.cmp(file.path, target, shallow=False):
            move_into(home.removed, old)
    shutil.move(file.path, target)
    _remove_superseded(engine, home, file)


def quarantine_file(
    engine: sa.Engine, home: Home, path: Path, status: QuarantineStatus, reason: str
) -> Path:
    """Move a file of the inbox into quarantine, with the reason beside it. Returns its new path.

    The reason and the record come first. Whoever waits for the file to leave the inbox then finds
    them, and a process that is killed in between finds the file again.
    """
    reason_file = reason_path(home, path, status)
    target = reason_file.with_name(reason_file.name.removesuffix(REASON_SUFFIX))
    reason = reason.encode(errors="replace").decode()  # it can quote a name that is not UTF-8
    for old in (target, reason_file):
        if old.exists():
            move_into(home.removed, old)
    reason_file.parent.mkdir(parents=True, exist_ok=True)
    reason_file.write_text(f"{reason}\n", encoding="utf-8")
    record_quarantined(engine, target, status, reason)
    take_delivered(home, path, target)
    # The log has other readers than the file, and the reason can quote the file.
    log.warning(
        "%s/%s is %s. The reason is in the file beside it.", target.parent.name, target.name, status
    )
    return target


def record_quarantined(
    engine: sa.Engine, path: Path, status: QuarantineStatus, reason: str
) -> None:
    """Record in the store that a file is in quarantine, in place of an earlier record of it."""
    with write_transaction(engine) as con:
        con.execute(sa.delete(quarantined_file).where(_is_file(path)))
        con.execute(
            sa.insert(quarantined_file).values(
                integration=path.parent.name,
                file_name=path.name,
                status=status,
                reason=reason,
                quarantined_at=utc_now(),
                taken_at=parse_file_moment(path.name),
            )
        )


def reason_path(home: Home, path: Path, status: QuarantineStatus = "rejected") -> Path:
    """The path of the reason if a file of the inbox goes into quarantine; the file lies beside it.

    Files that are not in an integration's folder share a folder, so that none of them takes the
    name of one.
    """
    is_placed = path.parent.parent == home.inbox and is_safe_name(path.parent.name)
    folder = status_folder(home, status) / (path.parent.name if is_placed else MISPLACED_FOLDER)
    return folder / (storable_name(path.name) + REASON_SUFFIX)


def find_quarantined_path(
    home: Home, status: QuarantineStatus, integration: str, name: str
) -> Path:
    """The path of a quarantined file.

    Raises FileNotFoundError where there is no such file; the names come from a browser.
    """
    is_safe = is_safe_name(integration) and is_safe_name(name)
    path = status_folder(home, status) / integration / name
    if not is_safe or not is_regular_file(path):
        raise FileNotFoundError(f"{integration}/{name} is no longer {status}.")
    return path


def status_folder(home: Home, status: QuarantineStatus) -> Path:
    """The folder of the files with this status."""
    return home.on_hold if status == "on hold" else home.rejected


def move_into(folder: Path, path: Path) -> None:
    """Move the file into the folder, as `name`, or as `name~2` where that is taken."""
    target = folder / path.parent.name / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{path.name}~{number}")
    shutil.move(path, target)


def _remove_superseded(engine: sa.Engine, home: Home, file: SnapshotFile) -> None:
    """Clear the quarantine of files for the moment of a snapshot that is now loaded."""
    for folder in (home.on_hold, home.rejected):
        for path in list((folder / file.integration).glob(f"*{file_stamp(file.taken_at)}.*")):
            if not path.name.endswith(REASON_SUFFIX):
                move_into(home.removed, path)
                drop_record(engine, path)


def drop_record(engine: sa.Engine, path: Path) -> None:
    """Forget that a file was in quarantine, and why."""
    path.with_name(path.name + REASON_SUFFIX).unlink(missing_ok=True)
    with write_transaction(engine) as con:
        con.execute(sa.delete(quarantined_file).where(_is_file(path)))


def _is_file(path: Path) -> ColumnElement[bool]:
    file = quarantined_file.c
    return and_(file.integration == path.parent.name, file.file_name == path.name)
