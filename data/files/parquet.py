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
    Plain,
    head_of,
    most_unpacked,
    refuse_signature,
)
from data.files.errors import TooLarge, UnknownFormat
from data.files.json import with_record_numbers
from data.files.relation import (
    Places,
    Rows,
    check_heading_count,
    duckdb_connection,
    escape_glob,
    register_relation,
    text_column,
)

MOST_ROWS = 20_000_000
"""Of a Parquet file, where a value repeated a billion times takes no place. Twenty times the
longest list that Rollcall is made for."""


MOST_VALUES = 5 * MOST_ROWS
"""Of one of its columns, where lists have several a row."""


def read_parquet(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    """Every type as the text that the other formats would hold."""
    if plain.path.suffix.lower() in COMPRESSIONS:
        raise UnknownFormat(
            f"{plain.name}: a Parquet file is compressed inside; deliver it as it is, as .parquet."
        )
    if not (head := head_of(plain.path)).startswith(b"PAR1"):
        refuse_signature(plain.name, head, "Parquet")
    _refuse_more_values_than_people(plain)
    relation = duckdb_connection(con).read_parquet(escape_glob(plain.path))
    check_heading_count(plain.name, len(relation.columns))
    cells = {
        name: _without_nul(_as_text(name, str(kind)))
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }
    view = register_relation(con, relation)
    _refuse_more_text_than_unpacked(con, plain, view, cells)
    return plain, Rows(
        view, cells, lambda _: Places(with_record_numbers(view, cast(null(), String)))
    )


def _refuse_more_values_than_people(plain: Plain) -> None:
    about = parquet.read_metadata(plain.path)
    groups = [about.row_group(n) for n in range(about.num_row_groups)]
    in_columns = [sum(g.column(n).num_values for g in groups) for n in range(about.num_columns)]
    if about.num_rows > MOST_ROWS or max(in_columns, default=0) > MOST_VALUES:
        raise TooLarge(
            f"{plain.name} has {about.num_rows:,} rows and {max(in_columns, default=0):,} values "
            f"in a column; Rollcall reads up to {MOST_ROWS:,} rows and {MOST_VALUES:,} values."
        )


def _refuse_more_text_than_unpacked(
    con: Connection, plain: Plain, view: FromClause, cells: dict[str, ColumnElement[Any]]
) -> None:
    """A text that is repeated takes place only once, until it is copied out."""
    sizes = [func.coalesce(func.sum(func.strlen(cell)), 0) for cell in cells.values()]
    if sizes and sum(con.execute(select(*sizes).select_from(view)).one()) > most_unpacked():
        raise TooLarge(TOO_LARGE.format(name=plain.name, most=most_unpacked() // MEGABYTE))


def _as_text(name: str, kind: str) -> ColumnElement[Any]:
    """The cell as another format would hold it."""
    if kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]"):
        return cast(func.to_json(column(name)), String)
    if kind == "BLOB":  # texts of writers that do not say that they are texts
        return func.coalesce(func.try_(func.decode(column(name))), text_column(name))
    if kind in ("DOUBLE", "FLOAT"):  # integers, where pandas met an empty cell among them
        whole = try_cast(column(name), BigInteger)
        return func.coalesce(case((whole == column(name), cast(whole, String))), text_column(name))
    return text_column(name)


def _without_nul(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """NUL, which no text has, as the sign for what is none; in JSON it is spelled out."""
    return func.replace(func.replace(text, "\0", "\ufffd"), "\\u0000", "\ufffd")
