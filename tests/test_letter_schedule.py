"""When a letter is due: once a day, at once for an alarm, and never twice for the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.letter.schedule import (
    ALL_IS_WELL_AFTER,
    SETTLE,
    Due,
    Schedule,
    Sent,
    next_letter,
)
from queries.period import local_date, to_local, to_utc

START = datetime(2026, 11, 23, 12)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
HALF_PAST_SEVEN = Schedule(time(7, 30), "Europe/Berlin")
AT_START = Sent(START, START)

Steps = Sequence[tuple[timedelta, set[str]]]


def letters(schedule: Schedule, steps: Steps, sent: Sent = AT_START) -> list[Due]:
    """The letters of some moments, each some time after the one before; kept as JSON between."""
    found, now = [], START
    for pause, alarms in steps:
        now += pause
        due, sent = next_letter(schedule, sent, alarms, now)
        assert Sent.from_data(json.loads(json.dumps(sent.to_data()))) == sent
        found += [due] if due else []
    return found


def test_a_letter_comes_once_a_day_at_the_local_time() -> None:
    found = letters(HALF_PAST_SEVEN, [(10 * MINUTE, set())] * (3 * 144))
    assert [to_local(due.until, "Europe/Berlin").time() for due in found] == [time(7, 30)] * 3
    assert [due.since for due in found] == [START, *(due.until for due in found[:-1])]


@pytest.mark.parametrize("day", [datetime(2026, 3, 29), datetime(2026, 10, 25)])
@pytest.mark.parametrize("at", [time(1, 59), time(2, 0), time(2, 30), time(3, 0)])
def test_a_changed_clock_neither_skips_a_letter_nor_repeats_it(day: datetime, at: time) -> None:
    schedule, now = Schedule(at, "Europe/Berlin"), to_utc(day - DAY, "Europe/Berlin")
    sent, found = Sent(now, now), []
    while now < to_utc(day + 2 * DAY, "Europe/Berlin"):
        now += 10 * MINUTE
        due, sent = next_letter(schedule, sent, set(), now)
        found += [local_date(due.until, "Europe/Berlin")] if due else []
    assert found == [(day + n * DAY).date() for n in (-1, 0, 1)]


def test_a_clock_that_was_ahead_holds_up_no_letter_and_one_set_back_repeats_none() -> None:
    steps = [(400 * DAY, set()), (-400 * DAY, set()), *[(10 * MINUTE, set())] * 3 * 144]
    ahead, *found = letters(HALF_PAST_SEVEN, steps)
    assert ahead.until == START + 400 * DAY
    assert [to_local(due.until, "Europe/Berlin").time() for due in found] == [time(7, 30)] * 3
    hour = timedelta(hours=1)
    back = [*[(10 * MINUTE, set())] * 144, (-6 * hour, set()), *[(10 * MINUTE, set())] * 160]
    assert len(letters(HALF_PAST_SEVEN, back)) == 2


def test_after_a_standstill_one_letter_has_everything_since_the_last() -> None:
    (due,) = letters(HALF_PAST_SEVEN, [(5 * DAY, set()), (MINUTE, set())])
    assert (due.since, due.until) == (START, START + 5 * DAY)


def test_what_begins_within_minutes_is_one_letter() -> None:
    steps = [(MINUTE, {"a"}), (2 * MINUTE, {"a", "b"}), *[(MINUTE, {"a", "b", "c"})] * 9]
    (due,) = letters(HALF_PAST_SEVEN, steps)
    assert (due.begun, due.is_daily) == ({"a", "b", "c"}, False)


def test_an_alarm_that_comes_and_goes_within_minutes_is_none() -> None:
    assert not letters(HALF_PAST_SEVEN, [(MINUTE, {"a"}), (MINUTE, set())] * 20)


def test_that_an_alarm_has_ended_is_in_the_next_daily_letter() -> None:
    silent = [(MINUTE, {"a"})] * 10
    at_once, daily = letters(HALF_PAST_SEVEN, [*silent, *[(10 * MINUTE, set())] * 144])
    assert (at_once.begun, at_once.ended) == ({"a"}, set())
    assert (daily.begun, daily.ended) == (set(), {"a"})


def test_without_alarms_at_once_they_are_in_the_daily_letter() -> None:
    schedule = Schedule(time(7, 30), sends_alarms=False)
    (due,) = letters(schedule, [(10 * MINUTE, {"a"})] * 144)
    assert (due.begun, due.is_daily) == ({"a"}, True)


def test_all_is_well_is_for_a_week_after_the_last_letter_without_alarms() -> None:
    schedule = Schedule(time(7, 30), says_all_is_well=True)
    for alarms, expected in ((set(), True), ({"a"}, False)):
        sent = Sent(START, START - ALL_IS_WELL_AFTER, frozenset(alarms))
        (due,) = letters(schedule, [(DAY, alarms)], sent)
        assert due.may_say_all_is_well is expected
    (early,) = letters(schedule, [(DAY, set())], Sent(START, START))
    assert not early.may_say_all_is_well


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 400).map(lambda minutes: minutes * MINUTE),
            st.sets(st.sampled_from("abc")),
        ),
        min_size=1,
        max_size=30,
    ),
    sends_alarms=st.booleans(),
)
def test_an_alarm_is_in_one_letter_until_it_has_ended(steps: Steps, sends_alarms: bool) -> None:
    schedule, sent, now = Schedule(time(7, 30), "Asia/Kolkata", sends_alarms), AT_START, START
    named: set[str] = set()
    absent_since: dict[str, datetime] = {}
    present_since: dict[str, datetime] = {}
    for pause, alarms in steps:
        now += pause
        for key in "abc":
            (absent_since if key in alarms else present_since).pop(key, None)
            (present_since if key in alarms else absent_since).setdefault(key, now)
        ended = {k for k in named - alarms if now - absent_since[k] >= SETTLE}
        named -= ended
        due, sent = next_letter(schedule, sent, alarms, now)
        if due:
            assert not due.begun & named
            assert due.begun <= alarms
            assert not due.ended & alarms
            named |= due.begun
        if sends_alarms:
            assert {k for k in alarms if now - present_since[k] >= SETTLE} <= named
        assert sent.alarms == named
