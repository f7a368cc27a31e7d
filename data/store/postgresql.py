"""A store on a PostgreSQL server, which several processes on several machines use at once.

Transactions are repeatable reads, so a reader sees the store at one moment. Loads wait for one
another on an advisory lock of the database, which ends with its connection.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection, create_engine, event, func, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool
from sqlalchemy.schema import (
    DDL,
    CreateColumn,
    CreateSchema,
    CreateTable,
    DropSchema,
    ExecutableDDLElement,
)
from sqlalchemy.sql.compiler import DDLCompiler

from data.formatting import utc_now
from data.schema import (
    account,
    account_current,
    account_profile,
    account_version,
    last_sign_in,
    metadata,
    rejected_row,
    row_fingerprint,
    snapshot,
    state_change,
    state_count,
)
from data.staging import staging_metadata
from data.store.adapter import ADAPTERS, SHARED_OPTIONS, DatabaseAdapter, Replacement, Rows
from data.store.citus import distribute_like
from data.store.copy_protocol import read_copied, write_copied
from data.store.dialect import CODE_POINT_COLLATION
from data.store.errors import StoreBusy, StoreError, StoreUnreachable
from data.store.server_errors import display_address, explain_server_error

log = logging.getLogger("rollcall")

MAX_CONNECTIONS = 20
"""Connections of one process. A page uses one while it queries."""

WRITE_LOCK_KEY = 0x726F6C6C
"""The first half of the advisory lock's key. The second half is the schema."""

INDEXES = [
    sa.Index("current_by_key", account_current.c.account_key),
    sa.Index("current_by_integration", account_current.c.integration_id),
    sa.Index(
        "current_by_state",
        account_current.c.provisioning_state,
        account_current.c.last_updated,
    ),
    sa.Index("current_by_role", account_current.c.roles, postgresql_using="gin"),
    sa.Index("version_by_key", account_version.c.account_key, account_version.c.valid_from),
    sa.Index(
        "version_by_start",
        account_version.c.integration_id,
        account_version.c.valid_from,
        account_version.c.account_key,
    ),
    sa.Index(
        "version_by_end",
        account_version.c.integration_id,
        account_version.c.valid_to,
        account_version.c.account_key,
    ),
    sa.Index("profile_by_key", account_profile.c.account_key, account_profile.c.content_since),
    sa.Index("account_by_key", account.c.account_key),
    sa.Index("account_by_id", account.c.integration_id, account.c.account_id),
    sa.Index("sign_in_by_key", last_sign_in.c.account_key, last_sign_in.c.signed_in_at),
    sa.Index("delivered_by_key", row_fingerprint.c.integration_id, row_fingerprint.c.account_key),
    sa.Index("snapshot_by_moment", snapshot.c.integration_id, snapshot.c.taken_at),
    sa.Index("rejected_by_snapshot", rejected_row.c.snapshot_id),
    sa.Index("count_by_moment", state_count.c.integration_id, state_count.c.taken_at),
    sa.Index("change_by_moment", state_change.c.integration_id, state_change.c.taken_at),
]
"""Indexes that DuckDB does not need. Those of versions end in the account, so that a load is quick
even where the planner takes thousands of rows for one."""

for index in INDEXES:
    index.ddl_if(dialect="postgresql")

HAS_TRIGRAMS = func.to_regtype("gtrgm").is_not(None)


def _has_trigrams(*args: Any, **_: Any) -> bool:
    con = args[2]
    return con.dialect.name == "postgresql" and bool(con.scalar(select(HAS_TRIGRAMS)))


sa.Index(
    "current_by_text",
    account_current.c.search,
    postgresql_using="gin",
    postgresql_ops={"search": "gin_trgm_ops"},
).ddl_if(callable_=_has_trigrams)
"""Finds a part of a text, where the extension pg_trgm exists or can be created."""


CONNECT_SECONDS = 10
"""Seconds to wait for a server that does not answer, where the address does not say."""

FOREIGN_TABLES_MESSAGE = (
    "It has tables that are not Rollcall’s. Give Rollcall a database or a schema of its own, and "
    "name the schema at the end of the address: ?options=-csearch_path%3Drollcall,public."
)
ENCODING_MESSAGE = (
    "It must use UTF-8 and a locale that knows letters beyond ASCII: "
    "CREATE DATABASE rollcall TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'."
)


class ConnectionPool(QueuePool):
    """A pool that says in a sentence that all of its connections are in use."""

    def connect(self) -> PoolProxiedConnection:
        """Raises StoreBusy."""
        try:
            return super().connect()
        except PoolTimeoutError as error:
            raise StoreBusy from error


class PostgreSQLAdapter(DatabaseAdapter):
    """A schema of a PostgreSQL database. Citus can distribute it over a cluster."""

    is_server = True

    def create_engine(self, url: str) -> sa.Engine:
        """Each transaction sees the database at one moment."""
        is_set = "connect_timeout" in sa.make_url(url).query
        timeout = {} if is_set else {"connect_timeout": CONNECT_SECONDS}
        engine = create_engine(
            url,
            connect_args=timeout,
            isolation_level="REPEATABLE READ",
            execution_options=SHARED_OPTIONS,
            hide_parameters=True,  # parameters contain names of people
            poolclass=ConnectionPool,
            pool_pre_ping=True,  # the server may have been restarted
            pool_size=MAX_CONNECTIONS // 4,
            max_overflow=MAX_CONNECTIONS - MAX_CONNECTIONS // 4,
        )
        event.listen(engine, "connect", _apply_settings)
        return engine

    @contextmanager
    def exclusive_lock(self, con: Connection) -> Iterator[None]:
        """Lock in a transaction of its own: one that waited would see the store before the wait."""
        key = sa.literal(WRITE_LOCK_KEY), func.hashtext(func.current_schema())
        with con.begin():
            con.execute(select(func.pg_advisory_lock(*key)))
        try:
            yield
        finally:
            if not con.invalidated:
                con.rollback()
                with con.begin():
                    con.execute(select(func.pg_advisory_unlock(*key)))

    def translate_error(
        self, url: str, context: ExceptionContext
    ) -> tuple[StoreError | None, StoreError | None]:
        """No error lasts, because the server recovers by itself."""
        is_lost = context.is_disconnect or context.connection is None
        return explain_server_error(url, context.original_exception, is_lost=is_lost), None

    def exists(self, url: str) -> bool:
        """Only a connection can find out."""
        del url
        return True

    def check_database(self, con: Connection, *, has_foreign_tables: bool) -> None:
        """Check the encoding and the locale, too."""
        encoding = con.scalar(select(func.current_setting("server_encoding")))
        lowers_unicode = con.scalar(select(func.lower(sa.literal("É")) == "é"))
        problem = "" if encoding == "UTF8" and lowers_unicode else ENCODING_MESSAGE
        problem = FOREIGN_TABLES_MESSAGE if has_foreign_tables else problem
        if problem:
            address = display_address(con.engine.url)
            raise StoreUnreachable(f"{address} cannot hold a store. {problem}")

    def create_tables(self, con: Connection) -> None:
        """With their indexes and the staging tables, which are permanent here."""
        with suppress(DBAPIError), con.begin_nested():  # the user may lack the permission
            con.execute(DDL("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public"))
        if not con.scalar(select(HAS_TRIGRAMS)):
            log.info("Without pg_trgm on the search path, a search reads every account.")
        # A check would find the tables of another schema on the search path.
        metadata.create_all(con, checkfirst=False)
        staging_metadata.create_all(con, checkfirst=False)

    def check_complete(self, con: Connection) -> None:
        """A server checks its own files."""

    def source_schema(self, cursor: Any, quote: Callable[[str], str]) -> str:
        """The first schema on the search path."""
        cursor.execute("SELECT current_schema()")
        return quote(cursor.fetchone()[0])

    def set_session_bytes(self, name: str, value: bytes) -> str:
        """As a setting of the transaction, which Citus passes on to its workers."""
        return f"SET LOCAL rollcall.{name} = '{value.hex()}'"

    @contextmanager
    def replacement(self, url: str) -> Iterator[Replacement]:
        """A schema beside the store's, in the same database. Others do not write meanwhile."""
        engine = self.create_engine(url)
        try:
            with engine.connect() as con, self.exclusive_lock(con), _new_schema(con) as new_url:
                yield Replacement(
                    new_url,
                    prepare=lambda target: distribute_like(con, target),
                    install=lambda _: f"schema {_swap_schemas(con)}",
                )
        finally:
            engine.dispose()

    @contextmanager
    def staging_tables(self, con: Connection) -> Iterator[None]:
        """Truncate what the load before has left, because deleted rows would stay in the way."""
        with con.begin():
            con.execute(DDL(f"TRUNCATE {', '.join(staging_metadata.tables)}"))
        yield

    def read_batches(self, con: Connection, rows: Rows, batch_size: int) -> pa.RecordBatchReader:
        """Through COPY."""
        reader = read_copied(con, rows)
        slices = (
            batch.slice(start, batch_size)
            for batch in reader
            for start in range(0, batch.num_rows, batch_size)
        )
        return pa.RecordBatchReader.from_batches(reader.schema, slices)

    def write_batches(
        self, con: Connection, table: sa.Table, workspace: Connection, rows: Rows, batch_size: int
    ) -> None:
        """Through COPY."""
        write_copied(con, table, workspace, rows, batch_size)

    @contextmanager
    def plan_for_whole_tables(self, con: Connection) -> Iterator[None]:
        """Join by hash, never row by row.

        For columns that depend on each other, as integration and key, the server expects one row
        where there are thousands, and would compare each of them with all others.
        """
        con.execute(DDL("SET LOCAL enable_nestloop = off"))
        yield
        con.execute(DDL("SET LOCAL enable_nestloop = on"))

    def analyze(self, con: Connection, *tables: sa.Table) -> None:
        """The server itself would do it within a minute."""
        for table in tables or metadata.sorted_tables:
            con.execute(DDL(f"ANALYZE {table.name}"))


ADAPTERS["postgresql"] = PostgreSQLAdapter()


def _apply_settings(connection: Any, _: ConnectionPoolEntry) -> None:
    """Turn off the compilation to machine code, which takes longer than most queries.

    Citus passes settings of a transaction on to its workers. A server without it ignores that.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET jit = off")
        cursor.execute("SET citus.propagate_set_commands = 'local'")
    connection.commit()


# ---- statements that create tables ---------------------------------------------------------------


@compiles(CreateTable, "postgresql")
def _create_table_unlogged(create: CreateTable, compiler: DDLCompiler, **options: Any) -> str:
    """Staging tables are permanent, because a cluster cannot join temporary ones with others."""
    text = str(compiler.visit_create_table(create, **options))
    return text.replace("CREATE TEMPORARY TABLE", "CREATE UNLOGGED TABLE", 1)


@compiles(CreateColumn, "postgresql")
def _create_column_collated(create: CreateColumn, compiler: DDLCompiler, **options: Any) -> str:
    """Texts compare by code points, as in DuckDB, whatever the locale of the database is."""
    text, column_type = str(compiler.visit_create_column(create, **options)), create.element.type
    item_type = column_type.item_type if isinstance(column_type, sa.ARRAY) else column_type
    is_text = isinstance(item_type, sa.String)
    return f'{text} COLLATE "{CODE_POINT_COLLATION}"' if is_text else text


# ---- schemas -------------------------------------------------------------------------------------


@contextmanager
def _new_schema(con: Connection) -> Iterator[str]:
    """The address of a new schema in the same database, which is dropped after the block."""
    with con.begin():
        schema = str(con.scalar(select(func.current_schema())))
        con.execute(DropSchema(f"{schema}_new", cascade=True, if_exists=True))
        con.execute(CreateSchema(f"{schema}_new"))
    url, search_path = con.engine.url, f'-csearch_path="{schema}_new",public'
    options = f"{url.query.get('options', '')} {search_path}".strip()
    try:
        yield url.update_query_dict({"options": options}).render_as_string(hide_password=False)
    finally:
        con.rollback()
        with con.begin():
            con.execute(DropSchema(f"{schema}_new", cascade=True, if_exists=True))


def _swap_schemas(con: Connection) -> str:
    """Replace the store's tables by those of the new schema, in one transaction.

    Returns the schema that keeps the old tables.
    """
    with con.begin():
        schema = str(con.scalar(select(func.current_schema())))
        backup_schema = f"{schema}_replaced_{utc_now():%Y%m%d_%H%M%S}"
        con.execute(CreateSchema(backup_schema))
        for source, target in ((schema, backup_schema), (f"{schema}_new", schema)):
            for name in sorted(sa.inspect(con).get_table_names(schema=source)):
                con.execute(_MoveTable(source, name, target))
    return backup_schema


class _MoveTable(ExecutableDDLElement):
    def __init__(self, from_schema: str, table: str, to_schema: str) -> None:
        self.names = from_schema, table, to_schema


@compiles(_MoveTable)
def _compile_move_table(element: _MoveTable, compiler: DDLCompiler, **_: Any) -> str:
    from_schema, table, to_schema = map(compiler.preparer.quote, element.names)
    return f"ALTER TABLE {from_schema}.{table} SET SCHEMA {to_schema}"
