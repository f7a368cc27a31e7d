"""The pages that an interrupted pull has got so far, for the next try to go on from.

A puller need not know of them: it asks for the same pages in the same order, and those that were
answered before are not asked for again. So the next one is found as ever, by its number, its cursor
or its address.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data.sources.settings import Pull, cleansed, is_secret

YOUNG = timedelta(hours=1)
"""After so long, lists have changed too much, and most cursors are not known any more."""


class KeptPages:
    """A folder that is readable for its owner alone, with a file for each answered address.

    Pages are kept without what is named like a credential, as they are delivered.
    """

    def __init__(self, root: Path, asked: Pull) -> None:
        _forget_old_ones(root)
        named = {n: str(v) for n, v in asked.settings.items() if not is_secret(n, v)}
        told = json.dumps([asked.integration, named], sort_keys=True)
        self.folder = root / f"{PREFIX}{_digest(told)}"
        self._before = {path.name for path in self.folder.glob("*.json")}

    @property
    def began_at(self) -> datetime | None:
        """When the first of them was answered (naive UTC); None where there are none."""
        return _began(self.folder) if self._before else None

    def get(self, url: str) -> tuple[Any, str] | None:
        """The page of an address and the next one's address, where a try before has got them."""
        name = f"{_digest(url)}.json"
        if name not in self._before:
            return None
        document, next_url = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return document, next_url

    def keep(self, url: str, document: Any, next_url: str) -> None:
        """Where to go on must not be lost: a page that says it in what looks secret is not kept."""
        without = cleansed(document)
        if _envelope(without) != _envelope(document):
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        part = self.folder / ".part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump([without, next_url], file)
        part.replace(self.folder / f"{_digest(url)}.json")

    def forget(self) -> None:
        """The list is whole, or the server does not go on from there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._before.clear()


PREFIX = ".pages-"


def _envelope(document: Any) -> Any:
    """What stands around the records of a page."""
    if not isinstance(document, dict):
        return None
    return {
        key: _envelope(each) or each for key, each in document.items() if type(each) is not list
    }


def _forget_old_ones(root: Path) -> None:
    """Those of other pulls, too; nobody else pulls meanwhile."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for folder in root.glob(f"{PREFIX}*"):
        if now - _began(folder) > YOUNG:
            shutil.rmtree(folder, ignore_errors=True)


def _began(folder: Path) -> datetime:
    first = min((path.stat().st_mtime for path in folder.glob("*.json")), default=0)
    return datetime.fromtimestamp(first, UTC).replace(tzinfo=None, microsecond=0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
