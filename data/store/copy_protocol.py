"""PostgreSQL's COPY as Arrow: rows in bulk, in both directions."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg import sql
from pyarrow import csv
from sqlalchemy import ColumnElement, Connection, func, select

from data.store.adapter import Rows
from data.store.dialect import LAMBDA_ITEM, sql_lambda
from data.store.server_errors import explain_server_error

READ_AHEAD_SIZE = 1 << 20
"""Bytes that are read ahead."""

MAX_ROW_SIZE = 32 << 20
"""Bytes of one row as text: twice the longest line of a file."""


def write_copied(
    store: Connection, table: sa.Table, workspace: Connection, rows: Rows, batch_size: int
) -> None:
    """Write rows of the workspace, which have the columns of the table in its order."""
    columns = rows.subquery("rows").c
    text_rows = select(*(_array_literal(c) if isinstance(c.type, sa.ARRAY) else c for c in columns))
    result: Any = workspace.execute(text_rows, execution_options={"duckdb_arrow": True})
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table.name), sql.SQL(", ").join(sql.Identifier(c.name) for c in table.c)
    )
    write_options = csv.WriteOptions(include_header=False)
    with (
        _cursor(store) as cursor,
        cursor.copy(statement) as copy,
        result.batches(batch_size) as batches,
    ):
        for batch in batches:
            sink = pa.BufferOutputStream()
            csv.write_csv(batch, sink, write_options)
            copy.write(memoryview(sink.getvalue()))


def _array_literal(items: ColumnElement[Any]) -> ColumnElement[Any]:
    """A list in PostgreSQL's notation of arrays."""
    item = func.replace(func.replace(LAMBDA_ITEM, "\\", "\\\\"), '"', '\\"')
    quoted = func.list_transform(items, sql_lambda(func.concat('"', item, '"')))
    return func.concat("{", func.array_to_string(quoted, ","), "}").label(items.key)


def read_copied(store: Connection, rows: Rows) -> pa.RecordBatchReader:
    """The rows as the server sends them. Lists are JSON."""
    schema = pa.schema([(c.key, _arrow_type(c)) for c in rows.selected_columns])
    stream = io.BufferedReader(_CopyStream(store, copied_query(rows)), READ_AHEAD_SIZE)
    if not stream.peek(1):
        return pa.RecordBatchReader.from_batches(schema, [])
    return csv.open_csv(
        stream,
        csv.ReadOptions(column_names=schema.names, block_size=MAX_ROW_SIZE),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=schema,
            null_values=[""],  # NULL is an empty cell, and an empty text has quotes
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def copied_query(rows: Rows) -> Rows:
    """The rows with lists as JSON, in their order.

    The order stays that of the whole statement: Citus sorts a subquery on each machine only.
    """
    columns = (
        func.to_json(c).label(c.key) if isinstance(c.type, sa.ARRAY) else c
        for c in rows.selected_columns
    )
    return rows.with_only_columns(*columns, maintain_column_froms=True)


class _CopyStream(io.RawIOBase):
    """The rows of a query as CSV without headings."""

    def __init__(self, store: Connection, rows: Rows) -> None:
        compiled = rows.compile(store, compile_kwargs={"render_postcompile": True})
        query = sql.SQL(compiled.string)  # type: ignore[arg-type] - the values are apart
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(query)
        self._chunks = _chunks(store, statement, dict(compiled.params))
        next(self._chunks)  # the headings
        self._remainder = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._remainder = self._remainder or next(self._chunks, b"")
        chunk = self._remainder[: len(buffer)]
        buffer[: len(chunk)] = chunk
        self._remainder = self._remainder[len(chunk) :]
        return len(chunk)


def _chunks(store: Connection, statement: sql.Composed, values: dict[str, Any]) -> Iterator[bytes]:
    with _cursor(store) as cursor, cursor.copy(statement, values) as copy:
        for chunk in copy:
            yield bytes(chunk)


@contextmanager
def _cursor(store: Connection) -> Iterator[Any]:
    """A cursor in a transaction, which SQLAlchemy begins only for its own statements.

    It does not see errors of this cursor, either.
    """
    if not store.in_transaction():
        store.begin()
    connection: Any = store.connection.driver_connection
    try:
        with connection.cursor() as cursor:
            yield cursor
    except psycopg.Error as error:
        explained = explain_server_error(store.engine.url, error, is_lost=connection.closed)
        raise explained or error from error


def _arrow_type(value: ColumnElement[Any]) -> pa.DataType:
    types = (arrow for sql_type, arrow in ARROW_TYPES.items() if isinstance(value.type, sql_type))
    return next(types, pa.string())


ARROW_TYPES: dict[Any, pa.DataType] = {
    sa.Boolean: pa.bool_(),
    sa.SmallInteger: pa.int16(),
    sa.BigInteger: pa.int64(),
    sa.Integer: pa.int32(),
    sa.Float: pa.float64(),
    sa.DateTime: pa.timestamp("us"),
    sa.Date: pa.date32(),
}
