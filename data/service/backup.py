"""A backup: the files of the home, and a small store of what no file tells.

That is all that cannot be made anew. Unpacked into an empty folder it is a home again: the first
start, or `rollcall rebuild`, loads its archive.
"""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine

from data.home import Home
from data.records.audit_log import settle
from data.records.matches import forget_keys
from data.schema import TOLD, integration
from data.store.copy import copy_store
from data.store.engine import changing, close_store, open_store
from data.store.errors import StoreFault, StoreInUse

log = logging.getLogger("rollcall")

LONGEST_WAIT = 600
"""Seconds that a running app gets: it may be busy loading."""

STORE = "rollcall.duckdb"
MADE_ANEW = ("sample", "serving.json")
"""Of the home, besides stores and what is hidden."""


def back_up(home: Home, file: Path) -> int:
    """Write the backup; answers with how many files are in it.

    It is written beside first, so that a backup of before is only replaced by a whole one. Raises
    a StoreFault or an OSError.
    """
    partial = file.with_name(f"{file.name}.part")
    with _standing_still(home) as still, _private(partial):
        mode = "w:gz" if file.suffix in (".gz", ".tgz") else "w"
        with tarfile.open(partial, mode) as packed:
            paths = sorted(path for path in still.rglob("*") if path.is_file())
            for path in paths:
                packed.add(path, path.relative_to(still))
        partial.replace(file)
    return len(paths)


@contextmanager
def _private(partial: Path) -> Iterator[None]:
    """Nobody else may read it, as it holds everything; it is gone where it was not finished."""
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    try:
        yield
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _standing_still(home: Home) -> Iterator[Path]:
    """A copy of the home that nobody changes, for the block; by the app, if that has the store."""
    still, wanted = _still(home), _wanted(home)
    with home.in_turn("backing-up"):
        shutil.rmtree(still, ignore_errors=True)
        try:
            _make_or_await(home)
            yield still
        finally:
            wanted.unlink(missing_ok=True)
            shutil.rmtree(still, ignore_errors=True)


def _make_or_await(home: Home) -> None:
    still, wanted, is_asked = _still(home), _wanted(home), False
    give_up = time.monotonic() + LONGEST_WAIT
    while not still.is_dir():
        try:
            hold_still(open_store(home.database_url), home)
        except StoreInUse:
            if time.monotonic() > give_up:
                raise
            if is_asked and not wanted.exists() and not still.is_dir():
                raise StoreFault("The running app could not do it; its log says why.") from None
            if not is_asked:
                wanted.touch()
                is_asked = True
            time.sleep(0.2)
        finally:
            close_store(home.database_url)


def hold_still_if_asked(engine: Engine, home: Home) -> None:
    """Where somebody who makes a backup waits for the process that has the store: this one."""
    if not _wanted(home).exists():
        return
    try:
        hold_still(engine, home)
    except Exception:  # no reason to show nothing to anybody
        log.exception("No backup could be made.")
    finally:
        _wanted(home).unlink(missing_ok=True)


def hold_still(engine: Engine, home: Home) -> None:
    """Make the copy. It takes no room to speak of, as its files are the same by another name."""
    made = _still(home).with_suffix(".part")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    with home.in_turn("loading"):  # no file leaves the inbox meanwhile
        settle(engine, home)
        _copy_told(engine, made / STORE)
        for path in _kept(home):
            target = made / path.relative_to(home.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # moved on, to a folder that comes later
                _link(path, target)
    made.rename(_still(home))


def _copy_told(engine: Engine, file: Path) -> None:
    url = f"duckdb:///{file}"
    try:
        copied = open_store(url)
        copy_store(engine, copied, tables=(integration, *TOLD))
        with changing(copied) as con:
            forget_keys(con)  # the archive gives its accounts new ones
    finally:
        close_store(url)


def _kept(home: Home) -> Iterator[Path]:
    """Every file to keep. People move files while this goes on, from the former to the latter."""
    ways = (home.held, home.refused, home.inbox, home.archive, home.removed)
    for top in (*ways, *(path for path in sorted(home.root.iterdir()) if path not in ways)):
        if top.name in MADE_ANEW or ".duckdb" in top.name or top.name.startswith("."):
            continue
        for path in (top, *top.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system that has no links, or another one
        shutil.copy2(path, target)


def _still(home: Home) -> Path:
    return home.root / ".backup"


def _wanted(home: Home) -> Path:
    return home.root / ".backup-wanted"
