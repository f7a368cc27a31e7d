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

from data.staging import scratch, staging
from data.store import postgresql
from data.store.dialect import ROLE, of_each
from data.store.engine import is_duckdb, unchecked

BATCH = 20_000
"""Rows that are sent at a time."""

AHEAD = 1 << 20
"""Bytes that are read ahead."""

LONGEST_ROW = 32 << 20
"""Bytes of a row of the store as text: twice the longest line of a file."""

MANY = 500
"""Rows that a wrong plan, which compares each with each, takes a tenth of a second for."""

Rows = Select[*tuple[Any, ...]]


@contextmanager
def desk(store: Connection) -> Iterator[Connection]:
    """The connection on which a file is read, with the empty scratch tables, which end with it."""
    if is_duckdb(store):
        with _scratch_tables(store):
            yield store
    else:
        with _memory().connect() as con, _scratch_tables(con):
            yield con


def at_a_desk(store: Connection) -> Connection:
    """A connection on which rows of the store can be made into what only DuckDB has words for."""
    return store if is_duckdb(store) else _memory().connect()


@contextmanager
def step(store: Connection, at: Connection, *, keep: bool = True) -> Iterator[None]:
    """One transaction of both; undone at its end where it is not to be kept."""
    with ExitStack() as stack:
        begun = [stack.enter_context(con.begin()) for con in dict.fromkeys((store, at))]
        yield
        if not keep:
            for each in begun:
                each.rollback()


@contextmanager
def _scratch_tables(con: Connection) -> Iterator[None]:
    with con.begin():
        for each in scratch.tables.values():
            con.execute(CreateTable(each))
    try:
        yield
    finally:
        con.rollback()
        with con.begin():
            for each in scratch.tables.values():
                con.execute(DropTable(each))


def empty(at: Connection, scratch_table: Table) -> None:
    """Begin it anew, so that its rows are numbered from 0 again."""
    at.execute(DropTable(scratch_table))
    at.execute(CreateTable(scratch_table))


@cache
def _memory() -> Engine:
    """A database of this process in which nothing stays."""
    return unchecked("duckdb:///:memory:rollcall-desk")


@contextmanager
def with_staging(store: Connection) -> Iterator[None]:
    """The tables that take what is handed over, empty."""
    with store.begin():
        if not is_duckdb(store):
            postgresql.empty_staging(store)
        else:
            for each in staging.tables.values():
                store.execute(CreateTable(each))
    try:
        yield
    finally:
        if is_duckdb(store):
            store.rollback()
            with store.begin():
                for each in staging.tables.values():
                    store.execute(DropTable(each))


# ---- to the store --------------------------------------------------------------------------------


def hand_over(at: Connection, rows: Rows, store: Connection, into: Table) -> None:
    """Put rows of the desk, which have the table's columns in their order, into the store."""
    if at is store:
        store.execute(insert(into).from_select([c.name for c in into.c], rows))
        return
    texts = select(*(_as_text(c) if _is_list(c) else c for c in rows.subquery("rows").c))
    told: Any = at.execute(texts, execution_options={"duckdb_arrow": True})
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(into.name), sql.SQL(", ").join(sql.Identifier(c.name) for c in into.c)
    )
    how = csv.WriteOptions(include_header=False)
    with _cursor(store) as cursor, cursor.copy(statement) as copy, told.batches(BATCH) as batches:
        for batch in batches:
            sink = pa.BufferOutputStream()
            csv.write_csv(batch, sink, how)
            copy.write(memoryview(sink.getvalue()))


def handed(at: Connection, rows: Rows, store: Connection, through: Table) -> FromClause:
    """Rows of the desk as the store can read them; the table takes them where it cannot itself."""
    if at is store:
        return rows.subquery(through.name)
    hand_over(at, rows, store, through)
    count_anew(store, through)
    return through


def count_anew(store: Connection, *tables: Table, after: Table | None = None) -> None:
    """Let the planner know what was filled just now; it would take a million rows for none.

    `after`: only where that has many rows, as it takes a tenth of a second.
    """
    if is_duckdb(store):
        return
    if after is None or (store.scalar(select(func.count()).select_from(after)) or 0) > MANY:
        postgresql.gather_statistics(store, *tables)


def _as_text(texts: ColumnElement[Any]) -> ColumnElement[Any]:
    """A list as PostgreSQL writes arrays."""
    item = func.replace(func.replace(ROLE, "\\", "\\\\"), '"', '\\"')
    quoted = func.list_transform(texts, of_each(func.concat('"', item, '"')))
    return func.concat("{", func.array_to_string(quoted, ","), "}").label(texts.key)


# ---- from the store ------------------------------------------------------------------------------


def fetched(store: Connection, rows: Rows, at: Connection, name: str) -> FromClause:
    """Rows of the store as the desk can read them, once, before the store is asked again.

    The desk can be another store.
    """
    asked = rows.subquery(name)
    if at is store:
        return asked
    if is_duckdb(store):
        batches = in_batches(store, rows)
        _duckdb(at).register(name, pa.RecordBatchReader.from_batches(batches.schema, batches))
        return table(name, *(Column(c.key, c.type) for c in asked.c))
    _duckdb(at).register(f"{name}_copied", _copied(store, asked))
    rows_there = table(f"{name}_copied", *(Column(c.key, c.type) for c in asked.c))
    return select(*(_as_list(c) if _is_list(c) else c for c in rows_there.c)).subquery(name)


def kept(store: Connection, rows: Rows, at: Connection, into: Table) -> FromClause:
    """As `fetched`, to be read more than once; the table takes what is not at the desk."""
    if at is store:
        return rows.subquery(into.name)
    told = fetched(store, rows, at, f"{into.name}_told")
    at.execute(insert(into).from_select([c.name for c in into.c], select(*told.c)))
    return into


def _copied(store: Connection, asked: FromClause) -> pa.RecordBatchReader:
    schema = pa.schema([(c.key, _arrow_type(c)) for c in asked.c])
    copied = _Copied(store, select(*map(_flat, asked.c)))
    return _read(io.BufferedReader(copied, AHEAD), schema)


def _read(text: io.BufferedReader, schema: pa.Schema) -> pa.RecordBatchReader:
    """CSV in which an empty cell is none, and an empty text has quotes."""
    if not text.peek(1):
        return pa.RecordBatchReader.from_batches(schema, [])
    return csv.open_csv(
        text,
        csv.ReadOptions(column_names=schema.names, block_size=LONGEST_ROW),
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


def in_batches(store: Connection, rows: Rows) -> pa.RecordBatchReader:
    """The rows as they come out of the store."""
    if is_duckdb(store):
        found: Any = store.execute(rows, execution_options={"duckdb_arrow": True})
        return found.batches(BATCH)
    asked = rows.subquery("asked")
    if any(map(_is_list, asked.c)):  # which come as JSON
        at = at_a_desk(store)
        return in_batches(at, select(fetched(store, rows, at, "asked")))
    reader = _copied(store, asked)
    pieces = (
        batch.slice(start, BATCH) for batch in reader for start in range(0, batch.num_rows, BATCH)
    )
    return pa.RecordBatchReader.from_batches(reader.schema, pieces)


class _Copied(io.RawIOBase):
    """The rows of a statement as CSV, as they come."""

    def __init__(self, store: Connection, rows: Rows) -> None:
        compiled = rows.compile(store, compile_kwargs={"render_postcompile": True})
        asked = sql.SQL(compiled.string)  # type: ignore[arg-type] - with its values apart
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(asked)
        self._chunks = _chunks(store, statement, dict(compiled.params))
        next(self._chunks)  # the headings
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any, /) -> int:
        self._left = self._left or next(self._chunks, b"")
        taken = self._left[: len(into)]
        into[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def _chunks(store: Connection, statement: sql.Composed, values: dict[str, Any]) -> Iterator[bytes]:
    with _cursor(store) as cursor, cursor.copy(statement, values) as copy:
        for chunk in copy:
            yield bytes(chunk)


def _flat(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.to_json(value).label(value.key) if _is_list(value) else value


def _as_list(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.from_json(text, '["VARCHAR"]', type_=ARRAY(String)).label(text.key)


def _is_list(value: ColumnElement[Any]) -> bool:
    return isinstance(value.type, ARRAY)


def _arrow_type(value: ColumnElement[Any]) -> pa.DataType:
    known = (kind for of, kind in ARROW.items() if isinstance(value.type, of))
    return next(known, pa.string())


ARROW: dict[Any, pa.DataType] = {
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


def _duckdb(at: Connection) -> Any:
    return at.connection.driver_connection
