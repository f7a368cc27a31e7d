"""Snapshot files as rows of text: one reader per format, all set-based in DuckDB.

A reader answers with a view over the file and, for each heading, the expression that gives its
cells as text. Lists and objects are given as JSON text. Nothing is understood here yet.
"""

from __future__ import annotations

import csv
import glob
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import duckdb
import pyarrow
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    String,
    Table,
    and_,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    null,
    select,
    table,
    try_cast,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DropTable
from sqlalchemy.sql.expression import TableClause

from data.cleaning import WHITE, filled
from data.headings import CREDENTIAL, columns_of
from data.refusals import NotAListOfAccounts, NoUsableHeader, UnknownFormat, UnreadableFile
from data.tables import DELIVERED, load_row

VIEW = "snapshot_file"
DELIMITERS = ",;\t|"
CHUNK = 1024 * 1024  # bytes read at a time
LONGEST_LINE = 16 * 1024 * 1024  # bytes; above it a line is a fault, not an account
NOT_UTF8 = "{name} is not UTF-8 text. Save or export it as UTF-8 (in Excel: “CSV UTF-8”)."
UNREADABLE = (duckdb.Error, DBAPIError, OSError, EOFError, zlib.error, csv.Error)


class Rows(NamedTuple):
    """A file as the database sees it."""

    records: FromClause  # one row per record, in the file's order
    cells: dict[str, ColumnElement[Any]]  # heading → its cell as text, or NULL
    lines: (
        FromClause  # one row per record: its number, from 0; its line; its text where not readable
    )
    notes_broken: bool = False  # whether DuckDB keeps out, and notes, what it cannot take apart


class Read(NamedTuple):
    """What a reader leaves beside `load_row`."""

    lines: FromClause  # as in Rows; asking for it reads the file once more
    broken: (
        FromClause | None
    )  # one row per record that could not be taken apart: line, text, reason
    headings: tuple[str, ...] = ()  # as in the file, repeated ones numbered
    notes: tuple[str, ...] = ()  # what a person should know of how it was read: full sentences


def fill_load_row(con: Connection, path: Path) -> Read:
    """Fill `load_row` with one row per record of the file.

    Raises UnknownFormat, UnreadableFile, NoUsableHeader or NotAListOfAccounts.
    """
    reader = reader_of(path)
    try:
        if _compression(path) != "uncompressed":
            _unpack_to_the_end(path)
        rows = reader(con, path)
        found = columns_of(rows.cells)
        if "username_in_app" not in found:
            raise NoUsableHeader(_no_username(path, rows))
        con.execute(_into_load_row(rows, found))
        return Read(rows.lines, _broken_lines(con, path, rows), tuple(rows.cells))
    except UnicodeError as fault:
        raise UnreadableFile(NOT_UTF8.format(name=path.name)) from fault
    except UNREADABLE as fault:
        raise UnreadableFile(_why_unreadable(path, fault)) from fault


def _into_load_row(rows: Rows, found: dict[str, str]) -> Any:
    """The one statement that reads the whole file."""
    cell = {name: rows.cells[heading] for name, heading in found.items()}
    username = filled(cell["username_in_app"])
    own_id = filled(cell["account_id"]) if "account_id" in cell else None
    account_id = (
        func.lower(username) if own_id is None else func.coalesce(own_id, func.lower(username))
    )
    if own_id is not None:
        account_id = func.if_(username.is_(None), None, account_id)
    rest = [h for h in rows.cells if h not in found.values() and not CREDENTIAL.search(h)]
    cell["attributes"] = _attributes(rows, rest)
    nothing = cast(literal(None), String)
    texts = [cell.get(name, nothing).label(name) for name in DELIVERED]
    row = select(account_id.label("account_id"), *texts).select_from(rows.records).subquery("row")
    return insert(load_row).from_select(
        [c.name for c in load_row.c], select(*row.c, _fingerprint(row))
    )


def _fingerprint(row: FromClause) -> ColumnElement[int]:
    """63 bits that differ where the texts do: to compare them is a third of comparing the texts."""
    return cast(func.hash(*(row.c[name] for name in DELIVERED)).op(">>")(1), BigInteger)


def _attributes(rows: Rows, headings: list[str]) -> ColumnElement[Any]:
    """The columns that Rollcall has no name for, as one JSON object without the empty ones."""
    if not headings:
        return cast(literal(None), String)
    pairs = [x for h in headings for x in (literal(h), filled(rows.cells[h]))]
    kept = func.json_merge_patch("{}", func.json_object(*pairs))
    return func.nullif(cast(kept, String), "{}")


# ---- formats ------------------------------------------------------------------------------------


def _read_separated(con: Connection, path: Path) -> Rows:
    """CSV and its relatives; the first record is the headings, the delimiter is what it uses."""
    with _as_text(path) as lines:
        first = _first_record(path, lines)
    names = [f"c{i}" for i in range(len(first.headings))]
    _forget_broken_lines(con)
    relation = _duckdb(con).read_csv(
        _exactly(path),
        columns=dict.fromkeys(names, "VARCHAR"),
        auto_detect=False,
        header=True,
        delimiter=first.delimiter,
        quotechar='"',
        escapechar='"',
        compression=_compression(path),
        skiprows=first.blank_lines,
        max_line_size=LONGEST_LINE,
        store_rejects=True,
    )
    cells = dict(zip(_unique(first.headings), map(_text, names), strict=True))
    view = _view(con, relation)
    lines = _lines_of_cells(view, cells, first.line + 1)
    return Rows(view, cells, lines, notes_broken=True)


def _lines_of_cells(
    view: FromClause, cells: dict[str, ColumnElement[Any]], first_line: int
) -> FromClause:
    """A record takes as many lines as its cells have line breaks, and one."""
    takes = 1 + sum(line_breaks(cell) for cell in cells.values())
    upto = func.sum(takes).over(rows=(None, 0))
    number = func.row_number().over() - 1
    return (
        select(
            number.label("number"),
            (upto - takes + first_line).label("line"),
            cast(null(), String).label("text"),
        )
        .select_from(view)
        .subquery("lines")
    )


def line_breaks(text: ColumnElement[Any]) -> ColumnElement[int]:
    """How many more lines than one the text takes."""
    return func.coalesce(func.len(text) - func.len(func.replace(text, "\n", "")), 0)


def _read_json(con: Connection, path: Path, records: FromClause, lines: FromClause) -> Rows:
    """Records as JSON objects; every key that occurs anywhere is a heading."""
    record = records.c.record
    is_object = func.json_type(record) == "OBJECT"
    keys = select(func.unnest(func.json_keys(record)).label("key")).where(is_object)
    found = con.scalars(select(keys.subquery().c.key).distinct()).all()
    if not found and con.scalar(select(func.count()).select_from(records)):
        raise NotAListOfAccounts(
            f"{path.name} lists no accounts: no record in it is an object with keys."
        )
    found = found or ["username_in_app"]  # an empty list, which is a list all the same
    cells: dict[str, ColumnElement[Any]] = {
        key: func.json_extract_string(record, _pointer(key)) for key in sorted(found)
    }
    return Rows(records, cells, lines)


def _read_json_array(con: Connection, path: Path) -> Rows:
    with _as_text(path) as lines:
        start = next((c for line in lines for c in line if not c.isspace() and c != "\ufeff"), "")
    if start == "{":
        raise NotAListOfAccounts(
            f"{path.name} is one JSON object; expected a list of accounts: [{{…}}, {{…}}]."
        )
    if not start:
        raise UnreadableFile(f"{path.name} is empty; expected a list of accounts: [{{…}}, {{…}}].")
    if start != "[":
        raise UnreadableFile(f"{path.name} is not JSON: it starts with {start!r}.")
    relation = _duckdb(con).read_json(
        _exactly(path),
        columns={"record": "JSON"},
        records="false",
        format="array",
        compression=_compression(path),
        maximum_object_size=LONGEST_LINE,
    )
    records = select(column("record", JSON)).select_from(_view(con, relation)).subquery("records")
    text = _unless_object(records.c.record, cast(records.c.record, String))
    return _read_json(con, path, records, _numbered(records, text))


def _read_json_lines(con: Connection, path: Path) -> Rows:
    """Line by line, so that a broken one costs no other; blank ones are none."""
    with _as_text(path) as lines:
        next(lines, None)  # DuckDB reads any bytes as text here
    relation = _duckdb(con).read_csv(
        _exactly(path),
        columns={"line": "VARCHAR"},
        auto_detect=False,
        header=False,
        delimiter=NEVER,
        quotechar="",
        escapechar="",
        strict_mode=False,
        compression=_compression(path),
        max_line_size=LONGEST_LINE,
    )
    view, text = _view(con, relation), filled(_text("line"))
    record = try_cast(text, JSON)
    records = select(record.label("record")).select_from(view).where(text.is_not(None))
    every = select(func.row_number().over().label("line"), text.label("text")).select_from(view)
    line = every.subquery("line")
    lines = select(
        (func.row_number().over(order_by=line.c.line) - 1).label("number"),
        line.c.line,
        _unless_object(try_cast(line.c.text, JSON), line.c.text).label("text"),
    ).where(line.c.text.is_not(None))
    return _read_json(con, path, records.subquery("records"), lines.subquery("lines"))


def _numbered(records: FromClause, text: ColumnElement[Any]) -> FromClause:
    """Where a record has no line of its own, its place in the list is its line."""
    number = func.row_number().over()
    numbers = select((number - 1).label("number"), number.label("line"), text.label("text"))
    return numbers.select_from(records).subquery("lines")


def _unless_object(record: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text of a record that is no JSON object, so no account; not where it tells secrets."""
    is_none = func.coalesce(func.json_type(record), "") != "OBJECT"
    tells = func.regexp_matches(text, CREDENTIAL.pattern, "i")
    return case((and_(is_none, tells), ""), (is_none, text))


def _read_parquet(con: Connection, path: Path) -> Rows:
    """Every type as the text that the other formats would hold."""
    if path.suffix.lower() in COMPRESSIONS:
        raise UnknownFormat(
            f"{path.name}: a Parquet file is compressed inside; deliver it as it is, as .parquet."
        )
    relation = _duckdb(con).read_parquet(_exactly(path))
    nested = ("STRUCT", "MAP", "UNION")
    cells = {
        name: cast(func.to_json(column(name)), String)
        if str(kind).startswith(nested) or str(kind).endswith("[]")
        else _text(name)
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }
    view = _view(con, relation)
    return Rows(view, cells, _numbered(view, cast(null(), String)))


READERS: dict[str, Callable[[Connection, Path], Rows]] = {
    ".csv": _read_separated,
    ".tsv": _read_separated,
    ".json": _read_json_array,
    ".ndjson": _read_json_lines,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
"""File name ending → reader. A new format is one function and one line here."""

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
NEVER = "\x1f"
"""A delimiter that no JSON text can hold."""

BROKEN = table("reject_errors", *map(column, ("line", "csv_line", "error_type", "error_message")))
WORDS = {
    "MISSING COLUMNS": "The line has fewer cells than there are headings.",
    "TOO MANY COLUMNS": "The line has more cells than there are headings.",
    "UNQUOTED VALUE": "A quoted cell does not end.",
    "LINE SIZE OVER MAXIMUM": "The line is longer than 16 MiB.",
}
"""DuckDB's kinds of broken CSV lines, in a reader's words."""
OTHER_ENCODING = "INVALID ENCODING"
"""One more kind. It makes the whole file suspect: accounts would be gone for their accents."""


def reader_of(path: Path) -> Callable[[Connection, Path], Rows]:
    """The reader for a file's name. Raises UnknownFormat."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    reader = READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        known = ", ".join(READERS)
        raise UnknownFormat(f"{path.name} has no known ending; expected one of {known}.")
    return reader


# ---- small things -------------------------------------------------------------------------------


class _FirstRecord(NamedTuple):
    headings: list[str]
    delimiter: str
    blank_lines: int  # before the headings
    line: int  # on which the headings end


def _first_record(path: Path, lines: IO[str]) -> _FirstRecord:
    blank = 0
    for line in lines:
        if line.strip(WHITE + "\ufeff"):
            break
        blank += 1
    else:
        raise NoUsableHeader(f"{path.name} is empty; expected a line of headings.")
    delimiter = max(DELIMITERS, key=line.count)
    reader = csv.reader(chain([line.lstrip("\ufeff")], lines), delimiter=delimiter)
    return _FirstRecord(next(reader), delimiter, blank, blank + reader.line_num)


def _unique(headings: list[str]) -> list[str]:
    """Headings, the repeated ones numbered: `Team`, `Team (2)`; an empty one is `Column 3`."""
    seen: dict[str, int] = {}
    names = []
    for position, heading in enumerate(headings, start=1):
        name = heading.strip(WHITE) or f"Column {position}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


@contextmanager
def _unpacked(path: Path) -> Iterator[Any]:
    """The file's bytes, read only as far as asked."""
    compression = _compression(path)
    if compression == "zstd":
        with pyarrow.input_stream(str(path), compression="zstd") as raw:
            yield raw
    elif compression == "gzip":
        with gzip.open(path) as raw:
            yield raw
    else:
        with path.open("rb") as raw:
            yield raw


@contextmanager
def _as_text(path: Path) -> Iterator[IO[str]]:
    """The file's text, read only as far as asked."""
    with _unpacked(path) as raw, TextIOWrapper(raw, encoding="utf-8", newline="") as text:
        yield text


def _unpack_to_the_end(path: Path) -> None:
    """DuckDB takes a compressed file that is cut off for a short one; accounts would be gone."""
    with _unpacked(path) as raw:
        while raw.read(CHUNK):
            pass


def _compression(path: Path) -> str:
    return COMPRESSIONS.get(path.suffix.lower(), "uncompressed")


def _exactly(path: Path) -> str:
    """The path as DuckDB wants it, which takes `*`, `?` and `[` in a name for a pattern."""
    return glob.escape(str(path))


def _duckdb(con: Connection) -> Any:
    """The DuckDB connection under SQLAlchemy's: only it can read files without SQL in strings."""
    return con.connection.driver_connection


def _view(con: Connection, relation: duckdb.DuckDBPyRelation) -> TableClause:
    _duckdb(con).register(VIEW, relation)
    return table(VIEW, *(Column(name) for name in relation.columns))


def _text(name: str) -> ColumnElement[Any]:
    return cast(column(name), String)


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _forget_broken_lines(con: Connection) -> None:
    for name in ("reject_errors", "reject_scans"):
        con.execute(DropTable(Table(name, MetaData()), if_exists=True))


def _broken_lines(con: Connection, path: Path, rows: Rows) -> FromClause | None:
    """The CSV records with too few or too many cells, or without an end; None without any.

    Where a column holds credentials, nobody knows where in a broken line they are.
    """
    if not rows.notes_broken:
        return None
    kinds = con.scalars(select(BROKEN.c.error_type).distinct()).all()
    if not kinds:
        return None
    if OTHER_ENCODING in kinds:
        raise UnreadableFile(NOT_UTF8.format(name=path.name))
    kind = func.min(BROKEN.c.error_type)
    has_credentials = any(map(CREDENTIAL.search, rows.cells))
    text = cast(null(), String) if has_credentials else func.min(BROKEN.c.csv_line)
    return (
        select(
            BROKEN.c.line,
            text.label("text"),
            case(WORDS, value=kind, else_=func.min(BROKEN.c.error_message)).label("reason"),
        )
        .group_by(BROKEN.c.line)
        .subquery("broken")
    )


def _why_unreadable(path: Path, fault: Exception) -> str:
    """DuckDB's first line says what is wrong; its path is the server's own affair."""
    cause = fault.orig if isinstance(fault, DBAPIError) else fault
    said = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    if "unicode" in said.lower() or "utf-8" in said.lower():
        return NOT_UTF8.format(name=path.name)
    said = said.replace(str(path), path.name).split(": ", 1)[-1].rstrip(".")
    return f"{path.name} cannot be read; it may be cut off or damaged. The reader says: {said}."


def _no_username(path: Path, rows: Rows) -> str:
    found = ", ".join(rows.cells) or "none"
    return (
        f"{path.name} has no column for the username in app. Found: {found}. "
        "Expected a heading like “Username in app”, “userName” or “login”."
    )
