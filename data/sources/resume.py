"""The pages of an interrupted pull, from which the next try continues.

A puller does not know about them. It asks for the same pages in the same order, and pages that are
here are not asked for again. The next page is found as always, by number, cursor or address.
"""

import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data.formatting import utc_now
from data.sources.settings import PullConfig, is_secret, remove_credentials
from data.tempfiles import write_atomically

MAX_AGE = timedelta(hours=1)
"""After this time lists have changed too much, and most cursors have expired."""

FOLDER_PREFIX = ".pages-"


class FilePageCache:
    """A folder that only its owner can read, with one file per answered address.

    Pages are stored without credentials, as they are delivered.
    """

    def __init__(self, root: Path, config: PullConfig) -> None:
        _delete_expired(root)
        settings = {n: str(v) for n, v in config.settings.items() if not is_secret(n, v)}
        cache_key = json.dumps([config.integration, settings], sort_keys=True)
        self.folder = root / f"{FOLDER_PREFIX}{_digest(cache_key)}"
        self._names = {path.name for path in self.folder.glob("*.json")}

    @property
    def started_at(self) -> datetime | None:
        """When the first page was answered (naive UTC); None without pages."""
        return _started_at(self.folder) if self._names else None

    def get(self, url: str) -> tuple[Any, str] | None:
        """The page of an address, and the next page's address, from an earlier try."""
        name = f"{_digest(url)}.json"
        if name not in self._names:
            return None
        payload, next_url = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return payload, next_url

    def put(self, url: str, payload: Any, next_url: str) -> None:
        """Store a page, unless its link to the next page would be lost as a credential."""
        cleaned = remove_credentials(payload)
        if _envelope(cleaned) != _envelope(payload):
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with write_atomically(self.folder / f"{_digest(url)}.json") as partial:
            partial.write_text(json.dumps([cleaned, next_url]), encoding="utf-8")

    def clear(self) -> None:
        """Delete the pages: the list is complete, or the server cannot continue from them."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._names.clear()


def _envelope(payload: Any) -> Any:
    """A page without its lists of records."""
    if not isinstance(payload, dict):
        return None
    return {key: _envelope(item) or item for key, item in payload.items() if type(item) is not list}


def _delete_expired(root: Path) -> None:
    """Delete old pages of all pulls; only one pull runs at a time."""
    for folder in root.glob(f"{FOLDER_PREFIX}*"):
        if utc_now() - _started_at(folder) > MAX_AGE:
            shutil.rmtree(folder, ignore_errors=True)


def _started_at(folder: Path) -> datetime:
    first_written = min((path.stat().st_mtime for path in folder.glob("*.json")), default=0)
    return datetime.fromtimestamp(first_written, UTC).replace(tzinfo=None, microsecond=0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
