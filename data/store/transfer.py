"""Moves rows between DuckDB, which parses files, and the store's database.

The DuckDB connection is the workspace. Where the store is DuckDB, both are one connection, and a
transfer is a subquery. Otherwise the workspace is in memory, and rows move in bulk.
"""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.schema import CreateTable, DropTable

from data.staging import workspace_metadata
from data.store.adapter import Rows, adapter_of
from data.store.duckdb import temporary_tables
from data.store.engine import create_unchecked_engine

BATCH_SIZE = 20_000
"""Rows that are sent at a time."""

STATISTICS_THRESHOLD = 500
"""Rows for which a wrong plan, a nested loop, takes a tenth of a second."""


@contextmanager
def open_workspace(store: Connection) -> Iterator[Connection]:
    """The connection that reads a file, with empty workspace tables for the length of the block."""
    with (
        shared_workspace(store) as workspace,
        temporary_tables(workspace, workspace_metadata),
    ):
        yield workspace


def staging_tables(store: Connection) -> AbstractContextManager[None]:
    """The empty staging tables of a load, for the length of the block."""
    return adapter_of(store).staging_tables(store)


@contextmanager
def shared_workspace(*stores: Connection) -> Iterator[Connection]:
    """The first of the connections that is DuckDB, else a connection to DuckDB in memory."""
    for store in stores:
        if not adapter_of(store).is_server:
            yield store
            return
    with _memory_engine().connect() as workspace:
        yield workspace


def as_workspace(store: Connection) -> Connection:
    """A DuckDB connection that can scan rows of the store: one for each connection to a server.

    It closes when nothing refers to the store's connection anymore.
    """
    if not adapter_of(store).is_server:
        return store
    if store not in _workspaces:
        _workspaces[store] = _memory_engine().connect()
        weakref.finalize(store, _workspaces[store].close)
    return _workspaces[store]


_workspaces: WeakKeyDictionary[Connection, Connection] = WeakKeyDictionary()


@cache
def _memory_engine() -> sa.Engine:
    """An empty database of this process."""
    return create_unchecked_engine("duckdb:///:memory:rollcall-workspace")


@contextmanager
def transaction(store: Connection, workspace: Connection, *, commit: bool = True) -> Iterator[None]:
    """One transaction of both, which is rolled back without `commit`."""
    with ExitStack() as stack:
        open_transactions = [
            stack.enter_context(con.begin()) for con in dict.fromkeys((store, workspace))
        ]
        yield
        if not commit:
            for open_transaction in open_transactions:
                open_transaction.rollback()


def recreate_table(workspace: Connection, workspace_table: sa.Table) -> None:
    """Empty it, so that its row numbers start at 0 again."""
    workspace.execute(DropTable(workspace_table))
    workspace.execute(CreateTable(workspace_table))


# ---- to the store --------------------------------------------------------------------------------


def copy_to_store(workspace: Connection, rows: Rows, store: Connection, target: sa.Table) -> None:
    """Write rows of the workspace, which have the columns of the table in its order."""
    if workspace is store:
        store.execute(sa.insert(target).from_select([c.name for c in target.c], rows))
    else:
        adapter_of(store).write_batches(store, target, workspace, rows, BATCH_SIZE)


def materialize_in_store(
    workspace: Connection,
    rows: Rows,
    store: Connection,
    staging_table: sa.Table,
    parameters: Mapping[str, Any],
) -> sa.FromClause:
    """Rows of the workspace for queries of the store; through the table where there are two.

    `parameters` are those of the rows. A query needs them, too, if there is one database.
    """
    if workspace is store:
        return _subquery(rows, staging_table.name)
    copy_to_store(workspace, rows.params(parameters), store, staging_table)
    refresh_statistics(store, staging_table)
    return staging_table


@lru_cache(maxsize=64)
def _subquery(rows: Rows, name: str) -> sa.Subquery:
    """The same one for the same rows, so that a statement with it need not be built again."""
    return rows.subquery(name)


def refresh_statistics(
    store: Connection, *tables: sa.Table, if_large: sa.Table | None = None
) -> None:
    """Update the planner's statistics; it would take a million new rows for none.

    This takes a tenth of a second, so with `if_large` it happens only where that table has many
    rows. DuckDB needs none of it.
    """
    adapter = adapter_of(store)
    if if_large is not None and adapter.is_server:
        row_count = store.scalar(select(func.count()).select_from(if_large)) or 0
        if row_count <= STATISTICS_THRESHOLD:
            return
    adapter.analyze(store, *tables)


# ---- from the store ------------------------------------------------------------------------------


def scan(store: Connection, rows: Rows, workspace: Connection, name: str) -> sa.FromClause:
    """Rows of the store for one query of the workspace, before the store runs another query.

    The workspace can be another store.
    """
    source = rows.subquery(name)
    if workspace is store:
        return source
    reader = adapter_of(store).read_batches(store, rows, BATCH_SIZE)
    con: Any = workspace.connection.driver_connection
    con.register(f"{name}_read", reader)
    scanned = sa.table(f"{name}_read", *(sa.Column(c.key, c.type) for c in source.c))
    return select(*(_decoded(c, reader.schema) for c in scanned.c)).subquery(name)


def materialize(
    store: Connection, rows: Rows, workspace: Connection, target: sa.Table
) -> sa.FromClause:
    """Like `scan`, for several queries; through the table where there are two databases."""
    if workspace is store:
        return rows.subquery(target.name)
    scanned = scan(store, rows, workspace, f"{target.name}_scan")
    workspace.execute(sa.insert(target).from_select([c.name for c in target.c], select(*scanned.c)))
    return target


def fetch_batches(store: Connection, rows: Rows) -> pa.RecordBatchReader:
    """The rows in batches, as they leave the store."""
    adapter = adapter_of(store)
    if adapter.is_server and any(isinstance(c.type, sa.ARRAY) for c in rows.selected_columns):
        workspace = as_workspace(store)
        return fetch_batches(workspace, select(scan(store, rows, workspace, "fetched")))
    return adapter.read_batches(store, rows, BATCH_SIZE)


def _decoded(column: ColumnElement[Any], schema: pa.Schema) -> ColumnElement[Any]:
    """A server gives lists as JSON."""
    is_json = isinstance(column.type, sa.ARRAY) and pa.types.is_string(
        schema.field(column.key).type
    )
    if not is_json:
        return column
    return func.from_json(column, '["VARCHAR"]', type_=sa.ARRAY(sa.String)).label(column.key)
