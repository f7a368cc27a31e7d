"""Snapshot files as rows of text: one reader per format, all set-based in DuckDB.

A reader answers with a view over the file and, for each heading, the expression that gives its
cells as text. Lists and objects are given as JSON text. Nothing is understood here yet.
"""

from __future__ import annotations

import csv
import gzip
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
    Column,
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    String,
    Table,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    select,
    table,
)
from sqlalchemy.schema import DropTable
from sqlalchemy.sql.expression import TableClause

from data.cleaning import WHITE, filled
from data.headings import CREDENTIAL, columns_of
from data.refusals import NotAListOfAccounts, NoUsableHeader, UnknownFormat, UnreadableFile
from data.tables import DELIVERED, load_row

VIEW = "snapshot_file"
DELIMITERS = ",;\t|"
LONGEST_LINE = 16 * 1024 * 1024  # bytes; above it a line is a fault, not an account


class Rows(NamedTuple):
    """A file as the database sees it: one row per record."""

    view: TableClause
    cells: dict[str, ColumnElement[Any]]  # heading → its cell as text, or NULL
    first_line: int = 1  # the line of the file that holds the first record
    keeps_broken: bool = False  # whether DuckDB's reader notes records that it cannot take apart


class Read(NamedTuple):
    """What a reader leaves beside `load_row`."""

    first_line: int  # the line of the file that holds the first record
    broken: FromClause | None  # one row per record that could not be taken apart: line, text, reason


def fill_load_row(con: Connection, path: Path) -> Read:
    """Fill `load_row` with one row per record of the file.

    Raises UnknownFormat, UnreadableFile, NoUsableHeader or NotAListOfAccounts.
    """
    reader = reader_of(path)
    _forget_broken_lines(con)
    try:
        rows = reader(con, path)
        found = columns_of(rows.cells)
        if "username_in_app" not in found:
            raise NoUsableHeader(_no_username(path, rows))
        con.execute(_into_load_row(rows, found))
        return Read(rows.first_line, _broken_lines() if rows.keeps_broken else None)
    except duckdb.Error as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {_first_line(fault)}") from fault
    except UnicodeError as fault:
        raise UnreadableFile(f"{path.name} is not UTF-8 text: {fault}.") from fault


def _into_load_row(rows: Rows, found: dict[str, str]) -> Any:
    """The one statement that reads the whole file."""
    cell = {name: rows.cells[heading] for name, heading in found.items()}
    username = filled(cell["username_in_app"])
    own_id = filled(cell["account_id"]) if "account_id" in cell else None
    account_id = func.lower(username) if own_id is None else func.coalesce(own_id, func.lower(username))
    if own_id is not None:
        account_id = func.if_(username.is_(None), None, account_id)
    rest = [h for h in rows.cells if h not in found.values() and not CREDENTIAL.search(h)]
    cell["attributes"] = _attributes(rows, rest)
    nothing = cast(literal(None), String)
    texts = [account_id, *(cell.get(name, nothing) for name in DELIVERED)]
    return insert(load_row).from_select(
        ["account_id", *DELIVERED], select(*texts).select_from(rows.view)
    )


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
    relation = _duckdb(con).read_csv(
        str(path),
        columns=dict.fromkeys(names, "VARCHAR"),
        auto_detect=False,
        header=True,
        delimiter=first.delimiter,
        quotechar='"',
        escapechar='"',
        skiprows=first.blank_lines,
        max_line_size=LONGEST_LINE,
        store_rejects=True,
    )
    cells = dict(zip(_unique(first.headings), map(_text, names), strict=True))
    return Rows(_view(con, relation), cells, first.line + 1, keeps_broken=True)


def _read_json(con: Connection, path: Path, *, form: str) -> Rows:
    """Records as JSON objects; every key that occurs anywhere is a heading."""
    relation = _duckdb(con).read_json(
        str(path),
        columns={"record": "JSON"},
        records="false",
        format=form,
        ignore_errors=form == "newline_delimited",
        maximum_object_size=LONGEST_LINE,
    )
    view, record = _view(con, relation), column("record", JSON)
    is_object = func.json_type(record) == "OBJECT"
    keys = select(func.unnest(func.json_keys(record)).label("key")).select_from(view).where(is_object)
    found = con.scalars(select(keys.subquery().c.key).distinct()).all()
    if not found and con.scalar(select(func.count()).select_from(view)):
        raise NotAListOfAccounts(
            f"{path.name} lists no accounts: no record in it is an object with keys."
        )
    found = found or ["username_in_app"]  # an empty list, which is a list all the same
    cells = {key: func.json_extract_string(record, _pointer(key)) for key in sorted(found)}
    return Rows(view, cells)


def _read_json_array(con: Connection, path: Path) -> Rows:
    with _as_text(path) as lines:
        start = next((c for line in lines for c in line if not c.isspace() and c != "\ufeff"), "")
    if start == "{":
        raise NotAListOfAccounts(
            f"{path.name} is one JSON object; expected a list of accounts: [{{…}}, {{…}}]."
        )
    if start != "[":
        raise UnreadableFile(f"{path.name} is not JSON: it starts with {start or 'nothing'!r}.")
    return _read_json(con, path, form="array")


def _read_json_lines(con: Connection, path: Path) -> Rows:
    return _read_json(con, path, form="newline_delimited")


def _read_parquet(con: Connection, path: Path) -> Rows:
    """Every type as the text that the other formats would hold."""
    relation = _duckdb(con).read_parquet(str(path))
    nested = ("STRUCT", "MAP", "UNION")
    cells = {
        name: cast(func.to_json(column(name)), String)
        if str(kind).startswith(nested) or str(kind).endswith("[]")
        else _text(name)
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }
    return Rows(_view(con, relation), cells)


READERS: dict[str, Callable[[Connection, Path], Rows]] = {
    ".csv": _read_separated,
    ".tsv": _read_separated,
    ".json": _read_json_array,
    ".ndjson": _read_json_lines,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
"""File name ending → reader. A new format is one function and one line here."""

COMPRESSIONS = (".gz", ".zst")

BROKEN = table(
    "reject_errors", *map(column, ("line", "csv_line", "error_type", "error_message"))
)
WORDS = {
    "MISSING COLUMNS": "The line has fewer cells than there are headings.",
    "TOO MANY COLUMNS": "The line has more cells than there are headings.",
    "UNQUOTED VALUE": "A quoted cell does not end.",
    "LINE SIZE OVER MAXIMUM": "The line is longer than 16 MiB.",
    "INVALID ENCODING": "The line is not UTF-8 text.",
}
"""DuckDB's kinds of broken CSV lines, in a reader's words."""


def reader_of(path: Path) -> Callable[[Connection, Path], Rows]:
    """The reader for a file's name. Raises UnknownFormat."""
    suffixes = [s.lower() for s in path.suffixes]
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
def _as_text(path: Path) -> Iterator[IO[str]]:
    """The file's text, read only as far as asked."""
    if path.suffix == ".zst":
        with pyarrow.input_stream(str(path), compression="zstd") as raw:
            yield TextIOWrapper(raw, encoding="utf-8", newline="")
    elif path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            yield text
    else:
        with path.open(encoding="utf-8", newline="") as text:
            yield text


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


def _broken_lines() -> FromClause:
    """The CSV records with too few or too many cells, or without an end."""
    kind = func.min(BROKEN.c.error_type)
    return (
        select(
            BROKEN.c.line,
            func.min(BROKEN.c.csv_line).label("text"),
            case(WORDS, value=kind, else_=func.min(BROKEN.c.error_message)).label("reason"),
        )
        .group_by(BROKEN.c.line)
        .subquery("broken")
    )


def _first_line(fault: Exception) -> str:
    return str(fault).splitlines()[0]


def _no_username(path: Path, rows: Rows) -> str:
    found = ", ".join(rows.cells) or "none"
    return (
        f"{path.name} has no column for the username in app. Found: {found}. "
        "Expected a heading like “Username in app”, “userName” or “login”."
    )
