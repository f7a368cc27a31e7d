"""Which store a reader sees, if any: the sample's, as long as nothing real was loaded."""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

from sqlalchemy import Engine, func, select

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.sample.files import latest_morning, sample_snapshots
from data.schema import snapshot
from data.store.engine import close_store, open_store
from data.store.errors import StoreError, StoreUnusable

log = logging.getLogger("rollcall")

SAMPLE_DAYS = 60
"""As many as a comparison of thirty days with the thirty before needs: each costs a first visitor
half a second."""

SAMPLE_INTEGRATIONS = 5


StorePhase = Literal["open", "opening", "in use", "rebuilding", "making the sample", "failed"]


class StoreStatus(NamedTuple):
    """How the store of a home is; only where it is open there is something to read."""

    phase: StorePhase
    message: str = ""  # for a person; where it is open: what is not as it should be
    done: int = 0
    total: int = 0  # 0: nobody knows how much there is to do
    address: str = ""  # of the Rollcall that has the store, where it is another one

    @property
    def is_open(self) -> bool:
        """Whether pages can be drawn."""
        return self.phase == "open"


class StoreUnavailable(StoreError):
    """There is no store to read now, or none yet; the message says why."""


class ActiveStore(NamedTuple):
    """The store to read, and how much of the sample is there where it is the sample's."""

    engine: Engine
    is_sample: bool
    sample_progress: float = 1.0  # share of the sample that is loaded


_statuses: dict[Home, StoreStatus] = {}


def set_store_status(home: Home, status: StoreStatus) -> None:
    """The one that keeps the store of the home tells how it is."""
    _statuses[home] = status


def store_status(home: Home) -> StoreStatus:
    """How the store of a home is, to be asked before anything is read."""
    status = _statuses.get(home, StoreStatus("open"))
    if not status.is_open:
        return status
    try:
        active = active_store(home)
    except StoreError as error:
        return StoreStatus("failed", str(error))
    if active.sample_progress < 1:
        return _sample_status(active.sample_progress)
    return status


def _sample_status(progress: float) -> StoreStatus:
    total = SAMPLE_DAYS * SAMPLE_INTEGRATIONS
    message = f"Making up {SAMPLE_DAYS} days of sample data, once …"
    return StoreStatus("making the sample", message, round(progress * total), total)


def active_store(home: Home) -> ActiveStore:
    """The store that a reader sees now. Raises a StoreFault where there is none."""
    status = _statuses.get(home, StoreStatus("open"))
    if not status.is_open:
        raise StoreUnavailable(status.message)
    store = open_store(home.database_url)
    if _count_snapshots(store) or not home.is_sample_enabled():
        return ActiveStore(store, is_sample=False)
    sample = _open_sample_store(home)
    progress = _count_snapshots(sample) / (SAMPLE_DAYS * SAMPLE_INTEGRATIONS)
    return ActiveStore(sample, is_sample=True, sample_progress=min(1.0, progress))


def _open_sample_store(home: Home) -> Engine:
    """One that is of no use is made up again."""
    url = _sample_url(home)
    try:
        return open_store(url)
    except StoreUnusable:
        close_store(url)
        for path in home.sample.glob("*.duckdb*"):
            path.unlink(missing_ok=True)
        return open_store(_sample_url(home))


def prepare_sample(home: Home) -> None:
    """Load the sample that ends today, unless it is there, or real data is."""
    until = _latest_sample_time()
    if not active_store(home).is_sample:
        return
    _drop_other_samples(home, until)
    active = active_store(home)
    if active.sample_progress == 1.0:
        return
    with TemporaryDirectory(dir=home.sample) as folder:
        paths = sample_snapshots(
            Path(folder), days=SAMPLE_DAYS, integrations=SAMPLE_INTEGRATIONS, until=until
        )
        for path in paths:
            if not active_store(home).is_sample:
                return
            # What an earlier start has loaded is known, or replaced where it was another version's.
            load(active.engine, SnapshotFile.from_path(path), replace=True, confirmed=True)
            path.unlink()
    log.info("The sample data is ready.")


def remove_sample(home: Home) -> None:
    """Show the empty store instead of the sample, now and at every start."""
    home.sample_removed.touch()
    shutil.rmtree(home.sample, ignore_errors=True)


def _drop_other_samples(home: Home, until: datetime) -> None:
    """The samples of other days, and the files that a killed start has left."""
    for path in home.sample.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name.split(".")[0] != f"{until:%Y-%m-%d}":
            path.unlink(missing_ok=True)


def _sample_url(home: Home) -> str:
    """The sample that is there: while the app runs past a day's end, it stays that day's."""
    home.sample.mkdir(parents=True, exist_ok=True)
    existing = max(home.sample.glob("*.duckdb"), default=None)
    return f"duckdb:///{existing or home.sample / f'{_latest_sample_time():%Y-%m-%d}.duckdb'}"


def _latest_sample_time() -> datetime:
    """When the sample's newest snapshot was taken: the last time that it was six o'clock, UTC."""
    return latest_morning(datetime.now(UTC).replace(tzinfo=None))


def _count_snapshots(engine: Engine) -> int:
    with engine.connect() as con:
        return con.scalar(select(func.count()).select_from(snapshot)) or 0
