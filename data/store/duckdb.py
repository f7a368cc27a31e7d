"""A store in a DuckDB file, which this process alone has open."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection, create_engine, event, func, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlalchemy.schema import CreateTable, DropTable

from data.formatting import file_stamp, utc_now
from data.home import database_url
from data.schema import metadata
from data.staging import staging_metadata
from data.store.adapter import ADAPTERS, SHARED_OPTIONS, DatabaseAdapter, Replacement, Rows
from data.store.errors import (
    DiskFull,
    OutOfMemory,
    StoreDamaged,
    StoreError,
    StoreInterrupted,
    StoreInUse,
    StoreOutdated,
    StoreTooNew,
    StoreUnreachable,
    StoreUnusable,
)
from data.tempfiles import temporary_folder

MAX_MEMORY = 512 << 20
"""Bytes that DuckDB may use, on a machine with at least twice as many. It spills the rest."""

MAX_SPILL = "8GiB"
"""What DuckDB may spill at a time, so that one query cannot fill the disk."""

BLOCK_SIZE = 1 << 16
"""Bytes of a block of a new file. With DuckDB's own size, four times as large, the first weeks of a
store take a fifth more space, because each column has blocks of its own, and no query is faster."""

FILE_HEADER_SIZE = 3 * 4096
"""Bytes of a DuckDB file before its first block."""

allowed_folders: list[str] = []
"""The only folders whose files DuckDB may read. Where the list is empty, it may read all files."""

_connections_in_use: dict[str, dict[ConnectionPoolEntry, Pool]] = {}
"""While a connection is in use, DuckDB opens nothing but the same store again."""


def database_file(address: str | sa.URL) -> Path | None:
    """The file of a store. None for another database or a store in memory."""
    url = sa.make_url(address)
    is_file = url.get_backend_name() == "duckdb" and not (url.database or "").startswith(":memory:")
    return Path(url.database) if is_file and url.database else None


class DuckDBAdapter(DatabaseAdapter):
    """A DuckDB file, or a database in memory."""

    is_server = False
    row_id_columns = ("rowid",)

    def create_engine(self, url: str) -> sa.Engine:
        """Create the folder of the file, too."""
        if file := database_file(url):
            if any(character in "?\\" for character in str(file)):
                raise StoreUnreachable(
                    f"{file}: DuckDB reads “?” and “\\” in a path as something else. Choose a "
                    "folder without them."
                )
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnreachable(f"{error.filename}: {error.strerror}.") from error
        # Parameters contain names of people, so errors do not quote them.
        # A connection costs next to nothing, and there is always one for the probe.
        unlimited = {"max_overflow": -1} if file else {}
        config = {"config": _config(file)}
        engine = create_engine(
            url,
            connect_args=config,
            hide_parameters=True,
            execution_options=SHARED_OPTIONS,
            **unlimited,
        )
        event.listen(engine, "connect", _apply_settings)
        _track_connections(engine, _connections_in_use.setdefault(url, {}))
        return engine

    def exclusive_lock(self, con: Connection) -> AbstractContextManager[None]:
        """DuckDB itself locks the file."""
        del con
        return nullcontext()

    def translate_error(
        self, url: str, context: ExceptionContext
    ) -> tuple[StoreError | None, StoreError | None]:
        """By the message, because DuckDB has no error codes."""
        file, message = database_file(url), str(context.original_exception)
        if not file:
            return None, None
        error = _classify_error(file, message)
        if re.search(r"database has been invalidated|FATAL Error", message):
            lasting = StoreInterrupted(f"{file} must be reopened. DuckDB reports: “{message}”.")
            return error or lasting, lasting
        return error, error if isinstance(error, StoreUnusable) else None

    def has_readers(self, url: str) -> bool:
        """Connections that were in use when the store was closed."""
        return bool(_connections_in_use.get(url))

    def exists(self, url: str) -> bool:
        """Always for a store in memory."""
        file = database_file(url)
        return file is None or file.exists()

    def check_database(self, con: Connection, *, has_foreign_tables: bool) -> None:
        """Every file is the store's own."""

    def create_tables(self, con: Connection) -> None:
        """The staging tables are temporary, so they are not among them."""
        con.exec_driver_sql(_scripts(metadata, type(con.dialect))[0])

    def check_complete(self, con: Connection) -> None:
        """A file that was cut off opens, and fails at some later query.

        A block at the end can be reserved and not written yet, so that a complete file looks too
        short. Such a file is read once in full. The size comes from the file system: to open and
        close the file would end DuckDB's lock on it.
        """
        file = database_file(con.engine.url)
        if not file:
            return
        columns = sa.column("block_size", sa.Integer), sa.column("total_blocks", sa.Integer)
        database_size = func.pragma_database_size().table_valued(*columns)
        block_size, block_count = con.execute(select(database_size)).one()
        if file.stat().st_size < FILE_HEADER_SIZE + block_size * block_count:
            for table in metadata.sorted_tables:
                con.execute(select(*(func.bit_xor(func.hash(c)) for c in table.c))).one()

    def source_schema(self, cursor: Any, quote: Callable[[str], str]) -> str:
        """Views are in the schema `main` of a database of their own, for temporary objects."""
        cursor.execute("SELECT current_database()")
        return f"{quote(cursor.fetchone()[0])}.main"

    def set_session_bytes(self, name: str, value: bytes) -> str:
        """As a variable."""
        return f"SET VARIABLE rollcall_{name} = '{value.hex()}'"

    @contextmanager
    def replacement(self, url: str) -> Iterator[Replacement]:
        """A file beside the store's."""
        file = database_file(url)
        if not file:
            raise StoreError(f"{url} is not a file, so it cannot be rebuilt.")
        new_file = file.with_name(f"{file.name}.new")

        def install(reason: str) -> str:
            # A full disk can leave the write-ahead log unmerged.
            must_keep = reason or Path(f"{file}.wal").exists()
            backup = str(_move_aside(file, reason or "replaced")) if must_keep else ""
            new_file.replace(file)
            return backup

        leftovers = new_file, Path(f"{new_file}.wal")
        try:
            for leftover in leftovers:
                leftover.unlink(missing_ok=True)
            yield Replacement(database_url(new_file), lambda _: None, install)
        finally:
            for leftover in leftovers:
                leftover.unlink(missing_ok=True)

    def staging_tables(self, con: Connection) -> AbstractContextManager[None]:
        """Temporary tables, dropped after the load."""
        return temporary_tables(con, staging_metadata)

    def read_batches(self, con: Connection, rows: Rows, batch_size: int) -> pa.RecordBatchReader:
        """As DuckDB streams them."""
        result: Any = con.execute(rows, execution_options={"duckdb_arrow": True})
        batches = result.batches(batch_size)
        return pa.RecordBatchReader.from_batches(batches.schema, batches)

    def analyze(self, con: Connection, *tables: sa.Table) -> None:
        """DuckDB needs no statistics of staging tables."""


ADAPTERS["duckdb"] = DuckDBAdapter()

# ---- temporary tables ----------------------------------------------------------------------------


@contextmanager
def temporary_tables(con: Connection, metadata: sa.MetaData) -> Iterator[None]:
    """These tables, empty, for the length of the block."""
    create, drop = _scripts(metadata, type(con.dialect))
    with con.begin():
        con.exec_driver_sql(create)
    try:
        yield
    finally:
        con.rollback()
        with con.begin():
            con.exec_driver_sql(drop)


@cache
def _scripts(metadata: sa.MetaData, dialect: type[sa.Dialect]) -> tuple[str, str]:
    """What creates and drops all tables: DuckDB needs half as long for one script."""
    create, drop = (
        ";".join(
            str(statement(table).compile(dialect=dialect())) for table in metadata.sorted_tables
        )
        for statement in (CreateTable, DropTable)
    )
    return create, drop


# ---- connections ---------------------------------------------------------------------------------


def memory_limit() -> str:
    """ROLLCALL_MEMORY_LIMIT, or half of the machine's memory, at most MAX_MEMORY."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    half = f"{min(MAX_MEMORY, memory // 2) >> 20}MiB"
    return os.environ.get("ROLLCALL_MEMORY_LIMIT") or half


def _config(file: Path | None) -> dict[str, Any]:
    """DuckDB may use the store, and read files as `_apply_settings` allows; nothing else."""
    threads = os.environ.get("ROLLCALL_THREADS")
    return ({"threads": threads} if threads else {}) | {
        # Fetch nothing from the network, and run no code from a user's home folder.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "custom_extension_repository": os.devnull,
        "allow_persistent_secrets": False,
        # The name of a table is never a variable of the program.
        "python_enable_replacements": False,
        # DuckDB's defaults are 80 % of the machine's memory, and for a store in memory a folder
        # in the current directory.
        "memory_limit": memory_limit(),
        "default_block_size": str(BLOCK_SIZE),
        "temp_directory": f"{file}.tmp" if file else str(temporary_folder()),
        "max_temp_directory_size": os.environ.get("ROLLCALL_TEMP_LIMIT") or MAX_SPILL,
        # Rows that are looked up by number, as those of a long page. From one more on, DuckDB reads
        # the whole table, which takes three times as long.
        "dynamic_or_filter_threshold": "200",
    }


def _apply_settings(connection: Any, _: ConnectionPoolEntry) -> None:
    """Apply the settings that need a running database, then lock all settings.

    Without UTC, DuckDB reads times without an offset in the zone of the machine.
    """
    cursor = connection.cursor()
    cursor.execute("SELECT current_setting('lock_configuration')")
    if not cursor.fetchone()[0]:
        cursor.execute("SET GLOBAL TimeZone = 'UTC'")
        if allowed_folders:
            cursor.execute(
                "SET GLOBAL allowed_directories = $folders", {"folders": allowed_folders}
            )
            cursor.execute("SET GLOBAL enable_external_access = false")
        cursor.execute("SET lock_configuration = true")
    cursor.close()


def _track_connections(engine: sa.Engine, in_use: dict[ConnectionPoolEntry, Pool]) -> None:
    """Track the connections in use. Drop those that come back after the store was closed."""

    def on_checkout(_: object, entry: ConnectionPoolEntry, __: object) -> None:
        in_use[entry] = engine.pool

    def on_checkin(_: object, entry: ConnectionPoolEntry) -> None:
        if in_use.pop(entry, None) is not engine.pool:
            entry.invalidate()

    event.listen(engine, "checkout", on_checkout)
    event.listen(engine, "checkin", on_checkin)


# ---- files ---------------------------------------------------------------------------------------


def _move_aside(file: Path, reason: str) -> Path:
    """Keep the store with its write-ahead log: somebody may want to look at it."""
    backup = file.with_name(f"{file.name}.{reason}-{file_stamp(utc_now())}")
    for suffix in ("", ".wal"):
        if (old := Path(f"{file}{suffix}")).exists():
            old.rename(f"{backup}{suffix}")
    return backup


def _classify_error(file: Path, message: str) -> StoreError | None:
    if re.search(r"No space left|File too large|quota exceeded", message):
        return DiskFull.of_folder(file.parent)
    if "Out of Memory Error" in message:
        return OutOfMemory(
            f"DuckDB needs more than its memory limit of {memory_limit()} and stopped. No loaded "
            "data is lost. Set a higher limit with ROLLCALL_MEMORY_LIMIT, for example 2GiB."
        )
    if "Conflicting lock" in message or "Could not set lock" in message:
        pid = re.search(r"\(PID (\d+)\)", message)
        return StoreInUse(f"{file} is open in another process.", pid and int(pid[1]))
    if versions := re.search(r"version number (\d+), but .* between \d+ and (\d+)", message):
        if int(versions[1]) > int(versions[2]):
            return StoreTooNew(
                f"{file} was made by a newer DuckDB than the one of this Rollcall. Start the newer "
                "Rollcall, or rebuild the store from the archive: rollcall rebuild."
            )
        return StoreOutdated(f"{file} was made by an older DuckDB.")
    if _reports_damage(file, message):
        return StoreDamaged(f"{file} is damaged. DuckDB reports: “{_first_line(message, file)}”.")
    if f'"{file}"' in message and message.startswith("IO Error"):
        return StoreUnreachable(
            f"{file} cannot be opened. DuckDB reports: “{_first_line(message, file)}”."
        )
    return None


def _first_line(message: str, file: Path) -> str:
    return message.splitlines()[0].removeprefix("IO Error: ").replace(str(file), file.name)


def _reports_damage(file: Path, message: str) -> bool:
    """A snapshot file that DuckDB reads can be damaged, too. That says nothing about the store."""
    pattern = r"not a valid DuckDB database|Corrupt (database|WAL) file|Failure while replaying WAL"
    is_truncated = f'Could not read enough bytes from file "{file}' in message
    return is_truncated or re.search(pattern, message) is not None
