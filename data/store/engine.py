"""The database: opened once per process, checked and set up before anybody asks it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Lock, RLock
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    column,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from data.access.roles import FULL_VISIBILITY, PersonalData, Visibility
from data.home import current_home
from data.schema import metadata
from data.store import postgresql
from data.store.errors import (
    DiskFull,
    StoreError,
    StoreInterrupted,
    StoreOutdated,
    StoreUnreachable,
    StoreUnusable,
    classify_error,
)
from data.store.limits import MAX_SPILL, memory_limit
from data.store.pseudonyms import key_statements, read_or_create_key
from data.store.restricted_views import create_view_statements
from data.tempfiles import temporary_folder

SCHEMA_VERSION = 8
"""Raise it when a store of before is not what loading its files today would give: after a change
to the tables, or to what is derived from a file. The store is then rebuilt from the archive."""

# One row: the SCHEMA_VERSION that the store was made with.
schema_version = Table("layout", MetaData(), Column("number", Integer, nullable=False))


BLOCK_SIZE = 1 << 16
"""Bytes of a block of a new file. In DuckDB's own, of four times as much, each of the many columns
leaves more room over: the first weeks of a store are a fifth larger, and no question is faster."""

FILE_HEADER_SIZE = 3 * 4096
"""Bytes of a DuckDB file before its first block."""

_allowed_folders: list[str] = []
"""Folders whose files DuckDB may read; any, where none is named."""

_write_lock = RLock()
"""DuckDB refuses two writers at once; here the second one waits. PostgreSQL has a lock for it."""


@contextmanager
def write_connection(engine: Engine) -> Iterator[Connection]:
    """A connection that alone writes to the store, in whatever process."""
    with _write_lock, engine.connect() as con, _exclusive_lock(con):
        yield con


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """The same, in one transaction."""
    with write_connection(engine) as con, con.begin():
        yield con


def is_duckdb(con: Connection | Engine) -> bool:
    """Whether the store is a DuckDB file, which this process alone has open."""
    return con.dialect.name == "duckdb"


def _exclusive_lock(con: Connection) -> AbstractContextManager[None]:
    return nullcontext() if is_duckdb(con) else postgresql.exclusive_lock(con)


_engines: dict[str, Engine] = {}
_restricted_engines: dict[str, dict[Visibility, Engine]] = {}
"""An engine of its own for each restricted sight: no connection, and nothing that is remembered by
engine, is ever shared by people who may see different things."""
_connections_in_use: dict[str, dict[ConnectionPoolEntry, Pool]] = {}
"""The connections in use. As long as one is, DuckDB would open nothing but the same old store."""
_store_errors: dict[str, StoreError] = {}
"""What a question to an open store has brought to light, until the store is closed."""
_open_lock = Lock()
"""Two threads that make the same tables at once would fail each other."""


def close_stores() -> None:
    """Close every store; DuckDB then writes what its log holds into the file."""
    with _open_lock:
        for url in list(_engines):
            _close(url)


@contextmanager
def restrict_file_access(folder: Path) -> Iterator[None]:
    """Stores that are opened in the block touch no file that is not below the folder.

    Or below the one with copies of files that had to be unpacked. For a server, whose questions
    come from others; a command reads what it is told to. In the end all stores are closed.
    """
    _allowed_folders.extend(f"{allowed.resolve()}/" for allowed in (folder, temporary_folder()))
    try:
        yield
    finally:
        close_stores()
        _allowed_folders.clear()


def close_store(url: str) -> None:
    """Close one store, if it is open. Readers in the middle of a question still get the answer."""
    with _open_lock:
        _close(url)


def open_store(url: str) -> Engine:
    """The one engine of a store, its tables made where it is new.

    Raises a StoreFault; every use of the engine may raise one, too.
    """
    with _open_lock:
        if isinstance(_store_errors.get(url), StoreInterrupted):
            _close(url)
        if url in _store_errors:
            raise _store_errors[url]
        if url not in _engines:
            if _connections_in_use.get(url):
                raise StoreInterrupted("The store is opened anew when its last reader is done.")
            _engines[url] = _open(url)
        return _engines[url]


def restricted_engine(engine: Engine, sight: Visibility) -> Engine:
    """The engine through which somebody reads an open store; raises a StoreFault."""
    if sight == FULL_VISIBILITY:
        return engine
    with _open_lock:
        url = next((url for url, open_engine in _engines.items() if open_engine is engine), None)
        if url is None:
            raise StoreInterrupted("The store was closed meanwhile, and is opened anew.")
        engines = _restricted_engines.setdefault(url, {})
        if sight not in engines:
            engines[sight] = create_unchecked_engine(url)
            event.listen(
                engines[sight], "connect", partial(_create_restricted_views, engines[sight], sight)
            )
            if sight.personal_data is PersonalData.PSEUDONYMS:
                event.listen(engines[sight], "begin", _set_key)
        return engines[sight]


def _create_restricted_views(
    engine: Engine, sight: Visibility, connection: Any, entry: ConnectionPoolEntry
) -> None:
    """Put the views in front before anybody gets to ask."""
    name, quote = engine.dialect.name, engine.dialect.identifier_preparer.quote
    if sight.personal_data is PersonalData.PSEUDONYMS:
        entry.info[KEY_STATEMENTS] = key_statements(read_or_create_key(current_home()), name)
    cursor = connection.cursor()
    cursor.execute(f"SELECT {'current_database' if name == 'duckdb' else 'current_schema'}()")
    source_schema = quote(cursor.fetchone()[0]) + (".main" if name == "duckdb" else "")
    for statement in create_view_statements(sight, source_schema, engine.dialect):
        cursor.execute(statement)
    cursor.close()
    connection.commit() if name != "duckdb" else None


KEY_STATEMENTS = "what tells the key"


def _set_key(con: Connection) -> None:
    """Each transaction anew: of a cluster, a machine knows a transaction and no connection."""
    for statement in con.info[KEY_STATEMENTS]:
        con.exec_driver_sql(statement)


def _close(url: str) -> None:
    _store_errors.pop(url, None)
    for engine in (_engines.pop(url, None), *_restricted_engines.pop(url, {}).values()):
        if engine:
            engine.dispose()


def database_file(url: str) -> Path | None:
    """The DuckDB file of a store; None where it has none."""
    database = make_url(url).database
    is_file = url.startswith("duckdb") and database and not database.startswith(":memory:")
    return Path(database) if is_file and database else None


def _open(url: str) -> Engine:
    file = database_file(url)
    if file:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreachable(f"{error.filename}: {error.strerror}.") from error
    engine = create_unchecked_engine(url)
    try:
        with engine.connect() as con:
            with con.begin():
                is_new = not _has_tables(con)
            if is_new:
                with _exclusive_lock(con), con.begin():
                    if not _has_tables(con):  # another process may have been at it
                        _create_tables(con)
            _check_schema_version(con)
            if file:
                _check_file_size(con, file)
    except BaseException:
        engine.dispose()
        _store_errors.pop(url, None)  # who opened it knows
        raise
    return engine


def create_unchecked_engine(url: str) -> Engine:
    """An engine that looks at nothing in the store, for one that may be of another layout."""
    if not url.startswith("duckdb"):
        engine = postgresql.create_postgresql_engine(url)
        event.listen(engine, "handle_error", partial(_translate_postgresql_error, url))
        return engine
    # Values are people's names; what is wrong with a statement is told without them.
    engine = create_engine(url, connect_args={"config": _duckdb_config(url)}, hide_parameters=True)
    event.listen(engine, "connect", _apply_settings)
    event.listen(engine, "handle_error", partial(_translate_duckdb_error, url))
    _track_connections(engine, _connections_in_use.setdefault(url, {}))
    return engine


def _track_connections(engine: Engine, in_use: dict[ConnectionPoolEntry, Pool]) -> None:
    """Know the connections in use, and let go of those that come back after the store's closing."""

    def on_checkout(_: object, entry: ConnectionPoolEntry, __: object) -> None:
        in_use[entry] = engine.pool

    def on_checkin(_: object, entry: ConnectionPoolEntry) -> None:
        if in_use.pop(entry, None) is not engine.pool:
            entry.invalidate()

    event.listen(engine, "checkout", on_checkout)
    event.listen(engine, "checkin", on_checkin)


def _duckdb_config(url: str) -> dict[str, Any]:
    """What DuckDB may do: read and write the store, and read files as `_settle` says; no more."""
    file = database_file(url)
    return {
        # Nothing is fetched from the network, and no code from the home folder of a user is run.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "custom_extension_repository": os.devnull,
        "allow_persistent_secrets": False,
        # A table's name never stands for a variable of the program.
        "python_enable_replacements": False,
        # DuckDB's own would be 80 % of the machine's memory, and for a store in memory a folder
        # wherever the program was started.
        "memory_limit": memory_limit(),
        "default_block_size": str(BLOCK_SIZE),
        "temp_directory": f"{file}.tmp" if file else str(temporary_folder()),
        "max_temp_directory_size": os.environ.get("ROLLCALL_TEMP_LIMIT") or MAX_SPILL,
    }


def _apply_settings(connection: Any, _: ConnectionPoolEntry) -> None:
    """What can be set only once the database runs; then nothing can be changed any more.

    Without UTC, DuckDB reads times that name no offset in the machine's own zone.
    """
    cursor = connection.cursor()
    cursor.execute("SELECT current_setting('lock_configuration')")
    if not cursor.fetchone()[0]:
        cursor.execute("SET GLOBAL TimeZone = 'UTC'")
        if _allowed_folders:
            cursor.execute(
                "SET GLOBAL allowed_directories = $folders", {"folders": _allowed_folders}
            )
            cursor.execute("SET GLOBAL enable_external_access = false")
        cursor.execute("SET lock_configuration = true")
    cursor.close()


def _has_tables(con: Connection) -> bool:
    """Raises StoreUnreachable where the database is not for a store."""
    inspector = inspect(con)  # by itself it would find those of every schema on the search path
    table_names = set(
        inspector.get_table_names(None if is_duckdb(con) else inspector.default_schema_name)
    )
    if is_duckdb(con):
        return bool(table_names)
    problem = (
        FOREIGN_TABLES_MESSAGE
        if table_names and schema_version.name not in table_names
        else postgresql.find_database_problem(con)
    )
    if problem:
        raise StoreUnreachable(
            f"{_display_address(str(con.engine.url))} cannot hold a store. {problem}"
        )
    return bool(table_names)


FOREIGN_TABLES_MESSAGE = (
    "It has tables that are not Rollcall’s. Give Rollcall a database of its own, or a schema, "
    "named at the end of the address: ?options=-csearch_path%3Drollcall,public."
)


def _create_tables(con: Connection) -> None:
    metadata.create_all(con) if is_duckdb(con) else postgresql.create_tables(con)
    schema_version.create(con)
    con.execute(insert(schema_version).values(number=SCHEMA_VERSION))


def _check_schema_version(con: Connection) -> None:
    """Raises StoreOutdated where a table or a column is missing too: nobody forgets to raise it."""
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
        raise StoreOutdated("The store was made by another version of Rollcall.")


COLUMNS_QUERY = text(
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_catalog = current_database() AND table_schema = current_schema()"
)
"""Of every table at once: to ask for them table by table takes most of the opening of a store."""


def _check_file_size(con: Connection, file: Path) -> None:
    """Raises StoreDamaged where the file was cut off: it opens, and fails at some later question.

    A block at the end may have been set aside and never written, so that a whole file looks too
    short; therefore one that does is read once, whole. The length is asked of the file system: to
    open and close the file would end DuckDB's lock on it.
    """
    columns = column("block_size", Integer), column("total_blocks", Integer)
    database_size = func.pragma_database_size().table_valued(*columns)
    block_size, block_count = con.execute(select(database_size)).one()
    if file.stat().st_size < FILE_HEADER_SIZE + block_size * block_count:
        for table in metadata.sorted_tables:
            con.execute(select(*(func.bit_xor(func.hash(c)) for c in table.c))).one()


def _translate_duckdb_error(url: str, context: ExceptionContext) -> StoreError | None:
    """What the fault of a statement means for the store; None where it means nothing."""
    file, message = database_file(url), str(context.original_exception)
    if not file:
        return None
    error = classify_error(file, message)
    if re.search(r"database has been invalidated|FATAL Error", message):
        _store_errors[url] = StoreInterrupted(
            f"{file} has to be opened anew. DuckDB says: “{message}”."
        )
        error = error or _store_errors[url]
    elif isinstance(error, StoreUnusable):
        _store_errors[url] = error
    context.is_disconnect = context.is_disconnect or url in _store_errors
    return error


def _translate_postgresql_error(url: str, context: ExceptionContext) -> StoreError | None:
    """The same of PostgreSQL, which has codes."""
    error = context.original_exception
    code = getattr(error, "sqlstate", None) or ""
    if code == DISK_FULL:
        return DiskFull(
            f"There is no room left on the disk of {_display_address(url)}. Make room there."
        )
    if (
        context.is_disconnect
        or context.connection is None
        or code.startswith(CONNECTION_ERROR_PREFIX)
    ):
        message = ". ".join(line.strip() for line in str(error).splitlines())
        return StoreUnreachable(
            f"{_display_address(url)} cannot be reached. PostgreSQL says: “{message}”."
        )
    return None


DISK_FULL = "53100"
CONNECTION_ERROR_PREFIX = "08"
"""How the codes begin that tell of connections: also of a server to another one of its cluster."""


def _display_address(url: str) -> str:
    """Which store it is, without the password."""
    address = make_url(url)
    return f"{address.host or 'localhost'}:{address.port or 5432}/{address.database}"
