"""Pulls: ask a server for its accounts, and put the answers into the inbox as one file.

What was pulled is then loaded, quarantined and archived like any other file. It appears in the
inbox only with its last page. The pages of an interrupted pull are kept for an hour, and the next
try continues from them.
"""

import fcntl
import json
import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

from data.files.naming import SnapshotFile, parse_file_moment
from data.formatting import file_stamp, utc_now
from data.home import Home, safe_name
from data.inbox.inbox import put_into_inbox
from data.secrets_file import secrets_path
from data.sources import PULLERS
from data.sources.http import ApiClient, PullFailed, PullInterrupted
from data.sources.resume import FilePageCache
from data.sources.settings import PullConfig, read_pull_configs, remove_credentials

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each request at INFO

MAX_PAGES = 100_000

Progress = Callable[[str], None]
WaitOrStop = Callable[[float], bool]
"""Waits for some seconds; returns whether to stop."""


class PullInProgress(PullFailed):
    """Another process is pulling into this home."""


def pull_to_inbox(
    home: Home,
    config: PullConfig,
    progress: Progress = lambda _: None,
    wait_or_stop: WaitOrStop = lambda seconds: bool(time.sleep(seconds)),
    *,
    wait_for_lock: bool = True,
) -> Path:
    """Ask for all the accounts of an integration. Returns the path of the file in the inbox.

    Raises PullFailed, PullInProgress where another pull is running and `wait_for_lock` is false,
    or an OSError such as a full disk.
    """
    puller = PULLERS.get(config.source)
    if puller is None:
        raise PullFailed(f"[pull.{config.integration}] source: expected {', '.join(PULLERS)}.")
    url = config.get("url", puller.url) or config["url"]
    with _pull_lock(home, progress, wait_or_stop, wait_for_lock=wait_for_lock):
        cache = FilePageCache(home.root, config)
        while True:
            resumed_at = cache.started_at
            taken_at = resumed_at or utc_now().replace(microsecond=0)
            try:
                client = ApiClient(url, progress=progress, wait_or_stop=wait_or_stop, cache=cache)
                with client as api:
                    pages = puller.pages(config, api)
                    path = _deliver(home, config.integration, taken_at, pages, progress)
            except PullInterrupted:
                raise
            except (PullFailed, OSError) as error:
                cache.clear()
                if resumed_at is None or isinstance(error, OSError):
                    raise
                progress(f"{error} Starting over.")
            else:
                cache.clear()
                return path


def latest_taken_at(home: Home, integration: str) -> datetime | None:
    """The time of the newest snapshot of an integration, in whichever folder its file is."""
    folders = (home.inbox, home.archive, home.on_hold, home.rejected)
    name = safe_name(integration)
    names = (path.name for folder in folders for path in (folder / name).glob("*.*"))
    return max(filter(None, map(parse_file_moment, names)), default=None)


def _deliver(
    home: Home, integration: str, taken_at: datetime, pages: Iterator[Any], progress: Progress
) -> Path:
    with TemporaryFile(dir=home.root) as archive:  # has no name: a killed process leaves nothing
        _write_archive(pages, archive, progress)
        archive.seek(0)
        with TemporaryDirectory(prefix=".pull-", dir=home.root) as folder:
            file = SnapshotFile(Path(folder) / f"{file_stamp(taken_at)}.zip", integration, taken_at)
            with file.path.open("wb") as output:
                shutil.copyfileobj(archive, output)
            return put_into_inbox(home, file)


def _write_archive(pages: Iterator[Any], output: IO[bytes], progress: Progress) -> None:
    """One file per page, without credentials."""
    record_count = 0
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, page in enumerate(pages, start=1):
            if number > MAX_PAGES:
                raise PullFailed(f"There are more than {MAX_PAGES:,} pages. Do the pages repeat?")
            record_count += _count_records(page)
            archive.writestr(f"page-{number}.json", json.dumps(remove_credentials(page)))
            progress(f"{record_count:,} records in {number:,} pages")


def _count_records(page: Any) -> int:
    """The number of records that a page lists."""
    if isinstance(page, list):
        return len(page)
    lists = [item for key, item in page.items() if isinstance(item, list) and key != "schemas"]
    return max(map(len, lists), default=0)


@contextmanager
def _pull_lock(
    home: Home, progress: Progress, wait_or_stop: WaitOrStop, *, wait_for_lock: bool
) -> Iterator[None]:
    """One pull at a time, in whichever process. Raises PullInProgress, or PullInterrupted."""
    with (home.root / ".pulling").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait_for_lock:
                    raise PullInProgress("Another pull is running.") from None
                progress("waiting for another pull to end")
                if wait_or_stop(1):
                    raise PullInterrupted("Stopped.") from None
            else:
                break
        yield


def configured_pulls() -> list[PullConfig]:
    """The pulls of the secrets file. Raises PullFailed where it is not valid."""
    return read_pull_configs(secrets_path())
