"""A worksheet after what spreadsheet programs and people do to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders import Deliveries, an_account
from openpyxl import load_workbook

from data.records.rounds import DecisionOn, ItemKey, NewRound, start_round
from queries.filters import Filters
from queries.rounds.files import RoundFile
from queries.rounds.lists import Round, find_round
from queries.rounds.population import freeze_list
from queries.rounds.worksheet import Worksheet, read_worksheet, write_worksheet

ROUND_ID = "0123456789ab"
ACCOUNTS = [
    an_account("ada", account_id="000123", roles=["Admin", "Editor"]),
    an_account("=1+1", account_id="1E5", user="Zoë  \n Ångström "),
    an_account("2026-11-23", account_id="2026-11-23", user="TRUE", email=""),
    an_account("3.10", account_id="12345678901234567890", user=None, email=None, roles=[]),
    an_account(" lead", account_id="42", user="tab\there"),
]
FILES = Path(__file__).parent / "workbooks"
"""Worksheets of this round that LibreOffice has sorted, filtered, filled in and saved."""

DECISION, NOTE = 9, 10
ANSWERS = {"000123": "keep", "1E5": "revoke", "2026-11-23": "unsure", "42": "revoke"}


@pytest.fixture(scope="module")
def snapshots(a_store_to_read: Callable[[], Deliveries]) -> Deliveries:
    """A store with the accounts, in which the round is started."""
    made = a_store_to_read()
    made.take(*ACCOUNTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data.records.rounds.secrets.token_hex", lambda _: ROUND_ID)
        freeze = freeze_list(Filters(), is_by_role=False)
        start_round(made.store, NewRound("Q4", date(2099, 1, 1)), freeze, "Owner")
    return made


@pytest.fixture(scope="module")
def round_(snapshots: Deliveries) -> Round:
    with snapshots.store.connect() as con:
        found = find_round(con, ROUND_ID)
    assert found
    return found


@pytest.fixture
def path(snapshots: Deliveries, round_: Round, tmp_path: Path) -> Path:
    """A filled-in worksheet."""
    with snapshots.store.connect() as con:
        write_worksheet(RoundFile.read(con, round_, ()), tmp_path / "sheet.xlsx")
    return edit(tmp_path / "sheet.xlsx", fill_in)


def edit(path: Path, change: Callable[[Any], None]) -> Path:
    book = load_workbook(path)
    change(book["Worksheet"])
    book.save(path)
    return path


def fill_in(sheet: Any) -> None:
    for row in sheet.iter_rows(min_row=2):
        answer = ANSWERS.get(row[4].value, "")
        row[DECISION - 1].value = answer.capitalize()
        row[NOTE - 1].value = "1.50\n2026-01-01" if answer == "unsure" else None


def read(snapshots: Deliveries, round_: Round, path: Path) -> Worksheet:
    with snapshots.store.connect() as con:
        return read_worksheet(con, round_, path, "Grace")


def is_right(worksheet: Worksheet) -> bool:
    expected = {
        DecisionOn(ItemKey("figma", name), answer, "1.50\n2026-01-01" if answer == "unsure" else "")  # type: ignore[arg-type]
        for name, answer in ANSWERS.items()
    }
    assert worksheet.problems == []
    return set(worksheet.decisions) == expected and worksheet.empty == 1


def row_of(sheet: Any, account_id: str) -> int:
    return next(row[4].row for row in sheet.iter_rows(min_row=2) if row[4].value == account_id)


def sort_filter_and_hide(sheet: Any) -> None:
    """By the account ID, downwards; only what is revoked; without emails."""
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    for number, row in enumerate(sorted(rows, key=lambda r: r[4], reverse=True), start=2):
        for place, value in enumerate(row, start=1):
            sheet.cell(number, place).value = value
            sheet.cell(number, place).data_type = "s" if value else "n"  # “=1+1” is a text
        sheet.row_dimensions[number].hidden = row[DECISION - 1] != "Revoke"
    sheet.auto_filter.add_filter_column(DECISION - 1, ["Revoke"])
    sheet.column_dimensions["B"].hidden = True
    sheet.column_dimensions["F"].width = 3


def reformat(sheet: Any) -> None:
    """As a program does that takes texts for what they look like."""
    number = row_of(sheet, "2026-11-23")
    for column in (3, 5):
        sheet.cell(number, column).value = date(2026, 11, 23)
        sheet.cell(number, column).number_format = "DD.MM.YY"
    sheet.cell(number, 1).value = True
    sheet.cell(row_of(sheet, "42"), 5).value = 42


def append_blank_rows(sheet: Any) -> None:
    sheet.cell(40, 3).value = " "
    sheet.cell(3, 15).value = "my own remark, beside the table"


@pytest.mark.parametrize("change", [sort_filter_and_hide, reformat, append_blank_rows])
def test_what_a_spreadsheet_does_without_changing_a_text_does_no_harm(
    snapshots: Deliveries, round_: Round, path: Path, change: Callable[[Any], None]
) -> None:
    assert is_right(read(snapshots, round_, edit(path, change)))


@pytest.mark.parametrize("ending", ["xlsx", "ods"])
def test_a_worksheet_that_libreoffice_has_saved_is_read(
    snapshots: Deliveries, round_: Round, ending: str
) -> None:
    assert is_right(read(snapshots, round_, FILES / f"worksheet_libreoffice.{ending}"))


def cell(account_id: str, column: int, value: object) -> Callable[[Any], None]:
    def change(sheet: Any) -> None:
        sheet.cell(row_of(sheet, account_id), column).value = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cell("000123", 5, 123), ["123 of figma is not in this round", "000123 of figma is miss"]),
        (cell("1E5", 5, 100_000.0), ["100000 of figma is not in", "1E5 of figma is missing"]),
        (
            cell("2026-11-23", 3, "23.11.26"),
            ["Username in app: “2026-11-23” was changed into “23.11.26”."],
        ),
        (cell("42", 1, "Somebody Else"), ["User: “tab\there” was changed into “Somebody Else”."]),
        (
            lambda sheet: sheet.delete_rows(row_of(sheet, "42")),
            ["42 of figma is missing: row 6 of the download."],
        ),
        (
            cell("42", 5, "eve"),
            ["eve of figma is not in this round.", "42 of figma is missing: row 6"],
        ),
        (cell("42", DECISION, "Maybe"), ["Decision: “Maybe” is not Keep, Revoke, Unsure."]),
        (cell("12345678901234567890", NOTE, "why"), ["has a note, but no decision."]),
        (lambda sheet: sheet.append([c.value for c in sheet[2]]), ["Row 7 repeats row 2"]),
        (lambda sheet: sheet.delete_cols(2), ["is not its headings"]),
        (lambda sheet: sheet.insert_rows(1), ["is not its headings"]),
        (lambda sheet: setattr(sheet, "title", "Tabelle1"), ["not a worksheet of a review round"]),
    ],
)
def test_every_text_that_changed_is_named_and_nothing_is_taken(
    snapshots: Deliveries,
    round_: Round,
    path: Path,
    change: Callable[[Any], None],
    words: list[str],
) -> None:
    problems = "\n".join(read(snapshots, round_, edit(path, change)).problems)
    assert all(each in problems for each in words), problems
