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

from data.access.roles import EVERYTHING, Personal, Sight
from data.home import here
from data.schema import metadata
from data.store import postgresql
from data.store.errors import (
    NoRoom,
    StoreFault,
    StoreInterrupted,
    StoreOutdated,
    StoreUnreachable,
    StoreUnusable,
    fault_of,
)
from data.store.limits import MOST_SPILLED, memory_limit
from data.store.pseudonyms import key_of, with_key
from data.store.restricted_views import views
from data.tempfiles import copies

LAYOUT = 7
"""Raise it when a store of before is not what loading its files today would give: after a change
to the tables, or to what is derived from a file. The store is then rebuilt from the archive."""

# One row: the LAYOUT that the store was made with.
layout = Table("layout", MetaData(), Column("number", Integer, nullable=False))


BLOCK = 1 << 16
"""Bytes of a block of a new file. In DuckDB's own, of four times as much, each of the many columns
leaves more room over: the first weeks of a store are a fifth larger, and no question is faster."""

FILE_HEADERS = 3 * 4096
"""Bytes of a DuckDB file before its first block."""

_readable: list[str] = []
"""Folders whose files DuckDB may read; any, where none is named."""

_writing = RLock()
"""DuckDB refuses two writers at once; here the second one waits. PostgreSQL has a lock for it."""


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection that alone writes to the store, in whatever process."""
    with _writing, engine.connect() as con, _alone(con):
        yield con


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """The same, in one transaction."""
    with writing(engine) as con, con.begin():
        yield con


def is_duckdb(con: Connection | Engine) -> bool:
    """Whether the store is a DuckDB file, which this process alone has open."""
    return con.dialect.name == "duckdb"


def _alone(con: Connection) -> AbstractContextManager[None]:
    return nullcontext() if is_duckdb(con) else postgresql.alone(con)


_opened: dict[str, Engine] = {}
_seen: dict[str, dict[Sight, Engine]] = {}
"""An engine of its own for each restricted sight: no connection, and nothing that is remembered by
engine, is ever shared by people who may see different things."""
_reading: dict[str, dict[ConnectionPoolEntry, Pool]] = {}
"""The connections in use. As long as one is, DuckDB would open nothing but the same old store."""
_broken: dict[str, StoreFault] = {}
"""What a question to an open store has brought to light, until the store is closed."""
_opening = Lock()
"""Two threads that make the same tables at once would fail each other."""


def close_stores() -> None:
    """Close every store; DuckDB then writes what its log holds into the file."""
    with _opening:
        for url in list(_opened):
            _close(url)


@contextmanager
def confined_to(folder: Path) -> Iterator[None]:
    """Stores that are opened in the block touch no file that is not below the folder.

    Or below the one with copies of files that had to be unpacked. For a server, whose questions
    come from others; a command reads what it is told to. In the end all stores are closed.
    """
    _readable.extend(f"{each.resolve()}/" for each in (folder, copies()))
    try:
        yield
    finally:
        close_stores()
        _readable.clear()


def close_store(url: str) -> None:
    """Close one store, if it is open. Readers in the middle of a question still get the answer."""
    with _opening:
        _close(url)


def open_store(url: str) -> Engine:
    """The one engine of a store, its tables made where it is new.

    Raises a StoreFault; every use of the engine may raise one, too.
    """
    with _opening:
        if isinstance(_broken.get(url), StoreInterrupted):
            _close(url)
        if url in _broken:
            raise _broken[url]
        if url not in _opened:
            if _reading.get(url):
                raise StoreInterrupted("The store is opened anew when its last reader is done.")
            _opened[url] = _open(url)
        return _opened[url]


def seen(engine: Engine, sight: Sight) -> Engine:
    """The engine through which somebody reads an open store; raises a StoreFault."""
    if sight == EVERYTHING:
        return engine
    with _opening:
        url = next((url for url, opened in _opened.items() if opened is engine), None)
        if url is None:
            raise StoreInterrupted("The store was closed meanwhile, and is opened anew.")
        through = _seen.setdefault(url, {})
        if sight not in through:
            through[sight] = unchecked(url)
            event.listen(through[sight], "connect", partial(_restrict, through[sight], sight))
            if sight.personal is Personal.PSEUDONYMS:
                event.listen(through[sight], "begin", _tell_key)
        return through[sight]


def _restrict(engine: Engine, sight: Sight, connection: Any, entry: ConnectionPoolEntry) -> None:
    """Put the views in front before anybody gets to ask."""
    name, quote = engine.dialect.name, engine.dialect.identifier_preparer.quote
    if sight.personal is Personal.PSEUDONYMS:
        entry.info[KEY] = with_key(key_of(here()), name)
    cursor = connection.cursor()
    cursor.execute(f"SELECT {'current_database' if name == 'duckdb' else 'current_schema'}()")
    behind = quote(cursor.fetchone()[0]) + (".main" if name == "duckdb" else "")
    for view in views(sight, behind, engine.dialect):
        cursor.execute(view)
    cursor.close()
    connection.commit() if name != "duckdb" else None


KEY = "what tells the key"


def _tell_key(con: Connection) -> None:
    """Each transaction anew: of a cluster, a machine knows a transaction and no connection."""
    for statement in con.info[KEY]:
        con.exec_driver_sql(statement)


def _close(url: str) -> None:
    _broken.pop(url, None)
    for engine in (_opened.pop(url, None), *_seen.pop(url, {}).values()):
        if engine:
            engine.dispose()


def file_of(url: str) -> Path | None:
    """The DuckDB file of a store; None where it has none."""
    database = make_url(url).database
    is_file = url.startswith("duckdb") and database and not database.startswith(":memory:")
    return Path(database) if is_file and database else None


def _open(url: str) -> Engine:
    file = file_of(url)
    if file:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise StoreUnreachable(f"{fault.filename}: {fault.strerror}.") from fault
    engine = unchecked(url)
    try:
        with engine.connect() as con:
            with con.begin():
                is_new = not _has_tables(con)
            if is_new:
                with _alone(con), con.begin():
                    if not _has_tables(con):  # another process may have been at it
                        _make_tables(con)
            _check_layout(con)
            if file:
                _check_length(con, file)
    except BaseException:
        engine.dispose()
        _broken.pop(url, None)  # who opened it knows
        raise
    return engine


def unchecked(url: str) -> Engine:
    """An engine that looks at nothing in the store, for one that may be of another layout."""
    if not url.startswith("duckdb"):
        engine = postgresql.engine_of(url)
        event.listen(engine, "handle_error", partial(_in_words_of_server, url))
        return engine
    # Values are people's names; what is wrong with a statement is told without them.
    engine = create_engine(url, connect_args={"config": _settings(url)}, hide_parameters=True)
    event.listen(engine, "connect", _settle)
    event.listen(engine, "handle_error", partial(_in_words, url))
    _note_readers(engine, _reading.setdefault(url, {}))
    return engine


def _note_readers(engine: Engine, reading: dict[ConnectionPoolEntry, Pool]) -> None:
    """Know the connections in use, and let go of those that come back after the store's closing."""

    def goes(_: object, entry: ConnectionPoolEntry, __: object) -> None:
        reading[entry] = engine.pool

    def comes(_: object, entry: ConnectionPoolEntry) -> None:
        if reading.pop(entry, None) is not engine.pool:
            entry.invalidate()

    event.listen(engine, "checkout", goes)
    event.listen(engine, "checkin", comes)


def _settings(url: str) -> dict[str, Any]:
    """What DuckDB may do: read and write the store, and read files as `_settle` says; no more."""
    file = file_of(url)
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
        "default_block_size": str(BLOCK),
        "temp_directory": f"{file}.tmp" if file else str(copies()),
        "max_temp_directory_size": os.environ.get("ROLLCALL_TEMP_LIMIT") or MOST_SPILLED,
    }


def _settle(connection: Any, _: ConnectionPoolEntry) -> None:
    """What can be set only once the database runs; then nothing can be changed any more.

    Without UTC, DuckDB reads times that name no offset in the machine's own zone.
    """
    cursor = connection.cursor()
    cursor.execute("SELECT current_setting('lock_configuration')")
    if not cursor.fetchone()[0]:
        cursor.execute("SET GLOBAL TimeZone = 'UTC'")
        if _readable:
            cursor.execute("SET GLOBAL allowed_directories = $folders", {"folders": _readable})
            cursor.execute("SET GLOBAL enable_external_access = false")
        cursor.execute("SET lock_configuration = true")
    cursor.close()


def _has_tables(con: Connection) -> bool:
    """Raises StoreUnreachable where the database is not for a store."""
    look = inspect(con)  # by itself it would find those of every schema on the search path
    there = set(look.get_table_names(None if is_duckdb(con) else look.default_schema_name))
    if is_duckdb(con):
        return bool(there)
    wrong = OTHERS_TABLES if there and layout.name not in there else postgresql.amiss(con)
    if wrong:
        raise StoreUnreachable(f"{_shown(str(con.engine.url))} cannot hold a store. {wrong}")
    return bool(there)


OTHERS_TABLES = (
    "It has tables that are not Rollcall’s. Give Rollcall a database of its own, or a schema, "
    "named at the end of the address: ?options=-csearch_path%3Drollcall,public."
)


def _make_tables(con: Connection) -> None:
    metadata.create_all(con) if is_duckdb(con) else postgresql.make_tables(con)
    layout.create(con)
    con.execute(insert(layout).values(number=LAYOUT))


def _check_layout(con: Connection) -> None:
    """Raises StoreOutdated where a table or a column is missing too: nobody forgets to raise it."""
    there: dict[str, set[str]] = {}
    for name, named in con.execute(COLUMNS):
        there.setdefault(name, set()).add(named)
    number = con.scalar(select(layout.c.number)) if layout.name in there else None
    if number != LAYOUT or any(
        {c.name for c in table.c} - there.get(table.name, set()) for table in metadata.sorted_tables
    ):
        raise StoreOutdated("The store was made by another version of Rollcall.")


COLUMNS = text(
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_catalog = current_database() AND table_schema = current_schema()"
)
"""Of every table at once: to ask for them table by table takes most of the opening of a store."""


def _check_length(con: Connection, file: Path) -> None:
    """Raises StoreDamaged where the file was cut off: it opens, and fails at some later question.

    A block at the end may have been set aside and never written, so that a whole file looks too
    short; therefore one that does is read once, whole. The length is asked of the file system: to
    open and close the file would end DuckDB's lock on it.
    """
    columns = column("block_size", Integer), column("total_blocks", Integer)
    size = func.pragma_database_size().table_valued(*columns)
    block, blocks = con.execute(select(size)).one()
    if file.stat().st_size < FILE_HEADERS + block * blocks:
        for table in metadata.sorted_tables:
            con.execute(select(*(func.bit_xor(func.hash(c)) for c in table.c))).one()


def _in_words(url: str, context: ExceptionContext) -> StoreFault | None:
    """What the fault of a statement means for the store; None where it means nothing."""
    file, said = file_of(url), str(context.original_exception)
    if not file:
        return None
    fault = fault_of(file, said)
    if re.search(r"database has been invalidated|FATAL Error", said):
        _broken[url] = StoreInterrupted(f"{file} has to be opened anew. DuckDB says: “{said}”.")
        fault = fault or _broken[url]
    elif isinstance(fault, StoreUnusable):
        _broken[url] = fault
    context.is_disconnect = context.is_disconnect or url in _broken
    return fault


def _in_words_of_server(url: str, context: ExceptionContext) -> StoreFault | None:
    """The same of PostgreSQL, which has codes."""
    fault = context.original_exception
    code = getattr(fault, "sqlstate", None) or ""
    if code == DISK_FULL:
        return NoRoom(f"There is no room left on the disk of {_shown(url)}. Make room there.")
    if context.is_disconnect or context.connection is None or code.startswith(NO_CONNECTION):
        said = ". ".join(line.strip() for line in str(fault).splitlines())
        return StoreUnreachable(f"{_shown(url)} cannot be reached. PostgreSQL says: “{said}”.")
    return None


DISK_FULL = "53100"
NO_CONNECTION = "08"
"""How the codes begin that tell of connections: also of a server to another one of its cluster."""


def _shown(url: str) -> str:
    """Which store it is, without the password."""
    where = make_url(url)
    return f"{where.host or 'localhost'}:{where.port or 5432}/{where.database}"
