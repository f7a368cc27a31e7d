"""Reads Parquet files with DuckDB."""

from typing import Any

import sqlalchemy as sa
from pyarrow import parquet
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.files.encoding import InputFile, reject_too_large
from data.files.errors import TooLarge
from data.files.json import number_records
from data.files.relation import (
    FileRows,
    RecordLocations,
    duckdb_connection,
    escape_glob,
    register_view,
    reject_too_many_headings,
    text_column,
)

MAX_ROWS = 20_000_000
"""Twenty times the longest list that Rollcall is made for. In a Parquet file, a value that is
repeated a billion times takes no space, so the size of the file is no limit."""

CELL_BYTES = 3
"""What a cell takes in a text file besides its text: quotes and a comma."""

MAX_VALUES = 5 * MAX_ROWS
"""Values in one column; lists have several per row."""


def read_parquet(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """Every type becomes the text that other formats would have."""
    _reject_too_many_values(input_file)
    relation = duckdb_connection(con).read_parquet(escape_glob(input_file.path))
    reject_too_many_headings(input_file.name, len(relation.columns))
    cells = {
        name: _without_nul(_as_text(name, str(kind)))
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }
    view = register_view(con, relation)
    _reject_too_much_text(con, input_file, view, cells)
    lines = number_records(view, sa.cast(sa.null(), sa.String))
    return input_file, FileRows(view, cells, lambda _: RecordLocations(lines))


def _reject_too_many_values(input_file: InputFile) -> None:
    metadata = parquet.read_metadata(input_file.path)
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    values = max(
        (sum(group.column(n).num_values for group in groups) for n in range(metadata.num_columns)),
        default=0,
    )
    if metadata.num_rows > MAX_ROWS or values > MAX_VALUES:
        raise TooLarge(
            f"{input_file.name} has {metadata.num_rows:,} rows and {values:,} values in a column; "
            f"the limit is {MAX_ROWS:,} rows and {MAX_VALUES:,} values."
        )


def _reject_too_much_text(
    con: Connection,
    input_file: InputFile,
    view: sa.FromClause,
    cells: dict[str, ColumnElement[Any]],
) -> None:
    """A repeated text takes space only once in the file, but each time in the store.

    The limits are those of the same rows as unpacked text.
    """
    sizes = [func.coalesce(func.sum(func.strlen(cell)), 0) for cell in cells.values()]
    if sizes:
        row_count, *texts = con.execute(select(func.count(), *sizes).select_from(view)).one()
        unpacked_bytes = sum(texts) + row_count * len(texts) * CELL_BYTES
        reject_too_large(input_file.name, unpacked_bytes, input_file.path.stat().st_size)


def _as_text(name: str, kind: str) -> ColumnElement[Any]:
    """The cell as another format would have it."""
    text = text_column(name)
    if kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]"):
        return sa.cast(func.to_json(sa.column(name)), sa.String)
    if kind == "BLOB":  # text of a writer that does not mark it as text
        return func.coalesce(func.try_(func.decode(sa.column(name))), text)
    if kind in ("DOUBLE", "FLOAT"):  # pandas turns integers with an empty cell into these
        as_integer = sa.try_cast(sa.column(name), sa.BigInteger)
        return case((as_integer == sa.column(name), sa.cast(as_integer, sa.String)), else_=text)
    return text


def _without_nul(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """NUL, plain or as JSON spells it, as the replacement character."""
    return func.replace(func.replace(text, "\0", "\ufffd"), "\\u0000", "\ufffd")
