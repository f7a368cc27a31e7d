"""How fast snapshots load and how much room they take, as ratios: `python -m benchmarks`.

Each figure is set beside a yardstick that is measured in the same run, in turns with it, so that
a slow or busy machine slows down both. Writes RESULTS.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import duckdb
import pyarrow as pa
from pyarrow import csv
from sqlalchemy import Engine

from data.loading import SnapshotFile, load
from data.states import STATE_NAMES
from data.store import open_store

START = datetime(2026, 1, 1, 6)
CHANGED = 0.01
"""Share of the accounts that change from one snapshot to the next."""

RESULTS = Path(__file__).with_name("RESULTS.md")


class Cost(NamedTuple):
    """Seconds on the clock, and of work on all cores."""

    wall: float
    cpu: float


class Accounts:
    """Made-up accounts of one integration, which change a little from day to day."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        numbers = range(number)
        pick = self.chance.randrange
        self.columns = {
            "User": [
                f"First{pick(5000)} Last{pick(9000)} <user{n}@example.com>" if pick(20) else ""
                for n in numbers
            ],
            "Username in app": [f"User{n}" for n in numbers],
            "App access": [
                ";".join(f"Role {pick(40)}" for _ in range(pick(1, 6))) for _ in numbers
            ],
            "Active in app": [("", "No", *["Yes"] * 8)[pick(10)] for _ in numbers],
            "Upstream user ID": [f"UP-{pick(10_000_000)}" for _ in numbers],
            "Provisioning state": [
                "Onboarded" if pick(5) else STATE_NAMES[pick(11)] for _ in numbers
            ],
            "Last updated": [self._some_time() for _ in numbers],
        }

    def change(self) -> None:
        """Move some accounts into another state."""
        number = len(self.columns["User"])
        for n in self.chance.sample(range(number), int(number * CHANGED)):
            self.columns["Provisioning state"][n] = STATE_NAMES[self.chance.randrange(11)]
            self.columns["Last updated"][n] = self._some_time()

    def write(self, path: Path) -> Path:
        csv.write_csv(pa.table(self.columns), path)
        return path

    def _some_time(self) -> str:
        return f"{START - timedelta(seconds=self.chance.randrange(20_000_000)):%Y-%m-%dT%H:%M:%SZ}"


def cost_of(act: Callable[[], object]) -> Cost:
    before, began = os.times(), time.perf_counter()
    act()
    wall, after = time.perf_counter() - began, os.times()
    return Cost(wall, after.user + after.system - before.user - before.system)


def parse(path: Path) -> Cost:
    """The yardstick of a load: DuckDB reads the same file into a table, and that is all."""
    with duckdb.connect() as con:
        return cost_of(lambda: con.read_csv(str(path)).create("floor"))


@contextmanager
def a_store(folder: Path, name: str) -> Iterator[tuple[Engine, Path]]:
    path = folder / f"{name}.duckdb"
    engine = open_store(f"duckdb:///{path}")
    yield engine, path
    engine.dispose()


def loads(folder: Path, accounts: int, rounds: int) -> list[str]:
    """Table rows: the first load, then loads in turns with the parse of the same file."""
    made = Accounts(accounts)
    one = made.write(folder / "one.csv")
    made.change()
    other = made.write(folder / "other.csv")
    with a_store(folder, f"loads-{accounts}") as (engine, _):

        def load_on(day: int, path: Path) -> Cost:
            file = SnapshotFile(path, "app", START + timedelta(days=day))
            return cost_of(lambda: load(engine, file))

        parse(one)  # warms the cache of files
        first = [(load_on(0, one), parse(one))]
        later = []
        for day in range(1, rounds + 1):
            path = (one, other)[day % 2]
            later.append((load_on(day, path), parse(path)))
    return [
        _row(f"{accounts:,} accounts, first load", first),
        _row(f"{accounts:,} accounts, {CHANGED:.0%} changed", later),
    ]


def _row(what: str, pairs: list[tuple[Cost, Cost]]) -> str:
    wall = [load.wall / floor.wall for load, floor in pairs]
    cpu = median(load.cpu / max(floor.cpu, 0.001) for load, floor in pairs)
    seconds = median(load.wall for load, _ in pairs)
    return (
        f"| {what} | {median(wall):.2f} | {min(wall):.2f}–{max(wall):.2f} | {cpu:.2f} "
        f"| {seconds:.3f} s | {len(pairs)} |"
    )


def sizes(folder: Path, accounts: int, days: int) -> list[str]:
    """Table rows: the store's file beside one that keeps every snapshot whole."""
    made, marks, rows = Accounts(accounts), {7, 31, 91, 182, 365, days}, []
    whole = folder / "whole.duckdb"
    early = late = 0.0
    with a_store(folder, "sizes") as (engine, store):
        for day in range(days):
            path = made.write(folder / "day.csv")
            file = SnapshotFile(path, "app", START + timedelta(days=day))
            work = cost_of(lambda file=file: load(engine, file)).cpu
            early += work if 1 <= day <= 10 else 0
            late += work if day >= days - 10 else 0
            with duckdb.connect(whole) as con:
                if day:
                    con.read_csv(str(path)).insert_into("copies")
                else:
                    con.read_csv(str(path)).create("copies")
            made.change()
            if day + 1 in marks:
                engine.dispose()  # DuckDB then writes its log into the file
                ours, theirs = store.stat().st_size / 1e6, whole.stat().st_size / 1e6
                rows.append(
                    f"| {day + 1} | {ours:.1f} MB | {theirs:.1f} MB | {theirs / ours:.1f} |"
                )
    rows += [
        "",
        f"The last ten loads took {late / early:.2f} times the work (CPU) of the first ten.",
    ]
    return rows


def machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "sqlalchemy"))
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), "
        f"Python {platform.python_version()}, {versions}; {datetime.now(UTC):%Y-%m-%d}"
    )


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--accounts", type=int, default=1_000_000, help="of a large snapshot")
    options.add_argument("--rounds", type=int, default=9, help="loads that are measured")
    options.add_argument("--days", type=int, default=100, help="of daily snapshots kept")
    options.add_argument("--daily", type=int, default=100_000, help="accounts of a daily snapshot")
    given = options.parse_args()
    with TemporaryDirectory() as folder:
        large = loads(Path(folder), given.accounts, given.rounds)
        small = loads(Path(folder), 300, given.rounds * 3)
        kept = sizes(Path(folder), given.daily, given.days)
    text = TEMPLATE.format(
        machine=machine(), loads="\n".join(large + small), daily=given.daily, sizes="\n".join(kept)
    )
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


TEMPLATE = """\
# Benchmarks

Written by `make bench`. {machine}.

## Loading

A whole load – reading, checking, comparing, writing, committing – as a multiple of the time that
DuckDB takes to read the same CSV into a table and do nothing else. Both are measured in turns, in
one process; the median of the ratios counts, the range shows how much the machine varied.

| snapshot | load / parse | range | CPU / CPU | median load | loads |
| --- | --- | --- | --- | --- | --- |
{loads}

## Room on disk

Daily snapshots of {daily:,} accounts, 1 % of them changed a day, beside a DuckDB file that keeps
every snapshot whole. Both are closed before they are measured, and neither is compacted.

| days | Rollcall | whole copies | copies / Rollcall |
| --- | --- | --- | --- |
{sizes}
"""

if __name__ == "__main__":
    main()
