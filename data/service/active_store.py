"""Decides which store readers see: the sample's, until real data is loaded."""

import shutil
from datetime import datetime
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import func, select

from data.formatting import utc_now
from data.home import Home, create_folders
from data.sample.directory import count_directory_files
from data.sample.files import latest_morning
from data.schema import snapshot, state_count
from data.store.engine import close_store, open_store
from data.store.errors import StoreError, StoreUnusable

SAMPLE_DAYS = 60
"""Enough to compare thirty days with the thirty before. Each takes half a second at the first
start."""

SAMPLE_INTEGRATIONS = 5
"""Apps; the directory of their people is one more."""

StorePhase = Literal["open", "opening", "in use", "rebuilding", "making the sample", "failed"]


class StoreStatus(NamedTuple):
    """The status of a home's store. Readers can use it only while it is open."""

    phase: StorePhase
    message: str = ""  # for a person; where the store is open, a problem
    done: int = 0
    total: int = 0  # 0: not known
    address: str = ""  # of another Rollcall that has the store open
    outage: str = ""  # for letters: why nobody can use it, without names of files and people

    @property
    def is_open(self) -> bool:
        """Whether pages can read the store."""
        return self.phase == "open"


class StoreUnavailable(StoreError):
    """No store can be read now. The message says why."""


class ActiveStore(NamedTuple):
    """The store that readers see."""

    engine: sa.Engine
    home: Home  # with the files of this store
    missing_snapshots: int = 0  # of the sample, which are still being loaded

    @property
    def is_sample(self) -> bool:
        """Whether its data is invented."""
        return self.home.is_sample


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
        return StoreStatus("failed", str(error), outage=error.summary)
    loaded = _sample_size() - active.missing_snapshots
    if loaded < SAMPLE_INTEGRATIONS:  # people and history follow while pages are read
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
        return ActiveStore(store, home)
    sample = _sample_home(home)
    engine = _open_sample_store(sample)
    return ActiveStore(engine, sample, max(_sample_size() - _count_snapshots(engine), 0))


def is_empty(home: Home) -> bool:
    """Whether readers see neither real data nor the sample. Raises StoreError."""
    active = active_store(home)
    return not active.is_sample and not _count_snapshots(active.engine)


def _open_sample_store(sample: Home) -> sa.Engine:
    """A damaged or outdated sample is created again."""
    try:
        return open_store(sample.database_url)
    except StoreUnusable:
        close_store(sample.database_url)
        shutil.rmtree(sample.root)
        create_folders(sample)
        return open_store(sample.database_url)


def _sample_size() -> int:
    """The number of its snapshots."""
    return SAMPLE_DAYS * SAMPLE_INTEGRATIONS + count_directory_files(SAMPLE_DAYS)


def _sample_home(home: Home) -> Home:
    """The home of the existing sample. It stays when the app runs past midnight."""
    existing = max(home.sample.glob("*/rollcall.duckdb"), default=None)
    if existing:
        return Home(existing.parent, is_sample=True)
    sample = Home(home.sample / f"{latest_sample_time():%Y-%m-%d}", is_sample=True)
    create_folders(sample)
    return sample


def latest_sample_time() -> datetime:
    """The time of the sample's newest snapshot: the latest 06:00 UTC."""
    return latest_morning(utc_now())


def _count_snapshots(engine: sa.Engine) -> int:
    with engine.connect() as con:
        return con.scalar(select(func.count()).select_from(snapshot)) or 0
