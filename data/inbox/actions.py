"""What a person does with a loaded or quarantined file. A kill in between loses no step.

Each action has two steps, one for the file and one for the store. A note in the home names the
action before the first step and goes after the second. Where a process was killed, the next one
finds the note and takes both steps again; a step that was taken already does nothing.
"""

import json
import logging
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from data.files.errors import SnapshotRejected
from data.files.mapping import read_mapping
from data.files.naming import CONFIRMED_PREFIX, SnapshotFile, parse_file_moment
from data.formatting import file_stamp
from data.history.as_of import newest_moment
from data.history.load import refresh_sign_ins
from data.history.remove import remove_older, remove_snapshot
from data.home import Home, safe_name
from data.inbox.delivered import make_inbox_folder
from data.inbox.quarantine import (
    QuarantineStatus,
    drop_record,
    find_quarantined_path,
    move_into,
    status_folder,
)
from data.store.errors import StoreError
from data.tempfiles import write_atomically

log = logging.getLogger("rollcall")


class _Action(NamedTuple):
    """An action on one file, as the note says it."""

    kind: str
    integration: str
    name: str  # of the quarantined file; the time of a snapshot, or of the first to stay
    status: QuarantineStatus = "on hold"
    confirmed: bool = False


def requeue_file(
    engine: sa.Engine,
    home: Home,
    status: QuarantineStatus,
    integration: str,
    name: str,
    *,
    confirmed: bool,
) -> None:
    """Put a quarantined file back into the inbox; a confirmed one loads without the guards."""
    _act_on_quarantined(engine, home, _Action("requeue", integration, name, status, confirmed))


def dismiss_file(
    engine: sa.Engine, home: Home, status: QuarantineStatus, integration: str, name: str
) -> None:
    """Move a quarantined file to `removed`."""
    _act_on_quarantined(engine, home, _Action("dismiss", integration, name, status))


def withdraw_snapshot(engine: sa.Engine, home: Home, integration: str, taken_at: datetime) -> bool:
    """Remove a loaded snapshot and move its file to `removed`. False where there is none."""
    action = _Action("withdraw", safe_name(integration), taken_at.isoformat())
    with home.exclusive_lock("loading"):
        return bool(_act(engine, home, action))


def delete_older_snapshots(engine: sa.Engine, home: Home, integration: str, first: datetime) -> int:
    """Remove the snapshots before the first to stay, and delete their files; returns how many."""
    action = _Action("retire", safe_name(integration), first.isoformat())
    with home.exclusive_lock("loading"):
        return _act(engine, home, action)


def older_files(home: Home, integration: str, first: datetime) -> list[Path]:
    """The archived files of the snapshots before the first to stay."""
    paths = (home.archive / integration).glob("*")
    return [path for path in paths if (parse_file_moment(path.name) or first) < first]


def finish_interrupted(engine: sa.Engine, home: Home) -> None:
    """Finish the action of a process that was killed. The caller has the lock “loading”."""
    note = _note_path(home)
    if not note.exists():
        return
    try:
        action = _Action(*json.loads(note.read_text(encoding="utf-8")))
        _STEPS[action.kind][0](engine, home, action)
        _STEPS[action.kind][1](engine, home, action)
    except (ValueError, TypeError, KeyError):
        log.exception("The note of an interrupted action cannot be read.")
    except (OSError, StoreError) as error:  # the note stays for the next look
        log.error("An interrupted action cannot be finished: %s", error)
        return
    note.unlink()


def _act_on_quarantined(engine: sa.Engine, home: Home, action: _Action) -> None:
    """Raises FileNotFoundError where another person was faster."""
    with home.exclusive_lock("loading"):
        find_quarantined_path(home, action.status, action.integration, action.name)
        _act(engine, home, action)


def _act(engine: sa.Engine, home: Home, action: _Action) -> int:
    """Take both steps. Returns what the first one does."""
    finish_interrupted(engine, home)
    first_step, second_step = _STEPS[action.kind]
    note = _note_path(home)
    with write_atomically(note) as partial:
        partial.write_text(json.dumps(action), encoding="utf-8")
    try:
        result = first_step(engine, home, action)
    except Exception:  # nothing has happened, and the person sees the error
        note.unlink()
        raise
    second_step(engine, home, action)
    note.unlink()
    return result


def _move_to_inbox(_: sa.Engine, home: Home, action: _Action) -> bool:
    path = _quarantined_path(home, action)
    is_marked = action.name.startswith(CONFIRMED_PREFIX)
    mark = CONFIRMED_PREFIX if action.confirmed and not is_marked else ""
    target = home.inbox / action.integration / f"{mark}{action.name}"
    make_inbox_folder(target.parent)
    if path.exists():
        shutil.move(path, target)
    return True


def _move_to_removed(_: sa.Engine, home: Home, action: _Action) -> bool:
    if (path := _quarantined_path(home, action)).exists():
        move_into(home.removed, path)
    return True


def _drop_record(engine: sa.Engine, home: Home, action: _Action) -> bool:
    drop_record(engine, _quarantined_path(home, action))
    return True


def _remove_from_store(engine: sa.Engine, home: Home, action: _Action) -> bool:
    taken_at = datetime.fromisoformat(action.name)
    is_removed = remove_snapshot(engine, action.integration, taken_at)
    with engine.connect() as con:
        newest = newest_moment(con, action.integration)
    if newest and newest < taken_at:
        _refresh_sign_ins(engine, home, action.integration, newest)
    return is_removed


def _refresh_sign_ins(
    engine: sa.Engine, home: Home, integration_name: str, taken_at: datetime
) -> None:
    """The last sign-ins are those of the newest snapshot, so its file is read again."""
    for path in (home.archive / integration_name).glob(f"{file_stamp(taken_at)}.*"):
        try:
            mapping = read_mapping(home, integration_name)
            refresh_sign_ins(engine, SnapshotFile(path, integration_name, taken_at, mapping))
        except (SnapshotRejected, OSError):
            log.warning("The last sign-ins of %s cannot be read again.", integration_name)


def _move_archived(_: sa.Engine, home: Home, action: _Action) -> bool:
    stamp = file_stamp(datetime.fromisoformat(action.name))
    for path in list((home.archive / action.integration).glob(f"{stamp}.*")):
        move_into(home.removed, path)
    return True


def _remove_older(engine: sa.Engine, _: Home, action: _Action) -> int:
    return remove_older(engine, action.integration, datetime.fromisoformat(action.name))


def _delete_older_files(_: sa.Engine, home: Home, action: _Action) -> bool:
    for path in older_files(home, action.integration, datetime.fromisoformat(action.name)):
        path.unlink()
    return True


_Step = Callable[[sa.Engine, Home, _Action], int]

_STEPS: dict[str, tuple[_Step, _Step]] = {
    "requeue": (_move_to_inbox, _drop_record),
    "dismiss": (_move_to_removed, _drop_record),
    "withdraw": (_remove_from_store, _move_archived),
    "retire": (_remove_older, _delete_older_files),
}


def _quarantined_path(home: Home, action: _Action) -> Path:
    return status_folder(home, action.status) / action.integration / action.name


def _note_path(home: Home) -> Path:
    return home.root / ".action"
