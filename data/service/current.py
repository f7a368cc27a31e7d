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
from data.store.errors import StoreFault, StoreUnusable

log = logging.getLogger("rollcall")

SAMPLE_DAYS = 60
"""As many as a comparison of thirty days with the thirty before needs: each costs a first visitor
half a second."""

SAMPLE_INTEGRATIONS = 5


Phase = Literal["open", "opening", "in use", "rebuilding", "making the sample", "failed"]


class State(NamedTuple):
    """How the store of a home is; only where it is open there is something to read."""

    phase: Phase
    words: str = ""  # for a person; where it is open: what is not as it should be
    done: int = 0
    of: int = 0  # 0: nobody knows how much there is to do
    address: str = ""  # of the Rollcall that has the store, where it is another one

    @property
    def is_open(self) -> bool:
        """Whether pages can be drawn."""
        return self.phase == "open"


class StoreAway(StoreFault):
    """There is no store to read now, or none yet; the message says why."""


class Current(NamedTuple):
    """The store to read, and how much of the sample is there where it is the sample's."""

    engine: Engine
    is_sample: bool
    ready: float = 1.0  # share of the sample that is loaded


_told: dict[Home, State] = {}


def tell(home: Home, state: State) -> None:
    """The one that keeps the store of the home tells how it is."""
    _told[home] = state


def state(home: Home) -> State:
    """How the store of a home is, to be asked before anything is read."""
    told = _told.get(home, State("open"))
    if not told.is_open:
        return told
    try:
        shown = current(home)
    except StoreFault as fault:
        return State("failed", str(fault))
    if shown.ready < 1:
        return _making_sample(shown.ready)
    return told


def _making_sample(ready: float) -> State:
    every = SAMPLE_DAYS * SAMPLE_INTEGRATIONS
    words = f"Making up {SAMPLE_DAYS} days of sample data, once …"
    return State("making the sample", words, round(ready * every), every)


def current(home: Home) -> Current:
    """The store that a reader sees now. Raises a StoreFault where there is none."""
    told = _told.get(home, State("open"))
    if not told.is_open:
        raise StoreAway(told.words)
    real = open_store(home.database_url)
    if _snapshots(real) or not home.wants_sample():
        return Current(real, is_sample=False)
    sample = _sample_store(home)
    made = _snapshots(sample) / (SAMPLE_DAYS * SAMPLE_INTEGRATIONS)
    return Current(sample, is_sample=True, ready=min(1.0, made))


def _sample_store(home: Home) -> Engine:
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
    until = _newest()
    if not current(home).is_sample:
        return
    _drop_other_samples(home, until)
    now = current(home)
    if now.ready == 1.0:
        return
    with TemporaryDirectory(dir=home.sample) as folder:
        made = sample_snapshots(
            Path(folder), days=SAMPLE_DAYS, integrations=SAMPLE_INTEGRATIONS, until=until
        )
        for path in made:
            if not current(home).is_sample:
                return
            # What an earlier start has loaded is known, or replaced where it was another version's.
            load(now.engine, SnapshotFile.placed(path), replace=True, confirmed=True)
            path.unlink()
    log.info("The sample data is ready.")


def remove_sample(home: Home) -> None:
    """Show the empty store instead of the sample, now and at every start."""
    home.sample_removed.touch()
    shutil.rmtree(home.sample, ignore_errors=True)


def _drop_other_samples(home: Home, until: datetime) -> None:
    """The samples of other days, and the files that a killed start has left."""
    for old in home.sample.glob("*"):
        if old.is_dir():
            shutil.rmtree(old)
        elif old.name.split(".")[0] != f"{until:%Y-%m-%d}":
            old.unlink(missing_ok=True)


def _sample_url(home: Home) -> str:
    """The sample that is there: while the app runs past a day's end, it stays that day's."""
    home.sample.mkdir(parents=True, exist_ok=True)
    there = max(home.sample.glob("*.duckdb"), default=None)
    return f"duckdb:///{there or home.sample / f'{_newest():%Y-%m-%d}.duckdb'}"


def _newest() -> datetime:
    """When the sample's newest snapshot was taken: the last time that it was six o'clock, UTC."""
    return latest_morning(datetime.now(UTC).replace(tzinfo=None))


def _snapshots(engine: Engine) -> int:
    with engine.connect() as con:
        return con.scalar(select(func.count()).select_from(snapshot)) or 0
