"""How Rollcall does beside yardsticks of the same run: `python -m benchmarks`.

Each figure is set beside a yardstick that is measured in turns with it, so that a slow or busy
machine slows down both. Writes RESULTS.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.browsing import a_home, asked, felt, served
from benchmarks.crowd import crowd
from benchmarks.loading import loads, sizes

RESULTS = Path(__file__).with_name("RESULTS.md")


def machine() -> str:
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("duckdb", "sqlalchemy", "streamlit")
    )
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
    options.add_argument("--versions", type=int, default=10, help="of each account, for browsing")
    given = options.parse_args()
    with TemporaryDirectory() as folder:
        large = loads(Path(folder), given.accounts, given.rounds)
        small = loads(Path(folder), 300, given.rounds * 3)
        kept = sizes(Path(folder), given.daily, given.days)
        home = a_home(Path(folder), given.accounts, given.versions)
        answers = asked(home, given.rounds)
        with served(home) as url:
            waits, crowds = felt(url), [crowd(url, people) for people in (1, 10, 50)]
    text = TEMPLATE.format(
        machine=machine(),
        loads="\n".join(large + small),
        daily=given.daily,
        sizes="\n".join(kept),
        accounts=given.accounts,
        versions=given.accounts * given.versions,
        answers="\n".join(answers),
        waits="\n".join(waits),
        crowds="\n".join(crowds),
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

## Browsing

{accounts:,} accounts with {versions:,} versions. A question of the Users page – its Python, its SQL
and its rows – as a multiple of a bare DuckDB statement with the same answer, in turns. The page in
the middle is set beside the first page; its order is remembered once it was asked for.

| question | page / bare | page | bare |
| --- | --- | --- | --- |
{answers}

What a person waits in a real browser on the same machine, from pressing to the frame that shows
other rows:

| act | median | 95th percentile | rows changed |
| --- | --- | --- | --- |
{waits}

What several people wait who ask for other accounts every 5 seconds on average, each in a session of
its own, without a browser; the two cores are shared with them.

| people | median | 95th percentile | lists |
| --- | --- | --- | --- |
{crowds}
"""

if __name__ == "__main__":
    main()
