"""How long things take and wait: each number worked out by hand, and against plain counting."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from builders import Deliveries, an_account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from queries.health.backlog import backlog
from queries.health.durations import (
    Durations,
    count_jobs,
    duration_trend,
    durations,
    kaplan_meier,
)
from queries.health.trends import oldest_open_since, states_as_of
from queries.period import Period

DAY = 86_400
FIRST = datetime(2026, 11, 1, 6)


def day(number: int) -> datetime:
    """The morning of a day, from 0."""
    return FIRST + timedelta(days=number)


def period(first: int = 0, last: int = 60, at: datetime | None = None) -> Period:
    return Period(day(first).date(), day(last).date(), as_of=at)


def take(snapshots: Deliveries, *mornings: str, integration: str = "figma") -> None:
    """A snapshot a morning, in which `ada:Update failed bob:Onboarded` lists who is in which state.

    States are named by their first letters: `P` awaiting, `p` ongoing, `!p` failed provisioning,
    likewise U and D; `o` onboarded, `x` deleted, `?` unrecognized.
    """
    for number, morning in enumerate(mornings):
        listed = [pair.split(":") for pair in morning.split()]
        accounts = [an_account(name, state=STATES[state]) for name, state in listed]
        snapshots.take(*accounts, integration=integration, at=day(number))


OPERATIONS = {"p": "Provisioning", "u": "Update", "d": "Delete"}
STATES = {
    **{letter.upper(): f"{name} awaiting" for letter, name in OPERATIONS.items()},
    **{letter: f"{name} ongoing" for letter, name in OPERATIONS.items()},
    **{f"!{letter}": f"{name} failed" for letter, name in OPERATIONS.items()},
    "o": "Onboarded",
    "x": "Deleted",
    "?": "on holiday",
}


def lasted(con: Connection, scope: Period | None = None) -> list[tuple[str, float, str, int]]:
    """(operation, days, how it ended, jobs), in order."""
    jobs: Counter[tuple[str, float, str]] = Counter()
    for job in count_jobs(con, scope or period()):
        end = "settled" if job.settled else "open"
        jobs[job.operation, job.seconds / DAY, end] += job.job_count
    return sorted((*key, count) for key, count in jobs.items())


# ---- Kaplan and Meier ----------------------------------------------------------------------------


def known(*done: float, running: tuple[float, ...] = ()) -> Durations:
    """From durations of jobs that ended, and of jobs that still run."""
    return kaplan_meier([*((t, True, 1) for t in done), *((t, False, 1) for t in running)])


def test_the_estimate_is_that_of_the_textbook() -> None:
    """Leukaemia remissions, 6-MP (Freireich 1963): S(6) = 18/21, S(7) = S(6)*16/17, and so on."""
    found = known(
        *(6, 6, 6, 7, 10, 13, 16, 22, 23), running=(6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)
    )
    assert [(t, round(s, 4)) for t, s in found.curve] == [
        *((6, 0.8571), (7, 0.8067), (10, 0.7529), (13, 0.6902), (16, 0.6275)),
        *((22, 0.5378), (23, 0.4482)),
    ]
    assert found.median == 23
    assert found.quantile(0.9) is None
    assert (found.jobs, found.ended, found.longest_observed) == (21, 9, 35)


def test_jobs_that_still_run_make_the_median_longer() -> None:
    assert known(1, 2, 3).median == 2
    assert known(1, 2, 3, running=(3, 3)).median == 3
    assert known(1, 2, 3, running=(3, 3, 3, 3)).median is None


def test_a_job_that_was_followed_until_others_ended_counts_among_them() -> None:
    """Censored at 2, one of the three that were still open then: S(2) = 2/3, not 1/2."""
    assert known(2, 3, running=(2,)).curve[0] == (2, pytest.approx(2 / 3))


def test_half_is_reached_when_just_half_has_ended() -> None:
    assert known(1, 2, 3, 4).median == 2
    assert known(1, 1, 1, 2, 2, 2).median == 1


def test_the_mean_counts_each_job_up_to_the_longest_time_observed() -> None:
    """1 until day 1, 2/3 until day 2, 2/3 * 1/2 = 1/3 from then on to day 5: 1 + 2/3 + 1."""
    assert known(1, 2, running=(5,)).mean == pytest.approx(1 + 2 / 3 + 1)
    assert known(1, 2, 6).mean == pytest.approx(3)


def test_without_jobs_nothing_is_known() -> None:
    nothing = kaplan_meier([])
    assert (nothing.jobs, nothing.median, nothing.quantile(0.9), nothing.mean) == (
        0,
        None,
        None,
        None,
    )


def test_where_no_job_has_ended_there_is_no_median() -> None:
    assert known(running=(1, 2)).median is None
    assert known(running=(1, 2)).mean == 2


times = st.integers(min_value=0, max_value=30)


@given(st.lists(times, min_size=1, max_size=60), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_without_jobs_that_run_quantiles_and_mean_are_the_plain_ones(
    done: list[int], share: float
) -> None:
    found = known(*done)
    assert found.quantile(share) == np.quantile(done, share, method="inverted_cdf")
    assert found.mean == pytest.approx(np.mean(done))


@given(st.lists(st.tuples(times, st.booleans(), st.integers(1, 4)), min_size=1, max_size=40))
def test_the_curve_is_what_counting_with_fractions_gives(
    observed: list[tuple[int, bool, int]],
) -> None:
    share, steps = Fraction(1), []
    for t in sorted({t for t, ended, _ in observed if ended}):
        ended = sum(n for u, has_ended, n in observed if has_ended and u == t)
        share *= 1 - Fraction(ended, sum(n for u, _, n in observed if u >= t))
        steps.append((t, share))
    found = kaplan_meier(observed)
    assert [(t, pytest.approx(float(s))) for t, s in steps] == list(found.curve)
    assert found.median == next((t for t, s in steps if s <= Fraction(1, 2)), None)


@given(st.lists(times, min_size=1), st.lists(times), st.integers(1, 30))
def test_a_job_that_runs_on_never_makes_anything_faster(
    done: list[int], running: list[int], more: int
) -> None:
    longest = max([*done, *running]) + more
    medians = [known(*done, running=tuple(r)).median for r in (running, [*running, longest])]
    before, after = (math.inf if median is None else median for median in medians)
    assert after >= before


# ---- jobs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mornings", "found"),
    [
        (["a:o", "a:U", "a:u", "a:o"], ("update", 2, "settled", 1)),
        (["a:o", "a:U", "a:!u", "a:U", "a:o"], ("update", 3, "settled", 1)),
        (["a:P", "a:p", "a:o"], ("provision", 2, "settled", 1)),
        (["a:o", "a:d", "a:x"], ("delete", 1, "settled", 1)),
        (["a:o", "a:!u", "a:!u", "a:!u"], ("update", 2, "open", 1)),
        (["a:o b:o", "a:u b:o", "a:u b:o", "b:o"], ("update", 2, "open", 1)),
        (["a:o", "a:u", "a:?", "a:o"], ("update", 1, "open", 1)),
        (["a:o", "a:o", "a:o", "a:u"], ("update", 0, "open", 1)),
    ],
    ids=[
        "from the first snapshot that shows it to the first that shows it settled",
        "a failed job is open until it settles",
        "one that the first snapshot shows counts from there",
        "a deletion settles as deleted",
        "what has failed and is not settled is open",
        "when the account goes it is followed no longer",
        "nor in a state that nobody understands",
        "one that has just begun has lasted for no time",
    ],
)
def test_a_job(
    snapshots: Deliveries, con: Connection, mornings: list[str], found: tuple[str, float, str, int]
) -> None:
    take(snapshots, *mornings)
    assert lasted(con) == [found]


def test_a_job_that_turns_into_another_operation_was_open_until_then(
    snapshots: Deliveries, con: Connection
) -> None:
    take(snapshots, "a:o", "a:u", "a:u", "a:D", "a:x")
    assert lasted(con) == [("delete", 1, "settled", 1), ("update", 2, "open", 1)]


def test_an_account_that_comes_back_has_another_job(snapshots: Deliveries, con: Connection) -> None:
    take(snapshots, "a:u b:o", "b:o", "a:u b:o", "a:o b:o")
    assert lasted(con) == [("update", 1, "open", 1), ("update", 1, "settled", 1)]


def test_an_account_has_a_job_each_time(snapshots: Deliveries, con: Connection) -> None:
    take(snapshots, "a:u", "a:o", "a:u", "a:u", "a:o")
    assert lasted(con) == [("update", 1, "settled", 1), ("update", 2, "settled", 1)]


def test_other_changes_do_not_interrupt_a_job(snapshots: Deliveries, con: Connection) -> None:
    for number, reason in enumerate(("place 3", "place 2", "place 1")):
        snapshots.take(an_account(state="Update awaiting", reason=reason), at=day(number))
    snapshots.take(an_account(), at=day(3))
    assert lasted(con) == [("update", 3, "settled", 1)]


def test_jobs_are_those_that_began_in_the_period(snapshots: Deliveries, con: Connection) -> None:
    take(snapshots, "a:u b:o c:o", "a:u b:u c:o", "a:o b:u c:o", "a:o b:o c:u")
    assert lasted(con, period(1, 2)) == [("update", 2, "settled", 1)]
    assert lasted(con, period(3, 9)) == [("update", 0, "open", 1)]


def test_a_job_from_before_the_period_does_not_start_in_it(
    snapshots: Deliveries, con: Connection
) -> None:
    take(snapshots, "a:U", "a:u", "a:!u", "a:o")
    assert lasted(con, period(1)) == []


def test_what_came_later_than_the_moment_is_not_known(
    snapshots: Deliveries, con: Connection
) -> None:
    take(snapshots, "a:o", "a:u", "a:u", "a:o")
    assert lasted(con, period(at=day(2))) == [("update", 1, "open", 1)]
    assert lasted(con, period(at=day(3))) == [("update", 2, "settled", 1)]


def test_a_job_is_followed_to_the_newest_snapshot_of_its_integration(
    snapshots: Deliveries, con: Connection
) -> None:
    take(snapshots, "a:o", "a:u")
    take(snapshots, "b:o", "b:u", "b:u", "b:u", integration="slack")
    assert lasted(con) == [("update", 0, "open", 1), ("update", 2, "open", 1)]
    only = Period(day(0).date(), day(60).date(), integration=("slack",))
    assert lasted(con, only) == [("update", 2, "open", 1)]


def test_the_median_counts_what_still_runs(snapshots: Deliveries, con: Connection) -> None:
    """Settled after 1 and 2 days, one open for 3: S(1) = 2/3, S(2) = 1/3; without it: 1 day."""
    take(snapshots, "a:u b:u c:u", "a:o b:u c:u", "a:o b:o c:u", "a:o b:o c:u")
    found = durations(con, period())["update"]
    assert (found.median, found.quantile(0.9)) == (2 * DAY, None)
    assert found.mean == pytest.approx((1 + 2 / 3 + 1 / 3) * DAY)
    assert (found.jobs, found.ended) == (3, 2)


# ---- any history ---------------------------------------------------------------------------------

histories = st.lists(
    st.lists(st.sampled_from([*STATES, ""]), min_size=9, max_size=9), min_size=1, max_size=8
)


def counted_by_hand(history: list[list[str]], first: int) -> list[tuple[str, float, str, int]]:
    """One job at a time, morning by morning."""
    found: dict[tuple[str, float, str], int] = {}
    for states in zip(*history, strict=True):
        operations = [state.lstrip("!").lower() if state else "" for state in states]
        for start, letter in enumerate(operations):
            if letter not in OPERATIONS or (start and operations[start - 1] == letter):
                continue
            end = next((n for n in range(start, len(states)) if operations[n] != letter), None)
            has_settled = end is not None and operations[end] in ("o", "x")
            span = (len(states) - 1 if end is None else end) - start
            name = {"p": "provision", "u": "update", "d": "delete"}[letter]
            key = (name, float(span), "settled" if has_settled else "open")
            if start >= first:
                found[key] = found.get(key, 0) + 1
    return sorted((*key, count) for key, count in found.items())


@given(history=histories, first=st.integers(0, 4))
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
def test_the_jobs_of_any_history_are_those_that_counting_finds(
    a_store_to_read: Callable[[], Deliveries], history: list[list[str]], first: int
) -> None:
    snapshots = a_store_to_read()
    rows = [
        " ".join(["z:o", *(f"{n}:{state}" for n, state in enumerate(morning) if state)])
        for morning in history
    ]
    take(snapshots, *rows)
    with snapshots.store.connect() as con:
        assert lasted(con, period(first)) == counted_by_hand(history, first)


# ---- week by week --------------------------------------------------------------------------------


def test_each_week_has_the_times_of_the_jobs_that_started_in_it(
    snapshots: Deliveries, con: Connection
) -> None:
    take(snapshots, "a:o b:o", "a:U b:o", "a:u b:U", "a:o b:u", "a:o b:u")
    trend = duration_trend(con, period())
    (row,) = trend.to_dict("records")
    assert (row["operation"], row["jobs"], row["median"] / DAY) == ("update", 2, 2)
    assert row["week"].weekday() == 0
    assert pd.isna(row["percentile_90"])
    assert duration_trend(con, Period(date(2020, 1, 1), date(2020, 1, 2))).empty


# ---- what waits ----------------------------------------------------------------------------------


def open_jobs(
    con: Connection, now: datetime, *integrations: str, as_of: datetime | None = None
) -> dict[tuple[str, str], int]:
    """State and age → open jobs, where there are any."""
    rows = backlog(con, integrations, as_of, now).to_numpy().tolist()
    return {(state, age): accounts for state, age, accounts in rows if accounts}


def test_the_backlog_is_counted_by_state_and_age(snapshots: Deliveries, con: Connection) -> None:
    take(snapshots, "a:u b:o c:o d:o e:D", "a:u b:D c:o d:o e:D", "a:u b:D c:P d:!u e:d")
    assert open_jobs(con, day(2) + timedelta(hours=2)) == {
        ("Update ongoing", "1–3 d"): 1,
        ("Delete awaiting", "1–3 d"): 1,
        ("Delete ongoing", "1–3 d"): 1,  # it was awaiting before
        ("Provisioning awaiting", "1–24 h"): 1,
    }


@pytest.mark.parametrize(
    ("waited", "age"),
    [
        (timedelta(0), "≤ 1 h"),
        (timedelta(minutes=59), "≤ 1 h"),
        (timedelta(hours=1), "≤ 1 h"),
        (timedelta(hours=1, seconds=1), "1–24 h"),
        (timedelta(days=1), "1–24 h"),
        (timedelta(days=2), "1–3 d"),
        (timedelta(days=7), "3–7 d"),
        (timedelta(days=7, seconds=1), "> 7 d"),
        (timedelta(days=400), "> 7 d"),
        (timedelta(hours=-1), "≤ 1 h"),
    ],
)
def test_an_age_is_longer_than_the_one_before_and_open_at_the_end(
    snapshots: Deliveries, con: Connection, waited: timedelta, age: str
) -> None:
    take(snapshots, "a:u")
    assert open_jobs(con, day(0) + waited) == {("Update ongoing", age): 1}


def test_the_oldest_wait_is_known_for_every_moment(snapshots: Deliveries, con: Connection) -> None:
    take(snapshots, "a:o b:o", "a:U b:o", "a:u b:D", "a:o b:d", "a:o b:x")
    oldest = [oldest_open_since(states_as_of(con, (), day(number))) for number in range(5)]
    assert oldest == [None, day(1), day(1), day(2), None]
    assert oldest_open_since(states_as_of(con, (), None)) is None


def test_open_jobs_are_those_known_at_the_moment(snapshots: Deliveries, con: Connection) -> None:
    take(snapshots, "a:o", "a:U", "a:U", "a:o")
    assert open_jobs(con, day(2), as_of=day(2)) == {("Update awaiting", "1–24 h"): 1}
    assert open_jobs(con, day(3), as_of=day(3)) == {}
    assert open_jobs(con, day(2), "slack", as_of=day(2)) == {}


def test_a_store_without_waits_has_an_empty_backlog(con: Connection) -> None:
    assert len(backlog(con, (), None, day(0))) == 6 * 5
    assert open_jobs(con, day(0)) == {}
    assert count_jobs(con, Period(date(2026, 1, 1), date(2026, 1, 2))) == []
