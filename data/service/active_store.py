"""Decides which store readers see: the sample's, until real data is loaded."""

import logging
import shutil
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import func, select

from data.files.naming import SnapshotFile
from data.formatting import utc_now
from data.history.load import load
from data.home import Home
from data.sample.files import latest_morning, write_sample
from data.schema import snapshot, state_count
from data.store.engine import close_store, open_store
from data.store.errors import StoreError, StoreUnusable

log = logging.getLogger("rollcall")

SAMPLE_DAYS = 60
"""Enough to compare thirty days with the thirty before. Each takes half a second at the first
start."""

SAMPLE_INTEGRATIONS = 5


StorePhase = Literal["open", "opening", "in use", "rebuilding", "making the sample", "failed"]


class StoreStatus(NamedTuple):
    """The status of a home's store. Readers can use it only while it is open."""

    phase: StorePhase
    message: str = ""  # for a person; where the store is open, a problem
    done: int = 0
    total: int = 0  # 0: not known
    address: str = ""  # of another Rollcall that has the store open

    @property
    def is_open(self) -> bool:
        """Whether pages can read the store."""
        return self.phase == "open"


class StoreUnavailable(StoreError):
    """No store can be read now. The message says why."""


class ActiveStore(NamedTuple):
    """The store that readers see."""

    engine: sa.Engine
    is_sample: bool
    missing_snapshots: int = 0  # of the sample, which are still being loaded


_statuses: dict[Home, StoreStatus] = {}


def set_store_status(home: Home, status: StoreStatus) -> None:
    """Set the status. Only the keeper of the home's store does."""
    _statuses[home] = status


def store_status(home: Home) -> StoreStatus:
    """The status of the home's store. Check it before a query."""
    status = _statuses.get(home, StoreStatus("open"))
    if not status.is_open:
        return status
    try:
        active = active_store(home)
        with active.engine.connect() as con:  # on a cluster, every machine has to answer
            con.execute(select(state_count.c.integration_id).limit(1)).first()
    except StoreError as error:
        return StoreStatus("failed", str(error))
    loaded = _sample_size() - active.missing_snapshots
    if loaded < SAMPLE_INTEGRATIONS:  # the newest day; its history follows while pages are read
        message = "Creating sample data. This happens once."
        return StoreStatus("making the sample", message, loaded, SAMPLE_INTEGRATIONS)
    return status


def active_store(home: Home) -> ActiveStore:
    """The store that readers see now. Raises StoreError where there is none."""
    status = _statuses.get(home, StoreStatus("open"))
    if not status.is_open:
        raise StoreUnavailable(status.message)
    store = open_store(home.database_url)
    if _count_snapshots(store) or not home.is_sample_enabled():
        return ActiveStore(store, is_sample=False)
    sample = _open_sample_store(home)
    missing = max(_sample_size() - _count_snapshots(sample), 0)
    return ActiveStore(sample, is_sample=True, missing_snapshots=missing)


def _open_sample_store(home: Home) -> sa.Engine:
    """A damaged or outdated sample is created again."""
    url = _sample_url(home)
    try:
        return open_store(url)
    except StoreUnusable:
        close_store(url)
        for path in home.sample.glob("*.duckdb*"):
            path.unlink(missing_ok=True)
        return open_store(_sample_url(home))


def prepare_sample(home: Home) -> None:
    """Load the sample that ends today, unless it is loaded or there is real data.

    The newest snapshots come first, so that pages have something to show at once.
    """
    until = _latest_sample_time()
    if not active_store(home).is_sample:
        return
    _drop_other_samples(home, until)
    active = active_store(home)
    if not active.missing_snapshots:
        return
    with TemporaryDirectory(dir=home.sample) as folder:
        paths = write_sample(
            Path(folder), days=SAMPLE_DAYS, integrations=SAMPLE_INTEGRATIONS, until=until
        )
        for path in reversed(paths):
            if not active_store(home).is_sample:
                return
            # An earlier start may have loaded it; that of another version is replaced.
            load(active.engine, SnapshotFile.from_path(path), replace=True, confirmed=True)
            path.unlink()
    log.info("The sample data is loaded.")


def _sample_size() -> int:
    """The number of its snapshots."""
    return SAMPLE_DAYS * SAMPLE_INTEGRATIONS


def remove_sample(home: Home) -> None:
    """Show the empty store instead of the sample, from now on."""
    home.sample_removed.touch()
    shutil.rmtree(home.sample, ignore_errors=True)


def restore_sample(home: Home) -> None:
    """Show the sample again while there is no real data; it is created once more."""
    home.sample_removed.unlink(missing_ok=True)


def _drop_other_samples(home: Home, until: datetime) -> None:
    """Delete the samples of other days, and the files that a killed process has left."""
    for path in home.sample.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name.split(".")[0] != f"{until:%Y-%m-%d}":
            path.unlink(missing_ok=True)


def _sample_url(home: Home) -> str:
    """The existing sample. It stays when the app runs past midnight."""
    home.sample.mkdir(parents=True, exist_ok=True)
    existing = max(home.sample.glob("*.duckdb"), default=None)
    return f"duckdb:///{existing or home.sample / f'{_latest_sample_time():%Y-%m-%d}.duckdb'}"


def _latest_sample_time() -> datetime:
    """The time of the sample's newest snapshot: the latest 06:00 UTC."""
    return latest_morning(utc_now())


def _count_snapshots(engine: sa.Engine) -> int:
    with engine.connect() as con:
        return con.scalar(select(func.count()).select_from(snapshot)) or 0
