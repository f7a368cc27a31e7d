"""How Rollcall does beside yardsticks of the same run: `python -m benchmarks [PART ...]`.

Each figure is set beside a yardstick that is measured in turns with it, so that a slow or busy
machine slows down both. Writes RESULTS.md beside this file; what is not measured stays in it.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.alarms import alarms
from benchmarks.browsing import a_home, counting, deliver, downloaded, felt, served, time_questions
from benchmarks.crowd import crowd
from benchmarks.dbt import against_dbt
from benchmarks.growth import growth
from benchmarks.insight import pressed, visited
from benchmarks.loading import loads, sizes
from benchmarks.made import Accounts
from benchmarks.opponents import beside
from benchmarks.year import DAYS, a_year

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
    options.add_argument(
        "parts", nargs="*", default=list(MEASURES), help=f"of {', '.join(MEASURES)}; or all"
    )
    options.add_argument("--accounts", type=int, default=1_000_000, help="of a large snapshot")
    options.add_argument("--rounds", type=int, default=9, help="loads that are measured")
    options.add_argument("--days", type=int, default=365, help="of daily snapshots kept")
    options.add_argument("--daily", type=int, default=100_000, help="accounts of a daily snapshot")
    options.add_argument("--integrations", type=int, default=100, help="of a year, for insight")
    options.add_argument("--versions", type=int, default=10, help="of each account, for browsing")
    options.add_argument("--lives", type=int, default=3, help="of 30 days, for alarms")
    options.add_argument("--quick", action="store_true", help="a tenth of everything")
    given = options.parse_args()
    if given.quick:
        given.accounts, given.daily, given.days = 100_000, 20_000, 31
        given.rounds, given.integrations = 5, 20
    for part in given.parts:
        with TemporaryDirectory() as folder:
            write(part, MEASURES[part](Path(folder), given))
    print(RESULTS.read_text(encoding="utf-8"))


def loading(folder: Path, given: argparse.Namespace) -> str:
    return LOADING.format(
        machine=machine(),
        loads="\n".join(
            loads(folder, given.accounts, given.rounds) + loads(folder, 300, given.rounds * 3)
        ),
        accounts=given.accounts,
        dbt="\n".join(against_dbt(folder, given.accounts, given.rounds)),
        daily=given.daily,
        sizes="\n".join(sizes(folder, given.daily, given.days)),
    )


def browsing(folder: Path, given: argparse.Namespace) -> str:
    home = a_home(folder, given.accounts, given.versions)
    answers = time_questions(home, given.rounds)
    apart = shutil.copytree(home, folder / "apart")
    with served(home) as server:
        waits = felt(server.url)
        downloads = downloaded(server)
        crowds = [crowd(server.url, people) for people in (1, 10, 50)]
        server.forget_most()
        deliver(home, Accounts(given.accounts))
        crowd(server.url, 50)  # how long is not told: pages are drawn again as soon as it is loaded
        most = server.memory(most=True)
        with counting(apart) as counts:
            opponents = beside(server, counts, folder, folder / "accounts.csv")
    return BROWSING.format(
        machine=machine(),
        accounts=given.accounts,
        versions=given.accounts * given.versions,
        answers="\n".join(answers),
        waits="\n".join(waits),
        downloads="\n".join(downloads),
        crowds="\n".join(crowds),
        most=most,
        opponents="\n".join(opponents),
    )


def insight(folder: Path, given: argparse.Namespace) -> str:
    with served(a_year(folder, given.accounts, given.integrations)) as server:
        visits, presses = visited(server.url), pressed(server.url)
    return INSIGHT.format(
        machine=machine(),
        accounts=given.accounts,
        integrations=given.integrations,
        days=DAYS,
        visits="\n".join(visits),
        presses="\n".join(presses),
    )


def growing(folder: Path, given: argparse.Namespace) -> str:
    costs, slopes = growth(folder, given.accounts)
    return GROWTH.format(machine=machine(), costs="\n".join(costs), slopes="\n".join(slopes))


def alarming(folder: Path, given: argparse.Namespace) -> str:
    return ALARMS.format(lives=given.lives, found="\n".join(alarms(folder, given.lives)))


MEASURES = {
    "loading": loading,
    "browsing": browsing,
    "insight": insight,
    "growth": growing,
    "alarms": alarming,
}


def write(part: str, text: str) -> None:
    """Put it in the place of what was measured before."""
    previous = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Benchmarks\n"
    parts = dict(
        re.findall(r"^<!-- (\w+) -->\n(.*?)(?=^<!-- |\Z)", previous, re.DOTALL | re.MULTILINE)
    )
    parts[part] = text
    body = "\n".join(
        f"<!-- {name} -->\n{parts[name].strip()}\n" for name in MEASURES if name in parts
    )
    RESULTS.write_text(f"# Benchmarks\n\nWritten by `make bench`.\n\n{body}", encoding="utf-8")


LOADING = """\
## Loading

{machine}.

A whole load – reading, checking, comparing, writing, committing – as a multiple of the time that
DuckDB takes to read the same CSV into a table and do nothing else. Both are measured in turns, in
one process; the median of the ratios counts, the range shows how much the machine varied.

| snapshot | load / parse | range | CPU / CPU | median load | loads |
| --- | --- | --- | --- | --- | --- |
{loads}

## Beside dbt

`dbt snapshot` (dbt-core below 1.12, dbt-duckdb, the same DuckDB) of the same {accounts:,}
accounts, 1 % changed, as a multiple of a load; in turns, without the first of each. Inside is what
dbt says that its statements took, and a load in a process that runs; as a command both start
Python. A load also checks the rows, counts them for Health and keeps the file, and dbt does not.

| measured | dbt / load | range | loads |
| --- | --- | --- | --- |
{dbt}

## Room on disk

Daily snapshots of {daily:,} accounts, 1 % of them changed a day, beside a DuckDB file that keeps
every snapshot whole. Both are closed before they are measured. As it lies, Rollcall's file has the
room in which loads write the current accounts anew; one that `rollcall copy` makes of it has none,
as that with whole copies, to which rows are only added.

| days | whole copies | Rollcall | copied | whole / Rollcall | whole / copied |
| --- | --- | --- | --- | --- | --- |
{sizes}
"""

BROWSING = """\
## Browsing

{machine}.

{accounts:,} accounts with {versions:,} versions. A question of the Users page – its Python, its SQL
and its rows – as a multiple of a bare DuckDB statement with the same answer, in turns. The page in
the middle is set beside the first page; its order is remembered once it was asked for.

| question | page / bare | page | bare |
| --- | --- | --- | --- |
{answers}

What a person waits in a real browser on the same machine, from pressing to the frame that shows
other rows, or the details of one:

| act | median | 95th percentile | shown |
| --- | --- | --- | --- |
{waits}

All of the accounts as a file, and the memory that the server takes for it:

| format | time | memory |
| --- | --- | --- |
{downloads}

What several people wait who ask for other accounts every 5 seconds on average, each in a session of
its own, without a browser; the two cores are shared with them.

| people | median | 95th percentile | lists |
| --- | --- | --- | --- |
{crowds}

While 50 people asked and a snapshot of as many accounts was loaded, the server took at most
{most:,} MB.

The same beside others, in turns, without a browser; medians. Rollcall and the page with pandas
answer over Streamlit's WebSocket, Datasette over HTTP, with the indexes and the full-text search
(of whole words) that it deserves, and its limits of time lifted. “Per state” is asked within the
process, but of Datasette. The page with pandas reads the CSV file once per visitor.

| asked | Rollcall | bare DuckDB | Datasette | pandas in the session |
| --- | --- | --- | --- | --- |
{opponents}
"""

INSIGHT = """\
## Insight

{machine}.

{accounts:,} accounts in {integrations} integrations, with a snapshot of each on every one of {days}
days, in a real browser on the same machine. From an address to the page's title, and to its first
numbers; medians:

| page | title | numbers |
| --- | --- | --- |
{visits}

From a press to the frame that shows another answer: when nobody has asked for it since the last
load, and when somebody has; medians:

| act | first | again |
| --- | --- | --- |
{presses}
"""

GROWTH = """\
## Growth

{machine}.

What each act costs, in work on all cores, to who asks first after a load. How it grows is the
exponent of the power law that fits best: 0 is not at all, 1 in proportion. “A load” is one more
snapshot of one of the integrations; with more of them, each has fewer accounts.

![Costs against sizes, both on logarithmic scales](growth.png)

| act | accounts | days of history | integrations | share changed |
| --- | --- | --- | --- | --- |
{slopes}

| sizes | act | cost at each size |  |  |  |  |
| --- | --- | --- | --- | --- | --- | --- |
{costs}
"""

ALARMS = """\
## Alarms

30 days of snapshots of 100 accounts, loaded from files, in {lives} lives. On average 3% of the
accounts fail; on a day in ten, 6% more do. After two or three weeks one thing breaks, and stays
broken. The objectives: at most 5% failing, 95% of update jobs within 2 days, no leaver active after
a day; a snapshot in twice the usual interval, and no account failing for 7 days, by default.

A letter is looked for every morning. Beside it is an alarm on each day with more than 5%, or 10%,
of the accounts failing. Found: the day of the break, 1 is the first; the median. False: alarms
before the break, in all lives. A share of failing accounts does not show the last three.

| breaks | letter: found | false | 5%: found | false | 10%: found | false |
| --- | --- | --- | --- | --- | --- | --- |
{found}
"""

if __name__ == "__main__":
    main()
