"""The verdict on Health: no sentence contradicts the days of the chart."""

from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from builders import Deliveries, an_account
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.filters import Filters
from queries.health.verdict import MIN_CHANGE, DayCount, daily_failed, leader, verdict
from queries.period import Period
from queries.users.accounts import count_accounts
from widgets.health.health_data import HealthData
from widgets.health.verdict import Link, main_reason, sentences

MONDAY = date(2026, 11, 23)


def course(*counts: int | None, first: date = MONDAY) -> list[DayCount]:
    """A day per count; None is a day without a snapshot."""
    days = (first + timedelta(days=n) for n in range(len(counts)))
    return [DayCount(day, n) for day, n in zip(days, counts, strict=True) if n is not None]


counts = st.lists(st.none() | st.integers(0, 200), min_size=2, max_size=60)


@given(counts=counts)
@settings(max_examples=100)
def test_a_rise_is_never_called_a_fall(counts: list[int | None]) -> None:
    days = course(*counts)
    found = verdict(days)
    if found is None:
        assert len(days) < 2
        return
    change = found.newest.failed - found.reference.failed
    assert {"worse": change > 0, "better": change < 0}.get(found.direction, True)
    assert {found.reference, found.first, found.lowest, found.highest, found.week_before} <= {*days}
    assert found.lowest.failed == min(day.failed for day in days)
    assert found.highest.failed == max(day.failed for day in days)


@given(counts=counts)
@settings(max_examples=100)
def test_after_the_turning_point_nothing_goes_beyond_it(counts: list[int | None]) -> None:
    found = verdict(course(*counts))
    if found is None or found.direction == "steady":
        return
    since = [day.failed for day in course(*counts) if day.day >= found.reference.day]
    extreme = min(since) if found.direction == "worse" else max(since)
    assert found.reference.failed == extreme


@given(counts=counts)
@settings(max_examples=100)
def test_a_steady_course_differs_little_from_every_day(counts: list[int | None]) -> None:
    found = verdict(course(*counts))
    if found and found.direction == "steady":
        for day in course(*counts):
            largest = max(day.failed, found.newest.failed)
            assert abs(day.failed - found.newest.failed) < max(MIN_CHANGE * largest, 1)


def test_the_verdict_looks_back_to_the_last_turn_however_long_the_period_is() -> None:
    since_october = [41, 60, 90, 187, 97, 57, 53, 60, 75, 71, 73]
    assert verdict(course(*since_october)).reference.failed == 53  # type: ignore[union-attr]
    assert verdict(course(*since_october[3:])).reference.failed == 53  # type: ignore[union-attr]


def failed(**counts: list[int]) -> pd.DataFrame:
    rows = [
        (name, MONDAY + timedelta(days=n), count, 100)
        for name, daily in counts.items()
        for n, count in enumerate(daily)
    ]
    return pd.DataFrame(rows, columns=["integration", "day", "failed", "accounts"])


def test_the_leader_has_the_most_failed_accounts_since_a_day() -> None:
    zoom = leader(failed(slack=[5, 5, 4], zoom=[3, 6, 9]))
    assert zoom == ("zoom", 9, MONDAY + timedelta(days=1))
    assert leader(failed(slack=[1, 0], zoom=[0, 0])) is None
    assert leader(failed(zoom=[1, 2])) is None


def test_days_before_an_integration_was_loaded_are_not_compared() -> None:
    days = failed(slack=[50, 5, 6])
    added = failed(zoom=[20]).assign(day=MONDAY + timedelta(days=1))
    late = pd.concat([days, added, added.assign(day=MONDAY + timedelta(days=2))])
    assert daily_failed(late) == course(25, 26, first=MONDAY + timedelta(days=1))


def test_a_new_integration_without_failures_hides_no_trend() -> None:
    days, directory = failed(slack=[50, 5, 6]), failed(okta=[0])
    added = directory.assign(day=MONDAY + timedelta(days=2))
    assert daily_failed(pd.concat([days, added])) == course(50, 5, 6)
    assert daily_failed(added) == course(0, first=MONDAY + timedelta(days=2))


STATES = st.sampled_from(["Onboarded", "Update failed", "Delete failed", "Update awaiting"])


@given(history=st.lists(st.lists(STATES, min_size=6, max_size=6), min_size=1, max_size=5))
@settings(max_examples=3)
def test_every_number_opens_exactly_as_many_accounts(
    a_store_to_read: type[Deliveries], history: list[list[str]]
) -> None:
    snapshots = a_store_to_read()
    first = datetime(2026, 11, 20, 6)
    for number, states in enumerate(history):
        half = len(states) // 2
        for name, part in (("figma", states[:half]), ("zoom", states[half:])):
            accounts = [an_account(f"u{n}", state=state) for n, state in enumerate(part)]
            at = first + timedelta(days=number)
            snapshots.take(*accounts, integration=name, at=at)
    with snapshots.store.connect() as con:
        data = HealthData(con, Period(first.date(), at.date()), at + timedelta(hours=1))
        for sentence in (*sentences(data, data.verdict), main_reason(data)):
            for part in sentence:
                if isinstance(part, Link):
                    number = int(part.text.split()[0].replace(",", ""))
                    assert count_accounts(con, Filters.from_params(part.params)) == number


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([9, 5, 9], "9 failed accounts, 4 more than on 24 Nov (5)."),
        ([9, 9, 2], "2 failed accounts, 7 fewer than on 24 Nov (9)."),
        ([3, 3], "3 failed accounts, about as many as on 23 Nov (3)."),
        ([0, 0], "No account has failed since 23 Nov."),
    ],
)
def test_the_first_sentence_names_the_change_and_its_day(
    counts: list[int], words: str, a_store_to_read: type[Deliveries]
) -> None:
    snapshots = a_store_to_read()
    for number, count in enumerate(counts):
        states = ["Update failed"] * count + ["Onboarded"]
        accounts = [an_account(f"u{n}", state=state) for n, state in enumerate(states)]
        at = datetime(2026, 11, 23, 6) + timedelta(days=number)
        snapshots.take(*accounts, at=at)
    with snapshots.store.connect() as con:
        data = HealthData(con, Period(MONDAY, at.date()), at)
        sentence = next(sentences(data, data.verdict))
    assert "".join(p.text if isinstance(p, Link) else p for p in sentence) == words
