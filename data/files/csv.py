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

from data.files.encoding import Plain
from data.files.errors import NoUsableHeader, UnreadableFile
from data.files.headers import CREDENTIAL
from data.files.record_lines import starts_of_records
from data.files.relation import (
    LONGEST_LINE,
    Places,
    Rows,
    check_heading_count,
    duckdb_connection,
    escape_glob,
    register_columns,
    register_relation,
    text_column,
)
from data.files.text import WHITE

LINES_VIEW = "snapshot_lines"


BROKEN_VIEW = "snapshot_broken"


DELIMITERS = ",;\t|"


def read_separated(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    """CSV and its relatives; the first record is the headings, the delimiter is what it uses."""
    first = _first_record(plain)
    check_heading_count(plain.name, len(first.headings))
    names = [f"c{i}" for i in range(len(first.headings))]
    _forget_broken(con)
    relation = duckdb_connection(con).read_csv(
        escape_glob(plain.path),
        columns=dict.fromkeys(names, "VARCHAR"),
        auto_detect=False,
        header=True,
        delimiter=first.delimiter,
        quotechar='"',
        escapechar='"',
        skiprows=first.skipped,
        max_line_size=LONGEST_LINE,
        buffer_size=LONGEST_LINE,  # DuckDB would take 16 times as much, and longer
        store_rejects=True,
    )
    cells = dict(zip(_unique(first.headings), map(text_column, names), strict=True))
    records: FromClause = register_relation(con, relation)
    if len(names) == 1:  # of several, DuckDB leaves out blank lines by itself
        records = select(records).where(column(names[0]).is_not(None)).subquery("records")
    places = partial(_places_in_csv, plain, first, tuple(cells))
    return plain, Rows(records, cells, places, notes_broken=True)


SAYS_DELIMITER = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line of some exports, for Excel."""


class _FirstRecord(NamedTuple):
    headings: list[str]
    delimiter: str
    skipped: int  # lines before the headings
    lines: int  # up to the end of the headings


def _first_record(plain: Plain) -> _FirstRecord:
    with plain.path.open(encoding="utf-8-sig", newline="") as text:
        lines, skipped, delimiter = iter(partial(text.readline, LONGEST_LINE), ""), 0, ""
        for line in lines:
            said = SAYS_DELIMITER.fullmatch(line.rstrip("\r\n"))
            if line.strip(WHITE) and not said:
                break
            delimiter = said[1] if said else delimiter
            skipped += 1
        else:
            raise NoUsableHeader(f"{plain.name} is empty; expected a line of headings.")
        delimiter = delimiter or max(DELIMITERS, key=re.sub(r'"[^"]*"?', "", line).count)
        reader = csv.reader(chain([line], lines), delimiter=delimiter)
        headings, upto = next(reader), skipped + reader.line_num
        following = next((row for row in reader if row), headings)
    return _FirstRecord(_as_wide_as(following, headings), delimiter, skipped, upto)


def _as_wide_as(row: list[str], headings: list[str]) -> list[str]:
    """The headings, with or without the empty one that a delimiter at the end makes: as `row`."""
    if len(row) == len(headings) - 1 and not headings[-1].strip(WHITE):
        return headings[:-1]
    if len(row) == len(headings) + 1 and not row[-1].strip(WHITE):
        return [*headings, ""]
    return headings


def _unique(headings: list[str]) -> list[str]:
    """Headings, the repeated ones numbered: `Team`, `Team (2)`; an empty one is `Column 3`."""
    names: dict[str, None] = {}
    for position, heading in enumerate(headings, start=1):
        name = heading.strip(WHITE) or f"Column {position}"
        numbered = (f"{name} ({n})" for n in count(2))
        names[name if name not in names else next(n for n in numbered if n not in names)] = None
    return list(names)


BROKEN = table("reject_errors", *map(column, ("line_byte_position", "csv_line", "error_type")))


UNQUOTED = "UNQUOTED VALUE"


WORDS = {
    "MISSING COLUMNS": "The line has fewer cells than there are headings.",
    "TOO MANY COLUMNS": "The line has more cells than there are headings.",
    UNQUOTED: "A quoted cell does not end.",
    "LINE SIZE OVER MAXIMUM": "The line is longer than 16 MiB.",
}
"""DuckDB's kinds of broken CSV lines, in a reader's words."""


OTHERWISE_BROKEN = "The line cannot be taken apart."


CUT_IN_QUOTES = (
    "{name} is cut off or damaged: the quoted cell in line {line:,} or after it does not end."
)


def _forget_broken(con: Connection) -> None:
    """DuckDB notes broken lines in tables of its own, which last as long as the connection."""
    for name in ("reject_errors", "reject_scans"):
        con.execute(DropTable(Table(name, MetaData()), if_exists=True))


def count_broken_records(con: Connection, rows: Rows) -> int:
    """Raises UnreadableFile where the last record does not end: the file is cut off."""
    if not rows.notes_broken:
        return 0
    position, kind = BROKEN.c.line_byte_position, BROKEN.c.error_type
    records, unquoted = con.execute(
        select(func.count(position.distinct()), func.count().filter(kind == UNQUOTED))
    ).one()
    if unquoted:
        rows.places(con)
    return records


def _places_in_csv(
    plain: Plain, first: _FirstRecord, headings: tuple[str, ...], con: Connection
) -> Places:
    """Of its records DuckDB tells neither line nor number, so they are counted here.

    Raises UnreadableFile where the last record does not end: the file is cut off.
    """
    starts = starts_of_records(plain.path, first.delimiter, first.lines)
    if starts.is_open:
        raise UnreadableFile(CUT_IN_QUOTES.format(name=plain.name, line=starts.lines[-1]))
    position = BROKEN.c.line_byte_position
    broken = con.execute(
        select(
            position,
            func.min(BROKEN.c.csv_line).label("text"),
            func.min(BROKEN.c.error_type).label("kind"),
        ).group_by(position)
    ).all()
    at = [bisect_left(starts.offsets, each.line_byte_position - 1) for each in broken]
    taken, last = set(at), len(starts.lines) - 1
    lines = [line for index, line in enumerate(starts.lines) if index not in taken]
    # nobody knows where in a broken line the credentials are
    tells = any(map(CREDENTIAL.search, headings))
    return Places(
        register_columns(
            con,
            LINES_VIEW,
            number=pyarrow.array(range(len(lines)), "int64"),
            line=pyarrow.array(lines, "int64"),
            text=pyarrow.nulls(len(lines), "string"),
        ),
        register_columns(
            con,
            BROKEN_VIEW,
            line=pyarrow.array([starts.lines[min(index, last)] for index in at], "int64"),
            text=pyarrow.array(
                [None if tells else each.text.strip("\r\n") for each in broken], "string"
            ),
            reason=pyarrow.array(
                [WORDS.get(each.kind, OTHERWISE_BROKEN) for each in broken], "string"
            ),
        ),
    )
