"""Reads Parquet files with DuckDB."""

from __future__ import annotations

from typing import Any

from pyarrow import parquet
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    String,
    case,
    cast,
    column,
    func,
    null,
    select,
    try_cast,
)

from data.files.encoding import (
    COMPRESSIONS,
    MEGABYTE,
    TOO_LARGE,
    InputFile,
    max_unpacked_bytes,
    read_head,
    reject_signature,
)
from data.files.errors import TooLarge, UnknownFormat
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
"""Of a Parquet file, where a value repeated a billion times takes no place. Twenty times the
longest list that Rollcall is made for."""


MAX_VALUES = 5 * MAX_ROWS
"""Of one of its columns, where lists have several a row."""


def read_parquet(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """Every type as the text that the other formats would hold."""
    if input_file.path.suffix.lower() in COMPRESSIONS:
        raise UnknownFormat(
            f"{input_file.name}: a Parquet file is compressed inside; deliver it as it is, as "
            ".parquet."
        )
    if not (head := read_head(input_file.path)).startswith(b"PAR1"):
        reject_signature(input_file.name, head, "Parquet")
    _reject_too_many_values(input_file)
    relation = duckdb_connection(con).read_parquet(escape_glob(input_file.path))
    reject_too_many_headings(input_file.name, len(relation.columns))
    cells = {
        name: _without_nul(_as_text(name, str(kind)))
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }
    view = register_view(con, relation)
    _reject_too_much_text(con, input_file, view, cells)
    return input_file, FileRows(
        view, cells, lambda _: RecordLocations(number_records(view, cast(null(), String)))
    )


def _reject_too_many_values(input_file: InputFile) -> None:
    parquet_metadata = parquet.read_metadata(input_file.path)
    groups = [parquet_metadata.row_group(n) for n in range(parquet_metadata.num_row_groups)]
    values_per_column = [
        sum(group.column(n).num_values for group in groups)
        for n in range(parquet_metadata.num_columns)
    ]
    if parquet_metadata.num_rows > MAX_ROWS or max(values_per_column, default=0) > MAX_VALUES:
        raise TooLarge(
            f"{input_file.name} has {parquet_metadata.num_rows:,} rows and "
            f"{max(values_per_column, default=0):,} values "
            f"in a column; Rollcall reads up to {MAX_ROWS:,} rows and {MAX_VALUES:,} values."
        )


def _reject_too_much_text(
    con: Connection, input_file: InputFile, view: FromClause, cells: dict[str, ColumnElement[Any]]
) -> None:
    """A text that is repeated takes place only once, until it is copied out."""
    sizes = [func.coalesce(func.sum(func.strlen(cell)), 0) for cell in cells.values()]
    if sizes and sum(con.execute(select(*sizes).select_from(view)).one()) > max_unpacked_bytes():
        raise TooLarge(
            TOO_LARGE.format(name=input_file.name, most=max_unpacked_bytes() // MEGABYTE)
        )


def _as_text(name: str, kind: str) -> ColumnElement[Any]:
    """The cell as another format would hold it."""
    if kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]"):
        return cast(func.to_json(column(name)), String)
    if kind == "BLOB":  # texts of writers that do not say that they are texts
        return func.coalesce(func.try_(func.decode(column(name))), text_column(name))
    if kind in ("DOUBLE", "FLOAT"):  # integers, where pandas met an empty cell among them
        as_integer = try_cast(column(name), BigInteger)
        return func.coalesce(
            case((as_integer == column(name), cast(as_integer, String))), text_column(name)
        )
    return text_column(name)


def _without_nul(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """NUL, which no text has, as the sign for what is none; in JSON it is spelled out."""
    return func.replace(func.replace(text, "\0", "\ufffd"), "\\u0000", "\ufffd")
