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

from data.files.naming import SnapshotFile, moment_of, unmarked
from data.home import CHECKOUT, Home
from data.inbox.inbox import put_into_inbox
from data.sources import PULLERS
from data.sources.http import Interrupted, PullFailed, Web
from data.sources.resume import KeptPages
from data.sources.settings import Pull, cleansed, pulls_in

logging.getLogger("httpx2").setLevel(logging.WARNING)  # each request of a pull is no news

MOST_PAGES = 100_000

Told = Callable[[str], None]
Stopped = Callable[[float], bool]
"""Waits so many seconds, and says whether to end."""


class PullBusy(PullFailed):
    """Another process pulls from this home."""


def pull(
    home: Home,
    asked: Pull,
    told: Told = lambda _: None,
    stopped: Stopped = lambda seconds: bool(time.sleep(seconds)),
    *,
    patient: bool = True,
) -> Path:
    """Ask for all the accounts of an integration; answers with the file in the inbox.

    `told` hears how far it is; who is not `patient` gets PullBusy where another pull goes on.
    Raises PullFailed, or an OSError such as a full disk.
    """
    puller = PULLERS.get(asked.source)
    if puller is None:
        known = ", ".join(PULLERS)
        raise PullFailed(f"[pull.{asked.integration}] source: expected one of {known}.")
    url = asked.get("url", puller.url) or asked["url"]
    with _alone(home, told, stopped, patient=patient):
        kept = KeptPages(home.root, asked)
        while True:
            began_before = kept.began_at
            taken_at = began_before or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
            file = SnapshotFile(Path("pulled.zip"), asked.integration, taken_at)
            try:
                with Web(url, {}, told=told, stopped=stopped, memory=kept) as web:
                    path = _pulled(home, file, puller.pages(asked, web), told)
            except Interrupted:
                raise
            except (PullFailed, OSError) as fault:
                kept.forget()
                if began_before is None or isinstance(fault, OSError):
                    raise
                told(f"{fault} Beginning anew.")
            else:
                kept.forget()
                return path


def _pulled(home: Home, file: SnapshotFile, pages: Iterator[Any], told: Told) -> Path:
    with TemporaryFile(dir=home.root) as packed:
        _pack(pages, packed, told)
        return _deliver(home, file, packed)


def last_pulled(home: Home, integration: str) -> datetime | None:
    """When the newest snapshot of an integration was taken, wherever its file lies by now."""
    folders = (home.inbox, home.archive, home.held, home.refused)
    files = (path for folder in folders for path in (folder / integration).glob("*.*"))
    return max(
        filter(None, (moment_of(unmarked(p.name).split(".", 1)[0]) for p in files)), default=None
    )


def _pack(pages: Iterator[Any], packed: IO[bytes], told: Told) -> None:
    """Each page as a file of the archive, without what no file should hold."""
    records = 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, page in enumerate(pages, start=1):
            if number > MOST_PAGES:
                raise PullFailed(f"There are more than {MOST_PAGES:,} pages; something goes round.")
            records += _count(page)
            archive.writestr(f"page-{number}.json", json.dumps(cleansed(page)))
            told(f"{records:,} records in {number:,} pages")


def _count(page: Any) -> int:
    """How many records a page lists."""
    if isinstance(page, list):
        return len(page)
    lists = [each for key, each in page.items() if isinstance(each, list) and key != "schemas"]
    return max(map(len, lists), default=0)


def _deliver(home: Home, file: SnapshotFile, packed: IO[bytes]) -> Path:
    with TemporaryDirectory(prefix=".pull-", dir=home.root) as folder:
        path = Path(folder) / file.path.name
        packed.seek(0)
        with path.open("wb") as out:
            shutil.copyfileobj(packed, out)
        return put_into_inbox(home, SnapshotFile(path, file.integration, file.taken_at))


@contextmanager
def _alone(home: Home, told: Told, stopped: Stopped, *, patient: bool) -> Iterator[None]:
    """One pull at a time, whichever process it is in. Raises PullBusy, or PullFailed if stopped."""
    with (home.root / ".pulling").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not patient:
                    raise PullBusy("Another pull goes on.") from None
                told("waiting for another pull to end")
                if stopped(1):
                    raise Interrupted("Stopped.") from None
            else:
                break
        yield


def secrets_file() -> Path:
    """Where the sections `[pull.NAME]` are: ROLLCALL_SECRETS, or the checkout's secrets."""
    named = os.environ.get("ROLLCALL_SECRETS")
    return Path(named).expanduser() if named else CHECKOUT / ".streamlit" / "secrets.toml"


def known_pulls() -> list[Pull]:
    """What can be pulled. Raises PullFailed where the secrets cannot be understood."""
    return pulls_in(secrets_file())
