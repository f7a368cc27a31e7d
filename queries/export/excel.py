"""Writes Excel files: sheets of rows, and a last sheet with the manifest."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, unseen by type checkers
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from queries.export.listing import LISTING_COLUMNS, ROLE_HEADINGS, Listing
from queries.export.manifest import build_manifest

MAX_SHEET_ROWS = 1_048_575
"""Rows of an Excel sheet below its headings. More rows continue on another sheet."""

MAX_CELL_LENGTH = 32_767
"""Characters of an Excel cell. One outside the basic plane counts as two."""

MIN_DATE, MAX_DATE = "1900-03-01", "9999-12-31"
"""Between these, all spreadsheets count days alike; Excel has no dates before 1900."""

ROLE_WIDTHS = (18, 24, 24, 28, 18, 14, 40, 24, 22)

OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class Sheet(NamedTuple):
    """Rows under headings."""

    name: str
    headings: Sequence[str]
    widths: Sequence[int]  # in characters
    batches: Iterator[pa.RecordBatch]


def write_list_workbook(listing: Listing, path: Path) -> None:
    """Write the list as an Excel file; a second sheet has one row per account and role."""
    columns = listing.columns([name for name in LISTING_COLUMNS if name != "account_id"])
    headings = [column.heading for column in columns]
    widths = [column.width for column in columns]
    users = Sheet("Users", headings, widths, listing.batches(listing.text_rows(columns)))
    roles = Sheet("Roles", ROLE_HEADINGS, ROLE_WIDTHS, listing.batches(listing.role_rows()))
    write_workbook(path, (users, roles), build_manifest(listing, headings).as_dict())


def write_workbook(path: Path, sheets: Sequence[Sheet], manifest: Mapping[str, Any]) -> None:
    """Write an Excel file: text as text, times as times, frozen headings with filters."""
    with xlsxwriter.Workbook(str(path), OPTIONS) as book:
        for sheet in sheets:
            _write_rows(book, *sheet)
        _add_manifest_sheet(book, manifest)


def _write_rows(
    book: xlsxwriter.Workbook,
    name: str,
    headings: Sequence[str],
    widths: Sequence[int],
    batches: Iterator[pa.RecordBatch],
) -> None:
    """Write the rows into as many sheets as they need."""
    time_format = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    sheet, row_number = _add_sheet(book, name, headings, widths), 0
    for batch in batches:
        for row in zip(*map(_cell_values, batch.columns), strict=True):
            if row_number == MAX_SHEET_ROWS:
                sheet.autofilter(0, 0, row_number, len(headings) - 1)
                sheet, row_number = _add_sheet(book, name, headings, widths), 0
            row_number += 1
            for column, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(row_number, column, truncate_cell(value))
                elif value is not None:
                    sheet.write_datetime(row_number, column, value, time_format)
    sheet.autofilter(0, 0, row_number, len(headings) - 1)


def _add_sheet(
    book: xlsxwriter.Workbook, name: str, headings: Sequence[str], widths: Sequence[int]
) -> Worksheet:
    bold = book.add_format({"bold": True})
    number = 1 + sum(str(sheet.get_name()).startswith(name) for sheet in book.worksheets())
    sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
    sheet.freeze_panes(1, 0)
    for column, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, truncate_cell(heading), bold)
    return sheet


def _add_manifest_sheet(book: xlsxwriter.Workbook, manifest: Mapping[str, Any]) -> None:
    """The last sheet: filters, snapshots and row count."""
    bold, sheet = book.add_format({"bold": True}), book.add_worksheet("About")
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 3, 40)
    fields = [(name, value) for name, value in manifest.items() if name != "snapshots"]
    for row, (name, value) in enumerate(fields):
        sheet.write_string(row, 0, name.replace("_", " ").capitalize(), bold)
        sheet.write_string(row, 1, truncate_cell(_cell_text(value)))
    for column, heading in enumerate(("Snapshot of", "Taken at", "File", "SHA-256")):
        sheet.write_string(len(fields) + 1, column, heading, bold)
    for row, source in enumerate(manifest["snapshots"], start=len(fields) + 2):
        for column, text in enumerate(source.values()):
            sheet.write_string(row, column, truncate_cell(text))


def _cell_text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}={v}" for name, values in value.items() for v in values)
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def _cell_values(column: pa.Array) -> list[Any]:
    """The values as Python objects; a time that Excel does not have is text."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    return [text and _cell_time(text) for text in pc.cast(column, pa.string()).to_pylist()]


def _cell_time(text: str) -> datetime | str:
    """The time in `2026-11-23 06:00:00.000000`, or its ISO text."""
    if MIN_DATE <= text < MAX_DATE:
        return datetime.fromisoformat(text)
    return f"{text.replace(' ', 'T').removesuffix('.000000')}Z"


def truncate_cell(text: str) -> str:
    """As much of the text as a cell can hold."""
    if len(text) <= MAX_CELL_LENGTH // 2:
        return text
    return text.encode("utf-16-le")[: 2 * MAX_CELL_LENGTH].decode("utf-16-le", errors="ignore")
