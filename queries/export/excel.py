"""Writes Excel files: sheets of rows, and a last sheet about them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, unseen by type checkers
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from data.files.headers import LIST_SHEET
from data.files.naming import parse_moment
from data.files.own_list import CUT_MARK, HEADINGS, UTC_SUFFIX
from queries.export.columns import TIME_COLUMNS
from queries.export.listing import ROLE_HEADINGS, Listing
from queries.export.manifest import SnapshotSource, build_manifest
from queries.people.history import HISTORY_HEADINGS, history_of, history_texts

MAX_SHEET_ROWS = 1_048_575
"""Rows of an Excel sheet below its headings. More rows continue on another sheet."""

MAX_CELL_LENGTH = 32_767
"""Characters of an Excel cell. One outside the basic plane counts as two."""

MIN_DATE, MAX_DATE = "1900-03-01", "9999-12-31"
"""Between these, all spreadsheets count days alike; Excel has no dates before 1900."""

PAPER_A4 = 9
MAX_HEADER_TITLE = 100
"""Characters; a header holds 255, including its codes."""

ROLE_WIDTHS = (18, 24, 30, 24, 24, 28, 18, 14, 40, 24, 22)

HISTORY_WIDTHS = (18, 24, 24, 30, 22, 22, 22, 14, 40)

OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}

CUT_NOTE = "{count} longer than the {most:,} characters of a cell and {ends} in “{mark}”."


class Sheet(NamedTuple):
    """Rows under headings."""

    name: str
    headings: Sequence[str]
    widths: Sequence[int]  # in characters
    batches: Iterator[pa.RecordBatch]
    times: Collection[str] = ()  # headings of columns with texts that can be times


SIGN_IN_HEADING = (f"{HEADINGS['last_sign_in']}{UTC_SUFFIX}",)
"""The heading over texts that are times or `Never`."""


def write_list_workbook(listing: Listing, path: Path) -> None:
    """Write the list as an Excel file; a second sheet has one row per account and role."""
    headings = [utc_heading(c.name, c.heading) for c in listing.columns]
    widths = [column.width for column in listing.columns]
    manifest = build_manifest(listing)

    def role_rows() -> Iterator[pa.RecordBatch]:
        """The store answers one query at a time: this one begins when the accounts are written."""
        yield from listing.batches(listing.role_rows())

    account_rows = listing.batches(listing.text_rows(listing.columns))
    accounts = Sheet(LIST_SHEET, headings, widths, account_rows, times=SIGN_IN_HEADING)
    roles = Sheet("Roles", ROLE_HEADINGS, ROLE_WIDTHS, role_rows(), times=ROLE_HEADINGS[-1:])
    sheets = (accounts, roles, *_history_sheets(listing))
    write_workbook(path, sheets, manifest.facts(), manifest.snapshots)


def _history_sheets(listing: Listing) -> Iterator[Sheet]:
    """For the accounts of one person, a sheet with all their versions."""
    if listing.request.filters.of_person:
        rows = map(history_texts, history_of(listing.con, listing.request.filters))
        headings = [*HISTORY_HEADINGS.values()]
        batch = pa.RecordBatch.from_pylist([dict(zip(headings, row, strict=True)) for row in rows])
        times = (HISTORY_HEADINGS["from"], HISTORY_HEADINGS["to"])
        yield Sheet("History", headings, HISTORY_WIDTHS, iter([batch]), times)


def utc_heading(name: str, heading: str) -> str:
    """The heading of a column, with the zone of its times, which cells of a sheet do not have."""
    return f"{heading}{UTC_SUFFIX}" if name in TIME_COLUMNS else heading


def write_workbook(
    path: Path,
    sheets: Sequence[Sheet],
    facts: Mapping[str, str],
    snapshots: Sequence[SnapshotSource],
) -> None:
    """Write an Excel file: text as text, times as times, frozen headings with filters.

    `facts` and `snapshots` go to a last sheet, About. The first fact is the title.
    """
    title = next(iter(facts.values()))
    with xlsxwriter.Workbook(str(path), OPTIONS) as book:
        book.set_properties({"title": title})
        writer = _Writer(book, title)
        for sheet in sheets:
            writer.write_rows(*sheet)
        writer.write_about(facts, snapshots)


class _Writer:
    """One workbook and its formats."""

    def __init__(self, book: xlsxwriter.Workbook, title: str) -> None:
        self.book, self.title, self.cut_count = book, title, 0
        self.bold = book.add_format({"bold": True})
        self.time_format = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})

    def write_rows(
        self,
        name: str,
        headings: Sequence[str],
        widths: Sequence[int],
        batches: Iterator[pa.RecordBatch],
        times: Collection[str],
    ) -> None:
        """Write the rows into as many sheets as they need."""
        may_be_time = [heading in times for heading in headings]
        sheet, row_number = self._add_sheet(name, headings, widths), 0
        for batch in batches:
            for row in zip(*map(_cell_values, batch.columns, may_be_time), strict=True):
                if row_number == MAX_SHEET_ROWS:
                    sheet.autofilter(0, 0, row_number, len(headings) - 1)
                    sheet, row_number = self._add_sheet(name, headings, widths), 0
                row_number += 1
                for column, value in enumerate(row):
                    if isinstance(value, str):
                        self._write_text(sheet, row_number, column, value)
                    elif isinstance(value, int):
                        sheet.write_number(row_number, column, value)
                    elif value is not None:
                        sheet.write_datetime(row_number, column, value, self.time_format)
        sheet.autofilter(0, 0, row_number, len(headings) - 1)

    def write_about(self, facts: Mapping[str, str], snapshots: Sequence[SnapshotSource]) -> None:
        """The last sheet: what the list is, what was cut, and the snapshots."""
        sheet = self.book.add_worksheet("About")
        sheet.set_column(0, 0, 18)
        sheet.set_column(1, 3, 40)
        all_facts = dict(facts)
        if self.cut_count:
            all_facts["Cut texts"] = _cut_note(self.cut_count)
        for row, (name, text) in enumerate(all_facts.items()):
            sheet.write_string(row, 0, name, self.bold)
            sheet.write_string(row, 1, truncate_cell(text))
        for column, heading in enumerate(("Snapshot of", "Taken at", "File", "SHA-256")):
            sheet.write_string(len(all_facts) + 1, column, heading, self.bold)
        for row, snapshot in enumerate(snapshots, start=len(all_facts) + 2):
            for column, text in enumerate(snapshot.as_dict().values()):
                sheet.write_string(row, column, truncate_cell(text))

    def _add_sheet(self, name: str, headings: Sequence[str], widths: Sequence[int]) -> Worksheet:
        number = 1 + sum(str(s.get_name()).startswith(name) for s in self.book.worksheets())
        sheet = self.book.add_worksheet(name if number == 1 else f"{name} {number}")
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        sheet.set_landscape()
        sheet.set_paper(PAPER_A4)
        sheet.fit_to_pages(1, 0)
        sheet.set_header(f"&L{self._header_title()}&R&A")
        sheet.set_footer("&R&P / &N")
        for column, (heading, width) in enumerate(zip(headings, widths, strict=True)):
            sheet.set_column(column, column, width)
            sheet.write_string(0, column, truncate_cell(heading), self.bold)
        return sheet

    def _header_title(self) -> str:
        """The title for a header, where & starts a code."""
        return self.title[:MAX_HEADER_TITLE].replace("&", "&&")

    def _write_text(self, sheet: Worksheet, row: int, column: int, text: str) -> None:
        cell = truncate_cell(text)
        self.cut_count += cell is not text
        sheet.write_string(row, column, cell)


def _cut_note(count: int) -> str:
    texts, ends = ("1 text is", "ends") if count == 1 else (f"{count:,} texts are", "end")
    return CUT_NOTE.format(count=texts, most=MAX_CELL_LENGTH, ends=ends, mark=CUT_MARK)


def _cell_values(column: pa.Array, may_be_time: bool) -> list[Any]:
    """The values as Python objects; a time that Excel does not have is text."""
    if pa.types.is_timestamp(column.type):
        return [text and _cell_time(text) for text in pc.cast(column, pa.string()).to_pylist()]
    values = column.to_pylist()
    return [text and _time_or_text(text) for text in values] if may_be_time else values


def _cell_time(text: str) -> datetime | str:
    """The time in `2026-11-23 06:00:00.000000`, or its ISO text where Excel cannot hold it."""
    if MIN_DATE <= text < MAX_DATE and text.endswith("000"):  # it has milliseconds
        return datetime.fromisoformat(text)
    return f"{text.replace(' ', 'T').removesuffix('.000000')}Z"


def _time_or_text(text: str) -> datetime | str:
    moment = parse_moment(text)
    return moment if moment and MIN_DATE <= str(moment) < MAX_DATE else text


def truncate_cell(text: str) -> str:
    """The text, or as much of it as a cell can hold with CUT_MARK at its end."""
    if len(text) <= MAX_CELL_LENGTH // 2:
        return text
    utf16 = text.encode("utf-16-le")
    if len(utf16) <= 2 * MAX_CELL_LENGTH:
        return text
    start = utf16[: 2 * (MAX_CELL_LENGTH - len(CUT_MARK))]
    return start.decode("utf-16-le", errors="ignore") + CUT_MARK
