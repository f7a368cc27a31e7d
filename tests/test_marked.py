"""Marked rows of Users: what is downloaded, copied and noted of them, for every reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, content_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from test_notes_page import HOSTILE, events, press
from viewing import ADA, BOB, CY, Page, accounts, load_all, users

from data.access.roles import PersonalData, Visibility
from data.home import Home
from data.store.engine import restricted_engine
from queries.account_links import MAX_MARKED, account_link
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest
from queries.export.manifest import build_manifest
from queries.filters import Filters
from queries.notes import named_accounts
from queries.users.accounts import account_page
from widgets.users_table.marks import Marks

SHOWN, PSEUDONYMS = PersonalData.SHOWN, PersonalData.PSEUDONYMS
READERS = [
    Visibility(),
    Visibility(("figma",)),
    Visibility((), SHOWN),
    Visibility(None, PSEUDONYMS),
    Visibility(("slack",), PSEUDONYMS),
]
SORTS = ["user", "-user", "username_in_app", "-last_updated", "provisioning_state", "-account_id"]


@pytest.fixture(scope="module")
def office(a_store_to_read: Callable[[], Deliveries]) -> Iterator[Engine]:
    """Accounts of two integrations, some with the same ID, and one that has changed since."""
    snapshots = a_store_to_read()
    snapshots.take(an_account("ada", state="Update failed"), at=YESTERDAY)
    for name in ("figma", "slack"):
        made = (
            an_account(f"u{n}", account_id=f"id{n}", user=f"User {9 - n}", email=f"{n}@x.io")
            for n in range(4)
        )
        snapshots.take(*made, an_account("ada"), integration=name)
    return snapshots.store


def seen(store: Engine, reader: Visibility, sort: str = "user", **filters: Any) -> dict[str, str]:
    """What a reader can mark, in order: link → username, as the page has them."""
    with restricted_engine(store, reader).connect() as con:
        order, descending = sort.removeprefix("-"), sort.startswith("-")
        page = account_page(con, Filters(**filters), sort=order, descending=descending, page=1)
        return {
            account_link(row.integration, page.account_ids[row.account_key]): row.username_in_app
            for row in page.rows
        }


def downloaded(
    store: Engine, reader: Visibility, links: Sequence[str], sort: str = "user", **filters: Any
) -> list[dict[str, Any]]:
    """What is in the file of an address with `marked=`, and that its manifest counts the same."""
    address = {"marked": [",".join(links)], "sort": [sort]}
    request = ListRequest.from_params(address)
    request = ListRequest(Filters(marked=request.filters.marked, **filters), sort)
    with restricted_engine(store, reader).connect() as con:
        listing = Listing(con, request)
        rows = json.loads(content_of(FORMATS["json"].write, listing))
        assert build_manifest(listing).rows == len(rows)
        return rows


@settings(max_examples=25)
@given(data=st.data(), reader=st.sampled_from(READERS), sort=st.sampled_from(SORTS))
def test_the_file_has_exactly_the_marked_rows_in_the_order_of_the_list(
    office: Engine, data: st.DataObject, reader: Visibility, sort: str
) -> None:
    shown = seen(office, reader, sort)
    marked = data.draw(st.sets(st.sampled_from([*shown, "0" * 12]))) if shown else set()
    rows = downloaded(office, reader, [*marked], sort) if marked else []
    assert [row["username_in_app"] for row in rows] == [
        name for link, name in shown.items() if link in marked
    ]


def test_marked_accounts_that_the_reader_may_not_see_give_nothing(office: Engine) -> None:
    everybody = list(seen(office, Visibility()))
    assert len(everybody) == 10
    rows = downloaded(office, Visibility(("figma",)), everybody)
    assert set(seen(office, Visibility(("figma",)))) < set(everybody)
    assert [row.get("integration", "figma") for row in rows] == ["figma"] * 5
    assert downloaded(office, Visibility(()), everybody) == []
    behind = downloaded(office, Visibility(None, PSEUDONYMS), everybody)
    assert behind == [], "a name is no way to its pseudonym"
    with restricted_engine(office, Visibility(("figma",))).connect() as con:
        assert {name.integration for name in named_accounts(con, range(1, 99))} == {"figma"}


def test_marked_rows_are_those_of_the_moment(office: Engine) -> None:
    link = account_link("figma", "ada")
    (then,) = downloaded(office, Visibility(), [link], as_of=YESTERDAY)
    (now,) = downloaded(office, Visibility(), [link], as_of=TODAY)
    states = [row["provisioning_state"] for row in (then, now)]
    assert states == ["Update failed", "Onboarded"]


def test_an_address_names_accounts_up_to_a_limit_and_reads_as_a_count() -> None:
    links = [account_link("figma", str(n)) for n in range(MAX_MARKED + 9)]
    filters = Filters.from_params({"marked": [",".join(["x", links[0].upper(), *links])]})
    assert filters.marked == tuple(links[:MAX_MARKED])
    ((name, value),) = filters.params()
    assert len(f"{name}={value}") < 7_000, "an address of 8 KB, with room for other filters"


# ---- the page ------------------------------------------------------------------------------------


def use(shown: Page, action: str, marked: Any) -> None:
    """Press a button of the bar."""
    shown.run.session_state["users"] = {"marked": [action, marked]}
    shown.run.run()
    assert not shown.run.exception


def save_note(shown: Page, text: str) -> None:
    (area,) = shown.run.text_area
    area.set_value(text)
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "note_save")


def hints(shown: Page) -> dict[str, str]:
    return {row["label"]: row["hint"] for row in shown.table["rows"] if "hint" in row}


def test_each_row_brings_what_can_be_copied_of_it(home: Home) -> None:
    load_all(home, ADA, CY)
    shown = users()
    texts = {row["label"]: row["texts"] for row in shown.table["rows"]}
    ada = {"username_in_app": "ada", "user_email": "ada@x.io", "account_id": "ada"}
    assert texts == {"ada": ada, "cy": dict(zip(ada, ("cy", None, "cy"), strict=True))}
    assert [name for _, name in shown.table["marks"]["copies"]] == [*ada]


def test_one_note_is_written_on_all_marked_accounts(home: Home) -> None:
    load_all(home, ADA, BOB, CY)
    shown = users()
    ids = {row["label"]: row["id"] for row in shown.table["rows"]}
    use(shown, "note", [ids["ada"], ids["bob"]])
    assert "On 2 accounts, the same note on each." in [text.value for text in shown.run.text]
    save_note(shown, HOSTILE)
    assert hints(users()) == dict.fromkeys(("ada", "bob"), f"{HOSTILE}\n– Grace")
    assert events(home)[-1] == "wrote a note"
    shown = users()
    use(shown, "note", [*ids.values()])
    assert "On 3 accounts, the same note on each. It replaces 2 notes." in [
        text.value for text in shown.run.text
    ]
    shown.run.text_input(key="said_by").set_value("Hal")
    press(shown, "note_remove")
    assert hints(users()) == {}


def test_all_that_match_are_those_of_the_filters_on_every_page(home: Home) -> None:
    load_all(home, ADA, BOB, *accounts(60, state="Update failed", roles="Editor"))
    shown = users(state="Update failed", page="2")
    use(shown, "note", "all")
    save_note(shown, "Ask")
    assert len(hints(users(rows="100"))) == 61
    assert "ada" not in hints(users(rows="100"))


def test_files_are_of_the_whole_list_or_of_marked_rows_of_its_moment(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = users(state="Update failed", sort="-last_updated", columns="user,role_count")
    files = {label: addresses for label, *addresses in shown.table["marks"]["files"]}
    assert list(files) == ["CSV", "Excel"]
    lasting = "sort=-last_updated&columns=user_name%2Crole_count"
    assert files["CSV"] == [
        f"export/users.csv?state=Update+failed&{lasting}",
        f"export/users.csv?{lasting}",
    ]


def test_the_marks_hold_for_the_pages_and_orders_of_one_list(home: Home) -> None:
    load_all(home, ADA, BOB)
    scopes = [
        users(**address).table["marks"]["scope"]
        for address in (
            {},
            {"sort": "-user", "page": "2", "rows": "100", "columns": "user"},
            {"state": "Deleted"},
            {"as_of": "2026-01-02T06:00:00Z"},
        )
    ]
    assert scopes[0] == scopes[1]
    assert len(set(scopes)) == 3


@pytest.mark.parametrize("visitor", ["pseudonyms", "past"])
def test_notes_on_marked_rows_are_offered_to_those_who_may_write_them(
    home: Home, monkeypatch: pytest.MonkeyPatch, visitor: str
) -> None:
    load_all(home, ADA, BOB)
    past = {"as_of": "2026-11-29T00:00:00Z"} if visitor == "past" else {}
    if visitor == "pseudonyms":
        monkeypatch.setenv("ROLLCALL_PSEUDONYMS", "1")
    shown = users(**past)
    assert shown.table["marks"]["actions"] == []
    use(shown, "note", "all")
    assert not shown.run.text_area
    if visitor == "pseudonyms":
        rows = shown.table["rows"]
        assert [row["texts"]["username_in_app"] for row in rows] == shown.usernames
        assert "ada@" not in json.dumps(shown.table)


FORGED: list[Any] = [
    None, "all", ["note"], ["note", []], ["erase", "all"], ["note", [1, None]], ["note", "1"],
    ["note", {"1": 1}], [["note"], "all"],
]  # fmt: skip


@pytest.mark.parametrize("claimed", FORGED)
def test_anything_but_an_offered_action_on_rows_does_nothing(claimed: Any) -> None:
    done: list[Any] = []
    marks = Marks("", 2, [("note", "Note")], lambda *each: done.append(each))
    for state in ({"marked": claimed}, claimed):
        marks.react(state)
    assert done == []
    marks.react({"marked": ["note", ["1", "2", "3"]]})
    assert done == [("note", ["1", "2"])]


def test_rows_that_nobody_lists_get_no_note(home: Home) -> None:
    load_all(home, ADA)
    shown = users()
    use(shown, "note", ["x", "²", "9999", "1 OR 1=1", "-1"])
    assert not shown.run.text_area
