"""The pages that an interrupted pull has got so far, for the next try to go on from.

A puller need not know of them: it asks for the same pages in the same order, and those that were
answered before are not asked for again. So the next one is found as ever, by its number, its cursor
or its address.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data.sources.settings import PullConfig, is_secret, remove_credentials
from data.tempfiles import write_atomically

MAX_AGE = timedelta(hours=1)
"""After so long, lists have changed too much, and most cursors are not known any more."""


class FilePageCache:
    """A folder that is readable for its owner alone, with a file for each answered address.

    Pages are kept without what is named like a credential, as they are delivered.
    """

    def __init__(self, root: Path, config: PullConfig) -> None:
        _delete_expired(root)
        public_settings = {n: str(v) for n, v in config.settings.items() if not is_secret(n, v)}
        cache_key = json.dumps([config.integration, public_settings], sort_keys=True)
        self.folder = root / f"{FOLDER_PREFIX}{_digest(cache_key)}"
        self._cached_names = {path.name for path in self.folder.glob("*.json")}

    @property
    def started_at(self) -> datetime | None:
        """When the first of them was answered (naive UTC); None where there are none."""
        return _started_at(self.folder) if self._cached_names else None

    def get(self, url: str) -> tuple[Any, str] | None:
        """The page of an address and the next one's address, where a try before has got them."""
        name = f"{_digest(url)}.json"
        if name not in self._cached_names:
            return None
        payload, next_url = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return payload, next_url

    def put(self, url: str, payload: Any, next_url: str) -> None:
        """Where to go on must not be lost: a page that says it in what looks secret is not kept."""
        cleaned = remove_credentials(payload)
        if _envelope(cleaned) != _envelope(payload):
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        page_file = self.folder / f"{_digest(url)}.json"
        with write_atomically(page_file, private=True) as partial:
            partial.write_text(json.dumps([cleaned, next_url]), encoding="utf-8")

    def clear(self) -> None:
        """The list is whole, or the server does not go on from there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._cached_names.clear()


FOLDER_PREFIX = ".pages-"


def _envelope(payload: Any) -> Any:
    """What stands around the records of a page."""
    if not isinstance(payload, dict):
        return None
    return {key: _envelope(item) or item for key, item in payload.items() if type(item) is not list}


def _delete_expired(root: Path) -> None:
    """Those of other pulls, too; nobody else pulls meanwhile."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for folder in root.glob(f"{FOLDER_PREFIX}*"):
        if now - _started_at(folder) > MAX_AGE:
            shutil.rmtree(folder, ignore_errors=True)


def _started_at(folder: Path) -> datetime:
    first_written = min((path.stat().st_mtime for path in folder.glob("*.json")), default=0)
    return datetime.fromtimestamp(first_written, UTC).replace(tzinfo=None, microsecond=0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
