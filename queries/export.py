"""The filtered list as a file: every page of it, in the order shown, made a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, unseen by type checkers
import xlsxwriter
from pyarrow import csv
from sqlalchemy import ColumnElement, Connection, Select, String, case, cast, func, or_
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from queries.filters import Filters
from queries.users import all_accounts

BATCH = 20_000
"""Rows that are made into text at a time."""

FORMULA = "^([=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
"""How text starts that a spreadsheet takes for a formula; the last four are full-width."""

SHEET_ROWS = 1_048_575
"""Rows that an Excel sheet has below its headings; further accounts get further sheets."""

CELL = 32_767
"""Characters that an Excel cell holds, one outside of the basic plane counted as two."""

FIRST_DAY = datetime(1900, 3, 1)
LAST_DAY = datetime(9999, 12, 31)
"""Between these all spreadsheets count days alike; Excel has none before 1900."""

WIDTHS = (18, 24, 30, 24, 40, 12, 24, 22, 40, 14, 22)


def csv_chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """CSV, safe for spreadsheets: text that would be a formula gets an apostrophe in front."""
    return _as_csv(_neutralised(_told(batch)) for batch in batches)


def raw_csv_chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """CSV with every text as it was delivered; not for spreadsheets."""
    return _as_csv(_told(batch) for batch in batches)


def _as_csv(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for number, batch in enumerate(batches):
        sink = pa.BufferOutputStream()
        csv.write_csv(batch, sink, csv.WriteOptions(include_header=number == 0))
        yield sink.getvalue().to_pybytes()


def xlsx_chunks(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """An Excel file: text as text, real times, a frozen header with filters."""
    with NamedTemporaryFile(suffix=".xlsx") as file:
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        }
        with xlsxwriter.Workbook(file.name, options) as book:
            _fill(book, batches)
        while chunk := file.read(1 << 20):
            yield chunk


FORMATS: dict[str, Callable[[Iterator[pa.RecordBatch]], Iterator[bytes]]] = {
    "csv": csv_chunks,
    "raw.csv": raw_csv_chunks,
    "xlsx": xlsx_chunks,
}
"""File name ending → what writes it. A new format is one function and one line here."""


def listed_batches(
    con: Connection, filters: Filters, *, sort: str, descending: bool
) -> Iterator[pa.RecordBatch]:
    """One row per account of the filtered list, the columns headed as on the page."""
    rows = con.execution_options(duckdb_arrow=True).execute(
        _headed(filters, sort=sort, descending=descending)
    )
    table: pa.Table = rows.arrow  # type: ignore[attr-defined]
    yield from table.to_batches(max_chunksize=BATCH) or [_no_rows(table.schema)]


def export_file(
    con: Connection, filters: Filters, path: Path, form: str, *, sort: str, descending: bool
) -> int:
    """Write the filtered list to a file; answers with how many accounts it lists."""
    rows = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in listed_batches(con, filters, sort=sort, descending=descending):
            rows += batch.num_rows
            yield batch

    with path.open("wb") as file:
        for chunk in FORMATS[form](counted()):
            file.write(chunk)
    return rows


def _headed(filters: Filters, *, sort: str, descending: bool) -> Select[*tuple[Any, ...]]:
    listed = all_accounts(filters, sort=sort, descending=descending)
    row = listed.selected_columns
    active = case(
        (row.active_in_app.is_(True), "Yes"), (row.active_in_app.is_(False), "No"), else_=""
    )
    return listed.with_only_columns(
        row.integration.label("Integration"),
        row.user_name.label("User"),
        row.user_email.label("Email"),
        row.username_in_app.label("Username in app"),
        _roles(row.roles).label("App access"),
        active.label("Active in app"),
        row.upstream_user_id.label("Upstream user ID"),
        row.provisioning_state.label("Provisioning state"),
        row.state_reason.label("Reason"),
        row.failure_code.label("Failure code"),
        row.last_updated.label("Last updated"),
    )


def _roles(names: ColumnElement[Any]) -> ColumnElement[Any]:
    """Names with semicolons between them; as a JSON list where that would say something else."""
    joined = func.array_to_string(names, "; ")
    ambiguous = or_(
        func.starts_with(joined, "["),
        func.string_split_regex(func.trim(joined), r"\s*;\s*") != names,
    )
    return case(
        (func.len(names) == 0, ""), (ambiguous, cast(func.to_json(names), String)), else_=joined
    )


def _told(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times as ISO 8601 in UTC, which is also what a snapshot file may hold."""
    columns = [
        pc.strftime(  # pyright: ignore[reportAttributeAccessIssue]
            pc.cast(column, pa.timestamp("s"), safe=False), "%Y-%m-%dT%H:%M:%SZ"
        )
        if pa.types.is_timestamp(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _neutralised(batch: pa.RecordBatch) -> pa.RecordBatch:
    replace = pc.replace_substring_regex  # pyright: ignore[reportAttributeAccessIssue]
    columns = [replace(column, FORMULA, r"'\1") for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _fill(book: xlsxwriter.Workbook, batches: Iterator[pa.RecordBatch]) -> None:
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    bold = book.add_format({"bold": True})
    sheet, last = None, 0
    for batch in batches:
        headings = batch.schema.names
        sheet = sheet or _headed_sheet(book, headings, bold)
        for row in zip(*_cells(batch), strict=True):
            if last == SHEET_ROWS:
                sheet.autofilter(0, 0, last, len(WIDTHS) - 1)
                sheet, last = _headed_sheet(book, headings, bold), 0
            last += 1
            for column, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(last, column, _fitting(value))
                elif value is not None:
                    sheet.write_datetime(last, column, value, moment)
    if sheet:
        sheet.autofilter(0, 0, last, len(WIDTHS) - 1)


def _headed_sheet(book: xlsxwriter.Workbook, headings: list[str], bold: Format) -> Worksheet:
    nth = len(book.worksheets()) + 1
    sheet = book.add_worksheet("Users" if nth == 1 else f"Users {nth}")
    sheet.freeze_panes(1, 0)
    for column, (heading, width) in enumerate(zip(headings, WIDTHS, strict=True)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, heading, bold)
    return sheet


def _cells(batch: pa.RecordBatch) -> list[list[Any]]:
    """The values of each column; a time that Excel does not have is text."""
    return [
        [time or text for time, text in zip(_within_reach(column), told.to_pylist(), strict=True)]
        if pa.types.is_timestamp(column.type)
        else told.to_pylist()
        for column, told in zip(batch.columns, _told(batch).columns, strict=True)
    ]


def _within_reach(times: pa.Array) -> list[datetime | None]:
    reached = pc.and_(  # pyright: ignore[reportAttributeAccessIssue]
        pc.greater_equal(times, FIRST_DAY),  # pyright: ignore[reportAttributeAccessIssue]
        pc.less(times, LAST_DAY),  # pyright: ignore[reportAttributeAccessIssue]
    )
    return pc.if_else(reached, times, None).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]


def _fitting(text: str) -> str:
    """As much of the text as a cell holds."""
    if len(text) <= CELL // 2:
        return text
    return text.encode("utf-16-le")[: 2 * CELL].decode("utf-16-le", errors="ignore")


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)
