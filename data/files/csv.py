"""Reads CSV and TSV files with DuckDB."""

from __future__ import annotations

import csv
import re
from bisect import bisect_left
from functools import partial
from itertools import chain, count
from typing import NamedTuple

import pyarrow
from sqlalchemy import Connection, FromClause, MetaData, Table, column, func, select, table
from sqlalchemy.schema import DropTable

from data.files.encoding import InputFile
from data.files.errors import NoUsernameColumn, UnreadableFile
from data.files.headers import CREDENTIAL_PATTERN
from data.files.record_lines import find_record_starts
from data.files.relation import (
    MAX_LINE_SIZE,
    FileRows,
    RecordLocations,
    duckdb_connection,
    escape_glob,
    register_table,
    register_view,
    reject_too_many_headings,
    text_column,
)
from data.files.text import WHITESPACE

LINES_VIEW = "snapshot_lines"


BROKEN_VIEW = "snapshot_broken"


DELIMITERS = ",;\t|"


def read_csv(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """CSV and its relatives; the first record is the headings, the delimiter is what it uses."""
    first_record = _read_first_record(input_file)
    reject_too_many_headings(input_file.name, len(first_record.headings))
    names = [f"c{i}" for i in range(len(first_record.headings))]
    _drop_reject_tables(con)
    relation = duckdb_connection(con).read_csv(
        escape_glob(input_file.path),
        columns=dict.fromkeys(names, "VARCHAR"),
        auto_detect=False,
        header=True,
        delimiter=first_record.delimiter,
        quotechar='"',
        escapechar='"',
        skiprows=first_record.skipped_lines,
        max_line_size=MAX_LINE_SIZE,
        buffer_size=MAX_LINE_SIZE,  # DuckDB would take 16 times as much, and longer
        store_rejects=True,
    )
    cells = dict(zip(_unique_headings(first_record.headings), map(text_column, names), strict=True))
    records: FromClause = register_view(con, relation)
    if len(names) == 1:  # of several, DuckDB leaves out blank lines by itself
        records = select(records).where(column(names[0]).is_not(None)).subquery("records")
    locate_records = partial(_locate_csv_records, input_file, first_record, tuple(cells))
    return input_file, FileRows(records, cells, locate_records, collects_broken=True)


DELIMITER_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line of some exports, for Excel."""


class _FirstRecord(NamedTuple):
    headings: list[str]
    delimiter: str
    skipped_lines: int  # lines before the headings
    heading_end_line: int  # up to the end of the headings


def _read_first_record(input_file: InputFile) -> _FirstRecord:
    with input_file.path.open(encoding="utf-8-sig", newline="") as text:
        lines, skipped_lines, delimiter = iter(partial(text.readline, MAX_LINE_SIZE), ""), 0, ""
        for line in lines:
            delimiter_match = DELIMITER_LINE.fullmatch(line.rstrip("\r\n"))
            if line.strip(WHITESPACE) and not delimiter_match:
                break
            delimiter = delimiter_match[1] if delimiter_match else delimiter
            skipped_lines += 1
        else:
            raise NoUsernameColumn(f"{input_file.name} is empty; expected a line of headings.")
        delimiter = delimiter or max(DELIMITERS, key=re.sub(r'"[^"]*"?', "", line).count)
        reader = csv.reader(chain([line], lines), delimiter=delimiter)
        headings, heading_end_line = next(reader), skipped_lines + reader.line_num
        next_row = next((row for row in reader if row), headings)
    return _FirstRecord(
        _fit_headings_to(next_row, headings), delimiter, skipped_lines, heading_end_line
    )


def _fit_headings_to(row: list[str], headings: list[str]) -> list[str]:
    """The headings, with or without the empty one that a delimiter at the end makes: as `row`."""
    if len(row) == len(headings) - 1 and not headings[-1].strip(WHITESPACE):
        return headings[:-1]
    if len(row) == len(headings) + 1 and not row[-1].strip(WHITESPACE):
        return [*headings, ""]
    return headings


def _unique_headings(headings: list[str]) -> list[str]:
    """Headings, the repeated ones numbered: `Team`, `Team (2)`; an empty one is `Column 3`."""
    names: dict[str, None] = {}
    for position, heading in enumerate(headings, start=1):
        name = heading.strip(WHITESPACE) or f"Column {position}"
        numbered = (f"{name} ({n})" for n in count(2))
        names[name if name not in names else next(n for n in numbered if n not in names)] = None
    return list(names)


REJECT_ERRORS = table(
    "reject_errors", *map(column, ("line_byte_position", "csv_line", "error_type"))
)


UNQUOTED_ERROR = "UNQUOTED VALUE"


BROKEN_LINE_MESSAGES = {
    "MISSING COLUMNS": "The line has fewer cells than there are headings.",
    "TOO MANY COLUMNS": "The line has more cells than there are headings.",
    UNQUOTED_ERROR: "A quoted cell does not end.",
    "LINE SIZE OVER MAXIMUM": "The line is longer than 16 MiB.",
}
"""DuckDB's kinds of broken CSV lines, in a reader's words."""


OTHER_BROKEN_MESSAGE = "The line cannot be taken apart."


UNCLOSED_QUOTE = (
    "{name} is cut off or damaged: the quoted cell in line {line:,} or after it does not end."
)


def _drop_reject_tables(con: Connection) -> None:
    """DuckDB notes broken lines in tables of its own, which last as long as the connection."""
    for name in ("reject_errors", "reject_scans"):
        con.execute(DropTable(Table(name, MetaData()), if_exists=True))


def count_broken_records(con: Connection, rows: FileRows) -> int:
    """Raises UnreadableFile where the last record does not end: the file is cut off."""
    if not rows.collects_broken:
        return 0
    position, kind = REJECT_ERRORS.c.line_byte_position, REJECT_ERRORS.c.error_type
    broken_count, unquoted_count = con.execute(
        select(func.count(position.distinct()), func.count().filter(kind == UNQUOTED_ERROR))
    ).one()
    if unquoted_count:
        rows.locate_records(con)
    return broken_count


def _locate_csv_records(
    input_file: InputFile, first_record: _FirstRecord, headings: tuple[str, ...], con: Connection
) -> RecordLocations:
    """Of its records DuckDB tells neither line nor number, so they are counted here.

    Raises UnreadableFile where the last record does not end: the file is cut off.
    """
    record_starts = find_record_starts(
        input_file.path, first_record.delimiter, first_record.heading_end_line
    )
    if record_starts.ends_in_quotes:
        raise UnreadableFile(
            UNCLOSED_QUOTE.format(name=input_file.name, line=record_starts.lines[-1])
        )
    position = REJECT_ERRORS.c.line_byte_position
    broken_rows = con.execute(
        select(
            position,
            func.min(REJECT_ERRORS.c.csv_line).label("text"),
            func.min(REJECT_ERRORS.c.error_type).label("kind"),
        ).group_by(position)
    ).all()
    start_indexes = [
        bisect_left(record_starts.offsets, row.line_byte_position - 1) for row in broken_rows
    ]
    broken_indexes, last_index = set(start_indexes), len(record_starts.lines) - 1
    lines = [line for index, line in enumerate(record_starts.lines) if index not in broken_indexes]
    # nobody knows where in a broken line the credentials are
    has_credentials = any(map(CREDENTIAL_PATTERN.search, headings))
    return RecordLocations(
        register_table(
            con,
            LINES_VIEW,
            number=pyarrow.array(range(len(lines)), "int64"),
            line=pyarrow.array(lines, "int64"),
            text=pyarrow.nulls(len(lines), "string"),
        ),
        register_table(
            con,
            BROKEN_VIEW,
            line=pyarrow.array(
                [record_starts.lines[min(index, last_index)] for index in start_indexes], "int64"
            ),
            text=pyarrow.array(
                [None if has_credentials else row.text.strip("\r\n") for row in broken_rows],
                "string",
            ),
            reason=pyarrow.array(
                [BROKEN_LINE_MESSAGES.get(row.kind, OTHER_BROKEN_MESSAGE) for row in broken_rows],
                "string",
            ),
        ),
    )
