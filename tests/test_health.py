"""How provisioning goes: the numbers on Health, each worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from builders import TODAY, Deliveries, an_account, an_unmatched_account
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from queries.health.failure_reasons import failure_reasons
from queries.health.integrations import (
    daily_failed_by_integration,
    integrations_as_of,
    stale_integrations,
)
from queries.health.snapshots import adjacent_snapshots, newest_day, snapshot_span
from queries.health.trends import (
    daily_failures,
    daily_states,
    daily_transitions,
    failure_rates,
    oldest_open_since,
    states_as_of,
)
from queries.period import Period, local_date

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = days = [
    datetime(2026, 11, 23, 6) + timedelta(days=n) for n in range(4)
]


def always(
    *integrations: str,
    since: date = date(2000, 1, 1),
    until: date = date(2100, 1, 1),
    zone: str = "UTC",
    at: datetime | None = None,
) -> Period:
    """All days but for those that a test leaves out."""
    return Period(since, until, zone, integration=integrations, as_of=at)


def period(first: datetime, last: datetime) -> Period:
    return Period(first.date(), last.date())


def failures(con: Connection, scope: Period) -> pd.DataFrame:
    return daily_failures(daily_transitions(con, scope), scope, daily_states(con, scope))


def rates_of(con: Connection, scope: Period) -> pd.DataFrame:
    return failure_rates(daily_transitions(con, scope), scope)


def oldest(con: Connection, *integrations: str, at: datetime | None = None) -> datetime | None:
    return oldest_open_since(states_as_of(con, integrations, at))


def reasons(con: Connection, scope: Period | None = None, **more: int) -> pd.DataFrame:
    return failure_reasons(con, scope or always(), **more)


def in_states(*states: str) -> list[dict[str, object]]:
    """Accounts u0, u1, …: one in each state; a state that is empty: that account is not there."""
    return [an_account(f"u{n}", state=state) for n, state in enumerate(states) if state]


def accounts_by_state(con: Connection, *integrations: str, **period_options: Any) -> dict:
    """Day → state → accounts, without zeros."""
    frame = daily_states(con, always(*integrations, **period_options))
    by_day: dict[int, dict[str, int]] = {}
    for row in frame.itertuples():
        by_day.setdefault(row.day.day, {})
        if row.accounts:
            by_day[row.day.day][row.state] = row.accounts
    return by_day


def outcomes_of(con: Connection, *integrations: str) -> dict:
    """(day, operation) → (newly failed, settled), without those where neither happened."""
    return {
        (row.day.day, row.operation): (row.new, row.settled)
        for row in failures(con, always(*integrations)).itertuples()
        if row.new or row.settled
    }


# ---- states per day -----------------------------------------------------------------------------


def test_a_day_shows_the_integrations_without_a_snapshot_as_they_were_before(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Onboarded", "Onboarded"), integration="figma", at=MONDAY)
    snapshots.take(*in_states("Update failed"), integration="slack", at=TUESDAY)
    snapshots.take(*in_states("Onboarded", "Deleted"), integration="figma", at=THURSDAY)
    assert accounts_by_state(con) == {
        23: {"Onboarded": 2},
        24: {"Onboarded": 2, "Update failed": 1},
        26: {"Onboarded": 1, "Deleted": 1, "Update failed": 1},
    }


def test_a_day_without_any_snapshot_is_missing_and_not_zero(
    snapshots: Deliveries, con: Connection
) -> None:
    for day in (MONDAY, THURSDAY):
        snapshots.take(*in_states("Onboarded"), at=day)
    assert list(accounts_by_state(con)) == [23, 26]
    assert set(failures(con, always())["day"]) == {MONDAY.date(), THURSDAY.date()}
    assert list(daily_failed_by_integration(con, always())["day"]) == [
        MONDAY.date(),
        THURSDAY.date(),
    ]


def test_the_last_snapshot_of_a_day_counts(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(*in_states("Onboarded", "Onboarded"), at=MONDAY + timedelta(hours=17))
    snapshots.take(*in_states("Update failed", "Update failed"), at=MONDAY)
    assert accounts_by_state(con) == {23: {"Onboarded": 2}}


def test_a_day_begins_at_midnight_utc(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(*in_states("Onboarded"), at=datetime(2026, 11, 23, 23, 59, 59))
    snapshots.take(*in_states("Deleted"), at=datetime(2026, 11, 24))
    assert accounts_by_state(con) == {23: {"Onboarded": 1}, 24: {"Deleted": 1}}


def test_the_first_day_of_a_period_knows_what_was_before_it(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Deleted"), integration="slack", at=MONDAY)
    snapshots.take(*in_states("Onboarded"), integration="figma", at=WEDNESDAY)
    since = WEDNESDAY.date()
    assert accounts_by_state(con, since=since) == {25: {"Deleted": 1, "Onboarded": 1}}


def test_active_and_unmatched_accounts_are_counted_in_each_state(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(
        an_account("1", active="yes"),
        an_account("2", active="no"),
        an_unmatched_account("3", active=""),
        an_unmatched_account("4", active="yes", state="Deleted"),
        an_account("5", user=None, email="e@x.io", state="Deleted", active="no"),
    )
    frame = daily_states(con, always()).set_index("state")
    numbers = frame[["accounts", "active", "unmatched"]]
    assert numbers.loc["Onboarded"].to_list() == [3, 1, 1]
    assert numbers.loc["Deleted"].to_list() == [2, 1, 1]


def test_unrecognized_states_are_counted_in_a_bucket_of_their_own(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Onboarded", "on holiday"))
    assert accounts_by_state(con) == {23: {"Onboarded": 1, "Unrecognised": 1}}


# ---- outcomes -----------------------------------------------------------------------------------


def test_an_account_that_comes_into_a_failed_state_has_newly_failed(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(
        *in_states("Update ongoing", "Update ongoing", "Delete awaiting", "Onboarded"), at=MONDAY
    )
    snapshots.take(
        *in_states("Update failed", "Update failed", "Delete failed", "Onboarded"), at=TUESDAY
    )
    snapshots.take(
        *in_states("Update failed", "Update awaiting", "Delete failed", "Onboarded"), at=WEDNESDAY
    )
    assert outcomes_of(con) == {(24, "update"): (2, 0), (24, "delete"): (1, 0)}


def test_the_first_snapshot_of_an_integration_tells_of_no_failures(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Update failed"), integration="figma", at=MONDAY)
    snapshots.take(*in_states("Delete failed"), integration="slack", at=TUESDAY)
    snapshots.take(*in_states("Update failed"), integration="figma", at=TUESDAY)
    assert outcomes_of(con) == {}


def test_an_account_that_is_new_and_failed_has_newly_failed(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Onboarded"), at=MONDAY)
    snapshots.take(*in_states("Onboarded", "Provisioning failed"), at=TUESDAY)
    assert outcomes_of(con) == {(24, "provision"): (1, 0)}


def test_an_operation_is_settled_when_its_account_is_onboarded_or_deleted(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(
        *in_states("Provisioning ongoing", "Update failed", "Delete awaiting", "Onboarded"),
        at=MONDAY,
    )
    snapshots.take(*in_states("Onboarded", "Onboarded", "Deleted", "Deleted"), at=TUESDAY)
    assert outcomes_of(con) == {
        (24, "provision"): (0, 1),
        (24, "update"): (0, 1),
        (24, "delete"): (0, 1),
    }


def test_an_account_that_is_gone_is_neither_settled_nor_failed(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Onboarded", "Update ongoing", "Update failed"), at=MONDAY)
    snapshots.take(*in_states("Onboarded"), at=TUESDAY)
    assert outcomes_of(con) == {}


def test_all_snapshots_of_a_day_add_to_its_outcomes(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(*in_states("Update ongoing", "Update ongoing"), at=MONDAY)
    noon = TUESDAY + timedelta(hours=6)
    snapshots.take(*in_states("Update failed", "Update ongoing"), at=TUESDAY)
    snapshots.take(*in_states("Onboarded", "Update failed"), at=noon)
    assert outcomes_of(con) == {(24, "update"): (2, 1)}


def test_the_failure_rate_of_seven_days_is_failed_of_all_completed_jobs(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states(*["Update ongoing"] * 4, "Delete ongoing"), at=MONDAY)
    snapshots.take(*in_states("Update failed", *["Onboarded"] * 3, "Deleted"), at=TUESDAY)
    monday, tuesday = rates_of(con, period(MONDAY, TUESDAY)).to_dict("records")
    assert monday["completed"] == 0
    assert pd.isna(monday["rate"])
    assert (tuesday["new"], tuesday["completed"], tuesday["rate"]) == (1, 5, 0.2)
    week_later = MONDAY + timedelta(days=7)
    *_, last = rates_of(con, period(TUESDAY, week_later)).to_dict("records")
    assert last["rate"] == 0.2
    after = rates_of(con, period(week_later, week_later + timedelta(days=1)))
    assert after["rate"].isna().tolist() == [False, True]


def test_the_rate_before_is_that_of_the_same_day_of_the_period_before(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Update ongoing", "Update ongoing"), at=MONDAY)
    snapshots.take(*in_states("Update failed", "Onboarded"), at=TUESDAY)
    later = [TUESDAY + timedelta(days=n) for n in (1, 2)]
    rates = rates_of(con, period(*later))
    assert rates["before"].fillna(-1).tolist() == [-1, 0.5]


# ---- now ----------------------------------------------------------------------------------------


def test_an_integration_counts_the_newest_snapshot_of_each(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Update failed", "Update failed"), integration="figma", at=MONDAY)
    snapshots.take(
        an_account("1", state="Update failed", active="yes"),
        an_account("2", state="Delete awaiting", active="no"),
        an_unmatched_account("3", state="Provisioning ongoing", active="yes"),
        an_account("4", state="Deleted", active=""),
        integration="figma",
        at=TUESDAY,
    )
    snapshots.take(*in_states("Onboarded"), integration="Atlassian", at=MONDAY)
    frame = integrations_as_of(con, always()).drop(columns="usual_interval")
    assert frame.to_dict("records") == [
        {
            "integration": "Atlassian", "taken_at": MONDAY, "accounts": 1, "active": 1,
            "unmatched": 0, "failed": 0, "open": 0,
        },
        {
            "integration": "figma", "taken_at": TUESDAY, "accounts": 4, "active": 2,
            "unmatched": 1, "failed": 1, "open": 2,
        },
    ]  # fmt: skip


def test_failing_accounts_are_counted_per_integration_and_day(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Update failed", "Delete failed"), integration="figma", at=MONDAY)
    snapshots.take(*in_states("Onboarded"), integration="slack", at=TUESDAY)
    snapshots.take(*in_states("Onboarded", "Delete failed"), integration="figma", at=WEDNESDAY)
    frame = daily_failed_by_integration(con, always())
    rows = [(row.integration, row.day.day, row.failed) for row in frame.itertuples()]
    assert rows == [
        ("figma", 23, 2),
        ("figma", 24, 2),
        ("figma", 25, 1),
        ("slack", 24, 0),
        ("slack", 25, 0),
    ]


def test_reasons_are_counted_by_code_then_by_text_most_first(
    snapshots: Deliveries, con: Connection
) -> None:
    failed = {"state": "Update failed"}
    snapshots.take(
        an_account("1", code="E1", reason="The user is suspended", **failed),
        an_account("2", code="E1", reason="The user is locked", **failed),
        an_account("3", code="E1", reason=None, state="Delete failed"),
        an_account("4", reason="Timeout", **failed),
        an_account("5", reason="Timeout", **failed),
        an_account("6", **failed),
        an_account("7", code="E1", reason="old trouble", state="Onboarded"),
    )
    frame = reasons(con)
    assert frame[["reason", "accounts"]].to_numpy().tolist() == [
        ["E1", 3],
        ["Timeout", 2],
        ["No reason given", 1],
    ]
    assert frame["template"].to_list()[:2] == ["The user is locked", "Timeout"]
    assert len(reasons(con, limit=1)) == 1


# ---- the oldest wait ----------------------------------------------------------------------------


def test_the_oldest_wait_began_when_its_job_opened(snapshots: Deliveries, con: Connection) -> None:
    for day, state, reason in (
        (MONDAY, "Onboarded", None),
        (TUESDAY, "Update awaiting", "in the queue"),
        (WEDNESDAY, "Update awaiting", "place 3"),
    ):
        snapshots.take(an_account("ada", state=state, reason=reason), an_account("bob"), at=day)
    assert oldest(con) == TUESDAY


def test_a_wait_goes_on_in_the_next_step_of_its_job(snapshots: Deliveries, con: Connection) -> None:
    for day, state in zip(
        days, ("Update awaiting", "Update failed", "Update awaiting", "Update ongoing"), strict=True
    ):
        snapshots.take(*in_states(state), at=day)
    assert oldest(con) == WEDNESDAY


def test_an_account_that_waits_since_the_first_snapshot_waits_since_then(
    snapshots: Deliveries, con: Connection
) -> None:
    for day in (MONDAY, TUESDAY):
        snapshots.take(*in_states("Delete ongoing", "Onboarded"), at=day)
    snapshots.take(*in_states("Update awaiting"), integration="slack", at=TUESDAY)
    assert oldest(con) == MONDAY
    assert oldest(con, "slack") == TUESDAY


def test_time_in_which_an_account_was_gone_is_no_wait(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Onboarded", "Onboarded"), at=MONDAY)
    snapshots.take(*in_states("Onboarded"), at=TUESDAY)
    snapshots.take(*in_states("Onboarded", "Provisioning awaiting"), at=WEDNESDAY)
    assert oldest(con) == WEDNESDAY


def test_without_waiting_accounts_there_is_no_oldest_wait(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Update awaiting", "Onboarded"), at=MONDAY)
    snapshots.take(*in_states("Onboarded", "Update failed"), at=TUESDAY)
    assert oldest(con) is None


# ---- which integrations -------------------------------------------------------------------------

FRAMES = {
    "daily_states": (daily_states, ["day", "state", "accounts", "active", "unmatched", "oldest"]),
    "daily_failures": (
        failures,
        ["day", "operation", "failed", "new", "settled", "resolved", "existing"],
    ),
    "daily_failing": (daily_failed_by_integration, ["integration", "day", "failed", "accounts"]),
    "integrations_at": (
        integrations_as_of,
        [
            *("integration", "taken_at", "accounts", "active", "unmatched", "failed", "open"),
            "usual_interval",
        ],
    ),
    "states_at": (
        lambda con, scope: states_as_of(con, scope.integration, None),
        ["state", "accounts", "active", "unmatched", "oldest"],
    ),
    "failure_reasons": (reasons, ["reason", "template", "accounts", "before", "first_seen"]),
}


def test_an_empty_store_gives_empty_frames_with_their_columns(con: Connection) -> None:
    for ask, columns in FRAMES.values():
        frame = ask(con, always())
        assert list(frame.columns) == columns
        assert frame.empty
    assert newest_day(con, []) is None
    assert oldest(con) is None


@pytest.mark.parametrize("name", ["no such", "figma' OR '1'='1", ""])
def test_an_unknown_integration_gives_empty_frames(
    snapshots: Deliveries, con: Connection, name: str
) -> None:
    snapshots.take(*in_states("Update failed"), at=MONDAY)
    snapshots.take(*in_states("Update awaiting"), at=TUESDAY)
    for ask, columns in FRAMES.values():
        frame = ask(con, always(name))
        assert list(frame.columns) == columns
        assert frame.empty
    assert newest_day(con, [name]) is None
    assert oldest(con, name) is None


def test_every_number_is_that_of_the_chosen_integrations(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Update ongoing", "Update ongoing"), at=MONDAY)
    snapshots.take(*in_states("Update failed", "Onboarded"), at=TUESDAY)
    snapshots.take(*in_states("Deleted", "Delete failed"), integration="slack", at=WEDNESDAY)
    assert newest_day(con, ["figma"]) == TUESDAY.date()
    assert newest_day(con, []) == newest_day(con, ["figma", "slack"]) == WEDNESDAY.date()
    assert accounts_by_state(con, "figma") == {
        23: {"Update ongoing": 2},
        24: {"Update failed": 1, "Onboarded": 1},
    }
    assert outcomes_of(con, "figma") == {(24, "update"): (1, 1)}
    assert outcomes_of(con, "slack") == {}
    assert list(integrations_as_of(con, always("slack"))["integration"]) == ["slack"]
    assert set(daily_failed_by_integration(con, always("slack"))["integration"]) == {"slack"}
    assert list(reasons(con, always("slack"))["accounts"]) == [1]


def test_today_is_the_day_of_the_newest_snapshot(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account(), at=TODAY)
    snapshots.take(an_account(), at=TODAY - timedelta(days=3))
    assert newest_day(con, []) == TODAY.date()


# ---- days of a time zone ------------------------------------------------------------------------


def test_a_day_is_a_day_of_the_time_zone(snapshots: Deliveries, con: Connection) -> None:
    """On 29 March 2026 clocks in Berlin go forward: the day begins at 23:00 and has 23 hours."""
    for at, state in (
        (datetime(2026, 3, 28, 22, 59), "Onboarded"),
        (datetime(2026, 3, 28, 23), "Update awaiting"),
        (datetime(2026, 3, 29, 21, 59), "Update failed"),
        (datetime(2026, 3, 29, 22), "Deleted"),
    ):
        snapshots.take(*in_states(state), at=at)
    assert accounts_by_state(con, zone="Europe/Berlin") == {
        28: {"Onboarded": 1},
        29: {"Update failed": 1},
        30: {"Deleted": 1},
    }
    there = always(since=date(2026, 3, 29), until=date(2026, 3, 29), zone="Europe/Berlin")
    assert there.start == datetime(2026, 3, 28, 23)
    assert there.end == datetime(2026, 3, 29, 21, 59, 59)
    assert there.previous.as_of == datetime(2026, 3, 28, 22, 59, 59)
    new = failures(con, there).query("new > 0")[["day", "operation"]].to_numpy().tolist()
    assert new == [[date(2026, 3, 29), "update"]]


moments = st.integers(0, 96).map(lambda hour: datetime(2026, 10, 23) + timedelta(hours=hour))
deliveries = st.lists(
    st.tuples(
        st.sampled_from(["figma", "slack"]),
        moments,
        st.lists(st.sampled_from(["Onboarded", "Update failed", "Delete failed", ""]), min_size=2,
                 max_size=2),
    ),
    min_size=1, max_size=7, unique_by=lambda delivery: delivery[:2],
)  # fmt: skip


@given(delivered=deliveries, zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Auckland"]))
@settings(max_examples=4)
def test_any_day_is_what_carrying_forward_by_hand_gives(
    a_store_to_read: Callable[[], Deliveries],
    delivered: list[tuple[str, datetime, list[str]]],
    zone: str,
) -> None:
    snapshots = a_store_to_read()
    for name, at, states in delivered:
        snapshots.take(an_account("z"), *in_states(*states), integration=name, at=at)
    days = sorted({local_date(at, zone) for _, at, _ in delivered})
    by_hand = {
        day: sum(
            state.endswith("failed")
            for name in ("figma", "slack")
            for _, _, states in sorted(
                d for d in delivered if d[0] == name and local_date(d[1], zone) <= day
            )[-1:]
            for state in states
        )
        for day in days
    }
    with snapshots.store.connect() as con:
        frame = failures(con, always(zone=zone))
    assert frame.groupby("day")["failed"].sum().to_dict() == by_hand
    assert (frame["existing"] + frame["new"] - frame["resolved"] == frame["failed"]).all()
    firsts = {
        local_date(min(at for n, at, _ in delivered if n == name), zone) for name, _, _ in delivered
    }
    for operation, rows in frame.groupby("operation"):
        before = rows["failed"].shift(fill_value=0)
        joined = rows["day"].isin(firsts)
        assert (rows["existing"] == before)[~joined].all(), operation
        assert (rows["existing"] >= before)[joined].all(), operation


# ---- before, at a moment, and by rhythm ---------------------------------------------------------


def test_what_is_carried_over_is_new_and_cleared_the_day_before_and_after(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(*in_states("Update failed", "Update ongoing", "Onboarded"), at=MONDAY)
    snapshots.take(*in_states("Update failed", "Update failed", "Delete failed"), at=TUESDAY)
    snapshots.take(*in_states("Onboarded", "Update awaiting"), at=WEDNESDAY)
    frame = failures(con, always()).set_index("operation")
    columns = ["existing", "new", "resolved", "failed"]
    assert frame.loc["update", columns].to_numpy().tolist() == [
        [1, 0, 0, 1],
        [1, 1, 0, 2],
        [2, 0, 2, 0],
    ]
    assert frame.loc["delete", columns].to_numpy().tolist() == [
        [0, 0, 0, 0],
        [0, 1, 0, 1],
        [1, 0, 1, 0],
    ]


def test_at_a_moment_nothing_later_is_known(snapshots: Deliveries, con: Connection) -> None:
    for at, state in ((MONDAY, "Onboarded"), (TUESDAY, "Update failed"), (WEDNESDAY, "Deleted")):
        snapshots.take(*in_states(state), at=at)
    then = always(at=TUESDAY)
    assert accounts_by_state(con, at=TUESDAY) == {23: {"Onboarded": 1}, 24: {"Update failed": 1}}
    shown = states_as_of(con, [], TUESDAY).query("accounts > 0")
    assert shown["state"].to_list() == ["Update failed"]
    assert states_as_of(con, [], MONDAY - timedelta(seconds=1)).empty
    assert integrations_as_of(con, then)["failed"].to_list() == [1]
    assert reasons(con, then)["accounts"].to_list() == [1]
    assert newest_day(con, [], as_of=TUESDAY) == TUESDAY.date()
    assert adjacent_snapshots(con, [], TUESDAY) == (MONDAY, WEDNESDAY)
    assert adjacent_snapshots(con, [], None) == (TUESDAY, None)
    assert snapshot_span(con, []) == (MONDAY, WEDNESDAY)


def test_an_integration_is_stale_by_its_own_rhythm(snapshots: Deliveries, con: Connection) -> None:
    for hours in (0, 1, 2, 30):
        snapshots.take(*in_states("Onboarded"), at=MONDAY + timedelta(hours=hours))
    for number in (0, 1, 2):
        at = MONDAY + timedelta(days=number)
        snapshots.take(*in_states("Onboarded"), integration="slack", at=at)
    for number in (0, 1):
        at = MONDAY + timedelta(hours=number)
        snapshots.take(*in_states("Onboarded"), integration="zoom", at=at)
    newest = integrations_as_of(con, always())
    assert newest["usual_interval"].to_list()[:2] == [timedelta(hours=1), timedelta(days=1)]
    assert pd.isna(newest["usual_interval"].iloc[2])
    at = MONDAY + timedelta(hours=33)
    assert stale_integrations(newest, at).to_list() == [True, False, False]
    assert stale_integrations(newest, at - timedelta(hours=1)).to_list() == [False, False, False]


# ---- reasons that are one -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("User 00u17 was not found", "User … was not found"),
        ("Mail ada.lovelace+x@mail.example.org is taken", "Mail … is taken"),
        ('Role "Admin" and “Editor” are gone', "Role … and … are gone"),
        ("Role 'Admin' isn't known to the app's owner", "Role … isn't known to the app's owner"),
        ("GET https://api.x.io/v2/users?id=7 timed out", "GET … timed out"),
        ("Job 6ba7b810-9dad-11d1-80b4-00c04fd430c8 is lost", "Job … is lost"),
        ("Locked since 2026-11-20T10:00:00Z.", "Locked since …."),
        ("Locked since 20.11.2026 10:00", "Locked since …"),
        ("HTTP 429, retry after 3,500 ms", "HTTP …, retry after … ms"),
        ("Missing: a1, b2, c3", "Missing: …"),
        ("Quota exceeded", "Quota exceeded"),
    ],
)
def test_what_differs_is_left_out_of_a_reason(
    snapshots: Deliveries, con: Connection, text: str, template: str
) -> None:
    snapshots.take(an_account(state="Update failed", reason=text))
    assert reasons(con)["reason"].to_list() == [template]


def test_a_reason_tells_since_when_and_whether_it_grows(
    snapshots: Deliveries, con: Connection
) -> None:
    fails = [
        an_account(f"u{n}", state="Update failed", reason=f"User {n} is locked") for n in range(3)
    ]
    fine = an_account("u9")
    snapshots.take(fails[0], fine, at=MONDAY)
    snapshots.take(*fails[:2], fine, at=TUESDAY)
    snapshots.take(*fails, fine, at=WEDNESDAY)
    since = always(since=WEDNESDAY.date(), until=WEDNESDAY.date())
    (row,) = reasons(con, since).to_dict("records")
    assert row["reason"] == "User … is locked"
    assert (row["accounts"], row["before"], row["first_seen"]) == (3, 2, MONDAY)
