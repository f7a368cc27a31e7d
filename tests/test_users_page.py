"""The Users page without a browser: the list, its addresses and its past."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from dropped_files import Delivered
from viewing import ADA, BOB, CY, TODAY, YESTERDAY, accounts, load_all, users

from data.home import Home
from queries.users.accounts import PAGE_SIZE

HOSTILE_VALUES = ["", "nonsense", "'; DROP TABLE account --", "\0", "%", "-1", "١", "9" * 400]


# ---- the address ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_invalid_filters_have_no_effect(home: Home, value: str) -> None:
    load_all(home, ADA, BOB)
    names = "integration state role active match as_of updated_from waiting".split()
    shown = users(**dict.fromkeys(names, value))
    assert shown.usernames == ["ada", "bob"]
    assert bool(shown.ignored) == bool(value)


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


def test_a_hostile_address_is_shown_as_text_and_cut_short(home: Home) -> None:
    load_all(home, ADA)
    note = users(state="**x** ![](http://evil.example/p.png)\0" + "y" * 100_000).ignored
    assert note.startswith(
        "This link contains a filter Rollcall does not know: state=**x** ![](http://evil"
    )
    assert len(note) < 180


def test_very_long_parameters_do_not_break_the_page(home: Home) -> None:
    load_all(home, ADA)
    for value in ("x" * 100_000, [f"{n}" for n in range(500)]):
        for name in ("q", "role"):  # the one is searched for, and the other leaves all accounts
            users(**dict.fromkeys((name, "integration", "state", "as_of", "sort", "page"), value))


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_an_invalid_order_or_page_shows_the_first_page(home: Home, value: str) -> None:
    load_all(home, *accounts(60))
    assert users(sort=value, page=value, unheard_of=value).usernames[0] == "user000"


def test_any_text_can_be_searched_for(home: Home) -> None:
    load_all(home, ADA)
    for value in HOSTILE_VALUES:
        none = value.strip("\0") == ""
        assert users(q=value).usernames == (["ada"] if none else []), value


def test_percent_sign_and_underscore_are_no_wildcards(home: Home) -> None:
    load_all(home, ADA, Delivered(username="a_b"), Delivered(username="100%"))
    assert users(q="_").usernames == ["a_b"]
    assert users(q="%").usernames == ["100%"]


# ---- the list ------------------------------------------------------------------------------------


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


def test_a_role_without_accounts_gives_an_empty_list(home: Home) -> None:
    load_all(home, ADA, BOB, taken_at=YESTERDAY)
    load_all(home, ADA._replace(roles="Editor"), BOB, taken_at=TODAY)
    shown = users(role="Admin")
    assert (shown.usernames, shown.ignored) == ([], "")


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


def test_a_link_opens_the_rows_that_were_open(home: Home) -> None:
    load_all(home, ADA, BOB)
    first, second = users().table["rows"]
    shown = users(open=[second["link"], "999", "x"])
    assert list(shown.table["details"]) == [second["id"]]
    shown.run.text_input(key="q").set_value("b").run()
    assert shown.address == {"q": "b", "open": [second["link"], "999", "x"]}
    assert first["id"] not in shown.table["details"]


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


# ---- the past ------------------------------------------------------------------------------------


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
