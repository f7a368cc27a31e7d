"""What a load costs beside a bare parse of the file, and the room it takes beside whole copies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from statistics import median

import duckdb

from benchmarks.made import CHANGED, START, Accounts, Cost, a_store, cost_of
from data.files.naming import SnapshotFile
from data.history.load import load
from data.store.copy import copy_store


def parse(path: Path) -> Cost:
    """The yardstick of a load: DuckDB reads the same file into a table, and that is all."""
    with duckdb.connect() as con:
        return cost_of(lambda: con.read_csv(str(path)).create("floor"))


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
        _row(f"{accounts:,} accounts, first load of a foreign CSV", foreign(folder, made)),
        _row(f"{accounts:,} accounts, {CHANGED:.0%} changed", later),
    ]


def foreign(folder: Path, made: Accounts) -> list[tuple[Cost, Cost]]:
    """A load of the accounts with headings and words of another product, and the parse of it."""
    path = made.write_foreign(folder / "foreign.csv")
    with a_store(folder, f"foreign-{len(made.columns['User'])}") as (engine, _):
        cost = cost_of(lambda: load(engine, SnapshotFile(path, "app", START)))
    return [(cost, parse(path))]


def _row(what: str, pairs: list[tuple[Cost, Cost]]) -> str:
    wall = [load.wall / floor.wall for load, floor in pairs]
    cpu = median(load.cpu / max(floor.cpu, 0.001) for load, floor in pairs)
    seconds = median(load.wall for load, _ in pairs)
    return (
        f"| {what} | {median(wall):.2f} | {min(wall):.2f}–{max(wall):.2f} | {cpu:.2f} "
        f"| {seconds:.3f} s | {len(pairs)} |"
    )


def sizes(folder: Path, accounts: int, days: int) -> list[str]:
    """Table rows: the store's file, and one that a copy of it makes, beside whole snapshots."""
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
                with a_store(folder, f"copied-{day}") as (copied, copy):
                    copy_store(engine, copied)
                files = store, copy, whole
                ours, tight, theirs = (path.stat().st_size / 1e6 for path in files)
                rows.append(
                    f"| {day + 1} | {theirs:.1f} MB | {ours:.1f} MB | {tight:.1f} MB "
                    f"| {theirs / ours:.1f} | {theirs / tight:.1f} |"
                )
    ratio = late / early
    return [
        *rows,
        "",
        f"The last ten loads took {ratio:.2f} times the work (CPU) of the first ten.",
    ]
