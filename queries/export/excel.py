"""The filtered list as an Excel file: accounts, their roles, and what the file is of."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, unseen by type checkers
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from queries.export.listing import LISTING_COLUMNS, Listing, format_times
from queries.export.manifest import build_manifest

MAX_SHEET_ROWS = 1_048_575
"""Rows that an Excel sheet has below its headings; more go on in further sheets."""

MAX_CELL_LENGTH = 32_767
"""Characters that an Excel cell holds, one outside of the basic plane counted as two."""

MIN_DATE = datetime(1900, 3, 1)
MAX_DATE = datetime(9999, 12, 31)
"""Between these all spreadsheets count days alike; Excel has none before 1900."""

ROLE_WIDTHS = (18, 24, 24, 28, 18, 14, 40, 24, 22)
CHUNK_SIZE = 1 << 20  # bytes

OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class Sheet(NamedTuple):
    """Rows under their headings; the first batch has none."""

    name: str
    widths: Sequence[int]  # in characters
    batches: Iterator[pa.RecordBatch]


def workbook_chunks(listing: Listing) -> Generator[bytes, None, None]:
    """The list as an Excel file, and in a second sheet a row per role."""
    columns = listing.columns([name for name in LISTING_COLUMNS if name != "account_id"])
    widths = [column.width for column in columns]
    users = Sheet("Users", widths, listing.text_batches(columns))
    roles = Sheet("Roles", ROLE_WIDTHS, listing.role_batches())
    manifest = build_manifest(listing, [column.heading for column in columns])
    return workbook_file_chunks((users, roles), manifest.as_dict())


def workbook_file_chunks(
    sheets: Sequence[Sheet], manifest: Mapping[str, Any]
) -> Generator[bytes, None, None]:
    """An Excel file: text as text, real times, frozen headings with filters, and what it is of.

    It has to be complete before its first byte is known. Until then it gives empty chunks, so that
    who sends it notices when nobody waits any more.
    """
    with NamedTemporaryFile(suffix=".xlsx") as file:
        with xlsxwriter.Workbook(file.name, OPTIONS) as book:
            for sheet in sheets:
                for _ in _write_rows(book, *sheet):
                    yield b""
            _add_manifest_sheet(book, manifest)
        while chunk := file.read(CHUNK_SIZE):
            yield chunk


def _write_rows(
    book: xlsxwriter.Workbook, name: str, widths: Sequence[int], batches: Iterator[pa.RecordBatch]
) -> Iterator[None]:
    """Write the rows, a batch at a step, into as many sheets as they need."""
    time_format = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    headings = next(batches).schema.names
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
        yield
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
    """A last sheet with what the file is of."""
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
    """The values as Python has them; a time that Excel does not have is text."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    texts = format_times(column).to_pylist()
    return [time or text for time, text in zip(_supported_times(column), texts, strict=True)]


def _supported_times(times: pa.Array) -> list[datetime | None]:
    is_supported = pc.and_(  # pyright: ignore[reportAttributeAccessIssue]
        pc.greater_equal(times, MIN_DATE),  # pyright: ignore[reportAttributeAccessIssue]
        pc.less(times, MAX_DATE),  # pyright: ignore[reportAttributeAccessIssue]
    )
    return pc.if_else(is_supported, times, None).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]


def truncate_cell(text: str) -> str:
    """As much of the text as a cell holds."""
    if len(text) <= MAX_CELL_LENGTH // 2:
        return text
    return text.encode("utf-16-le")[: 2 * MAX_CELL_LENGTH].decode("utf-16-le", errors="ignore")
