"""Copies one sheet of a workbook as CSV. Runs in the process of `converter.py`."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetVisibleEnum,
)

from data.files.headers import FURTHER_SHEETS, LIST_SHEET, match_columns
from data.files.number_formats import formatted_cells, show_number, unread_places

MAX_EXACT = 10**15
"""Excel keeps 15 digits of a number; the others become zeros."""

SHEET_ROWS = (65_536, 1_048_576)
"""Rows of a full sheet: Excel up to 2003, and since."""

HEAD_ROWS = 50
"""Rows at the top of a sheet that show what it lists. In the copy, their cells are in quotes, so
that no other character can be taken for the delimiter."""

ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
"""Since 2007, a workbook with a password is in a part of this name, in a file like older ones."""

LINE_BREAK, CARRIAGE_RETURN = "\ufdd0", "\ufdd1"
"""Line breaks within a cell of the copy, as code points that are no characters. So a line of the
copy is a row of the sheet."""
TO_COPY = str.maketrans({"\n": LINE_BREAK, "\r": CARRIAGE_RETURN, "\0": "\ufffd"})
FROM_COPY = str.maketrans({LINE_BREAK: "\n", CARRIAGE_RETURN: "\r"})


@dataclass
class Summary:
    """What the copy is of."""

    sheets: list[str] = field(default_factory=list)  # all sheets with cells, as in the workbook
    sheet: str = ""  # the copied one
    is_hidden: bool = False
    others: list[str] = field(default_factory=list)  # sheets that look like such a list, too
    is_full: bool = False  # no row fits below
    has_merged_rows: bool = False
    lossy_numbers: int = 0  # with more digits than Excel keeps
    lossy_row: int = 0  # the first of their rows
    unread_places: int = 0  # to which numbers can be filled with zeros that are not read
    error: str = ""  # a key of ERRORS in conversion.py
    detail: str = ""


def copy_sheet(path: str, copy_path: str, name: str = "") -> Summary:
    """Copy the sheet of this name; without a name, the one that looks most like accounts."""
    summary = Summary()
    try:
        with CalamineWorkbook.from_path(path) as workbook:
            sheet = _choose_sheet(workbook, name, summary)
            if sheet:
                summary.unread_places = unread_places(path)
                formats = formatted_cells(path, sheet.name)
                write_csv(copy_path, _text_rows(sheet, summary, formats))
    except PasswordError:
        summary.error = "password"
    except CalamineError as error:
        summary.error, summary.detail = _error_key(path, str(error)), str(error)
    return summary


def _error_key(path: str, message: str) -> str:
    if "limit exceeded" in message:
        return "resources"
    if "Workbook stream" in message and ENCRYPTED_PACKAGE in Path(path).read_bytes():
        return "password"
    return "damaged"


# ---- which sheet ---------------------------------------------------------------------------------


def _choose_sheet(workbook: CalamineWorkbook, name: str, summary: Summary) -> CalamineSheet | None:
    best: tuple[tuple[int, ...], CalamineSheet] | None = None
    own = FURTHER_SHEETS if {LIST_SHEET, "About"} <= {*workbook.sheet_names} else ()
    for metadata in workbook.sheets_metadata:
        sheet = workbook.get_sheet_by_name(metadata.name)
        if not sheet.height:
            continue
        summary.sheets.append(sheet.name)
        is_visible = metadata.visible == SheetVisibleEnum.Visible
        is_list = int(sheet.name not in own)
        score = (int(sheet.name == name), is_list, *_sheet_score(sheet, is_visible=is_visible))
        if not best or score > best[0]:
            best, summary.sheet, summary.is_hidden = (score, sheet), sheet.name, not is_visible
            summary.others = []
        elif score == best[0] and not name:
            summary.others.append(sheet.name)
    if name and name not in summary.sheets:
        summary.error = "no sheet"
    elif not best:
        summary.error = "empty"
    return best[1] if best and not summary.error else None


def _sheet_score(sheet: CalamineSheet, *, is_visible: bool) -> tuple[int, ...]:
    """How much a sheet looks like a list of accounts; a hidden one, less than any visible list."""
    matched, table_rows = account_score(sheet.iter_rows())
    return int(table_rows > 0), int(is_visible), matched, 0 if matched else table_rows


def account_score(rows: Iterable[Iterable[Any]]) -> tuple[int, int]:
    """The most columns of a snapshot that a row of headings has; rows with several cells.

    Only the rows at the top count.
    """
    matched, table_rows = 0, 0
    for cells in islice(rows, HEAD_ROWS):
        filled = [str(cell) for cell in cells if cell != ""]
        columns = match_columns(filled)
        matched = max(matched, len(columns) if "username_in_app" in columns else 0)
        table_rows += len(filled) > 1
    return matched, table_rows


# ---- cells as text -------------------------------------------------------------------------------


def _text_rows(
    sheet: CalamineSheet, summary: Summary, formats: Iterator[tuple[int, dict[int, str]]]
) -> Iterator[list[str]]:
    """The rows from the top of the sheet. A merged cell has its value in each of its rows."""
    (last_row, _), (_, first_column) = sheet.end or (0, 0), sheet.start or (0, 0)
    summary.is_full = last_row + 1 in SHEET_ROWS
    formatted_row, formatted = next(formats, (-1, {}))
    merged: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (top, left), (bottom, _) in sheet.merged_cell_ranges or ():
        if bottom > top and left >= first_column:
            merged[top].append((left - first_column, bottom))
            summary.has_merged_rows = True
    running: dict[int, tuple[int, str]] = {}  # column → last row and text of a merged cell
    for number, cells in enumerate(sheet.iter_rows()):
        texts = [TEXT_OF[type(cell)](cell) for cell in cells]
        for cell in cells:
            if type(cell) is float or type(cell) is int:
                _check_number(cell, number + 1, summary)
        while -1 < formatted_row <= number:
            if formatted_row == number:
                _show_numbers(texts, cells, formatted, first_column)
            formatted_row, formatted = next(formats, (-1, {}))
        running = {column: ends for column, ends in running.items() if ends[0] >= number}
        for column, (_, text) in running.items():
            texts[column] = texts[column] or text
        for column, bottom in merged.get(number, ()):
            if column < len(texts):
                running[column] = bottom, texts[column]
        yield texts if any(texts) else []


def _check_number(value: float, row: int, summary: Summary) -> None:
    """Note a number that is not as its cell shows it."""
    if not float(value).is_integer():
        return
    if abs(value) >= MAX_EXACT:
        summary.lossy_numbers += 1
        summary.lossy_row = summary.lossy_row or row
    places = summary.unread_places
    if places > 1 and not summary.error and 0 <= value < 10 ** (places - 1):
        shown = f"{value:.0f}".zfill(places)
        summary.error, summary.detail = "zeros", f"{value:.0f} in row {row} can be {shown}"


def _show_numbers(
    texts: list[str], cells: Sequence[Any], formats: Mapping[int, str], first_column: int
) -> None:
    """Write whole numbers as their formats show them."""
    for column, number_format in formats.items():
        cell = cells[column - first_column]
        if type(cell) in (float, int) and 0 <= cell < MAX_EXACT and cell == int(cell):
            texts[column - first_column] = show_number(int(cell), number_format)


def number_text(value: float) -> str:
    """A number as Excel shows it: `12345` for 12345.0, `1.23456789012346E+17` for a longer one."""
    if not value.is_integer():
        return f"{value:.15g}"
    return str(int(value)) if abs(value) < MAX_EXACT else f"{value:.14E}"


def _duration_text(value: timedelta) -> str:
    seconds = round(value.total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' * (seconds < 0)}{hours}:{minutes:02}:{abs(seconds) % 60:02}"


def _cell_text(value: str) -> str:
    return value if value.isprintable() else value.translate(TO_COPY)


TEXT_OF: dict[type, Callable[[Any], str]] = {
    str: _cell_text,
    float: number_text,
    int: lambda value: number_text(float(value)),
    bool: lambda value: "true" if value else "false",
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _duration_text,
}


def write_csv(copy_path: str, rows: Iterator[list[str]]) -> None:
    """Write the rows; one without cells becomes an empty line."""
    with Path(copy_path).open("w", encoding="utf-8", newline="") as copy:
        _write(copy, rows)


def _write(copy: Any, rows: Iterator[list[str]]) -> None:
    quoted = csv.writer(copy, lineterminator="\n", quoting=csv.QUOTE_ALL)
    quoted.writerows(islice(rows, HEAD_ROWS))
    csv.writer(copy, lineterminator="\n").writerows(rows)
