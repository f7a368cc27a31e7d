"""Which store a reader sees: the real one, or the sample as long as nothing real was loaded."""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from data.home import Home
from data.loading import SnapshotFile, load
from data.sample import latest_morning, sample_snapshots
from data.store import open_store
from data.tables import snapshot

log = logging.getLogger("rollcall")

SAMPLE_DAYS = 90
SAMPLE_INTEGRATIONS = 5


class Current(NamedTuple):
    """The store to read, and how much of the sample is there where it is the sample's."""

    engine: Engine
    is_sample: bool
    ready: float = 1.0  # share of the sample that is loaded


def current(home: Home) -> Current:
    """The store that a reader sees now."""
    real = open_store(home.database_url)
    if _snapshots(real) or not home.wants_sample():
        return Current(real, is_sample=False)
    sample = open_store(_sample_url(home))
    made = _snapshots(sample) / (SAMPLE_DAYS * SAMPLE_INTEGRATIONS)
    return Current(sample, is_sample=True, ready=min(1.0, made))


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
            load(now.engine, SnapshotFile.placed(path), replace=True)
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
