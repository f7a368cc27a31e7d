"""The Health page without a browser: tiles, periods, moments."""

from __future__ import annotations

import pandas as pd
import pytest
from dropped_files import Delivered
from viewing import ADA, BOB, CY, TODAY, YESTERDAY, accounts, alt, load_all, metric, page, tile

from data.home import Home
from widgets.health.card import spreadsheet_csv


def test_the_tiles_count_the_current_accounts(home: Home) -> None:
    load_all(home, ADA, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, CY, Delivered(username="w", state="Delete ongoing"), taken_at=TODAY)
    shown = page("health.py")
    assert metric(shown, "Accounts") == "4"
    assert metric(shown, "Active") == "2"
    assert metric(shown, "Unmatched") == "1"
    assert metric(shown, "Failed") == "1"
    assert metric(shown, "Open jobs") == "1"
    assert tile(shown, "Accounts") == ["4", "+3 since 1 Jan"]


def test_health_counts_only_the_chosen_integrations(home: Home) -> None:
    load_all(home, ADA, BOB)
    load_all(home, CY, integration="okta")
    assert metric(page("health.py"), "Accounts") == "3"
    assert metric(page("health.py", integration="okta"), "Accounts") == "1"
    assert metric(page("health.py", integration="nonsense"), "Accounts") == "3"


def test_an_integration_without_accounts_is_drawn(home: Home) -> None:
    load_all(home)
    page("health.py")
    assert page("users.py").usernames == []


@pytest.mark.parametrize("state", ["Provisioning failed", "Deleted", "Half done"])
def test_health_draws_a_single_state(home: Home, state: str) -> None:
    load_all(home, ADA._replace(state=state))
    assert metric(page("health.py"), "Accounts") == "1"


def test_a_chart_states_its_finding_in_words(home: Home) -> None:
    was, now = accounts(4, state="Update failed"), accounts(4)
    load_all(home, *was, taken_at=YESTERDAY)
    load_all(home, was[0], *now[1:], taken_at=TODAY)
    assert "1 failed account, 3 fewer than on 1 Jan (4)" in alt(
        page("health.py"), "Failed accounts"
    )


@pytest.mark.parametrize("days", ["7", "30", "90", "all", "own", "nonsense", "\0"])
def test_every_period_can_be_requested(home: Home, days: str) -> None:
    load_all(home, ADA, BOB, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, taken_at=TODAY)
    assert metric(page("health.py", days=days), "Accounts") == "2"


def test_a_custom_period_ends_on_its_last_day(home: Home) -> None:
    load_all(home, ADA, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, taken_at=TODAY)
    shown = page("health.py", **{"from": "2026-01-01", "to": "2026-01-01"})
    assert metric(shown, "Accounts") == "1"
    assert shown.run.segmented_control(key="days").value == "own"


@pytest.mark.parametrize(
    "ends",
    [
        {"from": "2030-01-01"},
        {"to": "1900-01-01"},
        {"from": "9999-12-31", "to": "0001-01-01"},
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"from": "nonsense", "to": "'"},
    ],
)
def test_an_impossible_custom_period_is_no_error(home: Home, ends: dict[str, str]) -> None:
    load_all(home, ADA, BOB)
    page("health.py", **ends)


def test_a_chosen_period_is_in_the_address(home: Home) -> None:
    load_all(home, ADA)
    shown = page("health.py")
    shown.run.segmented_control(key="days").set_value("90").run()
    assert shown.address["days"] == "90"
    shown.run.segmented_control(key="days").set_value("30").run()
    assert "days" not in shown.address


def test_days_are_days_of_the_chosen_time_zone(home: Home) -> None:
    late = "2026-01-01T23-30-00Z"
    load_all(home, ADA, BOB, taken_at=late)
    load_all(home, ADA, BOB, taken_at="2026-01-02T06-00-00Z")
    named = "Failed accounts"
    assert "about as many as on 1 Jan (1)" in alt(page("health.py"), named)
    in_berlin = page("health.py", tz="Europe/Berlin")  # both are of one day
    assert any("Trends start" in m.value for m in in_berlin.run.markdown)
    assert page("health.py", tz="Mars/Olympus").run.selectbox(key="tz").value == "UTC"


def test_health_can_be_shown_as_of_any_moment(home: Home) -> None:
    load_all(home, ADA, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, CY, taken_at=TODAY)
    shown = page("health.py", as_of="2026-01-01T12:00:00Z")
    assert metric(shown, "Accounts") == "1"
    assert any("As of 2026-01-01 12:00 UTC" in m.value for m in shown.run.markdown)
    shown.run.button(key="now").click().run()
    assert metric(shown, "Accounts") == "3"
    assert "as_of" not in shown.address


def test_buttons_step_through_the_snapshots(home: Home) -> None:
    for count, taken_at in ((1, YESTERDAY), (2, "2026-01-02T05-00-00Z"), (3, TODAY)):
        load_all(home, *accounts(count), taken_at=taken_at)
    shown = page("health.py")
    seen = [metric(shown, "Accounts")]
    for step in ("earlier", "earlier", "later", "later"):
        shown.run.button(key=step).click().run()
        assert not shown.run.exception
        seen.append(metric(shown, "Accounts"))
    assert seen == ["3", "2", "1", "2", "3"]
    assert "as_of" not in shown.address
    assert shown.run.button(key="later").disabled


def test_before_the_first_snapshot_health_explains_and_offers_a_way_back(home: Home) -> None:
    load_all(home, ADA)
    shown = page("health.py", as_of="2020-01-01")
    assert any("No snapshot before 2020-01-01 00:00 UTC" in t.value for t in shown.run.text)
    shown.run.button(key="now").click().run()
    assert metric(shown, "Accounts") == "1"


def test_an_integration_without_a_snapshot_in_the_period_keeps_its_last_one(home: Home) -> None:
    load_all(home, ADA, BOB, integration="okta", taken_at="2025-06-01T06-00-00Z")
    load_all(home, ADA, taken_at=TODAY)
    assert metric(page("health.py"), "Accounts") == "3"
    assert (
        metric(page("health.py", integration="okta", **{"from": "2025-07-01"}), "Accounts") == "2"
    )


def test_chart_data_for_a_spreadsheet_contains_no_formula() -> None:
    table = pd.DataFrame({"=a": ["=1+1", "plain", None], "accounts": [-1, 2, 3]})
    text = spreadsheet_csv(table).decode("utf-8-sig")
    assert text.splitlines()[1].replace('"', "") == "'=1+1,-1"
    assert text.splitlines()[0].replace('"', "") == "'=a,accounts"
