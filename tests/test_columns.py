"""The columns of the list: chosen once, for the page and for every file."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import openpyxl
import pyarrow.parquet as parquet
import pytest
import sqlalchemy as sa
from builders import TODAY, YESTERDAY, Deliveries, a_snapshot_file, an_account, content_of
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE
from sqlalchemy import Connection
from streamlit.testing.v1 import AppTest

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.schema import account_current
from data.store.engine import open_store
from queries.account_links import account_link
from queries.export.columns import (
    LISTING_COLUMNS,
    UnknownColumns,
    columns_text,
    parse_columns,
    split_columns,
)
from queries.export.formats import FORMATS, export_file
from queries.export.listing import Listing, ListRequest
from queries.export.manifest import build_manifest
from queries.filters import Filters
from queries.users.accounts import attribute_names, page_of_accounts
from widgets.columns_menu import chosen_names

ATTRIBUTES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
NAMES = st.lists(
    st.sampled_from([*LISTING_COLUMNS]) | ATTRIBUTES.map("attributes/{}".format), unique=True
)


@given(NAMES)
def test_an_address_keeps_the_columns_and_their_order(names: list[str]) -> None:
    assert split_columns([columns_text(names)]) == (names, [])


def test_an_attribute_with_a_comma_stands_in_quotes() -> None:
    names = ("attributes/Cost, center", "roles")
    assert columns_text(names) == '"attributes/Cost, center",roles'
    assert parse_columns([columns_text(names)]) == names


@pytest.mark.parametrize("text", ["shoe", "attributes/", 'a\nb,"c', "x" * 200_000])
def test_what_is_no_column_is_named_and_does_no_harm(text: str) -> None:
    assert split_columns([f"roles,{text}"])[1]
    with pytest.raises(UnknownColumns, match="No such column"):
        parse_columns([f"roles,{text}"])


@pytest.mark.parametrize(
    ("reported", "names"),
    [
        (["b", "a", "b", "c"], ["b", "a"]),
        ([], []),
        (["c"], []),
        (None, None),
        ("a", None),
        (["a", 1], None),
        ({"a": 1}, None),
    ],
)
def test_a_menu_gives_only_columns_that_it_shows(reported: Any, names: list[str] | None) -> None:
    assert chosen_names(reported, {"a": "A", "b": "B"}) == names


# ---- values --------------------------------------------------------------------------------------

TEAM = "attributes/Team, unit"
CHOSEN = ("account_id", "user_name", "role_count", "state_since", "open_since", TEAM)
HEADINGS = ["Account ID", "User", "Number of roles", "State since", "Open since", "Team, unit"]


@pytest.fixture
def two_days(snapshots: Deliveries) -> None:
    """An account whose job goes on since yesterday, and one of a person without a name."""
    ada: dict[str, Any] = {"account_id": "A-1", "roles": ["x", "y"], "Team, unit": "=1+1"}
    snapshots.take(an_account("ada", state="Provisioning awaiting", **ada), at=YESTERDAY)
    bob = an_account("bob", account_id="B-1", user=None, roles=[])
    snapshots.take(an_account("ada", state="Provisioning ongoing", **ada), bob)


@pytest.mark.usefixtures("two_days")
def test_every_file_has_exactly_the_chosen_columns_in_their_order(con: Connection) -> None:
    listing = Listing(con, ListRequest(Filters(), "username_in_app", CHOSEN))
    content = {form: content_of(FORMATS[form].write, listing) for form in FORMATS}

    ada = ["A-1", "Ada Lovelace", "2", "2026-11-23T06:00:00Z", "2026-11-22T06:00:00Z", "=1+1"]
    bob = ["B-1", "ada@x.io", "0", "2026-11-23T06:00:00Z", "", ""]
    rows = [*csv.reader(io.StringIO(content["raw.csv"].decode(), newline=""))]
    assert rows == [HEADINGS, ada, bob]
    rows = [*csv.reader(io.StringIO(content["csv"].decode("utf-8-sig"), newline=""))]
    assert rows == [HEADINGS, [*ada[:-1], "'=1+1"], bob]

    book = openpyxl.load_workbook(io.BytesIO(content["xlsx"]))
    heads, first, second = book["Accounts"].values
    zone = dict.fromkeys(("State since", "Open since"), " (UTC)")
    assert list(heads) == [f"{heading}{zone.get(heading, '')}" for heading in HEADINGS]
    assert first == ("A-1", "Ada Lovelace", 2, TODAY, YESTERDAY, "=1+1")
    assert second == ("B-1", "ada@x.io", 0, TODAY, None, None)

    table = parquet.read_table(io.BytesIO(content["parquet"]))
    assert table.column_names == [*CHOSEN[:-1], "Team, unit"]
    assert table["open_since"].to_pylist() == [YESTERDAY, None]
    assert json.loads(content["json"])[0] == {
        "account_id": "A-1",
        "user_name": "Ada Lovelace",
        "role_count": 2,
        "state_since": "2026-11-23T06:00:00Z",
        "open_since": "2026-11-22T06:00:00Z",
        "Team, unit": "=1+1",
    }
    assert build_manifest(listing).columns == HEADINGS


@pytest.mark.usefixtures("two_days")
def test_a_list_with_every_column_loads_as_the_same_accounts(
    con: Connection, snapshots: Deliveries, tmp_path: Path
) -> None:
    request = ListRequest(Filters(), columns=tuple(LISTING_COLUMNS))
    path = tmp_path / "list.csv"
    export_file(con, request, path, "csv", with_manifest=False)
    attributes = sa.select(account_current.c.attributes).order_by("username_in_app")
    before = con.execute(attributes).all()
    con.rollback()
    load(snapshots.store, SnapshotFile(path, "figma", TODAY + timedelta(days=1)))
    assert con.execute(attributes).all() == before


@pytest.mark.usefixtures("two_days")
def test_the_attributes_to_choose_are_those_of_the_shown_accounts(con: Connection) -> None:
    assert attribute_names(con, Filters()) == ["Team, unit"]
    assert attribute_names(con, Filters(q="bob")) == []


@pytest.mark.usefixtures("two_days")
@pytest.mark.parametrize(
    ("sort", "first"), [("open_since", "ada"), ("role_count", "bob"), ("user_email", "ada")]
)
def test_every_further_column_sorts(con: Connection, sort: str, first: str) -> None:
    rows = page_of_accounts(con, Filters(), sort=sort, descending=False, page=1)
    assert rows[0].username_in_app == first


# ---- the page ------------------------------------------------------------------------------------

PAGE = Path(__file__).parent.parent / "pages" / "users.py"


def users(
    home: Home, columns: str, **params: str
) -> tuple[AppTest, dict[str, Any], dict[str, Any]]:
    """The page of one account; what its menu and its table get."""
    account = an_account("ada", account_id="A-1", **{"Team, unit": "Nurses"})
    path = a_snapshot_file(home.inbox, [account])
    load(open_store(home.database_url), SnapshotFile(path, "figma", TODAY))
    run = AppTest.from_file(PAGE, default_timeout=PATIENCE)
    for name, value in ({"columns": columns} | params).items():
        run.query_params[name] = value
    run.run()
    assert not run.exception
    menu, table = (json.loads(c.proto.json) for c in run.get("bidi_component"))
    return run, menu, table


def test_an_address_gives_the_columns_of_the_table_the_menu_and_the_files(home: Home) -> None:
    text = columns_text((TEAM, "account_id", "user_name"))
    run, menu, table = users(home, f"{text},shoe,attributes/Shoe")
    assert [column["label"] for column in table["columns"]] == ["Team, unit", "Account ID", "User"]
    cells = table["rows"][0]["cells"]
    assert [cells[TEAM]["text"], cells["account_id"]["text"]] == ["Nurses", "A-1"]
    assert [name for name, _ in menu["chosen"]] == [TEAM, "account_id", "user_name"]
    files = next(h.value for h in run.get("html") if "/users.csv" in h.value)
    assert urlencode({"columns": text}) in unescape(files)
    note = next(m.value for m in run.markdown if m.value.startswith("This link")).replace("\\", "")
    assert "columns Rollcall does not know: columns=shoe, columns=attributes/Shoe." in note


def test_a_link_to_an_open_row_names_its_account_and_not_its_number_in_the_store(
    home: Home,
) -> None:
    _, _, table = users(home, "", open=account_link("figma", "A-1"))
    (row,) = table["rows"]
    assert list(table["details"]) == [row["id"]]
    assert row["link"] == account_link("figma", "A-1") != row["id"]
    _, _, table = users(home, "", open=row["id"])
    assert not table["details"]


def test_without_known_columns_the_table_has_the_usual_ones(home: Home) -> None:
    _, menu, table = users(home, "attributes/Shoe")
    assert menu["isDefault"]
    assert [column["key"] for column in table["columns"]][:2] == ["user", "username_in_app"]
