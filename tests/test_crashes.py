"""Killed processes, full disks and damaged stores."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import TimeoutExpired
from threading import Event, Thread
from typing import NamedTuple

import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account, usernames
from patience import PATIENCE, wait_until
from processes import Process, run
from sqlalchemy import func, insert, select, text, update
from streamlit.testing.v1 import AppTest

import rollcall
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.inbox.inbox import load_inbox
from data.records.tables import quarantined_file
from data.schema import integration, snapshot, state_count
from data.service import active_store as current_module
from data.service import keeper
from data.service.active_store import StoreStatus, active_store, store_status
from data.service.instance import running_instance
from data.service.keeper import run_keeper
from data.store.engine import close_stores, open_store, schema_version
from data.store.errors import DiskFull, StoreError, StoreInterrupted
from queries.filters import Filters
from queries.users.accounts import count_accounts

ROOT = Path(__file__).parent.parent
DAY = timedelta(days=1)
SECONDS_OF_KILLS = 4
"""In the suite; by hand, hours are possible."""

SNAPSHOTS = 8


# ---- kill -9 ------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """A snapshot: of which integration, and when."""

    integration: str
    at: datetime


States = dict[str, str]  # username → state


def a_history(folder: Path, seed: int) -> dict[Moment, tuple[Path, States]]:
    """Files of two integrations in which accounts come, go and change."""
    chance, written = random.Random(seed), {}
    for name in ("figma", "slack"):
        states = {f"user{n:03}": "Onboarded" for n in range(150)}
        for day in range(SNAPSHOTS // 2):
            for username in chance.sample(sorted(states), 20):
                states[username] = chance.choice(["Onboarded", "Update failed", "Deleted"])
            for username in chance.sample(sorted(states), 5):
                del states[username]
            states |= {f"new{day}-{n}": "Provisioning awaiting" for n in range(6)}
            at = YESTERDAY + timedelta(hours=day)
            rows = [an_account(who, state=how) for who, how in states.items()]
            path = a_snapshot_file(folder, rows, integration=name, at=at)
            written[Moment(name, at)] = path, dict(states)
    return written


@contextmanager
def loading(home: Home, paths: list[Path]) -> Iterator[Process]:
    with (
        (home.root / "log").open("a") as log,
        Process("rollcall.py", "load", *paths, stdout=log, stderr=log) as process,
    ):
        yield process


def what_is_loaded(home: Home, history: dict[Moment, tuple[Path, States]]) -> set[Moment]:
    """The snapshots of the store, each of which says exactly what its file says."""
    if not (home.root / "rollcall.duckdb").exists():
        return set()
    with open_store(home.database_url).connect() as con:
        named = snapshot.join(
            integration, snapshot.c.integration_id == integration.c.integration_id
        )
        rows = select(integration.c.name, snapshot.c.taken_at, snapshot.c.accepted)
        found = {Moment(*row[:2]): row.accepted for row in con.execute(rows.select_from(named))}
        for moment, accepted in found.items():
            _, states = history[moment]
            assert accepted == len(states)
            params = {"integration": (moment.integration,), "as_of": moment.at}
            assert sorted(usernames(con, **params)) == sorted(states)
            for how in set(states.values()):
                wanted = Filters(**params, state=(how,))
                assert count_accounts(con, wanted) == list(states.values()).count(how)
        counted = con.scalar(select(func.sum(state_count.c.accounts))) or 0
        assert counted == sum(found.values())
    close_stores()
    return set(found)


def kill_while_loading(
    home: Home, folder: Path, chance: random.Random, seconds: float
) -> list[int]:
    """How many snapshots were in after each kill. A history that is whole makes way for another."""
    seen, longest, seed = [], how_long_a_load_takes(home, folder), 0
    history: dict[Moment, tuple[Path, States]] = {}
    began = time.monotonic()

    def goes_on() -> bool:
        """On a busy machine it takes longer until a kill comes between two snapshots."""
        has_hit = bool(set(seen) - {0, SNAPSHOTS})
        return time.monotonic() - began < (seconds if has_hit else PATIENCE)

    while goes_on():
        if not history:
            seed += 1
            shutil.rmtree(folder, ignore_errors=True)
            history = a_history(folder, seed)
            loaded: set[Moment] = set()
        paths = [path for moment, (path, _) in history.items() if moment not in loaded]
        chance.shuffle(paths)
        with loading(home, paths) as process, suppress(TimeoutExpired):
            process.wait(chance.uniform(0, longest))
        loaded = what_is_loaded(home, history)
        seen.append(len(loaded))
        archived = {Moment(p.parent.name, moment_in(p)) for p in home.archive.glob("*/*")}
        assert archived <= loaded, "a file left the inbox before it was in the store"
        if len(loaded) == SNAPSHOTS or chance.random() < 0.2:
            finish(home, history)
            clear(home)
            history = {}
    return seen


def how_long_a_load_takes(home: Home, folder: Path) -> float:
    """Seconds; the first process starts the one that the others are forked from."""
    history = a_history(folder, seed=0)
    for _ in range(2):
        start = time.monotonic()
        finish(home, history)
        took = time.monotonic() - start
        clear(home)
    return took


def clear(home: Home) -> None:
    close_stores()
    for place in home.root.iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()


def moment_in(path: Path) -> datetime:
    return datetime.strptime(path.name.split(".")[0], "%Y-%m-%dT%H-%M-%SZ")


def finish(home: Home, history: dict[Moment, tuple[Path, States]]) -> None:
    """What was interrupted is taken up again, and ends as if nothing had happened."""
    with loading(home, [path for path, _ in history.values()]) as process:
        process.wait()
    log = (home.root / "log").read_text()
    assert process.returncode == 0, log
    assert what_is_loaded(home, history) == set(history)
    assert len(list(home.archive.glob("*/*"))) == SNAPSHOTS
    left = [p.name for p in home.inbox.rglob("*") if p.is_file() and not p.name.endswith(".part")]
    assert left == []
    assert "Traceback" not in log
    assert "rebuilt" not in log


def test_a_killed_load_leaves_each_snapshot_loaded_or_in_the_inbox(
    home: Home, tmp_path: Path
) -> None:
    seen = kill_while_loading(home, tmp_path / "delivered", random.Random(), SECONDS_OF_KILLS)
    assert set(seen) - {0, SNAPSHOTS}, "kills came in the middle"


# ---- a full disk --------------------------------------------------------------------------------


FULL_DISK = """if True:
    import json, os, resource, sys, time
    from pathlib import Path
    from data.service.active_store import active_store, store_status
    from data.home import current_home
    from data.service import keeper
    from queries.filters import Filters
    from queries.users.accounts import count_accounts

    home, (first, second) = current_home(), map(Path, sys.argv[1:])
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def deliver(path):
        target = home.inbox / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
        os.utime(target, (0, 0))

    def accounts():
        with active_store(home).engine.connect() as con:
            return count_accounts(con, Filters())

    def until(condition):
        give_up = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < give_up, store_status(home)
            time.sleep(0.02)

    keeper.INBOX_POLL_SECONDS = 0.1
    with keeper.run_keeper(home, "http://here"):
        deliver(first)
        until(lambda: store_status(home).is_open and accounts())
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
        deliver(second)
        until(lambda: store_status(home).message)
        full = {"words": store_status(home).message, "accounts": accounts(),
                "waits": [path.name for path in home.inbox.glob("*/*")]}
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        until(lambda: accounts() == 400)
        until(lambda: not store_status(home).message)
    print(json.dumps(full))
"""


def test_a_full_disk_is_reported_and_loading_continues_with_free_space(
    home: Home, tmp_path: Path
) -> None:
    first, second = (
        a_snapshot_file(tmp_path, [an_account(f"user{n:03}") for n in range(count)], at=at)
        for at, count in ((YESTERDAY, 300), (TODAY, 400))
    )
    ended = run("-c", FULL_DISK, first, second, timeout=4 * PATIENCE)
    assert ended.returncode == 0, ended.stderr
    full = json.loads(ended.stdout)
    assert f"figma/{second.name} could not be loaded and stays in the inbox" in full["words"]
    assert "is full, so nothing can be loaded" in full["words"]
    assert full["accounts"] == 300
    assert full["waits"] == [second.name]
    assert listed(home, as_of=YESTERDAY) == [f"user{n:03}" for n in range(300)]


def listed(home: Home, **params: object) -> list[str]:
    with open_store(home.database_url).connect() as con:
        return usernames(con, **params)


def test_a_store_that_duckdb_invalidated_is_reopened(home: Home, tmp_path: Path) -> None:
    """As after a checkpoint on a full disk: DuckDB then refuses every question, reads included."""
    engine = open_store(home.database_url)
    load(engine, SnapshotFile.from_path(a_snapshot_file(tmp_path)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with engine.connect() as reader:
        reader.execute(select(snapshot))
        reader.rollback()
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
        try:
            with pytest.raises(DiskFull), engine.connect() as con:
                con.execute(text("CHECKPOINT"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(StoreError):
            reader.execute(select(snapshot))
        with pytest.raises(StoreInterrupted), engine.connect() as con:
            open_store(home.database_url)
    assert listed(home) == ["ada"]


# ---- a damaged store ----------------------------------------------------------------------------


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def cut_a_little(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def zero(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def overwrite(file: Path) -> None:
    file.write_text("to do: buy milk\n")


def lose(file: Path) -> None:
    file.unlink()


def spoil_a_block(file: Path) -> None:
    """It opens; some question to it fails."""
    with file.open("r+b") as raw:
        raw.seek(3 * 4096 + 1000)
        raw.write(b"spoilt" * 100)


def spoil_the_end(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-300] + b"spoilt" * 50)


@pytest.fixture(scope="module")
def stock(created_stores: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a home with two snapshots."""
    home = Home(tmp_path_factory.mktemp("stock"))
    for at, who in ((YESTERDAY, "ada"), (TODAY, "bob")):
        path = a_snapshot_file(home.inbox, [an_account(who)], at=at)
        os.utime(path, (0, 0))
    load_inbox(open_store(home.database_url), home)
    close_stores()
    return home.root


@pytest.fixture
def stocked(home: Home, stock: Path) -> Home:
    """A home with two snapshots, whose store is closed."""
    shutil.copytree(stock, home.root, dirs_exist_ok=True)
    return home


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[StoreStatus]:
    """Every state that readers could have seen."""
    states: list[StoreStatus] = []

    def record(home: Home, how: StoreStatus) -> None:
        states.append(how)
        real(home, how)

    real = keeper.set_store_status
    monkeypatch.setattr(keeper, "set_store_status", record)
    return states


@contextmanager
def an_app(home: Home) -> Iterator[None]:
    """What a running app does to the store."""
    with run_keeper(home, "http://here"):
        yield
    current_module._statuses.clear()


@pytest.mark.parametrize("damage", [cut, cut_a_little, empty, zero, overwrite])
def test_the_app_rebuilds_a_damaged_store_and_keeps_the_damaged_file(
    stocked: Home, statuses: list[StoreStatus], damage: Callable[[Path], None]
) -> None:
    file = stocked.root / "rollcall.duckdb"
    damage(file)
    damaged = file.read_bytes()
    with an_app(stocked):
        wait_until(lambda: store_status(stocked).is_open)
        assert listed(stocked) == ["bob"]
        assert listed(stocked, as_of=YESTERDAY) == ["ada"]
    [aside] = stocked.root.glob("rollcall.duckdb.damaged-*")
    assert aside.read_bytes() == damaged
    seen = [(how.done, how.total) for how in statuses if how.phase == "rebuilding"]
    assert seen == [(0, 2), (1, 2), (2, 2)]
    [words] = {how.message for how in statuses if how.phase == "rebuilding"}
    assert f"{file} is damaged" in words
    assert "rebuilt from the archive. The old file is kept" in words


def test_a_deleted_store_is_loaded_again_from_the_archive(
    stocked: Home, statuses: list[StoreStatus]
) -> None:
    lose(stocked.root / "rollcall.duckdb")
    with an_app(stocked):
        wait_until(lambda: store_status(stocked).is_open)
        assert listed(stocked, as_of=YESTERDAY) == ["ada"]
    assert "lacks snapshots of the archive" in statuses[1].message


def test_damage_that_a_query_finds_is_repaired_while_the_app_runs(
    stocked: Home, statuses: list[StoreStatus]
) -> None:
    spoil_a_block(stocked.root / "rollcall.duckdb")
    with an_app(stocked):
        wait_until(lambda: store_status(stocked).is_open or statuses[-1].phase == "rebuilding")
        with suppress(StoreError):
            listed(stocked)
        wait_until(lambda: list(stocked.root.glob("*.damaged-*")) and store_status(stocked).is_open)
        assert listed(stocked, as_of=YESTERDAY) == ["ada"]


def test_a_page_reports_a_damaged_store(stocked: Home) -> None:
    spoil_a_block(stocked.root / "rollcall.duckdb")
    shown = AppTest.from_file(ROOT / "pages" / "navigation.py", default_timeout=PATIENCE).run()
    assert not shown.exception
    assert [title.value for title in shown.title] == ["Cannot open the store"]
    assert "rollcall.duckdb is damaged" in shown.text[0].value
    assert "tries again" in shown.caption[0].value


@pytest.mark.parametrize("damage", [cut, empty, zero, overwrite, lose, spoil_the_end])
def test_snapshots_lost_with_a_damaged_log_are_loaded_again_from_the_archive(
    stocked: Home, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """The log has what was loaded since the last checkpoint; DuckDB drops what it cannot read."""
    copy = tmp_path / "copy"
    for at, who in ((TODAY + timedelta(days=1), "cy"), (TODAY + timedelta(days=2), "dee")):
        os.utime(a_snapshot_file(stocked.inbox, [an_account(who)], at=at), (0, 0))
    load_inbox(open_store(stocked.database_url), stocked)
    shutil.copytree(stocked.root, copy)  # as if the process had been killed here
    close_stores()
    damage(copy / "rollcall.duckdb.wal")
    revived = Home(copy)
    with an_app(revived):
        wait_until(lambda: store_status(revived).is_open)
        assert listed(revived) == ["dee"]
        assert listed(revived, as_of=TODAY) == ["bob"]


def test_every_page_reports_archived_files_that_cannot_be_loaded(
    stocked: Home, statuses: list[StoreStatus]
) -> None:
    lose(stocked.root / "rollcall.duckdb")
    broken = next(stocked.archive.glob("*/2026-11-22*"))
    broken.write_text('[{"login": "bo')
    with an_app(stocked):
        wait_until(lambda: store_status(stocked).is_open)
        assert listed(stocked) == ["bob"]
        assert "1 file of the archive cannot be loaded" in store_status(stocked).message
        assert str(broken) in store_status(stocked).message


# ---- a store of another version -----------------------------------------------------------------


def of_another_number(home: Home) -> None:
    with open_store(home.database_url).begin() as con:
        con.execute(update(schema_version).values(number=schema_version.c.number + 1))


def without_a_number(home: Home) -> None:
    with open_store(home.database_url).begin() as con:
        schema_version.drop(con)


def without_a_column(home: Home) -> None:
    with open_store(home.database_url).begin() as con:
        con.execute(text("ALTER TABLE snapshot DROP COLUMN flagged"))


@pytest.mark.parametrize("change", [of_another_number, without_a_number, without_a_column])
def test_a_store_of_another_version_is_rebuilt_with_its_records(
    stocked: Home, change: Callable[[Home], None]
) -> None:
    noted = {"integration": "slack", "file_name": "x.csv", "status": "on hold", "reason": "why"}
    with open_store(stocked.database_url).begin() as con:
        con.execute(update(integration).values(deletion_limit=0.5))
        con.execute(insert(quarantined_file).values(**noted, quarantined_at=TODAY))
    change(stocked)
    close_stores()
    with an_app(stocked):
        wait_until(lambda: store_status(stocked).is_open)
        assert listed(stocked, as_of=YESTERDAY) == ["ada"]
        with open_store(stocked.database_url).connect() as con:
            assert con.scalars(select(integration.c.deletion_limit)).all() == [0.5]
            assert con.scalars(select(quarantined_file.c.reason)).all() == ["why"]
    assert len(list(stocked.root.glob("rollcall.duckdb.outdated-*"))) == 1


def test_snapshots_that_the_archive_lacks_are_not_lost_silently(
    stocked: Home, statuses: list[StoreStatus]
) -> None:
    shutil.rmtree(stocked.archive)
    without_a_number(stocked)
    close_stores()
    with an_app(stocked):
        wait_until(lambda: store_status(stocked).phase == "failed")
    assert "The file of figma at 2026-11-23 06:00:00 UTC is missing." in statuses[-1].message
    assert "rollcall rebuild --accept-changed" in statuses[-1].message
    assert not list(stocked.root.glob("*.outdated-*"))


# ---- two processes ------------------------------------------------------------------------------

OTHER_APP = """if True:
    import sys
    from threading import Event
    from data.home import current_home
    from data.service.active_store import store_status
    from data.service.keeper import run_keeper

    with run_keeper(current_home(), "http://first:1"):
        while not store_status(current_home()).is_open:
            pass
        print("ready", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def other_app(stocked: Home) -> Iterator[Process]:
    """Another process that has the store of the home open."""
    with Process("-c", OTHER_APP) as process:
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_a_second_app_names_the_first_and_takes_over(
    stocked: Home, other_app: Process, end: signal.Signals | None
) -> None:
    with an_app(stocked):
        wait_until(lambda: store_status(stocked).phase == "in use")
        how = store_status(stocked)
        assert how.address == "http://first:1"
        assert f"Another Rollcall (process {other_app.pid})" in how.message
        with pytest.raises(StoreError, match="Another Rollcall"):
            active_store(stocked)
        other_app.send_signal(end) if end else other_app.stdin.close()
        wait_until(lambda: store_status(stocked).is_open)
        assert listed(stocked) == ["bob"]
        assert json.loads((stocked.root / "serving.json").read_text())["address"] == "http://here"
    assert not (stocked.root / "serving.json").exists()


def test_commands_name_the_app_that_has_the_store(
    stocked: Home, other_app: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["rebuild"], ["export", "--output", str(stocked.root / "x.csv")]):
        assert rollcall.main(command) == 1
        assert "is open in another process. Rollcall shows it at http://first:1." in (
            capsys.readouterr().err
        )


@pytest.mark.parametrize("left", ['{"pid": 1', '{"pid": 99999999, "address": "x"}', "[]", ""])
def test_leftovers_of_a_killed_app_are_ignored(stocked: Home, left: str) -> None:
    (stocked.root / "serving.json").write_text(left)
    assert running_instance(stocked) is None


# ---- readers ------------------------------------------------------------------------------------


def test_readers_see_complete_snapshots_and_do_not_wait_for_a_load(
    home: Home, tmp_path: Path
) -> None:
    engine, many = open_store(home.database_url), 20_000
    files = [
        a_snapshot_file(
            tmp_path, [an_account(f"u{n}", state=how) for n in range(many)], at=TODAY + day * DAY
        )
        for day, how in enumerate(["Onboarded", "Update failed", "Onboarded"])
    ]
    load(engine, SnapshotFile.from_path(files[0]))
    seen: list[tuple[int, int]] = []
    done = Event()

    def read() -> None:
        while not done.is_set():
            with engine.connect() as con:
                everybody = count_accounts(con, Filters())
                seen.append((everybody, count_accounts(con, Filters(state=("Onboarded",)))))

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for file in files[1:]:
        before = len(seen)
        load(engine, SnapshotFile.from_path(file))
        assert len(seen) > before + 5, "readers waited"
    done.set()
    for reader in readers:
        reader.join()
    assert set(seen) == {(many, many), (many, 0)}
