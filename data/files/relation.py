"""The table that a file becomes, and where its rows are in it."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow
from sqlalchemy import Column, ColumnElement, Connection, FromClause, String, cast, column, table
from sqlalchemy.sql.expression import TableClause

from data.files.errors import NotAListOfAccounts

VIEW = "snapshot_file"


MAX_LINE_SIZE = 16 * 1024 * 1024  # bytes; above it a line is a fault, not an account


MAX_HEADINGS = 500
"""Above it a file has data where headings should be, like an object with a key per account."""


MAX_HEADINGS_SHOWN = 20  # headings or keys in a sentence


MAX_HEADING_LENGTH = 60  # characters of each


TOO_MANY_HEADINGS = (
    "{name} has more than {most:,} different headings: data, it seems, is where they should be. "
    "Expected a list of accounts, each with the same columns."
)


class RecordLocations(NamedTuple):
    """Where in a file its records are."""

    lines: FromClause  # one row per row of `stage_row`: number, from 0; line; text if not readable
    broken_records: FromClause | None = (
        None  # one row per record not taken apart: line, text, reason
    )


class FileRows(NamedTuple):
    """A file as the database sees it."""

    records: FromClause  # one row per record, in the file's order
    cells: dict[str, ColumnElement[Any]]  # heading → its cell as text, or NULL
    locate_records: Callable[
        [Connection], RecordLocations
    ]  # asking for them reads the file once more
    collects_broken: bool = False  # whether DuckDB keeps out, and notes, what it cannot take apart


def reject_too_many_headings(name: str, heading_count: int) -> None:
    """Raises NotAListOfAccounts where a file has more columns than a list of accounts has."""
    if heading_count > MAX_HEADINGS:
        raise NotAListOfAccounts(TOO_MANY_HEADINGS.format(name=name, most=MAX_HEADINGS))


def escape_glob(path: Path) -> str:
    """The path as DuckDB wants it, which takes `*`, `?` and `[` in a name for a pattern."""
    return glob.escape(str(path))


def duckdb_connection(con: Connection) -> Any:
    """The DuckDB connection under SQLAlchemy's: only it can read files without SQL in strings."""
    return con.connection.driver_connection


def register_view(con: Connection, relation: duckdb.DuckDBPyRelation) -> TableClause:
    """Make a DuckDB relation available to SQLAlchemy as a table."""
    duckdb_connection(con).register(VIEW, relation)
    return table(VIEW, *(Column(name) for name in relation.columns))


def register_table(con: Connection, name: str, **columns: Any) -> TableClause:
    """Arrow arrays as a table to select from."""
    duckdb_connection(con).register(name, pyarrow.table(columns))
    return table(name, *map(Column, columns))


def text_column(name: str) -> ColumnElement[Any]:
    """A column of the file as text."""
    return cast(column(name), String)


def shorten(text: str, max_length: int = MAX_HEADING_LENGTH) -> str:
    """Text of the file, short enough for a sentence, of characters that can be seen."""
    printable = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return printable if len(printable) <= max_length else f"{printable[:max_length]}…"
