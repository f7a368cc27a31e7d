"""A file as DuckDB rows, and where each row is in the file."""

import glob
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection
from sqlalchemy.sql.expression import TableClause

from data.files.errors import NotAListOfAccounts

VIEW = "snapshot_file"

MAX_LINE_SIZE = 16 * 1024 * 1024  # bytes; a longer line is an error, not an account

MAX_HEADINGS = 500
"""A file with more has data where headings should be, e.g. an object with one key per account."""

MAX_HEADINGS_SHOWN = 20  # headings or keys in a message
MAX_HEADING_LENGTH = 60  # characters of each

TOO_MANY_HEADINGS = (
    "{name} has more than {most:,} different headings, so they seem to be data. "
    "Expected a list of accounts, each with the same columns."
)


class RecordLocations(NamedTuple):
    """Where the records of a file are."""

    lines: sa.FromClause
    """One row per row of `stage_row`: number, from 0; line; text where it is not readable."""
    broken_records: sa.FromClause | None = None
    """One row per record that cannot be split into cells: line, text, reason."""


class FileRows(NamedTuple):
    """A file as the database reads it."""

    records: sa.FromClause  # one row per record, in the order of the file
    cells: dict[str, ColumnElement[Any]]  # heading → cell as text, or NULL
    locate_records: Callable[[Connection], RecordLocations]  # reads the file once more
    collects_broken: bool = False  # whether DuckDB notes records that it cannot split
    attribute_names: Mapping[str, str] = {}  # heading → name of the attribute, where they differ
    further_attributes: ColumnElement[Any] | None = None  # a JSON object of more attributes
    outside_lines: tuple[tuple[int, str | None, str], ...] = ()
    """Lines around the rows, such as totals: line, text, reason. None of them is a record."""
    remarks: tuple[str, ...] = ()  # full sentences on what is around the rows


def reject_too_many_headings(name: str, heading_count: int) -> None:
    """Raises NotAListOfAccounts where a file has more columns than any list of accounts."""
    if heading_count > MAX_HEADINGS:
        raise NotAListOfAccounts(TOO_MANY_HEADINGS.format(name=name, most=MAX_HEADINGS))


def escape_glob(path: Path) -> str:
    """The path for DuckDB, which reads `*`, `?` and `[` in a name as a pattern."""
    return glob.escape(str(path))


def duckdb_connection(con: Connection) -> Any:
    """The DuckDB connection of SQLAlchemy's; only it reads files without SQL in strings."""
    return con.connection.driver_connection


def register_view(con: Connection, relation: duckdb.DuckDBPyRelation) -> TableClause:
    """Make a DuckDB relation available to SQLAlchemy as a table."""
    duckdb_connection(con).register(VIEW, relation)
    return sa.table(VIEW, *(sa.Column(name) for name in relation.columns))


def register_table(
    con: Connection, name: str, types: dict[str, str], columns: Sequence[Any]
) -> TableClause:
    """Make columns of values available as a table. `types`: column → its Arrow type."""
    arrays = [pyarrow.array(*values) for values in zip(columns, types.values(), strict=True)]
    duckdb_connection(con).register(name, pyarrow.table(arrays, names=list(types)))
    return sa.table(name, *map(sa.Column, types))


def text_column(name: str) -> ColumnElement[Any]:
    """A column of the file as text."""
    return sa.cast(sa.column(name), sa.String)


def shorten(text: str, max_length: int = MAX_HEADING_LENGTH) -> str:
    """Text of the file for a message: short, in one line, of visible characters."""
    printable = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return printable if len(printable) <= max_length else f"{printable[:max_length]}…"
