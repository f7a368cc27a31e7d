"""Opens stores: once per process, checked, and set up before the first query."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, event, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from data.access.roles import FULL_VISIBILITY, PersonalData, Visibility
from data.home import current_home
from data.records import tables  # noqa: F401 - they are tables of the store, too
from data.schema import metadata
from data.store import duckdb, postgresql  # noqa: F401 - postgresql adds its adapter
from data.store.adapter import DatabaseAdapter, adapter_for, adapter_of
from data.store.errors import StoreError, StoreInterrupted, StoreOutdated
from data.store.pseudonyms import key_statements, read_or_create_key
from data.store.restricted_views import create_view_statements
from data.tempfiles import temporary_folder

SCHEMA_VERSION = 16
"""Increase it after a change to the tables, or to what is derived from a file. A store of another
version is rebuilt from the archive."""

# One row: the SCHEMA_VERSION of the store, and its key.
schema_version = sa.Table(
    "layout",
    sa.MetaData(),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("key", sa.String, nullable=False),
)

_write_lock = RLock()
"""DuckDB rejects a second writer. With the lock it waits. PostgreSQL has a lock of its own."""

_engines: dict[str, sa.Engine] = {}
_restricted_engines: dict[str, dict[Visibility, sa.Engine]] = {}
"""One engine for each restricted visibility. So people with different visibility never share a
connection or a cached result."""
_lasting_errors: dict[str, StoreError] = {}
"""Errors that make an open store useless until it is closed."""
_open_lock = Lock()
"""Two threads that create the same tables at once would fail."""


@contextmanager
def write_connection(engine: sa.Engine) -> Iterator[Connection]:
    """The only connection, of all processes, that writes to the store."""
    with _write_lock, engine.connect() as con, adapter_of(con).exclusive_lock(con):
        yield con


@contextmanager
def write_transaction(engine: sa.Engine) -> Iterator[Connection]:
    """The same, in one transaction."""
    with write_connection(engine) as con, con.begin():
        yield con


# ---- open and close ------------------------------------------------------------------------------


def open_store(url: str) -> sa.Engine:
    """The one engine of a store. It creates the tables of a new store.

    Raises StoreError; so can every use of the engine.
    """
    with _open_lock:
        if isinstance(_lasting_errors.get(url), StoreInterrupted):
            _close(url)
        if url in _lasting_errors:
            raise _lasting_errors[url]
        if url not in _engines:
            if adapter_for(url).has_readers(url):
                raise StoreInterrupted("The store reopens when its last reader is done.")
            _engines[url] = _open(url)
        return _engines[url]


def close_store(url: str) -> None:
    """Close one store, if it is open. Queries that are running still finish."""
    with _open_lock:
        _close(url)


def close_stores() -> None:
    """Close every store. DuckDB then writes its log into the file."""
    with _open_lock:
        for url in list(_engines):
            _close(url)


@contextmanager
def restrict_file_access(folder: Path) -> Iterator[None]:
    """Let stores that are opened in the block read only files in the folder.

    Temporary copies of compressed files are allowed, too. This is for a server, which answers
    queries of others. All stores are closed at the end.
    """
    allowed_folders = (folder.resolve(), temporary_folder().resolve())
    duckdb.allowed_folders.extend(f"{allowed}/" for allowed in allowed_folders)
    try:
        yield
    finally:
        close_stores()
        duckdb.allowed_folders.clear()


def _close(url: str) -> None:
    _lasting_errors.pop(url, None)
    for engine in (_engines.pop(url, None), *_restricted_engines.pop(url, {}).values()):
        if engine:
            engine.dispose()


def _open(url: str) -> sa.Engine:
    engine = create_unchecked_engine(url)
    adapter = adapter_of(engine)
    try:
        with engine.connect() as con:
            with con.begin():
                is_new = not _has_tables(con)
            if is_new:
                with adapter.exclusive_lock(con), con.begin():
                    if not _has_tables(con):  # another process may have been faster
                        adapter.create_tables(con)
                        schema_version.create(con)
                        values = {"number": SCHEMA_VERSION, "key": secrets.token_hex(16)}
                        con.execute(sa.insert(schema_version).values(values))
            _check_schema_version(con)
            adapter.check_complete(con)
    except BaseException:
        engine.dispose()
        _lasting_errors.pop(url, None)  # the caller gets the error
        raise
    return engine


def store_key(con: Connection) -> str:
    """A secret of the store, for values that nobody outside can calculate. No view shows it."""
    return con.execute(select(schema_version.c.key)).scalar_one()


def create_unchecked_engine(url: str) -> sa.Engine:
    """An engine that checks nothing in the store, which may be of another version."""
    adapter = adapter_for(url)
    engine = adapter.create_engine(url)
    event.listen(engine, "handle_error", partial(_translate_error, adapter, url))
    return engine


@contextmanager
def unchecked_connection(url: str) -> Iterator[Connection]:
    """A connection to a store that may be of another version. Raises StoreError."""
    engine = create_unchecked_engine(url)
    try:
        with engine.connect() as con:
            yield con
    finally:
        engine.dispose()


def _translate_error(
    adapter: DatabaseAdapter, url: str, context: ExceptionContext
) -> StoreError | None:
    """The meaning of a statement's error for the store. None where it has none.

    A dead connection that is noticed before its use is replaced, and means nothing.
    """
    if context.is_pre_ping:
        return None
    error, lasting_error = adapter.translate_error(url, context)
    if lasting_error:
        _lasting_errors[url] = lasting_error
    context.is_disconnect = context.is_disconnect or url in _lasting_errors
    return error


# ---- checks --------------------------------------------------------------------------------------


def _has_tables(con: Connection) -> bool:
    """Raises StoreUnreachable where the database cannot hold a store."""
    inspector = sa.inspect(con)  # without a schema, it lists all schemas of the search path
    table_names = set(inspector.get_table_names(inspector.default_schema_name))
    has_foreign_tables = bool(table_names) and schema_version.name not in table_names
    adapter_of(con).check_database(con, has_foreign_tables=has_foreign_tables)
    return bool(table_names)


def _check_schema_version(con: Connection) -> None:
    """Raises StoreOutdated, also where a table or a column is missing."""
    columns: dict[str, set[str]] = {}
    for table_name, column_name in con.execute(COLUMNS_QUERY):
        columns.setdefault(table_name, set()).add(column_name)
    version = (
        con.scalar(select(schema_version.c.number)) if schema_version.name in columns else None
    )
    if version != SCHEMA_VERSION or any(
        {c.name for c in table.c} - columns.get(table.name, set())
        for table in metadata.sorted_tables
    ):
        raise StoreOutdated("Another version of Rollcall made the store.")


COLUMNS_QUERY = sa.text(
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_catalog = current_database() AND table_schema = current_schema()"
)
"""All tables in one query: one query per table takes most of the time to open a store."""

# ---- restricted views ----------------------------------------------------------------------------


def restricted_engine(engine: sa.Engine, visibility: Visibility) -> sa.Engine:
    """The engine for readers with this visibility of an open store. Raises StoreError."""
    if visibility == FULL_VISIBILITY:
        return engine
    with _open_lock:
        url = next((url for url, open_engine in _engines.items() if open_engine is engine), None)
        if url is None:
            raise StoreInterrupted("The store was closed and is being reopened.")
        engines = _restricted_engines.setdefault(url, {})
        if visibility not in engines:
            restricted = engines[visibility] = create_unchecked_engine(url)
            event.listen(
                restricted, "connect", partial(_create_restricted_views, restricted, visibility)
            )
            if visibility.personal_data is PersonalData.PSEUDONYMS:
                event.listen(restricted, "begin", _set_key)
        return engines[visibility]


def _create_restricted_views(
    engine: sa.Engine, visibility: Visibility, connection: Any, entry: ConnectionPoolEntry
) -> None:
    """Hide the tables of a new connection before its first query."""
    adapter = adapter_of(engine)
    if visibility.personal_data is PersonalData.PSEUDONYMS:
        entry.info[KEY_STATEMENTS] = key_statements(read_or_create_key(current_home()), adapter)
    cursor = connection.cursor()
    schema = adapter.source_schema(cursor, engine.dialect.identifier_preparer.quote)
    for statement in create_view_statements(
        visibility, schema, engine.dialect, adapter.row_id_columns
    ):
        cursor.execute(statement)
    cursor.close()
    connection.commit()


KEY_STATEMENTS = "key statements"


def _set_key(con: Connection) -> None:
    """For each transaction, because a cluster does not pass settings of a connection on."""
    for statement in con.info[KEY_STATEMENTS]:
        con.exec_driver_sql(statement)
