"""Readers see the sample until real data is loaded."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from builders import a_snapshot_file
from copies import load_once
from sqlalchemy import Engine, func, select

from data.files.naming import SnapshotFile
from data.history.load import LoadResult, load
from data.home import Home
from data.inbox.actions import requeue_file
from data.inbox.inbox import load_inbox
from data.records.exceptions import RuleSettings
from data.schema import snapshot
from data.service import active_store as module
from data.service import sample as sample_module
from data.service.active_store import ActiveStore, active_store, store_status
from data.service.sample import prepare_sample, remove_sample, restore_sample
from data.store.engine import close_stores, open_store
from queries.review.duration import View
from queries.review.findings import count_findings
from queries.review.rules import RULE_BY_NAME
from queries.snapshots import quarantined_files

DAYS, INTEGRATIONS = 2, 2
SIZE = DAYS * INTEGRATIONS + 1  # and the directory of the newest day


@pytest.fixture
def home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An installation that starts with a small sample."""
    monkeypatch.delenv("ROLLCALL_NO_SAMPLE")
    monkeypatch.setattr(module, "SAMPLE_DAYS", DAYS)
    monkeypatch.setattr(module, "SAMPLE_INTEGRATIONS", INTEGRATIONS)
    monkeypatch.setattr(sample_module, "load", load_once)
    return home


def snapshots_in(engine: Engine) -> int:
    with engine.connect() as con:
        return con.scalar(select(func.count()).select_from(snapshot)) or 0


def restarted(home: Home) -> ActiveStore:
    """What is seen after a restart, before anything is prepared."""
    close_stores()
    return active_store(home)


def it_is(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    monkeypatch.setattr(module, "latest_sample_time", lambda: datetime(2026, 11, day, 6))


def samples(home: Home) -> list[str]:
    return sorted(path.name for path in home.sample.iterdir())


def test_an_empty_store_shows_the_sample_once_it_is_ready(home: Home) -> None:
    assert active_store(home).is_sample
    assert active_store(home).missing_snapshots == SIZE
    assert not store_status(home).is_open
    prepare_sample(home)
    seen = active_store(home)
    assert (seen.is_sample, seen.missing_snapshots) == (True, 0)
    assert snapshots_in(seen.engine) == SIZE
    assert snapshots_in(open_store(home.database_url)) == 0


def test_a_real_snapshot_replaces_the_sample_at_once_and_for_good(
    home: Home, tmp_path: Path
) -> None:
    prepare_sample(home)
    real = open_store(home.database_url)
    load(real, SnapshotFile.from_path(a_snapshot_file(tmp_path)))
    assert active_store(home) == (real, home, 0)
    assert snapshots_in(real) == 1
    assert not restarted(home).is_sample


def test_no_sample_is_created_where_there_is_real_data(home: Home, tmp_path: Path) -> None:
    load(open_store(home.database_url), SnapshotFile.from_path(a_snapshot_file(tmp_path)))
    prepare_sample(home)
    assert not home.sample.exists()


def test_the_environment_can_turn_the_sample_off(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_NO_SAMPLE", "1")
    prepare_sample(home)
    assert not active_store(home).is_sample
    assert not home.sample.exists()


def test_a_removed_sample_remains_removed_after_a_restart(home: Home) -> None:
    prepare_sample(home)
    remove_sample(home)
    assert not active_store(home).is_sample
    assert not home.sample.exists()
    assert not restarted(home).is_sample
    prepare_sample(home)
    assert snapshots_in(active_store(home).engine) == 0
    assert not home.sample.exists()


def test_removing_the_sample_stops_its_creation(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[SnapshotFile] = []

    def removed_meanwhile(_: Engine, file: SnapshotFile, **how: bool) -> None:
        loads.append(file)
        home.sample_removed.touch()

    monkeypatch.setattr(sample_module, "load", removed_meanwhile)
    prepare_sample(home)
    assert len(loads) == 1


def test_real_data_stops_the_creation_of_the_sample(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def real_meanwhile(*_: object, **__: object) -> None:
        load(open_store(home.database_url), SnapshotFile.from_path(a_snapshot_file(tmp_path)))

    monkeypatch.setattr(sample_module, "load", real_meanwhile)
    prepare_sample(home)
    assert snapshots_in(active_store(home).engine) == 1


def test_a_sample_of_yesterday_is_replaced_at_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    it_is(monkeypatch, day=22)
    prepare_sample(home)
    close_stores()
    it_is(monkeypatch, day=23)
    prepare_sample(home)
    assert samples(home) == ["2026-11-23"]
    assert active_store(home).missing_snapshots == 0
    with active_store(home).engine.connect() as con:
        assert con.scalar(select(func.max(snapshot.c.taken_at))) == datetime(2026, 11, 23, 6)


def test_a_running_app_keeps_its_sample_when_the_day_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    it_is(monkeypatch, day=22)
    prepare_sample(home)
    it_is(monkeypatch, day=23)
    assert active_store(home).missing_snapshots == 0
    assert samples(home) == ["2026-11-22"]


class Killed(BaseException):
    """The process ends."""


@pytest.fixture
def half_made(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose app was killed in the middle of the sample."""
    loads: list[SnapshotFile] = []

    def killed_in_between(engine: Engine, file: SnapshotFile, **how: bool) -> None:
        if len(loads) == 3:
            raise Killed
        loads.append(file)
        load_once(engine, file, **how)

    with monkeypatch.context() as patch:
        patch.setattr(sample_module, "load", killed_in_between)
        with pytest.raises(Killed):
            prepare_sample(home)
    return home


def test_an_incomplete_sample_is_completed_at_the_next_start(half_made: Home) -> None:
    assert restarted(half_made).missing_snapshots == SIZE - 3
    prepare_sample(half_made)
    assert active_store(half_made).missing_snapshots == 0
    assert snapshots_in(active_store(half_made).engine) == SIZE


def test_the_sample_has_files_to_decide_on_and_an_exception(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAMPLE_INTEGRATIONS", 4)
    prepare_sample(home)
    engine, sample, _ = active_store(home)
    with engine.connect() as con:
        files = {file.status: file for file in quarantined_files(con, 1)}
        view = View(limits=RuleSettings())
        counts = {name: count_findings(con, view, rule) for name, rule in RULE_BY_NAME.items()}
    assert "would be deleted" in files["on hold"].reason
    assert "expected a list of accounts" in files["rejected"].reason
    assert {n: c.exceptions for n, c in counts.items() if c.exceptions} == {
        "unmatched_and_privileged": 1
    }
    held = files["on hold"]
    requeue_file(engine, sample, "on hold", held.integration, held.file_name, confirmed=True)
    assert [type(outcome) for outcome in load_inbox(engine, sample)] == [LoadResult]
    assert snapshots_in(engine) == 4 * DAYS + 1 + 1


def test_the_sample_can_be_read_once_the_newest_day_of_its_apps_is_loaded(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    it_is(monkeypatch, day=23)
    seen: list[bool] = []

    def load_and_look(engine: Engine, file: SnapshotFile, **how: bool) -> None:
        assert file.taken_at.day == (23 if len(seen) <= INTEGRATIONS else 22)
        load_once(engine, file, **how)
        seen.append(store_status(home).is_open)

    monkeypatch.setattr(sample_module, "load", load_and_look)
    prepare_sample(home)
    assert seen == [False, True, True, True, True]


def test_a_removed_sample_can_be_restored(home: Home) -> None:
    prepare_sample(home)
    remove_sample(home)
    restore_sample(home)
    prepare_sample(home)
    assert snapshots_in(active_store(home).engine) == SIZE


def test_leftovers_of_a_killed_start_are_deleted(half_made: Home) -> None:
    left = half_made.sample / "tmp123" / "figma" / "2026-11-23.csv"
    left.parent.mkdir(parents=True)
    left.touch()
    close_stores()
    prepare_sample(half_made)
    assert len(samples(half_made)) == 1


def test_an_incomplete_sample_of_another_version_is_completed(
    half_made: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sample_module.write_sample
    monkeypatch.setattr(
        sample_module, "write_sample", lambda *args, **options: made(*args, **options, seed=2)
    )
    close_stores()
    prepare_sample(half_made)
    assert active_store(half_made).missing_snapshots == 0


def test_a_complete_sample_is_not_created_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_sample(home)
    close_stores()
    monkeypatch.delattr(sample_module, "write_sample")
    prepare_sample(home)
    assert active_store(home).missing_snapshots == 0
