"""Reads CSV and TSV files with DuckDB."""

import csv
import re
from bisect import bisect_left
from functools import partial
from itertools import chain, count
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, func, select
from sqlalchemy.schema import DropTable

from data.files.encoding import InputFile
from data.files.errors import NoUsernameColumn, UnreadableFile
from data.files.headers import CREDENTIAL_PATTERN
from data.files.record_lines import find_record_starts, guess_delimiter
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

DELIMITER_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line of some exports, for Excel."""

REJECT_ERRORS = sa.table(
    "reject_errors", *map(sa.column, ("line_byte_position", "csv_line", "error_type"))
)
"""DuckDB's table of broken lines."""

UNQUOTED_ERROR = "UNQUOTED VALUE"
BROKEN_LINE_MESSAGES = {
    "MISSING COLUMNS": "The line has fewer cells than there are headings.",
    "TOO MANY COLUMNS": "The line has more cells than there are headings.",
    UNQUOTED_ERROR: "A quoted cell does not end.",
    "LINE SIZE OVER MAXIMUM": "The line is longer than 16 MiB.",
}
"""DuckDB's `error_type` → reason for a person."""

OTHER_BROKEN_MESSAGE = "The line cannot be split into cells."
UNCLOSED_QUOTE = (
    "{name} is cut off or damaged: a quoted cell that starts in line {line:,} or later does not "
    "end."
)


def read_csv(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """The first record has the headings; the delimiter is detected."""
    first_record = _read_first_record(input_file)
    headings = _unique_headings(first_record.headings)
    reject_too_many_headings(input_file.name, len(headings))
    names = [f"c{i}" for i in range(len(headings))]
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
        buffer_size=MAX_LINE_SIZE,  # the default is 16 times as much, and slower
        store_rejects=True,
    )
    records: sa.FromClause = register_view(con, relation)
    if len(names) == 1:  # DuckDB skips blank lines only where there are several columns
        records = select(records).where(sa.column(names[0]).is_not(None)).subquery("records")
    cells = dict(zip(headings, map(text_column, names), strict=True))
    locate_records = partial(_locate_csv_records, input_file, first_record)
    return input_file, FileRows(records, cells, locate_records, collects_broken=True)


class _FirstRecord(NamedTuple):
    headings: list[str]
    delimiter: str
    skipped_lines: int  # lines before the headings
    heading_end_line: int  # the line on which the headings end


def _read_first_record(input_file: InputFile) -> _FirstRecord:
    with input_file.path.open(encoding="utf-8-sig", newline="") as text:
        lines, skipped_lines, delimiter = iter(partial(text.readline, MAX_LINE_SIZE), ""), 0, ""
        for line in lines:
            delimiter_line = DELIMITER_LINE.fullmatch(line.rstrip("\r\n"))
            if line.strip(WHITESPACE) and not delimiter_line:
                break
            delimiter = delimiter_line[1] if delimiter_line else delimiter
            skipped_lines += 1
        else:
            raise NoUsernameColumn(f"{input_file.name} is empty.")
        delimiter = delimiter or guess_delimiter(line)
        reader = csv.reader(chain([line], lines), delimiter=delimiter)
        headings, heading_end_line = next(reader), skipped_lines + reader.line_num
        next_row = next((row for row in reader if row), headings)
    headings = _fit_headings(headings, next_row)
    return _FirstRecord(headings, delimiter, skipped_lines, heading_end_line)


def _fit_headings(headings: list[str], row: list[str]) -> list[str]:
    """Drop or add an empty last heading, as a delimiter at the end of lines makes one."""
    if len(row) == len(headings) - 1 and not headings[-1].strip(WHITESPACE):
        return headings[:-1]
    if len(row) == len(headings) + 1 and not row[-1].strip(WHITESPACE):
        return [*headings, ""]
    return headings


def _unique_headings(headings: list[str]) -> list[str]:
    """Number repeated headings: `Team`, `Team (2)`. An empty one is `Column 3`."""
    names: dict[str, None] = {}
    for position, heading in enumerate(headings, start=1):
        name = heading.strip(WHITESPACE) or f"Column {position}"
        candidates = chain([name], (f"{name} ({n})" for n in count(2)))
        names[next(name for name in candidates if name not in names)] = None
    return list(names)


def _drop_reject_tables(con: Connection) -> None:
    """Clear DuckDB's tables of broken lines, which last as long as the connection."""
    for name in ("reject_errors", "reject_scans"):
        con.execute(DropTable(sa.Table(name, sa.MetaData()), if_exists=True))


def count_broken_records(con: Connection, rows: FileRows) -> int:
    """The number of records that DuckDB left out.

    Raises UnreadableFile where the last record does not end, so the file is cut off.
    """
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
    input_file: InputFile, first_record: _FirstRecord, con: Connection
) -> RecordLocations:
    """Count lines here, as DuckDB gives neither the line nor the number of a record.

    Raises UnreadableFile where the last record does not end, so the file is cut off.
    """
    starts = find_record_starts(
        input_file.path, first_record.delimiter, first_record.heading_end_line
    )
    if starts.ends_in_quotes:
        raise UnreadableFile(UNCLOSED_QUOTE.format(name=input_file.name, line=starts.lines[-1]))
    position = REJECT_ERRORS.c.line_byte_position
    text, kind = func.min(REJECT_ERRORS.c.csv_line), func.min(REJECT_ERRORS.c.error_type)
    broken = con.execute(select(position, text, kind).group_by(position)).all()
    indexes = [bisect_left(starts.offsets, offset - 1) for offset, _, _ in broken]
    broken_indexes = set(indexes)
    lines = [line for index, line in enumerate(starts.lines) if index not in broken_indexes]
    # Nobody knows where in a broken line its credentials are.
    has_credentials = any(map(CREDENTIAL_PATTERN.search, first_record.headings))
    return RecordLocations(
        register_table(
            con,
            "snapshot_lines",
            {"number": "int64", "line": "int64", "text": "string"},
            [range(len(lines)), lines, [None] * len(lines)],
        ),
        register_table(
            con,
            "snapshot_broken",
            {"line": "int64", "text": "string", "reason": "string"},
            [
                [starts.lines[min(index, len(starts.lines) - 1)] for index in indexes],
                [None if has_credentials else line.strip("\r\n") for _, line, _ in broken],
                [BROKEN_LINE_MESSAGES.get(kind, OTHER_BROKEN_MESSAGE) for _, _, kind in broken],
            ],
        ),
    )
