"""Query results are cached until the next load."""

from __future__ import annotations

from datetime import timedelta

from builders import TODAY, YESTERDAY, Deliveries, an_account
from sqlalchemy import Connection, Engine

from queries.cache import cached
from queries.filters import Filters


def counting(most: int = 3) -> tuple[list[object], object]:
    asked: list[object] = []

    @cached(most)
    def ask(con: Connection, about: object) -> int:
        asked.append(about)
        return len(asked)

    return asked, ask


def test_the_same_query_runs_once(store: Engine) -> None:
    asked, ask = counting()
    for _ in range(3):
        with store.connect() as con:
            assert ask(con, "a") == 1
            assert ask(con, "a") == 1
    assert asked == ["a"]


def test_loading_and_removing_a_snapshot_expire_results(
    store: Engine, snapshots: Deliveries
) -> None:
    asked, ask = counting()
    for day in (None, YESTERDAY, TODAY):
        if day:
            snapshots.take(an_account(), at=day)
        with store.connect() as con:
            ask(con, "a")
    assert asked == ["a", "a", "a"]


def test_a_reader_of_an_old_state_gets_no_newer_result(
    store: Engine, snapshots: Deliveries
) -> None:
    asked, ask = counting()
    with store.connect() as before:
        assert ask(before, "a") == 1
        snapshots.take(an_account())
        with store.connect() as after:
            assert ask(after, "a") == 2
        assert ask(before, "a") == 1
    assert len(asked) == 2


def test_the_cache_drops_the_least_recently_used_result(store: Engine) -> None:
    asked, ask = counting(most=2)
    with store.connect() as con:
        for about in "abcab":
            ask(con, about)
    assert asked == list("abcab")


def test_results_that_depend_on_now_expire(store: Engine, monkeypatch) -> None:
    asked, ask = counting()
    clock = [0.0]
    monkeypatch.setattr("queries.cache.time.monotonic", lambda: clock[0])
    waiting = Filters(waiting=timedelta(days=3))
    with store.connect() as con:
        for about in (waiting, Filters()):
            ask(con, about)
            clock[0] += 61
            ask(con, about)
    assert asked == [waiting, waiting, Filters()]
