"""Every page without a browser, with rows and without."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import a_snapshot_file, an_account
from dropped_files import HOSTILE, Delivered, deliver, hostile_accounts
from streamlit.testing.v1 import AppTest

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.inbox.inbox import Quarantined, load_inbox
from data.sample.files import sample_snapshots
from data.service.active_store import _latest_sample_time, _sample_url, active_store
from data.states import FAILED_STATES, STATE_BY_NAME
from data.store.engine import open_store
from queries.filters import Filters
from queries.health.backlog import AGE_BUCKETS
from queries.period import Period
from queries.users.accounts import PAGE_SIZE, SORTS
from widgets.health.card import spreadsheet_csv
from widgets.health.drill_down import Address, address_of
from widgets.health.marks import Mark, customdata, mark_from
from widgets.labels import MAX_LABEL_LENGTH
from widgets.users.presets import PRESETS

PAGES = Path(__file__).parent.parent / "pages"
JANUARY = Period(date(2026, 1, 1), date(2026, 1, 31))
TODAY, YESTERDAY = "2026-01-02T06-00-00Z", "2026-01-01T06-00-00Z"
OF_ACCOUNTS = {path.name for path in PAGES.glob("*.py")} - {"definitions.py", "audit.py"}
ONE_VALUE_EACH = [
    *(("state", name) for name in STATE_BY_NAME),
    *(("active", value) for value in ("yes", "no", "unknown")),
    *(("match", value) for value in ("matched", "unmatched")),
    ("integration", "figma"),
    ("role", "Editor"),
    ("q", "ada"),
    ("as_of", "2026-01-01T12:00:00Z"),
    ("updated_from", "2026-01-01"),
    ("updated_to", "9999-12-31"),
    ("waiting", "9999d"),
    ("page", "2"),
    *(("sort", name) for name in SORTS),
]
HOSTILE_VALUES = ["", "nonsense", "'; DROP TABLE account --", "\0", "%", "-1", "١", "9" * 400]


@dataclass
class Page:
    """A page as a reader sees it."""

    run: AppTest

    @property
    def table(self) -> dict[str, Any]:
        components = [json.loads(c.proto.json) for c in self.run.get("bidi_component")]
        return next(data for data in components if "rows" in data)

    @property
    def usernames(self) -> list[str]:
        return [row["label"] for row in self.table["rows"]]

    @property
    def headings(self) -> list[str]:
        return [column["label"] for column in self.table["columns"]]

    @property
    def count(self) -> str:
        return next(m.value for m in self.run.markdown if "accounts" in m.value)

    @property
    def removable(self) -> list[str]:
        """The labels of the buttons that remove one filter each."""
        buttons = [b for b in self.run.button if b.key and b.key.startswith("remove_")]
        return [in_plain_words(b.label) for b in buttons]

    @property
    def ignored(self) -> str:
        notes = [in_plain_words(m.value) for m in self.run.markdown]
        return next((note for note in notes if note.startswith("This link contains")), "")

    def choices(self, name: str, within: str = "") -> Any:
        """The choices of a filter, opened."""
        self.add_filter(name)
        return self.run.pills(key=f"choose_{name}{within}")

    def add_filter(self, name: str) -> None:
        """Choose a filter from the menu, which opens it."""
        if f"remove_{name}" not in [button.key for button in self.run.button]:
            self.run.session_state["adding_filter"] = name
        self.run.session_state[f"filter_{name}"] = True
        self.run.run()
        assert not self.run.exception

    def counts(self, name: str, within: str = "") -> list[str]:
        return [in_plain_words(option) for option in self.choices(name, within).options]

    @property
    def address(self) -> dict[str, Any]:
        return dict(self.run.query_params)

    def panel(self, username: str) -> list[dict[str, Any]]:
        """The blocks of an account, its row opened."""
        id_ = next(row["id"] for row in self.table["rows"] if row["label"] == username)
        self.run.session_state["users"] = {"open": [id_]}
        self.run.run()
        return self.table["details"][id_]


def in_plain_words(label: str) -> str:
    """A label without its markdown."""
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\):\w+\[(.*?)(?<!\\)\]", r"\1", label))


def page(name: str, **params: Any) -> Page:
    run = AppTest.from_file(PAGES / name, default_timeout=20)
    for param, value in params.items():
        run.query_params[param] = value
    run.run()
    assert not run.exception, [error.message for error in run.exception]
    return Page(run)


def users(**params: Any) -> Page:
    return page("users.py", **params)


def load_all(home: Home, *accounts: Delivered, **delivery: str) -> None:
    path = deliver(home, accounts, **delivery)
    os.utime(path, (0, 0))  # old enough to be complete
    outcomes = load_inbox(open_store(home.database_url), home)
    errors = [outcome.reason for outcome in outcomes if isinstance(outcome, Quarantined)]
    assert not errors


def accounts(count: int, **same: str) -> list[Delivered]:
    return [
        Delivered(user=f"User {n:03} <u{n}@x.io>", username=f"user{n:03}", **same)
        for n in range(count)
    ]


ADA = Delivered("Ada Lovelace <ada@x.io>", "ada", "Admin; Editor", "yes", "00u1", "Onboarded")
BOB = Delivered("Bob <bob@x.io>", "bob", "Editor", "no", "00u2", "Update failed")
CY = Delivered("", "cy", "", "", "", "Deleted")
AS_OF = "2026-01-01T06:00:00Z"


# ---- every page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OF_ACCOUNTS))
def test_every_page_explains_how_to_load_a_first_snapshot(home: Home, name: str) -> None:
    shown = page(name)
    assert [s.value for s in shown.run.subheader] == ["No snapshots yet"]
    assert str(home.inbox) in shown.run.code[0].value


@pytest.mark.parametrize("name", sorted(OF_ACCOUNTS - {"changes.py", "matching.py", "review.py"}))
def test_every_page_draws_rows(home: Home, name: str) -> None:
    """Changes, Matching and Review need other data and have tests of their own."""
    load_all(home, ADA, BOB, CY)
    shown = page(name)
    assert "No snapshots yet" not in [s.value for s in shown.run.subheader]
    assert shown.run.get("bidi_component") or shown.run.get("plotly_chart")


def test_the_navigation_opens_health_first_and_then_users(home: Home) -> None:
    load_all(home, ADA)
    shown = page("navigation.py")
    assert [t.value for t in shown.run.title] == ["Health"]
    shown.run.switch_page("users.py").run()
    assert not shown.run.exception
    assert [t.value for t in shown.run.title] == ["Users"]
    assert shown.usernames == ["ada"]


@pytest.mark.parametrize("name", ["users.py", "health.py"])
def test_no_filter_fails_on_an_empty_store(home: Home, name: str) -> None:
    for param, value in ONE_VALUE_EACH:
        page(name, **{param: value})


# ---- users: the list -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "usernames"),
    [
        ({}, ["ada", "bob", "cy"]),
        ({"state": "Update failed"}, ["bob"]),
        ({"state": ["Update failed", "Deleted"]}, ["bob", "cy"]),
        ({"role": "Editor"}, ["ada", "bob"]),
        ({"role": "Admin"}, ["ada"]),
        ({"active": "yes"}, ["ada"]),
        ({"active": "no"}, ["bob"]),
        ({"active": "unknown"}, ["cy"]),
        ({"match": "matched"}, ["ada", "bob"]),
        ({"match": "unmatched"}, ["cy"]),
        ({"q": "LOVELACE"}, ["ada"]),
        ({"q": "bob@"}, ["bob"]),
        ({"q": "00U2"}, ["bob"]),
        ({"q": "c", "active": "unknown"}, ["cy"]),
        ({"q": "ada", "active": "no"}, []),
        ({"integration": "figma"}, ["ada", "bob", "cy"]),
    ],
)
def test_each_parameter_of_the_address_filters_the_list(
    home: Home, params: dict[str, Any], usernames: list[str]
) -> None:
    load_all(home, ADA, BOB, CY)
    shown = users(**params)
    assert sorted(shown.usernames) == usernames
    assert shown.address == params


def test_the_count_shows_the_listed_accounts_of_all_accounts(home: Home) -> None:
    load_all(home, ADA, BOB, CY)
    assert users().count == "**3** accounts"
    assert users(active="yes").count == "**1** of 3 accounts"


def test_an_empty_list_suggests_filters_to_remove(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = users(state="Deleted", active="yes", q="a")
    assert shown.usernames == []
    assert shown.table["empty"] == "No accounts match. Remove a filter:"
    ways_out = [b for b in shown.run.button if b.key and b.key.startswith("suggest_")]
    assert [b.label.replace("\\", "") for b in ways_out] == [
        "Remove “a” (0 accounts)",
        "Remove Deleted (1 account)",
        "Remove active (0 accounts)",
    ]
    ways_out[1].click().run()
    assert shown.usernames == ["ada"]
    assert shown.address == {"q": "a", "active": "yes"}


@pytest.mark.parametrize(
    "param",
    ["integration", "state", "role", "active", "match", "as_of", "updated_from", "waiting"],
)
def test_an_invalid_filter_has_no_effect(home: Home, param: str) -> None:
    load_all(home, ADA, BOB)
    for value in HOSTILE_VALUES:
        shown = users(**{param: value})
        assert shown.usernames == ["ada", "bob"], value
        assert bool(shown.ignored) == bool(value), value


def test_parameters_without_effect_are_listed_in_one_note(home: Home) -> None:
    load_all(home, ADA)
    shown = users(state=["Foo", "Onboarded"], active=["yes", "no"], sort="size", color="red")
    assert shown.usernames == ["ada"]
    assert shown.ignored == (
        "This link contains filters Rollcall does not know: state=Foo, active=no, sort=size."
    )
    shown = users(role=[f"r{n}" for n in range(5)], page="-1")
    assert shown.ignored == (
        "This link contains filters Rollcall does not know: role=r0, role=r1, role=r2 and 3 more. "
        "Showing all accounts."
    )
    assert users(state="Onboarded", active="yes", page="1", sort="-user", color="red").ignored == ""


@pytest.mark.parametrize("name", ["matching.py", "audit.py"])
def test_pages_that_show_only_the_present_ignore_as_of(home: Home, name: str) -> None:
    load_all(home, ADA)
    expected = f"This link contains a filter Rollcall does not know: as_of={AS_OF}."
    assert page(name, as_of=AS_OF).ignored == expected
    assert page(name).ignored == ""


def test_a_hostile_address_is_shown_as_text_and_cut_short(home: Home) -> None:
    load_all(home, ADA)
    note = users(state="**x** ![](http://evil.example/p.png)\0" + "y" * 100_000).ignored
    assert note.startswith(
        "This link contains a filter Rollcall does not know: state=**x** ![](http://evil"
    )
    assert len(note) < 180


@pytest.mark.parametrize("param", ["q", "role", "integration", "state", "as_of", "sort", "page"])
def test_very_long_parameters_do_not_break_the_page(home: Home, param: str) -> None:
    load_all(home, ADA)
    users(**{param: "x" * 100_000})
    users(**{param: [f"{n}" for n in range(500)]})


def test_a_role_without_accounts_gives_an_empty_list(home: Home) -> None:
    load_all(home, ADA, BOB, taken_at=YESTERDAY)
    load_all(home, ADA._replace(roles="Editor"), BOB, taken_at=TODAY)
    shown = users(role="Admin")
    assert (shown.usernames, shown.ignored) == ([], "")


@pytest.mark.parametrize("param", ["sort", "page", "unheard_of"])
def test_an_invalid_order_or_page_shows_the_first_page(home: Home, param: str) -> None:
    load_all(home, *accounts(60))
    for value in HOSTILE_VALUES:
        assert users(**{param: value}).usernames[0] == "user000", value


def test_any_text_can_be_searched_for(home: Home) -> None:
    load_all(home, ADA)
    for value in HOSTILE_VALUES:
        none = value.strip("\0") == ""
        assert users(q=value).usernames == (["ada"] if none else []), value


def test_percent_sign_and_underscore_are_no_wildcards(home: Home) -> None:
    load_all(home, ADA, Delivered(username="a_b"), Delivered(username="100%"))
    assert users(q="_").usernames == ["a_b"]
    assert users(q="%").usernames == ["100%"]


def test_integration_is_a_column_only_if_there_are_several(
    home: Home,
) -> None:
    load_all(home, ADA)
    assert "Integration" not in users().headings
    load_all(home, BOB, integration="okta")
    assert "Integration" in users().headings
    assert "Integration" in users(integration=["figma", "okta"]).headings
    assert "Integration" not in users(integration="okta").headings
    assert users(integration="okta").usernames == ["bob"]


def test_the_table_has_its_columns_in_the_specified_order(home: Home) -> None:
    load_all(home, ADA)
    assert users().headings == [
        "User",
        "Username in app",
        "App access",
        "Active in app",
        "Upstream user ID",
        "Provisioning state",
        "Last updated",
    ]


def test_an_unmatched_account_is_marked_in_grey(home: Home) -> None:
    load_all(home, CY)
    cell = users().table["rows"][0]["cells"]["user"]
    assert cell == {"kind": "quiet", "text": "Unmatched"}


# ---- users: order and pages ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "usernames"),
    [
        ("user", ["ada", "bob", "cy"]),
        ("-user", ["bob", "ada", "cy"]),  # those without a user last either way
        ("username_in_app", ["ada", "bob", "cy"]),
        ("-username_in_app", ["cy", "bob", "ada"]),
        ("roles", ["cy", "bob", "ada"]),
        ("provisioning_state", ["ada", "bob", "cy"]),
        ("-provisioning_state", ["cy", "bob", "ada"]),
        ("upstream_user_id", ["ada", "bob", "cy"]),
    ],
)
def test_the_address_sets_the_order_of_the_list(
    home: Home, sort: str, usernames: list[str]
) -> None:
    load_all(home, CY, BOB, ADA)
    shown = users(sort=sort)
    assert shown.usernames == usernames
    assert shown.table["sort"] == {"key": sort.lstrip("-"), "descending": sort[0] == "-"}


def test_the_address_sets_the_page_of_the_list(home: Home) -> None:
    load_all(home, *accounts(PAGE_SIZE + 5))
    assert users().usernames == [f"user{n:03}" for n in range(PAGE_SIZE)]
    assert users(page="2").usernames == [f"user{n:03}" for n in range(PAGE_SIZE, PAGE_SIZE + 5)]


def test_a_page_can_be_longer_and_other_filters_keep_its_length(home: Home) -> None:
    load_all(home, *accounts(2 * PAGE_SIZE + 5))
    shown = users(rows="100")
    assert len(shown.usernames) == 2 * PAGE_SIZE
    assert shown.count == f"1–{2 * PAGE_SIZE} of **{2 * PAGE_SIZE + 5}** accounts"
    shown.run.button(key="Next accounts").click().run()
    assert shown.address == {"rows": "100", "page": "2"}
    assert len(shown.usernames) == 5
    assert shown.run.button(key="Next accounts").disabled
    shown.run.text_input(key="q").set_value("user00").run()
    assert shown.address == {"rows": "100", "q": "user00"}
    assert len(users(rows="7").usernames) == PAGE_SIZE
    assert users(rows="7").ignored.endswith("rows=7. Showing all accounts.")


@pytest.mark.parametrize("beyond", ["3", "999999999999999999999"])
def test_a_page_beyond_the_end_shows_the_first_page(home: Home, beyond: str) -> None:
    load_all(home, *accounts(PAGE_SIZE + 5))
    assert users(page=beyond).usernames[0] == "user000"


def test_a_new_filter_returns_to_the_first_page(home: Home) -> None:
    load_all(home, *accounts(2 * PAGE_SIZE + 5))
    shown = users(page="3")
    shown.run.text_input(key="q").set_value("user").run()
    assert shown.usernames[0] == "user000"


def test_a_list_that_shrinks_below_its_page_is_still_drawn(home: Home) -> None:
    load_all(home, *accounts(2 * PAGE_SIZE + 5))
    shown = users(page="3")
    load_all(home, *accounts(2 * PAGE_SIZE - 5), taken_at=TODAY)
    shown.run.run()
    assert not shown.run.exception
    assert shown.usernames[0] == "user000"


# ---- users: filters that are clicked -------------------------------------------------------------


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
    shown.run.button(key=f"preset_{preset}").click().run()
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
    assert in_plain_words(shown.run.button(key="preset_Failed").label) == "Failed"
    shown.run.button(key="preset_Failed").click().run()
    labels = [in_plain_words(shown.run.button(key=f"preset_{name}").label) for name in PRESETS]
    assert labels == ["Shown: Failed", "Longest open", "Unmatched", "Deleted but still active"]


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


def test_a_link_opens_the_rows_that_were_open(home: Home) -> None:
    load_all(home, ADA, BOB)
    first, second = (row["id"] for row in users().table["rows"])
    shown = users(open=[second, "999", "x"])
    assert list(shown.table["details"]) == [second]
    shown.run.text_input(key="q").set_value("b").run()
    assert shown.address == {"q": "b", "open": [second, "999", "x"]}
    assert first not in shown.table["details"]


def test_a_link_can_be_copied_as_of_now_and_as_of_the_latest_snapshot(home: Home) -> None:
    load_all(home, ADA, taken_at=TODAY)
    links = "".join(html.proto.body for html in users(role="Admin").run.get("html"))
    assert 'href="?role=Admin"' in links
    assert 'href="?role=Admin&amp;as_of=2026-01-02T06%3A00%3A00Z"' in links


def test_the_wanted_roles_come_first_and_are_marked(home: Home) -> None:
    load_all(home, ADA._replace(roles="Alpha; Beta; Gamma"))

    def roles(**params: str) -> tuple[list[str], int]:
        cell = users(**params).table["rows"][0]["cells"]["roles"]
        return cell["items"], cell["marked"]

    assert roles() == (["Alpha", "Beta", "Gamma"], 0)
    assert roles(role="Gamma") == (["Gamma", "Alpha", "Beta"], 1)
    assert roles(q="beta") == (["Beta", "Alpha", "Gamma"], 1)


def test_an_account_that_is_deleted_but_still_active_looks_like_a_warning(home: Home) -> None:
    load_all(home, ADA._replace(state="Deleted"))
    shown = users()
    cells = shown.table["rows"][0]["cells"]
    for cell in (cells["active_in_app"], cells["provisioning_state"]):
        assert (cell["tone"], cell["title"]) == ("warn", "Deleted but still active")
    notes = [block["text"] for block in shown.panel("ada") if block["kind"] == "note"]
    assert any(note.startswith("Deleted but still active: ") for note in notes)


def test_the_heading_names_the_time_zone(home: Home) -> None:
    load_all(home, ADA)
    assert users().table["columns"][-1]["suffix"] == "UTC"
    assert users(tz="Asia/Tokyo").table["columns"][-1]["suffix"] == "Asia/Tokyo"


def test_downloads_link_to_the_list_that_is_shown(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = users(state="Update failed", q="b&b=<1>", sort="-user")
    links = "".join(html.proto.body for html in shown.run.get("html"))
    assert "export/users.csv?q=b%26b%3D%3C1%3E&amp;state=Update+failed&amp;sort=-user" in links


# ---- users: the past -----------------------------------------------------------------------------


def test_as_of_lists_the_accounts_of_that_moment(home: Home) -> None:
    load_all(home, ADA, Delivered(username="gone", roles="Left"), taken_at=YESTERDAY)
    load_all(home, ADA._replace(state="Update failed"), BOB, taken_at=TODAY)
    then = users(as_of="2026-01-01T12:00:00Z")
    assert then.usernames == ["ada", "gone"]
    assert then.table["rows"][0]["cells"]["provisioning_state"]["text"] == "Onboarded"
    assert users(as_of="2026-01-01T12:00:00Z", role="Left").usernames == ["gone"]
    assert users().usernames == ["ada", "bob"]
    assert users(as_of="2020-01-01").usernames == []


def test_any_moment_between_the_first_and_the_latest_snapshot_can_be_chosen(home: Home) -> None:
    load_all(home, ADA, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, taken_at=TODAY)
    shown = users(q="a")
    shown.add_filter("as_of")
    picker = shown.run.datetime_input(key="moment")
    assert (picker.min, picker.max) == ("2026-01-01T06:00", "2026-01-02T06:00")
    quick = [b.label for b in shown.run.button if b.key and b.key.startswith("as_of_")]
    assert quick == [
        "Snapshot of 2026-01-02 06:00",
        "Snapshot of 2026-01-01 06:00",
        "One day before the latest snapshot",
    ]
    picker.set_value(datetime(2026, 1, 1, 12)).run()
    assert shown.address == {"q": "a", "as_of": "2026-01-01T12:00:00Z"}
    assert shown.usernames == ["ada"]
    shown.run.button(key="as_of_Snapshot of 2026-01-02 06:00").click().run()
    assert shown.address == {"q": "a", "as_of": "2026-01-02T06:00:00Z"}


def test_the_past_is_marked_and_leads_back_to_now(home: Home) -> None:
    load_all(home, ADA, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, taken_at=TODAY)
    shown = users(as_of="2026-01-01T12:00:00Z")
    assert any("As of 2026-01-01 12:00 UTC" in m.value for m in shown.run.markdown)
    shown.run.button(key="now").click().run()
    assert shown.usernames == ["ada", "bob"]
    assert shown.address == {}


# ---- users: an open row --------------------------------------------------------------------------


def blocks(panel: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [block for block in panel if block["kind"] == kind]


def test_an_open_row_shows_all_its_roles(home: Home) -> None:
    names = [f"Role {n:03}" for n in range(500)]
    load_all(home, ADA._replace(roles="; ".join(names)), BOB)
    shown = users()
    assert shown.table["rows"][0]["cells"]["roles"] == {
        "kind": "tags",
        "items": names[:40],
        "more": 460,
        "marked": 0,
    }
    (roles,) = blocks(shown.panel("ada"), "table")
    assert roles["caption"] == "Assigned roles (500)"
    assert [row[0] for row in roles["rows"]] == names
    assert roles["searchable"]


def test_an_open_row_shows_the_details_of_each_role(home: Home) -> None:
    details = [
        {"name": "Admin", "type": "Built-in", "description": "All", "via": "IT", "since": "2025"},
        {"name": "Editor"},
    ]
    load_all(home, ADA._replace(roles=json.dumps(details)))
    (roles,) = blocks(users().panel("ada"), "table")
    assert roles["columns"] == ["Role", "Type", "Description", "Via", "Since"]
    assert [[name, *(cell["text"] for cell in cells)] for name, *cells in roles["rows"]] == [
        ["Admin", "Built-in", "All", "IT", "2025"],
        ["Editor", "–", "–", "–", "first seen 1 Jan 2026"],
    ]


def test_an_open_row_shows_the_reason_of_a_failure(home: Home) -> None:
    load_all(home, BOB._replace(reason="Seat limit reached"))
    notes = blocks(users().panel("bob"), "note")
    assert (notes[0]["tone"], notes[0]["mark"]["text"]) == ("bad", "Update failed")
    assert notes[0]["text"] == "The update job failed."
    assert [(label, cell["text"]) for label, cell in notes[0]["items"]] == [
        ("Reason", "Seat limit reached")
    ]


def test_an_open_row_shows_the_history_newest_first(home: Home) -> None:
    load_all(home, ADA, taken_at="2026-01-01T06-00-00Z")
    load_all(home, ADA._replace(state="Update ongoing"), taken_at="2026-01-02T06-00-00Z")
    load_all(home, BOB, taken_at="2026-01-03T06-00-00Z")
    load_all(home, ADA._replace(roles="Viewer"), taken_at="2026-01-04T06-00-00Z")
    (history,) = blocks(users().panel("ada"), "timeline")
    assert [(event["when"][:10], event["title"]) for event in history["items"]] == [
        ("2026-01-04", "Returned"),
        ("2026-01-04", "Update ongoing → Onboarded"),
        ("2026-01-04", "1 role gained"),
        ("2026-01-04", "2 roles lost"),
        ("2026-01-03", "Removed"),
        ("2026-01-02", "Onboarded → Update ongoing"),
        ("2026-01-01", "First seen"),
    ]


def test_an_open_row_shows_values_that_could_not_be_read(home: Home) -> None:
    load_all(home, ADA._replace(state="Half done", active="perhaps"), BOB)
    shown = users()
    state, *notes = blocks(shown.panel("ada"), "note")
    assert state["text"] == "The state in the file, “Half done”, is not one Rollcall knows."
    assert [n["text"] for n in notes] == ["Could not read “Active in app”: “perhaps”"]


def test_an_account_without_roles_is_labeled(home: Home) -> None:
    load_all(home, CY)
    (roles,) = blocks(users().panel("cy"), "table")
    assert roles["caption"] == "No assigned roles"


@pytest.mark.parametrize("claimed", [["999"], ["x"], [None], "1", {"1": 1}, [["1"]]])
def test_a_row_that_is_not_shown_cannot_be_opened(home: Home, claimed: Any) -> None:
    load_all(home, ADA)
    shown = users()
    shown.run.session_state["users"] = {"open": claimed}
    shown.run.run()
    assert not shown.run.exception
    assert shown.table["details"] == {}


# ---- health --------------------------------------------------------------------------------------


def tile(shown: Page, label: str) -> list[str]:
    """The number on a tile, and its change."""
    parts = list(shown.run.get_by_key(f"tile_{label.replace(' ', '_')}"))
    (number,) = [part.proto.label for part in parts if part.type == "page_link"]
    change = next(part.proto.body for part in parts if part.type == "html")
    return [number, re.sub("<[^>]*>", "", change)]


def metric(shown: Page, label: str) -> str:
    return tile(shown, label)[0]


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


def alt(shown: Page, name: str) -> str:
    """The text that describes a chart to screen readers."""
    return next(c.proto.alt for c in shown.run.get("plotly_chart") if c.proto.alt.startswith(name))


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


def test_the_time_zone_is_remembered_across_pages(home: Home) -> None:
    load_all(home, ADA)
    shown = page("health.py", tz="Asia/Tokyo")
    del shown.run.query_params["tz"]  # as a click on another page and back leaves it
    shown.run.run()
    assert shown.run.selectbox(key="tz").value == "Asia/Tokyo"


def test_every_page_uses_the_chosen_time_zone_and_names_it_in_the_address(home: Home) -> None:
    load_all(home, ADA, taken_at=YESTERDAY)
    load_all(home, ADA, BOB, taken_at=TODAY)
    there = {"tz": "Asia/Tokyo"}
    (words,) = (code.value for code in page("changes.py", **there).run.code)
    assert "1 Jan 2026 15:00 → 2 Jan 2026 15:00 Asia/Tokyo" in words
    times = [
        row["cells"]["taken_at"]["text"] for row in page("snapshots.py", **there).table["rows"]
    ]
    assert times == ["2026-01-02 15:00", "2026-01-01 15:00"]
    then = {"as_of": "2026-01-01T06:00:00Z", **there}
    for name in ("users.py", "review.py", "health.py"):
        shown = page(name, **then)
        assert any("As of 2026-01-01 15:00 Asia/Tokyo" in m.value for m in shown.run.markdown)
    users = page("users.py", **there)
    users.run.button(key="preset_Failed").click().run()
    assert users.address["tz"] in ("Asia/Tokyo", ["Asia/Tokyo"])


def test_the_first_and_last_times_of_the_calendar_are_shown_in_every_zone(home: Home) -> None:
    load_all(home, ADA._replace(last_updated="9999-12-30T00:00:00Z"))
    (row,) = page("users.py", tz="Asia/Tokyo").table["rows"]
    assert row["cells"]["last_updated"]["title"] == "9999-12-30 09:00:00 Asia/Tokyo"
    page("users.py", as_of="9999-12-31T23:59:59Z", tz="Asia/Tokyo")
    page("users.py", as_of="0001-01-01", tz="America/New_York")


def test_back_continues_from_a_page_that_added_the_time_zone_to_its_address(home: Home) -> None:
    load_all(home, ADA)
    shown = page("navigation.py", tz="Asia/Tokyo")
    for amended in (True, False):  # at first, and where Back leads to the address of before
        del shown.run.query_params["tz"]
        shown.run.run()
        assert ("tz" in shown.run.query_params) is amended


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


# ---- text from the data --------------------------------------------------------------------------


def all_markdown(run: AppTest) -> str:
    """All text of a page that Streamlit reads as markdown or HTML, labels included."""
    texts = []
    for kind in ("markdown", "title", "subheader", "caption", "button", "metric", "html"):
        for element in run.get(kind):
            texts += [str(getattr(element, name, "")) for name in ("value", "label", "help")]
            texts.append(str(getattr(getattr(element, "proto", None), "body", "")))
    return "\n".join(texts)


@pytest.mark.parametrize("name", ["users.py", "health.py"])
def test_no_text_from_the_data_is_read_as_markdown_or_html(home: Home, name: str) -> None:
    load_all(home, *hostile_accounts())
    shown = page(name)
    markdown = all_markdown(shown.run)
    assert [text for text in HOSTILE if text in markdown] == []


def test_hostile_names_are_shown_unchanged(home: Home) -> None:
    load_all(home, *hostile_accounts())
    shown = users()
    assert sorted(shown.usernames) == sorted(f"{text}{n}" for n, text in enumerate(HOSTILE))
    offered = " ".join(shown.counts("role"))
    for text in HOSTILE:
        readable = " ".join(text.replace("\u202e", " ").split())  # it turns the direction round
        assert readable[:MAX_LABEL_LENGTH] in offered


def test_hostile_names_can_be_searched_for_and_chosen_as_roles(home: Home) -> None:
    load_all(home, *hostile_accounts(), ADA)
    for number, text in enumerate(HOSTILE[:-1]):
        assert users(q=text, role=text).usernames == [f"{text}{number}"]


# ---- the sample ----------------------------------------------------------------------------------


@pytest.fixture
def small_sample(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home that shows a small sample."""
    monkeypatch.delenv("ROLLCALL_NO_SAMPLE")
    monkeypatch.setattr("data.service.active_store.SAMPLE_DAYS", 2)
    monkeypatch.setattr("data.service.active_store.SAMPLE_INTEGRATIONS", 1)
    engine = open_store(_sample_url(home))
    made = sample_snapshots(
        tmp_path / "made", accounts=20, days=2, integrations=1, until=_latest_sample_time()
    )
    for path in made:
        load(engine, SnapshotFile.from_path(path))
    assert active_store(home).missing_snapshots == 0


def test_sample_data_is_labeled_and_can_be_removed(home: Home, small_sample: None) -> None:
    shown = page("navigation.py")
    assert any("sample data" in m.value for m in shown.run.markdown)
    assert shown.run.get("plotly_chart")
    shown.run.button(key="remove_sample").click().run()
    shown.run.button(key="remove_sample_confirm").click().run()
    assert not shown.run.exception
    assert [s.value for s in shown.run.subheader] == ["No snapshots yet"]
    assert "remove_sample" not in [button.key for button in shown.run.button]
    assert not any("sample data" in m.value for m in shown.run.markdown)


def test_real_data_replaces_the_sample(home: Home, small_sample: None) -> None:
    load_all(home, ADA)
    shown = page("navigation.py")
    assert not any("sample data" in m.value for m in shown.run.markdown)
    assert metric(shown, "Accounts") == "1"
