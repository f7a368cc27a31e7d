"""Query results are cached until the next load."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from builders import TODAY, YESTERDAY, Deliveries, a_snapshot_file, an_account
from sqlalchemy import Connection, Engine

from data.files.naming import SnapshotFile
from data.history.load import load
from data.history.remove import remove_snapshot
from data.inbox.quarantine import record_quarantined
from data.records.decisions import NOTES
from data.records.notes import NamedAccount, save_note
from queries.cache import cached
from queries.filters import Filters


def counting(most: int = 3) -> tuple[list[object], object]:
    calls: list[object] = []

    @cached(most)
    def query(con: Connection, about: object) -> int:
        calls.append(about)
        return len(calls)

    return calls, query


def test_the_same_query_runs_once(store: Engine) -> None:
    calls, query = counting()
    for _ in range(3):
        with store.connect() as con:
            assert query(con, "a") == 1
            assert query(con, "a") == 1
    assert calls == ["a"]


def test_loading_and_removing_a_snapshot_expire_results(
    store: Engine, snapshots: Deliveries
) -> None:
    calls, query = counting()
    for day in (None, YESTERDAY, TODAY):
        if day:
            snapshots.take(an_account(), at=day)
        with store.connect() as con:
            query(con, "a")
    assert calls == ["a", "a", "a"]


def test_a_change_expires_results_while_the_clock_is_behind(
    store: Engine, snapshots: Deliveries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = datetime(2001, 1, 1)
    first, second = (NamedAccount("figma", name) for name in ("ada", "bob"))
    folder = tmp_path / "figma"
    for day in (YESTERDAY, TODAY):
        snapshots.take(an_account(), at=day)
    record_quarantined(store, folder / "a.csv", "rejected", "It is empty.")
    save_note(store, [first, second], "Checked.", "Ada")
    NOTES.withdraw(store, [first._asdict()], "Ada")
    for module in ("data.history.load", "data.inbox.quarantine"):
        monkeypatch.setattr(f"{module}.utc_now", lambda: long_ago)
    record_quarantined(store, folder / "b.csv", "rejected", "It is empty.")

    def replace_old() -> None:
        path = a_snapshot_file(tmp_path, [an_account(active_in_app=False)], at=YESTERDAY)
        load(store, SnapshotFile(path, "figma", YESTERDAY), replace=True, confirmed=True)

    def remove_and_load() -> None:
        remove_snapshot(store, "figma", YESTERDAY)
        snapshots.take(an_account(roles=["Owner"]), at=YESTERDAY)

    changes: tuple[Callable[[], object], ...] = (
        replace_old,
        remove_and_load,
        lambda: record_quarantined(store, folder / "b.csv", "on hold", "It is short."),
        lambda: NOTES.withdraw(store, [second._asdict()], "Ada", at=long_ago),
    )
    for change in changes:
        calls, query = counting()
        for act in (lambda: None, change):
            act()
            with store.connect() as con:
                query(con, "a")
        assert len(calls) == 2, change


def test_a_reader_of_an_old_state_gets_no_newer_result(
    store: Engine, snapshots: Deliveries
) -> None:
    calls, query = counting()
    with store.connect() as before:
        assert query(before, "a") == 1
        snapshots.take(an_account())
        with store.connect() as after:
            assert query(after, "a") == 2
        assert query(before, "a") == 1
    assert len(calls) == 2


def test_the_cache_drops_the_least_recently_used_result(store: Engine) -> None:
    calls, query = counting(most=2)
    with store.connect() as con:
        for about in "abcab":
            query(con, about)
    assert calls == list("abcab")


def test_results_that_depend_on_now_expire(store: Engine, monkeypatch) -> None:
    calls, query = counting()
    clock = [0.0]
    monkeypatch.setattr("queries.cache.time.monotonic", lambda: clock[0])
    waiting = Filters(waiting=timedelta(days=3))
    with store.connect() as con:
        for about in (waiting, Filters()):
            query(con, about)
            clock[0] += 61
            query(con, about)
    assert calls == [waiting, waiting, Filters()]
