"""Creates, removes and restores the sample: invented data in a home and a store of its own."""

import json
import logging
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.inbox.inbox import load_inbox, put_into_inbox
from data.records.exceptions import FindingKey, RiskException, add_exceptions
from data.sample.directory import NAME
from data.sample.files import write_sample
from data.service import active_store as active
from data.service.active_store import active_store
from data.store.engine import close_store

log = logging.getLogger("rollcall")

RECENT_DAYS = 2
"""Days that are loaded before the others. A file is only put on hold with one to compare it to."""

CUT_OFF, CUT_OFF_SHARE = "Salesforce EMEA", 0.6
"""The integration with a file on hold, and the share of its accounts in there."""

ERROR_BODY = '{"message": "Bad credentials", "status": "401"}\n'
"""An export that failed: the answer of the API in place of the accounts."""

EXCEPTION = RiskException(
    "Automation of the platform team. Its key is renewed every 30 days.", "Sample Owner"
)


def prepare_sample(home: Home) -> None:
    """Load the sample that ends today, unless it is loaded or there is real data.

    The newest snapshots come first, so that pages have something to show at once; then what needs
    a decision, and then the history.
    """
    until = active.latest_sample_time()
    if not active_store(home).is_sample:
        return
    _drop_other_samples(home, until)
    if not active_store(home).missing_snapshots:
        return
    for is_recent in (True, False):
        with TemporaryDirectory(dir=home.sample) as folder:
            paths = write_sample(
                Path(folder),
                days=active.SAMPLE_DAYS,
                integrations=active.SAMPLE_INTEGRATIONS,
                until=until,
                newest_days=RECENT_DAYS if is_recent else None,
                has_directory=True,
            )
            files = [SnapshotFile.from_path(path) for path in paths]
            if not _load_newest_first(
                home, [f for f in files if _is_recent(f, until) == is_recent]
            ):
                return
            if is_recent:
                _add_decisions(home, Path(folder), until)
    log.info("The sample data is loaded.")


def _is_recent(file: SnapshotFile, until: datetime) -> bool:
    return file.taken_at > until - timedelta(days=RECENT_DAYS)


def _load_newest_first(home: Home, files: list[SnapshotFile]) -> bool:
    """False where the sample is no longer shown. Of a day, the apps come before the people."""
    for file in sorted(files, key=lambda f: (f.taken_at, f.integration != NAME), reverse=True):
        seen = active_store(home)
        if not seen.is_sample:
            return False
        # An earlier start may have loaded it; that of another version is replaced.
        load(seen.engine, file, replace=True, confirmed=True)
    return True


def _add_decisions(home: Home, folder: Path, until: datetime) -> None:
    """Add a file on hold, a rejected one and an exception, to try what people decide."""
    seen = active_store(home)
    if not seen.is_sample:
        return
    evening = until - timedelta(hours=12)
    files = {folder / "GitHub.json": ERROR_BODY}
    for path in sorted((folder / CUT_OFF).glob("*"))[:1]:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        cut_off = lines[: int(len(lines) * CUT_OFF_SHARE)]
        files[folder / f"{CUT_OFF}{path.suffix}"] = "".join(cut_off)
    for path, content in files.items():
        path.write_text(content, encoding="utf-8")
        put_into_inbox(seen.home, SnapshotFile(path, path.stem, evening))
    load_inbox(seen.engine, seen.home)
    findings = [(key, until) for key in _unmatched_administrators(folder)[:1]]
    add_exceptions(seen.engine, findings, EXCEPTION, accepted_at=until)


def _unmatched_administrators(folder: Path) -> list[FindingKey]:
    """The administrators without a user in the newest file of GitHub, which is JSON."""
    files = sorted((folder / "GitHub").glob("*.json"))[-1:]
    return [
        FindingKey("unmatched_and_privileged", "GitHub", account["account_id"])
        for path in files
        for account in json.loads(path.read_text(encoding="utf-8"))
        if not account["user_name"] and any(r["type"] == "admin" for r in account["roles"])
    ]


def remove_sample(home: Home) -> None:
    """Show the empty store instead of the sample, from now on."""
    home.sample_removed.touch()
    for sample in home.sample.glob("*"):
        close_store(Home(sample, is_sample=True).database_url)
    shutil.rmtree(home.sample, ignore_errors=True)


def restore_sample(home: Home) -> None:
    """Show the sample again while there is no real data; it is created once more."""
    home.sample_removed.unlink(missing_ok=True)


def _drop_other_samples(home: Home, until: datetime) -> None:
    """Delete the samples of other days, and the files that a killed process has left."""
    for path in home.sample.glob("*"):
        if path.name == f"{until:%Y-%m-%d}":
            continue
        if path.is_dir():
            close_store(Home(path, is_sample=True).database_url)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
