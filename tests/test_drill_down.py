"""A mark of a chart opens the accounts that it counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from data.states import FAILED_STATES
from queries.filters import Filters
from queries.health.backlog import AGE_BUCKETS
from queries.period import Period
from widgets.health.drill_down import Address, address_of
from widgets.health.marks import Mark, customdata, mark_from

JANUARY = Period(date(2026, 1, 1), date(2026, 1, 31))
END_OF_NEW_YEAR = "2026-01-01T23:59:59Z"
FAILED_MARK = Mark("failed", "update", "2026-01-01")


@pytest.mark.parametrize(
    ("mark", "states", "as_of"),
    [
        (Mark("state", "Deleted"), ["Deleted"], None),
        (Mark("state", "Onboarded", "2026-01-01"), ["Onboarded"], END_OF_NEW_YEAR),
        (Mark("failed", "provision", "2026-01-01"), ["Provisioning failed"], END_OF_NEW_YEAR),
        (Mark("failed", day="2026-01-01"), list(FAILED_STATES), END_OF_NEW_YEAR),
        (
            Mark("unsettled", "delete"),
            ["Delete awaiting", "Delete ongoing", "Delete failed"],
            None,
        ),
    ],
)
def test_a_mark_of_a_chart_opens_its_accounts(
    mark: Mark, states: list[str], as_of: str | None
) -> None:
    moment = {"as_of": [as_of]} if as_of else {}
    assert address_of(mark, JANUARY) == Address("users.py", {"state": states, **moment})


def test_a_mark_comes_back_from_the_browser_as_it_was() -> None:
    marks = [FAILED_MARK, Mark("state", "Update ongoing", cell="1–3 d"), Mark("state", "Deleted")]
    assert [mark_from(values) for values in customdata(marks).tolist()] == marks


def test_a_day_ends_at_midnight_of_the_time_zone() -> None:
    there = replace(JANUARY, zone="America/New_York")
    assert address_of(FAILED_MARK, there).params["as_of"] == ["2026-01-02T04:59:59Z"]


def test_a_mark_of_the_past_opens_the_accounts_as_they_were_then() -> None:
    past = replace(JANUARY, as_of=datetime(2026, 1, 1, 7), integration=("figma",))
    for mark in (Mark("state", "Deleted"), Mark("state", "Deleted", "2026-01-01")):
        assert address_of(mark, past).params == {
            "state": ["Deleted"],
            "integration": ["figma"],
            "as_of": ["2026-01-01T07:00:00Z"],
        }


def test_the_bars_of_the_backlog_divide_the_open_jobs_without_gaps_and_overlaps() -> None:
    addresses = [
        address_of(Mark("state", "Update awaiting", cell=age), JANUARY).params
        for age, _ in AGE_BUCKETS
    ]
    bars = [Filters.from_params(params) for params in addresses]
    assert all(bar.state == ("Update awaiting",) for bar in bars)
    assert [bar.waiting for bar in bars] == [None, *(start for _, start in AGE_BUCKETS[1:])]
    assert [bar.waiting_upto for bar in bars] == [*(start for _, start in AGE_BUCKETS[1:]), None]


@pytest.mark.parametrize("name", ["figma", "Deleted", "update", "3d", "2026-01-01"])
def test_a_cell_of_the_map_opens_what_failed_in_the_integration(name: str) -> None:
    mark = Mark("failed", day="2026-01-01", cell=name)
    assert Filters.from_params(address_of(mark, JANUARY).params) == Filters(
        state=FAILED_STATES, integration=(name,), as_of=datetime(2026, 1, 1, 23, 59, 59)
    )


def test_a_mark_of_a_missing_file_opens_snapshots() -> None:
    for mark in (Mark("quarantined", day="2026-01-01"), Mark("quarantined", "", "", "figma")):
        assert address_of(mark, JANUARY) == Address("snapshots.py", {})
