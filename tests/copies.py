"""What a test makes is copied where another made the same before: to load takes ten times as long.

Only the first test of a process that delivers some snapshots really loads them.
"""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar, cast

import pytest
from sqlalchemy import Engine

from data.files.naming import SnapshotFile
from data.history.load import LoadResult, load
from data.home import Home
from data.inbox.delivered import inbox_files
from data.inbox.inbox import Outcome, load_inbox
from data.store import engine as stores
from data.store.duckdb import database_file

T = TypeVar("T")

CAPACITY = 100
"""Copies of a megabyte or two."""

_folder = TemporaryDirectory(prefix="rollcall-copies-")
_copies: OrderedDict[Hashable, tuple[Path, object]] = OrderedDict()
_numbers = count()
_patches: list[pytest.MonkeyPatch] = []


@contextmanager
def unless_patched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that replaces some of the code that loads makes everything itself."""
    _patches.append(monkeypatch)
    yield
    _patches.clear()


def once(store: Engine, root: Path, make: Callable[[], T], *what: Hashable) -> T:
    """What `make` returns and what it makes of the files, which `what` and the files determine.

    The root is the home of the store, or its file.
    """
    if _is_patched() or _is_read(store):
        return make()
    key = (_hash(root), *what)
    if key in _copies:
        _copies.move_to_end(key)
        for engine in _engines(store):
            engine.dispose()
        return cast(T, _restore(key, root))
    made = make()
    copy = Path(_folder.name, str(next(_numbers)))
    for file in _files(root):
        target = copy / file.relative_to(root.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    _copies[key] = copy, made
    if len(_copies) > CAPACITY:
        shutil.rmtree(_copies.popitem(last=False)[1][0])
    return made


def load_once(store: Engine, file: SnapshotFile, **how: bool) -> LoadResult:
    """Load a snapshot into a store. Only its file is compared and copied, not its home."""
    root = database_file(store.url)
    if root is None:
        return load(store, file, **how)
    what = (file.path.name, file.path.read_bytes(), file.integration, file.taken_at, *how.items())
    return replace(once(store, root, lambda: load(store, file, **how), *what), file=file)


def load_inbox_once(store: Engine, home: Home) -> list[Outcome]:
    """Load the files of the inbox, which count as complete. Paths may name another test's home."""
    for path in inbox_files(home):
        os.utime(path, (0, 0))
    return once(store, home.root, lambda: load_inbox(store, home))


def _restore(key: Hashable, root: Path) -> object:
    copy, made = _copies[key]
    for file in _files(root):
        file.unlink()
    shutil.copytree(copy, root.parent, dirs_exist_ok=True)
    return made


def _files(root: Path) -> list[Path]:
    """All of a home; of a store, its log, too."""
    if root.is_dir():
        return sorted(path for path in root.rglob("*") if path.is_file())
    return [path for path in (root, Path(f"{root}.wal")) if path.exists()]


def _hash(root: Path) -> bytes:
    found = blake2b()
    for file in _files(root):
        content = file.read_bytes()
        found.update(f"{file.relative_to(root.parent)} {len(content)} ".encode())
        found.update(content)
    return found.digest()


def _engines(store: Engine) -> list[Engine]:
    """All that have the file open."""
    url = next((url for url, engine in stores._engines.items() if engine is store), "")
    return [store, *stores._restricted_engines.get(url, {}).values()]


def _is_read(store: Engine) -> bool:
    """Also where it has no file of its own."""
    file = database_file(store.url)
    return file is None or any(engine.pool.checkedout() for engine in _engines(store))


def _is_patched() -> bool:
    targets = (target for patch in _patches for target, *_ in patch._setattr)
    names = (getattr(target, "__module__", None) or target.__name__ for target in targets)
    return any(name.startswith("data.") and "data.service" not in name for name in names)
