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

from queries.export.listing import COLUMNS, Listing, times_told
from queries.export.manifest import about

SHEET_ROWS = 1_048_575
"""Rows that an Excel sheet has below its headings; more go on in further sheets."""

CELL = 32_767
"""Characters that an Excel cell holds, one outside of the basic plane counted as two."""

FIRST_DAY = datetime(1900, 3, 1)
LAST_DAY = datetime(9999, 12, 31)
"""Between these all spreadsheets count days alike; Excel has none before 1900."""

ROLE_WIDTHS = (18, 24, 24, 28, 18, 14, 40, 24, 22)
CHUNK = 1 << 20  # bytes

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
    columns = listing.columns([name for name in COLUMNS if name != "account_id"])
    widths = [column.width for column in columns]
    users = Sheet("Users", widths, listing.texts(columns))
    roles = Sheet("Roles", ROLE_WIDTHS, listing.roles())
    found = about(listing, [column.heading for column in columns])
    return workbook_of((users, roles), found.facts())


def workbook_of(sheets: Sequence[Sheet], facts: Mapping[str, Any]) -> Generator[bytes, None, None]:
    """An Excel file: text as text, real times, frozen headings with filters, and what it is of.

    It has to be complete before its first byte is known. Until then it gives empty chunks, so that
    who sends it notices when nobody waits any more.
    """
    with NamedTemporaryFile(suffix=".xlsx") as file:
        with xlsxwriter.Workbook(file.name, OPTIONS) as book:
            for sheet in sheets:
                for _ in _filled(book, *sheet):
                    yield b""
            _tell(book, facts)
        while chunk := file.read(CHUNK):
            yield chunk


def _filled(
    book: xlsxwriter.Workbook, name: str, widths: Sequence[int], batches: Iterator[pa.RecordBatch]
) -> Iterator[None]:
    """Write the rows, a batch at a step, into as many sheets as they need."""
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    headings = next(batches).schema.names
    sheet, last = _headed_sheet(book, name, headings, widths), 0
    for batch in batches:
        for row in zip(*map(_cells, batch.columns), strict=True):
            if last == SHEET_ROWS:
                sheet.autofilter(0, 0, last, len(headings) - 1)
                sheet, last = _headed_sheet(book, name, headings, widths), 0
            last += 1
            for column, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(last, column, fitting(value))
                elif value is not None:
                    sheet.write_datetime(last, column, value, moment)
        yield
    sheet.autofilter(0, 0, last, len(headings) - 1)


def _headed_sheet(
    book: xlsxwriter.Workbook, name: str, headings: Sequence[str], widths: Sequence[int]
) -> Worksheet:
    bold = book.add_format({"bold": True})
    nth = 1 + sum(str(sheet.get_name()).startswith(name) for sheet in book.worksheets())
    sheet = book.add_worksheet(name if nth == 1 else f"{name} {nth}")
    sheet.freeze_panes(1, 0)
    for column, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, fitting(heading), bold)
    return sheet


def _tell(book: xlsxwriter.Workbook, told: Mapping[str, Any]) -> None:
    """A last sheet with what the file is of."""
    bold, sheet = book.add_format({"bold": True}), book.add_worksheet("About")
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 3, 40)
    facts = [(name, value) for name, value in told.items() if name != "snapshots"]
    for row, (name, value) in enumerate(facts):
        sheet.write_string(row, 0, name.replace("_", " ").capitalize(), bold)
        sheet.write_string(row, 1, fitting(_in_a_cell(value)))
    for column, heading in enumerate(("Snapshot of", "Taken at", "File", "SHA-256")):
        sheet.write_string(len(facts) + 1, column, heading, bold)
    for row, source in enumerate(told["snapshots"], start=len(facts) + 2):
        for column, text in enumerate(source.values()):
            sheet.write_string(row, column, fitting(text))


def _in_a_cell(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}={v}" for name, values in value.items() for v in values)
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def _cells(column: pa.Array) -> list[Any]:
    """The values as Python has them; a time that Excel does not have is text."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    told = times_told(column).to_pylist()
    return [time or text for time, text in zip(_within_reach(column), told, strict=True)]


def _within_reach(times: pa.Array) -> list[datetime | None]:
    reached = pc.and_(  # pyright: ignore[reportAttributeAccessIssue]
        pc.greater_equal(times, FIRST_DAY),  # pyright: ignore[reportAttributeAccessIssue]
        pc.less(times, LAST_DAY),  # pyright: ignore[reportAttributeAccessIssue]
    )
    return pc.if_else(reached, times, None).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]


def fitting(text: str) -> str:
    """As much of the text as a cell holds."""
    if len(text) <= CELL // 2:
        return text
    return text.encode("utf-16-le")[: 2 * CELL].decode("utf-16-le", errors="ignore")
