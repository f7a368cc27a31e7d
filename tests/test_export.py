"""The filtered list as a file: the same rows in the same order, and no text that comes alive."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from builders import (
    TODAY,
    YESTERDAY,
    Account,
    Deliveries,
    an_account,
    an_unmatched_account,
    usernames,
)
from openpyxl.cell import Cell
from sqlalchemy import Connection

from data.loading import SnapshotFile, load
from data.states import STATE_NAMES
from queries import export
from queries.export import FORMATS, export_file, listed_batches
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
    "Reason",
    "Failure code",
    "Last updated",
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


def file_of(con: Connection, form: str, *, sort: str = "username_in_app", **asked: Any) -> bytes:
    order, descending = sort.lstrip("-"), sort.startswith("-")
    batches = listed_batches(con, Filters(**asked), sort=order, descending=descending)
    return b"".join(FORMATS[form](batches))


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def sheets(content: bytes) -> dict[str, list[tuple[Cell, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return {sheet.title: list(sheet.iter_rows()) for sheet in book.worksheets}


def values(rows: list[tuple[Cell, ...]], heading: str) -> list[Any]:
    place = HEADINGS.index(heading)
    return [row[place].value for row in rows[1:]]


def column(con: Connection, form: str, heading: str, **asked: Any) -> list[Any]:
    content = file_of(con, form, **asked)
    if form == "xlsx":
        return values(sheets(content)["Users"], heading)
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
    assert found[: len(FORMULAS)] == [f"'{text}" for text in FORMULAS]


def test_safe_csv_neutralises_usernames_and_integrations_too(texts: Connection) -> None:
    rows = csv_rows(file_of(texts, "csv", integration=("=1+1",)))
    assert sorted(row["Username in app"] for row in rows) == sorted(f"'{t}" for t in FORMULAS)
    assert {row["Integration"] for row in rows} == {"'=1+1"}


@pytest.mark.parametrize("start", "=+-@\t\r\n＝＋－＠")
def test_no_cell_of_a_safe_csv_starts_like_a_formula(start: str) -> None:
    batch = export.pa.RecordBatch.from_pylist([{"a": f"{start}1", "b": None}, {"a": "", "b": "x"}])
    rows = csv_rows(b"".join(export.csv_chunks(iter([batch]))))
    assert rows == [{"a": f"'{start}1", "b": ""}, {"a": "", "b": "x"}]


@pytest.mark.parametrize("form", ["csv", "raw.csv", "xlsx"])
@pytest.mark.parametrize("heading", TEXTS)
def test_harmless_text_stays_as_it_is(texts: Connection, form: str, heading: str) -> None:
    found = column(texts, form, heading, integration=("odd",))[len(FORMULAS) :]
    if form == "xlsx":  # Excel's spelling of control characters
        found = [openpyxl.utils.escape.unescape(text) for text in found]
    assert found == HARMLESS


@pytest.mark.parametrize("form", ["raw.csv", "xlsx"])
@pytest.mark.parametrize("heading", TEXTS)
def test_raw_csv_and_excel_give_formulas_as_the_text_that_they_are(
    texts: Connection, form: str, heading: str
) -> None:
    found = column(texts, form, heading, integration=("odd",))
    assert found[: len(FORMULAS)] == FORMULAS


def test_no_text_becomes_a_formula_a_number_or_a_link_in_excel(texts: Connection) -> None:
    rows = sheets(file_of(texts, "xlsx"))["Users"]
    cells = [cell for row in rows for cell in row if isinstance(cell.value, str)]
    assert len(cells) > 100
    assert {cell.data_type for cell in cells} == {"s"}
    assert not any(cell.hyperlink for cell in cells)


def test_excel_gets_as_much_of_a_text_as_a_cell_holds(
    snapshots: Deliveries, con: Connection
) -> None:
    snapshots.take(
        an_account("a", reason="x" * 40_000),
        an_account("b", reason="🦊" * 20_000),  # two each, as Excel counts
        an_account("c", reason="x" * 32_767),
    )
    reasons = column(con, "xlsx", "Reason")
    assert reasons == ["x" * 32_767, "🦊" * 16_383, "x" * 32_767]
    assert [len(text) for text in column(con, "csv", "Reason")] == [40_000, 20_000, 32_767]


def test_excel_has_real_times_and_text_where_it_knows_no_such_time(
    snapshots: Deliveries, con: Connection
) -> None:
    times = ["2026-11-20T10:00:00Z", "1850-06-01T00:00:00Z", "9999-12-31T23:59:59Z", None]
    snapshots.take(*(an_account(f"u{n}", last_updated=time) for n, time in enumerate(times)))
    rows = sheets(file_of(con, "xlsx"))["Users"]
    assert values(rows, "Last updated") == [
        datetime(2026, 11, 20, 10),
        "1850-06-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        None,
    ]
    assert rows[1][-1].is_date
    assert column(con, "csv", "Last updated") == [time or "" for time in times]


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
    monkeypatch.setattr(export, "BATCH", 7)
    a_mixed_list(snapshots)
    for asked in (
        {},
        {"state": STATE_NAMES[:2], "sort": "-user"},
        {"as_of": YESTERDAY, "sort": "last_updated"},
        {"integration": ("slack",), "sort": "user"},
        {"match": "unmatched", "as_of": YESTERDAY},
        {"q": "u1", "sort": "-provisioning_state"},
    ):
        shown = usernames(con, **{"sort": "username_in_app", **asked})
        assert column(con, form, "Username in app", **asked) == shown
        assert shown


@pytest.mark.parametrize("form", list(FORMATS))
def test_an_empty_list_is_a_file_of_headings(con: Connection, form: str) -> None:
    content = file_of(con, form)
    if form == "xlsx":
        assert [[c.value for c in row] for row in sheets(content)["Users"]] == [HEADINGS]
    else:
        assert next(csv.reader(io.StringIO(content.decode()))) == HEADINGS
        assert csv_rows(content) == []


@pytest.mark.parametrize("form", ["csv", "raw.csv"])
def test_csv_says_what_the_page_says(snapshots: Deliveries, con: Connection, form: str) -> None:
    snapshots.take(
        an_account("a", roles=["Editor", "Admin"], active="no", state="Update failed", code="E1"),
        an_unmatched_account("b", roles=[], active="", upstream_id=None, last_updated=None),
    )
    first, second = csv_rows(file_of(con, form))
    assert first == {
        "Integration": "figma",
        "User": "Ada Lovelace",
        "Email": "ada@x.io",
        "Username in app": "a",
        "App access": "Admin; Editor",
        "Active in app": "No",
        "Upstream user ID": "00u1",
        "Provisioning state": "Update failed",
        "Reason": "",
        "Failure code": "E1",
        "Last updated": "2026-11-20T10:00:00Z",
    }
    assert {heading for heading, text in second.items() if text} == {
        "Integration",
        "Username in app",
        "Provisioning state",
    }


def test_more_accounts_than_a_sheet_holds_go_on_in_further_sheets(
    snapshots: Deliveries, con: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "SHEET_ROWS", 10)
    monkeypatch.setattr(export, "BATCH", 4)
    snapshots.take(*(an_account(f"u{n:02}") for n in range(25)))
    book = sheets(file_of(con, "xlsx"))
    assert {name: len(rows) - 1 for name, rows in book.items()} == {
        "Users": 10,
        "Users 2": 10,
        "Users 3": 5,
    }
    assert all([c.value for c in rows[0]] == HEADINGS for rows in book.values())
    listed = [name for rows in book.values() for name in values(rows, "Username in app")]
    assert listed == [f"u{n:02}" for n in range(25)]


@pytest.mark.parametrize("accounts", [9, 10])
def test_accounts_that_fit_into_one_sheet_are_in_one(
    snapshots: Deliveries, con: Connection, monkeypatch: pytest.MonkeyPatch, accounts: int
) -> None:
    monkeypatch.setattr(export, "SHEET_ROWS", 10)
    snapshots.take(*(an_account(f"u{n:02}") for n in range(accounts)))
    assert list(sheets(file_of(con, "xlsx"))) == ["Users"]


def test_a_raw_csv_loads_again_as_a_snapshot_of_the_same_accounts(
    snapshots: Deliveries, con: Connection, tmp_path: Path
) -> None:
    snapshots.take(
        *(
            an_account(f"{text}{n}", user=f"{text} X", reason=text)
            for n, text in enumerate(FORMULAS)
        ),
        *(
            an_account(f"{n}{text}", user=f"{text} X", reason=text)
            for n, text in enumerate(HARMLESS)
        ),
        *(an_account(f"s{n}", state=state) for n, state in enumerate((*STATE_NAMES, "odd"))),
        *(an_account(f"t{n}", active=word) for n, word in enumerate(("yes", "no", ""))),
        an_unmatched_account("u", upstream_id=None, last_updated=None),
        an_account("r1", roles=["Admin", "Editor"]),
        an_account("r2", roles=[]),
        an_account("r3", roles=["a;b", "c"]),
        an_account("r4", roles=["; x"]),
        an_account("r5", roles=["[1]", '["x"]', "=1"]),
        an_account("r6", roles=['O\'Brien "Q"', "a, b", "two\nlines"]),
        an_account("r7", roles=[{"name": "Owner", "type": "seat"}]),
        an_account("r8", roles=["[1]"]),
    )
    path = tmp_path / "again" / "2026-11-30T00-00-00Z.csv"
    path.parent.mkdir()
    path.write_bytes(file_of(con, "raw.csv"))
    loaded = load(snapshots.store, SnapshotFile.placed(path))
    assert (loaded.rejected, loaded.flagged) == (0, 1)  # the state that nobody knows

    def facts(integration: str) -> list[tuple[Any, ...]]:
        listed = export.all_accounts(
            Filters(integration=(integration,)), sort="username_in_app", descending=False
        )
        return [
            (
                row.username_in_app,
                row.user_name,
                row.user_email,
                row.roles,
                row.active_in_app,
                row.upstream_user_id,
                row.provisioning_state,
                row.state_reason,
                row.last_updated,
            )
            for row in con.execute(listed)
        ]

    con.rollback()
    assert facts("again") == facts("figma")


def test_a_file_on_disk_says_how_many_accounts_it_lists(
    snapshots: Deliveries, con: Connection, tmp_path: Path
) -> None:
    snapshots.take(an_account("a"), an_account("b"), an_account("c", state="Deleted"))
    path, filters = tmp_path / "users.csv", Filters(state=("Onboarded",))
    assert export_file(con, filters, path, "csv", sort="user", descending=False) == 2
    assert len(csv_rows(path.read_bytes())) == 2
