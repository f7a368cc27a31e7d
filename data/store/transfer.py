"""Between the database where files are read and understood, DuckDB, and the one of the store.

Where the store is DuckDB, they are the same connection and a statement is all it takes. Where it is
PostgreSQL, a file is read in memory, and rows go over through COPY, in bulk.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import pyarrow as pa
from psycopg import sql
from pyarrow import csv
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Engine,
    Float,
    FromClause,
    Integer,
    Select,
    SmallInteger,
    String,
    Table,
    func,
    insert,
    select,
    table,
)
from sqlalchemy.schema import CreateTable, DropTable

from data.staging import staging_metadata, workspace_metadata
from data.store import postgresql
from data.store.dialect import LAMBDA_ITEM, sql_lambda
from data.store.engine import create_unchecked_engine, is_duckdb

BATCH_SIZE = 20_000
"""Rows that are sent at a time."""

READ_AHEAD_SIZE = 1 << 20
"""Bytes that are read ahead."""

MAX_ROW_SIZE = 32 << 20
"""Bytes of a row of the store as text: twice the longest line of a file."""

STATISTICS_THRESHOLD = 500
"""Rows that a wrong plan, which compares each with each, takes a tenth of a second for."""

Rows = Select[*tuple[Any, ...]]


@contextmanager
def open_workspace(store: Connection) -> Iterator[Connection]:
    """The connection on which a file is read, with the empty scratch tables, which end with it."""
    if is_duckdb(store):
        with _workspace_tables(store):
            yield store
    else:
        with _memory_engine().connect() as con, _workspace_tables(con):
            yield con


def as_workspace(store: Connection) -> Connection:
    """A connection on which rows of the store can be made into what only DuckDB has words for."""
    return store if is_duckdb(store) else _memory_engine().connect()


@contextmanager
def transaction(store: Connection, workspace: Connection, *, commit: bool = True) -> Iterator[None]:
    """One transaction of both; undone at its end where it is not to be kept."""
    with ExitStack() as stack:
        open_transactions = [
            stack.enter_context(con.begin()) for con in dict.fromkeys((store, workspace))
        ]
        yield
        if not commit:
            for open_transaction in open_transactions:
                open_transaction.rollback()


@contextmanager
def _workspace_tables(con: Connection) -> Iterator[None]:
    with con.begin():
        for workspace_table in workspace_metadata.tables.values():
            con.execute(CreateTable(workspace_table))
    try:
        yield
    finally:
        con.rollback()
        with con.begin():
            for workspace_table in workspace_metadata.tables.values():
                con.execute(DropTable(workspace_table))


def recreate_table(workspace: Connection, workspace_table: Table) -> None:
    """Begin it anew, so that its rows are numbered from 0 again."""
    workspace.execute(DropTable(workspace_table))
    workspace.execute(CreateTable(workspace_table))


@cache
def _memory_engine() -> Engine:
    """A database of this process in which nothing stays."""
    return create_unchecked_engine("duckdb:///:memory:rollcall-desk")


@contextmanager
def staging_tables(store: Connection) -> Iterator[None]:
    """The tables that take what is handed over, empty."""
    with store.begin():
        if not is_duckdb(store):
            postgresql.truncate_staging(store)
        else:
            for staging_table in staging_metadata.tables.values():
                store.execute(CreateTable(staging_table))
    try:
        yield
    finally:
        if is_duckdb(store):
            store.rollback()
            with store.begin():
                for staging_table in staging_metadata.tables.values():
                    store.execute(DropTable(staging_table))


# ---- to the store --------------------------------------------------------------------------------


def copy_to_store(workspace: Connection, rows: Rows, store: Connection, target: Table) -> None:
    """Put rows of the desk, which have the table's columns in their order, into the store."""
    if workspace is store:
        store.execute(insert(target).from_select([c.name for c in target.c], rows))
        return
    text_rows = select(*(_array_literal(c) if _is_list(c) else c for c in rows.subquery("rows").c))
    result: Any = workspace.execute(text_rows, execution_options={"duckdb_arrow": True})
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(target.name), sql.SQL(", ").join(sql.Identifier(c.name) for c in target.c)
    )
    write_options = csv.WriteOptions(include_header=False)
    with (
        _cursor(store) as cursor,
        cursor.copy(statement) as copy,
        result.batches(BATCH_SIZE) as batches,
    ):
        for batch in batches:
            sink = pa.BufferOutputStream()
            csv.write_csv(batch, sink, write_options)
            copy.write(memoryview(sink.getvalue()))


def materialize_in_store(
    workspace: Connection, rows: Rows, store: Connection, staging_table: Table
) -> FromClause:
    """Rows of the desk as the store can read them; the table takes them where it cannot itself."""
    if workspace is store:
        return rows.subquery(staging_table.name)
    copy_to_store(workspace, rows, store, staging_table)
    refresh_statistics(store, staging_table)
    return staging_table


def refresh_statistics(store: Connection, *tables: Table, if_large: Table | None = None) -> None:
    """Let the planner know what was filled just now; it would take a million rows for none.

    `after`: only where that has many rows, as it takes a tenth of a second.
    """
    if is_duckdb(store):
        return
    if (
        if_large is None
        or (store.scalar(select(func.count()).select_from(if_large)) or 0) > STATISTICS_THRESHOLD
    ):
        postgresql.analyze_tables(store, *tables)


def _array_literal(items: ColumnElement[Any]) -> ColumnElement[Any]:
    """A list as PostgreSQL writes arrays."""
    item = func.replace(func.replace(LAMBDA_ITEM, "\\", "\\\\"), '"', '\\"')
    quoted = func.list_transform(items, sql_lambda(func.concat('"', item, '"')))
    return func.concat("{", func.array_to_string(quoted, ","), "}").label(items.key)


# ---- from the store ------------------------------------------------------------------------------


def scan(store: Connection, rows: Rows, workspace: Connection, name: str) -> FromClause:
    """Rows of the store as the desk can read them, once, before the store is asked again.

    The desk can be another store.
    """
    source = rows.subquery(name)
    if workspace is store:
        return source
    if is_duckdb(store):
        batches = fetch_batches(store, rows)
        _duckdb_connection(workspace).register(
            name, pa.RecordBatchReader.from_batches(batches.schema, batches)
        )
        return table(name, *(Column(c.key, c.type) for c in source.c))
    _duckdb_connection(workspace).register(f"{name}_copied", _copy_reader(store, source))
    copied_rows = table(f"{name}_copied", *(Column(c.key, c.type) for c in source.c))
    return select(*(_list_from_json(c) if _is_list(c) else c for c in copied_rows.c)).subquery(name)


def materialize(store: Connection, rows: Rows, workspace: Connection, target: Table) -> FromClause:
    """As `fetched`, to be read more than once; the table takes what is not at the desk."""
    if workspace is store:
        return rows.subquery(target.name)
    scanned = scan(store, rows, workspace, f"{target.name}_told")
    workspace.execute(insert(target).from_select([c.name for c in target.c], select(*scanned.c)))
    return target


def _copy_reader(store: Connection, source: FromClause) -> pa.RecordBatchReader:
    schema = pa.schema([(c.key, _arrow_type(c)) for c in source.c])
    stream = _CopyStream(store, select(*map(_list_to_json, source.c)))
    return _read_csv(io.BufferedReader(stream, READ_AHEAD_SIZE), schema)


def _read_csv(stream: io.BufferedReader, schema: pa.Schema) -> pa.RecordBatchReader:
    """CSV in which an empty cell is none, and an empty text has quotes."""
    if not stream.peek(1):
        return pa.RecordBatchReader.from_batches(schema, [])
    return csv.open_csv(
        stream,
        csv.ReadOptions(column_names=schema.names, block_size=MAX_ROW_SIZE),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def fetch_batches(store: Connection, rows: Rows) -> pa.RecordBatchReader:
    """The rows as they come out of the store."""
    if is_duckdb(store):
        result: Any = store.execute(rows, execution_options={"duckdb_arrow": True})
        return result.batches(BATCH_SIZE)
    source = rows.subquery("asked")
    if any(map(_is_list, source.c)):  # which come as JSON
        workspace = as_workspace(store)
        return fetch_batches(workspace, select(scan(store, rows, workspace, "asked")))
    reader = _copy_reader(store, source)
    slices = (
        batch.slice(start, BATCH_SIZE)
        for batch in reader
        for start in range(0, batch.num_rows, BATCH_SIZE)
    )
    return pa.RecordBatchReader.from_batches(reader.schema, slices)


class _CopyStream(io.RawIOBase):
    """The rows of a statement as CSV, as they come."""

    def __init__(self, store: Connection, rows: Rows) -> None:
        compiled = rows.compile(store, compile_kwargs={"render_postcompile": True})
        query = sql.SQL(compiled.string)  # type: ignore[arg-type] - with its values apart
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


def _list_to_json(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.to_json(value).label(value.key) if _is_list(value) else value


def _list_from_json(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.from_json(text, '["VARCHAR"]', type_=ARRAY(String)).label(text.key)


def _is_list(value: ColumnElement[Any]) -> bool:
    return isinstance(value.type, ARRAY)


def _arrow_type(value: ColumnElement[Any]) -> pa.DataType:
    arrow_types = (
        arrow_type
        for sql_type, arrow_type in ARROW_TYPES.items()
        if isinstance(value.type, sql_type)
    )
    return next(arrow_types, pa.string())


ARROW_TYPES: dict[Any, pa.DataType] = {
    Boolean: pa.bool_(),
    SmallInteger: pa.int16(),
    BigInteger: pa.int64(),
    Integer: pa.int32(),
    Float: pa.float64(),
    DateTime: pa.timestamp("us"),
    Date: pa.date32(),
}


def _cursor(store: Connection) -> Any:
    """In a transaction, which SQLAlchemy would begin for a statement of its own."""
    if not store.in_transaction():
        store.begin()
    return store.connection.cursor()


def _duckdb_connection(workspace: Connection) -> Any:
    return workspace.connection.driver_connection
