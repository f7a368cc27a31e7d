"""Reads CSV and TSV files with DuckDB."""

from bisect import bisect_left
from functools import partial
from itertools import chain, count

import sqlalchemy as sa
from sqlalchemy import Connection, func, select
from sqlalchemy.schema import DropTable

from data.files.encoding import InputFile, copy_range, unfinished_line
from data.files.errors import UnreadableFile
from data.files.headers import is_credential
from data.files.record_lines import RecordStarts, find_record_starts
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
from data.files.surroundings import (
    FirstRecord,
    find_outside_lines,
    read_first_record,
    rewrite_table,
    split_line,
)
from data.files.text import WHITESPACE
from data.formatting import count_of

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
CUT_OFF = "its last line has fewer cells than there are headings, and no line break"


def read_csv(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """The headings are found by content, the delimiter is detected.

    What is around the rows is left out; a plain file is read where it is.
    """
    first_record = read_first_record(input_file)
    if rewritten := rewrite_table(input_file, first_record):
        input_file = rewritten
        first_record = read_first_record(input_file)
    headings = _unique_headings(first_record.headings)
    reject_too_many_headings(input_file.name, len(headings))
    outside = find_outside_lines(input_file.path, first_record)
    if outside:
        input_file = copy_range(input_file, 0, outside.end)
    line = unfinished_line(input_file.path).decode(errors="replace")
    if line and len(split_line(line, first_record.delimiter)) < len(headings):
        input_file = input_file._replace(incomplete_reason=CUT_OFF)
    names = [f"c{i}" for i in range(len(headings))]
    records = _read_records(con, input_file, first_record, names)
    cells = dict(zip(headings, map(text_column, names), strict=True))
    return input_file, FileRows(
        records,
        cells,
        partial(_locate_csv_records, input_file, first_record),
        collects_broken=True,
        outside_lines=_texts_without_credentials(outside.lines, first_record) if outside else (),
        remarks=_title_remarks(first_record),
    )


def _read_records(
    con: Connection, input_file: InputFile, first_record: FirstRecord, names: list[str]
) -> sa.FromClause:
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
    records = register_view(con, relation)
    if len(names) == 1:  # DuckDB skips blank lines only where there are several columns
        return select(records).where(sa.column(names[0]).is_not(None)).subquery("records")
    return records


def _title_remarks(first_record: FirstRecord) -> tuple[str, ...]:
    """Whether there are lines with a text before the headings."""
    if not first_record.title_lines:
        return ()
    lines, heading_line = count_of(first_record.title_lines, "line"), first_record.skipped_lines + 1
    return (f"Left out {lines} before the headings, which are in line {heading_line:,}.",)


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
    input_file: InputFile, first_record: FirstRecord, con: Connection
) -> RecordLocations:
    """Count lines here, as DuckDB gives neither the line nor the number of a record.

    Raises UnreadableFile where the last record does not end, so the file is cut off.
    """
    starts = find_record_starts(
        input_file.path, first_record.delimiter, first_record.heading_end_line
    )
    if starts.ends_in_quotes:
        raise UnreadableFile(UNCLOSED_QUOTE.format(name=input_file.name, line=starts.lines[-1]))
    indexes, broken_rows = _broken_rows(con, starts)
    left_out = set(indexes)
    lines = [line for index, line in enumerate(starts.lines) if index not in left_out]
    rejected = _texts_without_credentials(broken_rows, first_record)
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
                [line for line, _, _ in rejected],
                [text for _, text, _ in rejected],
                [reason for _, _, reason in rejected],
            ],
        ),
    )


def _texts_without_credentials(
    lines: list[tuple[int, str, str]], first_record: FirstRecord
) -> tuple[tuple[int, str | None, str], ...]:
    """Line, text and reason. Nobody knows where in such a line its credentials are."""
    has_credentials = any(map(is_credential, first_record.headings))
    return tuple((line, None if has_credentials else text, reason) for line, text, reason in lines)


def _broken_rows(
    con: Connection, starts: RecordStarts
) -> tuple[list[int], list[tuple[int, str, str]]]:
    """The numbers of the records that DuckDB could not split, and line, text and reason of each."""
    position = REJECT_ERRORS.c.line_byte_position
    text, kind = func.min(REJECT_ERRORS.c.csv_line), func.min(REJECT_ERRORS.c.error_type)
    broken = con.execute(select(position, text, kind).group_by(position)).all()
    indexes = [bisect_left(starts.offsets, row[0] - 1) for row in broken]
    rows = [
        (
            starts.lines[min(index, len(starts.lines) - 1)],
            line.strip("\r\n"),
            BROKEN_LINE_MESSAGES.get(error_type, OTHER_BROKEN_MESSAGE),
        )
        for index, (_, line, error_type) in zip(indexes, broken, strict=True)
    ]
    return indexes, rows
