"""The filters of the Users page, as they are clicked."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from builders import a_snapshot_file, an_account
from dropped_files import Delivered
from viewing import ADA, BOB, CY, accounts, in_plain_words, load_all, users

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.states import FAILED_STATES
from data.store.engine import open_store
from queries.users.accounts import PAGE_SIZE
from widgets.users.presets import PRESETS


@pytest.mark.parametrize(
    ("preset", "usernames"),
    [
        ("Failed", ["bob"]),
        ("Longest open", ["dee", "eve"]),
        ("Unmatched", ["cy"]),
        ("Deleted but still active", ["zoe"]),
    ],
)
def test_a_preset_replaces_the_filters(home: Home, preset: str, usernames: list[str]) -> None:
    at = {"last_updated": "2025-01-01T00:00:00Z"}
    load_all(
        home,
        ADA,
        BOB,
        CY,
        Delivered(username="eve", state="Update ongoing"),
        Delivered(username="dee", state="Delete awaiting", **at),
        Delivered(username="zoe", state="Deleted"),
    )
    shown = users(q="nobody")
    button = shown.run.button(key=f"preset_{preset}")
    assert button.label == f"{preset} **{len(usernames)}**", "what a press shows is counted"
    button.click().run()
    assert not shown.run.exception
    assert shown.usernames == usernames
    assert "q" not in shown.address


def test_clear_all_removes_all_filters(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = users(state="Onboarded", role="Admin", active="yes", match="matched", q="ada")
    assert shown.usernames == ["ada"]
    shown.run.button(key="clear").click().run()
    assert shown.usernames == ["ada", "bob"]
    assert shown.address == {}
    assert "clear" not in [button.key for button in shown.run.button]


def test_a_filter_offers_its_choices_with_their_counts(home: Home) -> None:
    load_all(home, ADA, BOB, CY)
    load_all(home, BOB._replace(username="b2"), integration="okta")
    shown = users()
    assert shown.counts("integration") == ["figma 3", "okta 1"]
    assert shown.counts("role") == ["Editor 3", "Admin 1"]
    assert shown.counts("active") == ["Yes 1", "No 2", "Unknown 1"]
    assert shown.counts("match") == ["Matched 3", "Unmatched 1"]
    assert shown.counts("state", "update") == [
        "Update awaiting 0",
        "Update ongoing 0",
        "Update failed 2",
    ]
    assert shown.counts("state", "settled") == ["Onboarded 1", "Deleted 1"]
    assert shown.counts("waiting")[0] == "1 hour 0"


def test_choices_are_counted_within_all_other_filters(home: Home) -> None:
    load_all(home, ADA, BOB, CY)
    shown = users(active="no", q="b")
    assert shown.counts("active") == ["Yes 0", "No 1", "Unknown 0"]
    assert shown.counts("role") == ["Editor 1", "Admin 0"]


def test_a_choice_filters_the_list_and_returns_to_its_first_page(home: Home) -> None:
    load_all(home, *accounts(PAGE_SIZE + 5), BOB, ADA)
    shown = users(page="2", sort="-user")
    shown.choices("role").select("Admin").run()
    assert shown.usernames == ["ada"]
    assert shown.address == {"role": "Admin", "sort": "-user"}
    shown.choices("active").select("yes").run()
    shown.choices("role").unselect("Admin").run()
    assert shown.address == {"active": "yes", "sort": "-user"}


def test_one_press_filters_by_a_phase(home: Home) -> None:
    load_all(home, ADA, BOB, Delivered(username="dee", state="Delete failed"))
    shown = users(state="Onboarded")
    shown.choices("state", "update")
    shown.run.button(key="all_failed").click().run()
    assert shown.usernames == ["dee", "bob"]
    assert shown.address == {"state": list(FAILED_STATES)}


def test_days_filter_from_to_or_both(home: Home) -> None:
    days = {"ada": "2025-12-30T23:59:59Z", "bob": "2025-12-31T00:00:00Z", "cy": "2026-01-01"}
    load_all(home, *(Delivered(username=name, last_updated=at) for name, at in days.items()))
    shown = users(updated_to="2025-12-31")
    assert sorted(shown.usernames) == ["ada", "bob"]
    shown.add_filter("updated_from")
    shown.run.date_input(key="updated_from").set_value(date(2025, 12, 31)).run()
    assert shown.usernames == ["bob"]
    assert shown.address == {"updated_from": "2025-12-31", "updated_to": "2025-12-31"}


def test_each_set_filter_shows_its_values_and_can_be_removed(home: Home) -> None:
    load_all(home, ADA, BOB, CY)
    load_all(home, BOB, integration="okta")
    shown = users(
        state=["Update failed", "Deleted"], integration=["figma", "okta"], active="no", waiting="3d"
    )
    assert shown.count == "**0** of 4 accounts"
    assert shown.removable == [
        "Remove filter: Provisioning state Update failed, +1",
        "Remove filter: Integration figma, +1",
        "Remove filter: Active in app No",
        "Remove filter: Open longer than 3 days",
    ]
    shown.run.button(key="remove_waiting").click().run()
    shown.run.button(key="remove_integration").click().run()
    assert shown.usernames == ["bob", "bob"]
    assert shown.address == {"state": ["Update failed", "Deleted"], "active": "no"}


def test_a_range_is_one_filter(home: Home) -> None:
    load_all(home, ADA)
    shown = users(updated_from="2025-01-01", updated_to="2026-01-01")
    assert shown.removable == ["Remove filter: Last updated from 2025-01-01 to 2026-01-01"]
    shown.run.button(key="remove_updated_from").click().run()
    assert shown.address == {}


def test_the_menu_offers_the_filters_that_are_not_set(home: Home) -> None:
    load_all(home, ADA)
    shown = users(role="Admin")
    offered = shown.run.menu_button(key="add_filter").options
    assert "Role" not in offered
    assert {"Integration", "Failure reason", "As of"} <= set(offered)


def test_all_choices_that_a_search_finds_are_selected_by_one_press(home: Home) -> None:
    load_all(home, *(ADA._replace(username=f"u{n}", roles=f"Role {n}") for n in range(40)), BOB)
    shown = users(role="Editor")
    shown.choices("role")
    shown.run.text_input(key="find_role").set_value("role 1").run()
    press = shown.run.button(key="select_role")
    assert press.label == "Select all 11 that match"
    press.click().run()
    assert len(shown.usernames) == 12
    assert shown.removable == ["Remove filter: Role Editor, +11"]


def test_choices_without_accounts_are_folded(home: Home) -> None:
    load_all(home, *(ADA._replace(username=f"u{n}", roles=f"Role {n}") for n in range(6)), BOB)
    shown = users(q="bob")
    assert shown.counts("role") == ["Editor 1"]
    shown.run.button(key="more_all_role").click().run()
    assert len(shown.counts("role")) == 7


def test_failure_codes_are_offered_with_their_words(home: Home) -> None:
    failed = (
        an_account("a", state="Update failed", code="X-1", reason="Token 77 expired"),
        an_account("b", state="Update failed", reason="Quota exceeded"),
    )
    at = datetime(2026, 1, 1, 6)
    file = SnapshotFile(a_snapshot_file(home.root, failed, at=at), "figma", at)
    load(open_store(home.database_url), file)
    assert set(users().counts("reason")) == {"X-1 · Token … expired 1", "Quota exceeded 1"}


def test_the_current_preset_is_marked(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = users()
    assert in_plain_words(shown.run.button(key="preset_Failed").label) == "Failed **1**"
    shown.run.button(key="preset_Failed").click().run()
    labels = [in_plain_words(shown.run.button(key=f"preset_{name}").label) for name in PRESETS]
    counts = " 1, Longest open 0, Unmatched 0, Deleted but still active 0"
    assert ", ".join(labels).replace("*", "") == f"Shown: Failed{counts}"


def test_of_many_roles_the_most_frequent_are_offered_with_a_search(home: Home) -> None:
    several = [ADA._replace(username=f"u{n}", roles=f"Common; Rôle {n}") for n in range(60)]
    load_all(home, *several)
    shown = users(role="Rôle 59")
    assert shown.counts("role")[:2] == ["Rôle 59 1", "Common 60"]
    assert any(text.value == "30 more – type to search" for text in shown.run.text)
    shown.run.text_input(key="find_role").set_value("ROLE 42").run()
    assert shown.counts("role") == ["Rôle 59 1", "Rôle 42 1"]
    shown.run.text_input(key="find_role").set_value("nonsense").run()
    assert shown.counts("role") == ["Rôle 59 1"]
