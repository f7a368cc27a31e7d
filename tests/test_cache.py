"""Query results are cached until the next load."""

from __future__ import annotations

from datetime import timedelta

from builders import TODAY, YESTERDAY, Deliveries, an_account
from sqlalchemy import Connection, Engine

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
