"""Pulls: a server is asked for its accounts, and what it says goes into the inbox as a file.

So what was pulled is loaded, held, refused and archived like everything else. It is in the inbox
whole or not at all: until its last page is there, it is a file without a name. The pages of a pull
that was interrupted wait beside, for an hour, for the next try to go on from.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

from data.files.naming import SnapshotFile, parse_moment, strip_prefixes
from data.home import CHECKOUT, Home
from data.inbox.inbox import put_into_inbox
from data.sources import PULLERS
from data.sources.http import ApiClient, PullFailed, PullInterrupted
from data.sources.resume import FilePageCache
from data.sources.settings import PullConfig, read_pull_configs, remove_credentials

logging.getLogger("httpx2").setLevel(logging.WARNING)  # each request of a pull is no news

MAX_PAGES = 100_000

Progress = Callable[[str], None]
WaitOrStop = Callable[[float], bool]
"""Waits so many seconds, and says whether to end."""


class PullInProgress(PullFailed):
    """Another process pulls from this home."""


def pull_to_inbox(
    home: Home,
    config: PullConfig,
    progress: Progress = lambda _: None,
    wait_or_stop: WaitOrStop = lambda seconds: bool(time.sleep(seconds)),
    *,
    wait_for_lock: bool = True,
) -> Path:
    """Ask for all the accounts of an integration; answers with the file in the inbox.

    `told` hears how far it is; who is not `patient` gets PullBusy where another pull goes on.
    Raises PullFailed, or an OSError such as a full disk.
    """
    puller = PULLERS.get(config.source)
    if puller is None:
        source_names = ", ".join(PULLERS)
        raise PullFailed(f"[pull.{config.integration}] source: expected one of {source_names}.")
    url = config.get("url", puller.url) or config["url"]
    with _pull_lock(home, progress, wait_or_stop, wait_for_lock=wait_for_lock):
        cache = FilePageCache(home.root, config)
        while True:
            cached_start = cache.started_at
            taken_at = cached_start or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
            file = SnapshotFile(Path("pulled.zip"), config.integration, taken_at)
            try:
                with ApiClient(
                    url, {}, progress=progress, wait_or_stop=wait_or_stop, cache=cache
                ) as api:
                    path = _pull_once(home, file, puller.pages(config, api), progress)
            except PullInterrupted:
                raise
            except (PullFailed, OSError) as error:
                cache.clear()
                if cached_start is None or isinstance(error, OSError):
                    raise
                progress(f"{error} Beginning anew.")
            else:
                cache.clear()
                return path


def _pull_once(home: Home, file: SnapshotFile, pages: Iterator[Any], progress: Progress) -> Path:
    with TemporaryFile(dir=home.root) as archive_file:
        _write_archive(pages, archive_file, progress)
        return _deliver(home, file, archive_file)


def latest_taken_at(home: Home, integration: str) -> datetime | None:
    """When the newest snapshot of an integration was taken, wherever its file lies by now."""
    folders = (home.inbox, home.archive, home.on_hold, home.rejected)
    files = (path for folder in folders for path in (folder / integration).glob("*.*"))
    return max(
        filter(None, (parse_moment(strip_prefixes(p.name).split(".", 1)[0]) for p in files)),
        default=None,
    )


def _write_archive(pages: Iterator[Any], archive_file: IO[bytes], progress: Progress) -> None:
    """Each page as a file of the archive, without what no file should hold."""
    record_count = 0
    with zipfile.ZipFile(archive_file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, page in enumerate(pages, start=1):
            if number > MAX_PAGES:
                raise PullFailed(f"There are more than {MAX_PAGES:,} pages; something goes round.")
            record_count += _count_records(page)
            archive.writestr(f"page-{number}.json", json.dumps(remove_credentials(page)))
            progress(f"{record_count:,} records in {number:,} pages")


def _count_records(page: Any) -> int:
    """How many records a page lists."""
    if isinstance(page, list):
        return len(page)
    lists = [item for key, item in page.items() if isinstance(item, list) and key != "schemas"]
    return max(map(len, lists), default=0)


def _deliver(home: Home, file: SnapshotFile, archive_file: IO[bytes]) -> Path:
    with TemporaryDirectory(prefix=".pull-", dir=home.root) as folder:
        path = Path(folder) / file.path.name
        archive_file.seek(0)
        with path.open("wb") as output:
            shutil.copyfileobj(archive_file, output)
        return put_into_inbox(home, SnapshotFile(path, file.integration, file.taken_at))


@contextmanager
def _pull_lock(
    home: Home, progress: Progress, wait_or_stop: WaitOrStop, *, wait_for_lock: bool
) -> Iterator[None]:
    """One pull at a time, whichever process it is in. Raises PullBusy, or PullFailed if stopped."""
    with (home.root / ".pulling").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait_for_lock:
                    raise PullInProgress("Another pull goes on.") from None
                progress("waiting for another pull to end")
                if wait_or_stop(1):
                    raise PullInterrupted("Stopped.") from None
            else:
                break
        yield


def secrets_path() -> Path:
    """Where the sections `[pull.NAME]` are: ROLLCALL_SECRETS, or the checkout's secrets."""
    configured_path = os.environ.get("ROLLCALL_SECRETS")
    return (
        Path(configured_path).expanduser()
        if configured_path
        else CHECKOUT / ".streamlit" / "secrets.toml"
    )


def configured_pulls() -> list[PullConfig]:
    """What can be pulled. Raises PullFailed where the secrets cannot be understood."""
    return read_pull_configs(secrets_path())
