"""The filtered list as a file: the same rows in the same order, and no text that comes alive."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from builders import (
    TODAY,
    YESTERDAY,
    Account,
    Deliveries,
    an_account,
    an_unmatched_account,
    content_of,
    usernames,
)
from openpyxl.cell import Cell
from pyarrow import parquet
from sqlalchemy import Connection, literal, null, select

from data.states import STATE_NAMES
from data.store import transfer
from data.store.output import write_csv
from queries.export import excel, listing
from queries.export.columns import (
    ALL_COLUMNS,
    LISTING_COLUMNS,
    UnknownColumns,
    parse_columns,
)
from queries.export.formats import FORMATS, export_file
from queries.export.listing import Listing, ListRequest
from queries.export.manifest import build_manifest
from queries.filters import Filters

HEADINGS = [
    "Integration",
    "User",
    "Email",
    "Username in app",
    "App access",
    "Active in app",
    "Upstream user ID",
    "Provisioning state",
    "State source",
    "Reason",
    "Failure code",
    "Last updated",
    "Last sign-in",
    "Account ID",
]
FORMULAS = [
    '=HYPERLINK("http://x")',
    "+1",
    "-1",
    "@SUM(1)",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "=cmd|' /C calc'!A0",
]
HARMLESS = [
    "<img src=x onerror=alert(1)>",
    'say "hello"',
    "two\nlines",
    "old\r\nlines",
    "a,b;c\td",
    "it's =1 inside",
    "https://example.com",
    "mailto:x@y.io",
    "007",
    "1e5",
    "TRUE",
    "_x000D_",
    "\x01\x0b",
    "{=1}",
    "مرحبا \u202egnp.exe",
    "🦊" * 40,
    "x" * 10_000,
]


def file_of(
    con: Connection,
    form: str,
    *,
    sort: str = "username_in_app",
    columns: Sequence[str] = (),
    **filters: Any,
) -> bytes:
    request = ListRequest(Filters(**filters), sort, tuple(columns))
    return content_of(FORMATS[form].write, Listing(con, request))


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def csv_headings(content: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def parquet_table(content: bytes) -> pa.Table:
    return parquet.read_table(io.BytesIO(content))


def sheets(content: bytes) -> dict[str, list[tuple[Cell, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return {sheet.title: list(sheet.iter_rows()) for sheet in book.worksheets}


def values(rows: list[tuple[Cell, ...]], heading: str) -> list[Any]:
    place = [cell.value for cell in rows[0]].index(heading)
    return [row[place].value for row in rows[1:]]


NAME_OF = {column.heading: column.name for column in LISTING_COLUMNS.values()}


def column(con: Connection, form: str, heading: str, **filters: Any) -> list[Any]:
    content = file_of(con, form, **filters)
    if form == "xlsx":
        return values(sheets(content)["Accounts"], heading)
    if form == "json":
        return [account[NAME_OF[heading]] for account in json.loads(content)]
    if form == "parquet":
        return parquet_table(content)[NAME_OF[heading]].to_pylist()
    return [row[heading] for row in csv_rows(content)]


@pytest.fixture(scope="module")
def texts(a_store_to_read: Callable[[], Deliveries]) -> Iterator[Connection]:
    """Each odd text as user, email, role, upstream ID, reason and code of an account."""
    snapshots = a_store_to_read()
    snapshots.take(
        *(
            an_account(
                f"{n:02}",
                user=text,
                email=text,
                roles=[text],
                upstream_id=text,
                reason=text,
                code=text,
            )
            for n, text in enumerate(FORMULAS + HARMLESS)
        ),
        integration="odd",
    )
    snapshots.take(*(an_account(text) for text in FORMULAS), integration="=1+1")
    with snapshots.store.connect() as con:
        yield con


TEXTS = ("User", "Email", "Upstream user ID", "Reason", "Failure code")


@pytest.mark.parametrize("heading", [*TEXTS, "App access"])
def test_safe_csv_puts_an_apostrophe_before_what_a_spreadsheet_takes_for_a_formula(
    texts: Connection, heading: str
) -> None:
    found = column(texts, "csv", heading, integration=("odd",))
    in_list = [heading == "App access" and "|" in text for text in FORMULAS]  # a bar can part roles
    assert found[: len(FORMULAS)] == [
        json.dumps([text]) if listed else f"'{text}"
        for text, listed in zip(FORMULAS, in_list, strict=True)
    ]


def test_safe_csv_escapes_usernames_and_integrations_too(texts: Connection) -> None:
    rows = csv_rows(file_of(texts, "csv", integration=("=1+1",)))
    assert sorted(row["Username in app"] for row in rows) == sorted(f"'{t}" for t in FORMULAS)
    assert {row["Integration"] for row in rows} == {"'=1+1"}


@pytest.mark.parametrize("start", "=+-@\t\r\n＝＋－＠")
def test_no_cell_and_no_heading_of_a_safe_csv_starts_like_a_formula(
    texts: Connection, start: str
) -> None:
    rows = select(literal(f"{start}1"), null(), literal(""), literal("x"))
    headings = [f"{start}a", "b", "c", "d"]
    content = content_of(partial(write_csv, texts, rows, headings))
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert list(reader) == [[f"'{start}a", "b", "c", "d"], [f"'{start}1", "", "", "x"]]
    assert content.decode().endswith('1",,"","x"\n'), "no value is not an empty text"


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("heading", TEXTS)
def test_harmless_text_is_unchanged(texts: Connection, form: str, heading: str) -> None:
    found = column(texts, form, heading, integration=("odd",))[len(FORMULAS) :]
    if form == "xlsx":  # Excel's spelling of control characters
        found = [openpyxl.utils.escape.unescape(text) for text in found]
    assert found == HARMLESS


@pytest.mark.parametrize("form", ["raw.csv", "xlsx", "parquet", "json"])
@pytest.mark.parametrize("heading", TEXTS)
def test_other_formats_keep_formulas_as_plain_text(
    texts: Connection, form: str, heading: str
) -> None:
    found = column(texts, form, heading, integration=("odd",))
    assert found[: len(FORMULAS)] == FORMULAS


def test_no_text_becomes_a_formula_a_number_or_a_link_in_excel(texts: Connection) -> None:
    rows = sheets(file_of(texts, "xlsx"))["Accounts"]
    rows += sheets(file_of(texts, "xlsx"))["Roles"]
    cells = [cell for row in rows for cell in row if isinstance(cell.value, str)]
    assert len(cells) > 200
    assert {cell.data_type for cell in cells} == {"s"}
    assert not any(cell.hyperlink for cell in cells)


def test_excel_text_is_cut_to_the_length_of_a_cell(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(
        an_account("a", reason="x" * 40_000),
        an_account("b", reason="🦊" * 20_000),  # two each, as Excel counts
        an_account("c", reason="x" * 32_767),
    )
    reasons = column(con, "xlsx", "Reason")
    mark = "… [cut]"
    assert reasons == ["x" * 32_760 + mark, "🦊" * 16_380 + mark, "x" * 32_767]
    about = {row[0].value: row[1].value for row in sheets(file_of(con, "xlsx"))["About"]}
    assert about["Cut texts"] == (
        f"2 texts are longer than the 32,767 characters of a cell and end in “{mark}”."
    )
    assert [len(text) for text in column(con, "csv", "Reason")] == [40_000, 20_000, 32_767]


def test_excel_has_dates_and_no_value_for_times_that_could_not_be_read(
    snapshots: Deliveries, con: Connection
) -> None:
    times = ["2026-11-20T10:00:00Z", "1900-01-15T00:00:00Z", "9999-12-31T23:59:59Z", None]
    snapshots.take(*(an_account(f"u{n}", last_updated=time) for n, time in enumerate(times)))
    rows = sheets(file_of(con, "xlsx"))["Accounts"]
    assert values(rows, "Last updated (UTC)") == [
        datetime(2026, 11, 20, 10),
        None,
        None,
        None,
    ]
    [place] = [n for n, cell in enumerate(rows[0]) if cell.value == "Last updated (UTC)"]
    assert rows[1][place].is_date
    assert column(con, "csv", "Last updated") == ["2026-11-20T10:00:00Z", "", "", ""]


def a_mixed_list(snapshots: Deliveries) -> None:
    people: list[Account] = [
        an_account(f"u{n}", user=f"Name {9 - n % 5}", state=STATE_NAMES[n % 4]) for n in range(25)
    ]
    snapshots.take(*people, an_unmatched_account("bot"), at=YESTERDAY)
    snapshots.take(*people[5:], an_account("Ñandú"), at=TODAY)
    snapshots.take(an_account("other"), integration="slack")


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_file_lists_exactly_the_filtered_accounts_in_the_order_shown(
    snapshots: Deliveries, con: Connection, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "BATCH_SIZE", 7)
    a_mixed_list(snapshots)
    for filters in (
        {},
        {"state": STATE_NAMES[:2], "sort": "-user"},
        {"as_of": YESTERDAY, "sort": "last_updated"},
        {"integration": ("slack",), "sort": "user"},
        {"match": "unmatched", "as_of": YESTERDAY},
        {"q": "u1", "sort": "-provisioning_state"},
    ):
        shown = usernames(con, **{"sort": "username_in_app", **filters})
        assert column(con, form, "Username in app", **filters) == shown
        assert shown


@pytest.mark.parametrize("form", list(FORMATS))
def test_an_empty_list_is_a_file_of_headings(con: Connection, form: str) -> None:
    content = file_of(con, form)
    if form == "xlsx":
        found = [c.value for row in sheets(content)["Accounts"] for c in row]
        assert [text.removesuffix(" (UTC)") for text in found] == HEADINGS
    elif form == "json":
        assert json.loads(content) == []
    elif form == "parquet":
        assert parquet_table(content).num_rows == 0
        assert parquet_table(content).column_names == list(ALL_COLUMNS[:-1])
    else:
        assert csv_headings(content) == HEADINGS + ["Apostrophes added"] * (form == "csv")
        assert csv_rows(content) == []


@pytest.mark.parametrize("form", ["csv", "raw.csv"])
def test_csv_has_the_texts_of_the_page(snapshots: Deliveries, con: Connection, form: str) -> None:
    snapshots.take(
        an_account(
            "a",
            roles=["Editor", "Admin"],
            active="no",
            state="Update failed",
            code="E1",
            last_sign_in="never",
        ),
        an_unmatched_account("b", roles=[], active="", upstream_id=None, last_updated=None),
    )
    first, second = csv_rows(file_of(con, form, columns=ALL_COLUMNS[:-2]))
    assert first.pop("Apostrophes added", "") == ""
    assert first == {
        "Integration": "figma",
        "User": "Ada Lovelace",
        "Email": "ada@x.io",
        "Username in app": "a",
        "App access": "Admin; Editor",
        "Active in app": "No",
        "Upstream user ID": "00u1",
        "Provisioning state": "Update failed",
        "State source": "reported",
        "Reason": "",
        "Failure code": "E1",
        "Last updated": "2026-11-20T10:00:00Z",
        "Last sign-in": "Never",
    }
    assert {heading for heading, text in second.items() if text} == {
        "Integration",
        "Username in app",
        "Provisioning state",
        "State source",
    }


def test_more_accounts_than_a_sheet_holds_continue_on_another_sheet(
    snapshots: Deliveries, con: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, "MAX_SHEET_ROWS", 10)
    monkeypatch.setattr(transfer, "BATCH_SIZE", 4)
    snapshots.take(*(an_account(f"u{n:02}") for n in range(25)))
    book = sheets(file_of(con, "xlsx"))
    assert {name: len(rows) - 1 for name, rows in book.items()} == {
        "Accounts": 10,
        "Accounts 2": 10,
        "Accounts 3": 5,
        "Roles": 10,
        "Roles 2": 10,
        "Roles 3": 5,
        "About": len(book["About"]) - 1,
    }
    users = [rows for name, rows in book.items() if name.startswith("Accounts")]
    assert len({tuple(c.value for c in rows[0]) for rows in users}) == 1
    listed = [name for rows in users for name in values(rows, "Username in app")]
    assert listed == [f"u{n:02}" for n in range(25)]


@pytest.mark.parametrize("accounts", [9, 10])
def test_accounts_that_fit_on_one_sheet_are_on_one(
    snapshots: Deliveries, con: Connection, monkeypatch: pytest.MonkeyPatch, accounts: int
) -> None:
    monkeypatch.setattr(excel, "MAX_SHEET_ROWS", 10)
    snapshots.take(*(an_account(f"u{n:02}") for n in range(accounts)))
    assert list(sheets(file_of(con, "xlsx"))) == ["Accounts", "Roles", "About"]


def test_export_file_returns_the_number_of_accounts(
    snapshots: Deliveries, con: Connection, tmp_path: Path
) -> None:
    snapshots.take(an_account("a"), an_account("b"), an_account("c", state="Deleted"))
    path, filters = tmp_path / "users.csv", Filters(state=("Onboarded",))
    assert export_file(con, ListRequest(filters), path, "csv", with_manifest=False) == 2
    assert list(tmp_path.glob("*users*")) == [path]
    assert len(csv_rows(path.read_bytes())) == 2


# ---- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ([], ()),
        (["user_email,roles"], ("user_email", "roles")),
        (["App access", "User"], ("roles", "user_name")),
        (["account-id, ACCOUNT ID", "roles,"], ("account_id", "roles")),
    ],
)
def test_columns_are_chosen_by_name_or_heading(texts: list[str], names: tuple[str, ...]) -> None:
    assert parse_columns(texts) == names


def test_an_unknown_column_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(UnknownColumns, match=r"No such column: shoe\. Known: .*user_email.*"):
        parse_columns(["roles,shoe"])


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_file_has_the_chosen_columns_in_the_chosen_order(
    snapshots: Deliveries, con: Connection, form: str
) -> None:
    snapshots.take(an_account("ada", account_id="A-1"))
    content = file_of(con, form, columns=["account_id", "username_in_app"])
    if form == "xlsx":
        rows = sheets(content)["Accounts"]
        assert [[c.value for c in row] for row in rows] == [
            ["Account ID", "Username in app"],
            ["A-1", "ada"],
        ]
    elif form == "parquet":
        assert parquet_table(content).to_pylist() == [
            {"account_id": "A-1", "username_in_app": "ada"}
        ]
    elif form == "json":
        assert content == b'[\n{"account_id":"A-1","username_in_app":"ada"}\n]\n'
    else:
        marks = ["Apostrophes added"] * (form == "csv")
        assert csv_headings(content) == ["Account ID", "Username in app", *marks]
        assert [[*row.values()][:2] for row in csv_rows(content)] == [["A-1", "ada"]]


@pytest.mark.parametrize("form", list(FORMATS))
def test_each_attribute_has_its_own_column(
    snapshots: Deliveries, con: Connection, form: str
) -> None:
    odd = {"=Team": "=1+1", "a/b~c": "x", "Last course": "never"}
    snapshots.take(an_account("ada", **odd), an_account("bob", Seat="7"))
    content = file_of(con, form)
    names = sorted([*odd, "Seat"])
    if form == "json":
        first, second = json.loads(content)
        assert {name: first.get(name) for name in names} == {**odd, "Seat": None}
        assert second["Seat"] == "7"
        return
    if form == "csv":
        names = [name.replace("=Team", "'=Team") for name in names]
    if form == "xlsx":
        rows = sheets(content)["Accounts"]
        found = {name: values(rows, name) for name in names}
    elif form == "parquet":
        found = {name: parquet_table(content)[name].to_pylist() for name in names}
    else:
        found = {name: [row[name] or None for row in csv_rows(content)] for name in names}
    mark = "'" if form == "csv" else ""
    assert found == {
        f"{mark}=Team": [f"{mark}=1+1", None],
        "Last course": ["never", None],
        "Seat": [None, "7"],
        "a/b~c": ["x", None],
    }


# ---- formats -------------------------------------------------------------------------------------


def test_only_the_csv_for_spreadsheets_has_a_byte_order_mark(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(an_account("zoë"))
    assert file_of(con, "csv").startswith("\ufeff".encode())
    assert not file_of(con, "raw.csv").startswith("\ufeff".encode())


def test_excel_has_a_row_per_account_and_role(snapshots: Deliveries, con: Connection) -> None:
    known = {"name": "Admin", "type": "seat", "via": "sg-admins", "since": "2026-01-01"}
    snapshots.take(
        an_account(
            "ada",
            account_id="A-1",
            roles=[known, {"name": "Editor", "id": "r2", "since": "in May"}],
        ),
        an_account("bob", roles=["=Viewer"]),
        an_account("cy", roles=[]),
    )
    headings, *rows = sheets(file_of(con, "xlsx"))["Roles"]
    person = ["Ada Lovelace", "ada@x.io"]
    assert [cell.value for cell in headings] == list(listing.ROLE_HEADINGS)
    assert sorted([cell.value for cell in row][1:] for row in rows) == [
        [*person, "ada", "A-1", "Admin", None, "seat", None, "sg-admins", datetime(2026, 1, 1)],
        [*person, "ada", "A-1", "Editor", "r2", None, None, None, "in May"],
        [*person, "bob", "bob", "=Viewer", None, None, None, None, None],
    ]


def test_parquet_has_typed_times_lists_and_booleans(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account("ada", roles=["Editor", "Admin"], active="no"))
    content = file_of(con, "parquet", columns=["roles", "active_in_app", "last_updated"])
    assert parquet_table(content).to_pylist() == [
        {
            "roles": ["Admin", "Editor"],
            "active_in_app": False,
            "last_updated": datetime(2026, 11, 20, 10),
        }
    ]
    group = parquet.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    assert {group.column(n).compression for n in range(group.num_columns)} == {"ZSTD"}


def test_json_of_several_integrations_names_them(snapshots: Deliveries, con: Connection) -> None:
    snapshots.take(an_account("ada"))
    snapshots.take(an_account("bob"), integration="slack")
    manifest = [account["integration"] for account in json.loads(file_of(con, "json"))]
    assert manifest == ["figma", "slack"]
    alone = json.loads(file_of(con, "json", integration=("slack",)))
    assert "integration" not in alone[0]


@pytest.mark.parametrize("form", list(FORMATS))
def test_no_two_columns_have_one_name(snapshots: Deliveries, con: Connection, form: str) -> None:
    snapshots.take(an_account("ada", Email="a@x.io", email="b@x.io", **{"Email (attribute)": "c"}))
    content = file_of(con, form)
    if form == "xlsx":
        names = [str(cell.value) for cell in sheets(content)["Accounts"][0]]
    elif form == "parquet":
        names = parquet_table(content).column_names
    elif form == "json":
        names = list(json.loads(content, object_pairs_hook=list)[0])
        names = [name for name, _ in names]
    else:
        names = csv_headings(content)
    assert len(names) == len(set(names))
    assert {"Email (attribute)", "Email (attribute) (attribute)"} <= set(names)


@pytest.mark.parametrize(
    ("columns", "filters", "sentence"),
    [
        ((), {"integration": ("figma",)}, "Loads as the same accounts."),
        ((), {}, "Not for loading: it lists several integrations."),
        (("roles",), {}, "Not for loading: it does not have all columns."),
        (
            (),
            {"integration": ("figma",), "active": "yes"},
            "Loads as the same accounts, but filters leave out others of the snapshot.",
        ),
    ],
)
def test_a_list_says_whether_it_can_be_loaded_again(
    snapshots: Deliveries,
    con: Connection,
    columns: tuple[str, ...],
    filters: dict[str, Any],
    sentence: str,
) -> None:
    snapshots.take(an_account("ada"))
    snapshots.take(an_account("ada"), integration="slack")
    request = ListRequest(Filters(**filters), columns=columns)
    assert build_manifest(Listing(con, request)).loads_as == sentence


# ---- what a file is of ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "name"),
    [
        ({}, "users-2026-11-23T06-00-00Z.csv"),
        (
            {"integration": ("figma",), "state": ("Update failed",)},
            "users-figma-update-failed-2026-11-23T06-00-00Z.csv",
        ),
        ({"as_of": YESTERDAY}, "users-2026-11-22T06-00-00Z.csv"),
        ({"active": "no", "q": "../../etc"}, "users-etc-not-active-2026-11-23T06-00-00Z.csv"),
        ({"state": STATE_NAMES[:4]}, "users-4-states-2026-11-23T06-00-00Z.csv"),
        ({"q": 'Zoë "x"\u202e\r\n'}, "users-zoë-x-2026-11-23T06-00-00Z.csv"),
        ({"q": "x" * 200}, f"users-{'x' * 80}-2026-11-23T06-00-00Z.csv"),
    ],
)
def test_a_file_name_has_the_filters_and_the_time(
    snapshots: Deliveries, con: Connection, filters: dict[str, Any], name: str
) -> None:
    snapshots.take(an_account(), at=YESTERDAY)
    snapshots.take(an_account("bob"))
    assert build_manifest(Listing(con, ListRequest(Filters(**filters)))).file_name("csv") == name


def manifest_of(con: Connection, form: str, path: Path) -> dict[str, Any]:
    """What the file itself tells, or the one manifest_file it."""
    request = ListRequest(Filters(integration=("figma",), as_of=YESTERDAY), "-user")
    export_file(con, request, path, form, with_manifest=True)
    if form == "parquet":
        return json.loads(parquet.read_metadata(path).metadata[b"rollcall"])
    if form == "xlsx":
        rows = sheets(path.read_bytes())["About"]
        return {str(row[0].value): [cell.value for cell in row[1:]] for row in rows}
    return json.loads(path.with_name(f"{path.name}.about.json").read_text())


@pytest.mark.parametrize("form", ["csv", "raw.csv", "json", "parquet"])
def test_the_manifest_has_filters_snapshots_and_row_count(
    snapshots: Deliveries, con: Connection, tmp_path: Path, form: str
) -> None:
    delivered = snapshots.take(an_account(), an_account("bob"), at=YESTERDAY)
    snapshots.take(an_account())
    snapshots.take(an_account(), integration="slack")
    path = tmp_path / f"users.{form}"
    manifest = manifest_of(con, form, path)
    assert manifest["accounts"] == "in figma, as of 2026-11-22 06:00:00 UTC"
    assert manifest["filters"] == {"integration": ["figma"], "as_of": ["2026-11-22T06:00:00Z"]}
    assert manifest["sort"] == "-user"
    assert manifest["rows"] == 2
    assert manifest["snapshots"] == [
        {
            "integration": "figma",
            "taken_at": "2026-11-22T06:00:00Z",
            "file_name": "2026-11-22T06-00-00Z.ndjson",
            "sha256": hashlib.sha256(delivered.file.path.read_bytes()).hexdigest(),
        }
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["made_at"])
    manifest_file = json.loads(path.with_name(f"{path.name}.about.json").read_text())
    assert manifest_file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_excel_has_the_manifest_on_its_last_sheet(
    snapshots: Deliveries, con: Connection, tmp_path: Path
) -> None:
    snapshots.take(an_account(), at=YESTERDAY)
    manifest = manifest_of(con, "xlsx", tmp_path / "users.xlsx")
    assert {name: manifest[name][0] for name in ("List", "As of", "Sorted by", "Accounts")} == {
        "List": "Accounts in figma, as of 2026-11-22 06:00:00 UTC",
        "As of": "2026-11-22 06:00:00 UTC",
        "Sorted by": "User, descending",
        "Accounts": "1",
    }
    assert manifest["Load again"][0] == "Loads as the same accounts."
    assert manifest["figma"][:2] == ["2026-11-22T06:00:00Z", "2026-11-22T06-00-00Z.ndjson"]


def test_a_failed_export_leaves_the_old_file(
    snapshots: Deliveries, con: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Listing, path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setitem(FORMATS, "csv", FORMATS["csv"]._replace(write=fails))
    path = tmp_path / "users.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        export_file(con, ListRequest(Filters()), path, "csv", with_manifest=True)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.glob("*users*")] == ["users.csv"]


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_file_shows_one_moment_even_during_a_load(
    snapshots: Deliveries, con: Connection, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "BATCH_SIZE", 2048)
    snapshots.take(*(an_account(f"u{n:05}") for n in range(6000)))
    later_loads = [an_account("only")]

    def load_later() -> None:
        if later_loads:
            with ThreadPoolExecutor() as pool:
                later = TODAY + timedelta(days=1)
                pool.submit(snapshots.take, later_loads.pop(), at=later).result()

    one = Listing(con, ListRequest(Filters(), "username_in_app"), load_later)
    manifest = build_manifest(one)
    if form != "xlsx":  # which is read in batches
        load_later()
    content = content_of(FORMATS[form].write, one)
    assert later_loads == []
    if form == "xlsx":
        found = values(sheets(content)["Accounts"], "Username in app")
        assert len(sheets(content)["Roles"]) == 1 + 6000
    elif form == "parquet":
        found = parquet_table(content)["username_in_app"].to_pylist()
    elif form == "json":
        found = [account["username_in_app"] for account in json.loads(content)]
    else:
        found = [row["Username in app"] for row in csv_rows(content)]
    assert found == [f"u{n:05}" for n in range(6000)]
    assert manifest.rows == 6000
    con.rollback()
    assert usernames(con) == ["only"]
