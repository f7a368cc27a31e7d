"""Which store a reader sees: the real one, or the sample as long as nothing real was loaded."""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from data.home import Home
from data.loading import SnapshotFile, load
from data.sample import sample_snapshots
from data.store import open_store
from data.tables import snapshot

log = logging.getLogger("rollcall")

SAMPLE_DAYS = 90
SAMPLE_INTEGRATIONS = 6
SAMPLE_SNAPSHOTS = SAMPLE_DAYS * SAMPLE_INTEGRATIONS


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
    return Current(sample, is_sample=True, ready=min(1.0, _snapshots(sample) / SAMPLE_SNAPSHOTS))


def prepare_sample(home: Home) -> None:
    """Load the sample that ends today, unless it is there, or real data is."""
    now = current(home)
    if not now.is_sample or now.ready == 1.0:
        return
    _drop_older_samples(home)
    with TemporaryDirectory(dir=home.root) as folder:
        made = sample_snapshots(
            Path(folder), days=SAMPLE_DAYS, integrations=SAMPLE_INTEGRATIONS, until=_newest()
        )
        for path in made:
            if not home.wants_sample():
                return
            load(now.engine, SnapshotFile.placed(path))
            path.unlink()
    log.info("The sample data is ready.")


def remove_sample(home: Home) -> None:
    """Show the empty store instead of the sample, now and at every start."""
    home.sample_removed.touch()
    shutil.rmtree(home.sample, ignore_errors=True)


def _drop_older_samples(home: Home) -> None:
    for old in home.sample.glob("*"):
        if old.name.split(".")[0] != f"{_newest():%Y-%m-%d}":
            old.unlink(missing_ok=True)


def _sample_url(home: Home) -> str:
    home.sample.mkdir(parents=True, exist_ok=True)
    return f"duckdb:///{home.sample}/{_newest():%Y-%m-%d}.duckdb"


def _newest() -> datetime:
    """When the sample's newest snapshot was taken: the last time that it was six o'clock, UTC."""
    now = datetime.now(UTC).replace(tzinfo=None)
    six = now.replace(hour=6, minute=0, second=0, microsecond=0)
    return six if six <= now else six - timedelta(days=1)


def _snapshots(engine: Engine) -> int:
    with engine.connect() as con:
        return con.scalar(select(func.count()).select_from(snapshot)) or 0
