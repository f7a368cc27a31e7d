"""PostgreSQL as the store of a team: several processes on several machines read and load at once.

Every reader sees the store at one moment, as its transactions are of repeatable read; loads wait
for one another by an advisory lock of the database, which ends with the connection that holds it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Index,
    String,
    Table,
    create_engine,
    event,
    func,
    inspect,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import (
    DDL,
    CreateColumn,
    CreateSchema,
    CreateTable,
    DropSchema,
    ExecutableDDLElement,
)
from sqlalchemy.sql.compiler import DDLCompiler

from data.schema import (
    account,
    account_current,
    account_profile,
    account_version,
    metadata,
    rejected_row,
    row_fingerprint,
    snapshot,
    state_change,
    state_count,
)
from data.staging import staging_metadata
from data.store.dialect import CODE_POINT_COLLATION

log = logging.getLogger("rollcall")

MAX_CONNECTIONS = 20
"""Of one process. A page needs one for as long as it asks."""

WRITE_LOCK_KEY = 0x726F6C6C
"""The first half of the advisory lock's key; the second one tells schemas apart."""

INDEXES = [
    Index("current_by_key", account_current.c.account_key),
    Index("current_by_integration", account_current.c.integration_id),
    Index(
        "current_by_state",
        account_current.c.provisioning_state,
        account_current.c.last_updated,
    ),
    Index("current_by_role", account_current.c.roles, postgresql_using="gin"),
    Index("version_by_key", account_version.c.account_key, account_version.c.valid_from),
    Index(
        "version_by_start",
        account_version.c.integration_id,
        account_version.c.valid_from,
        account_version.c.account_key,
    ),
    Index(
        "version_by_end",
        account_version.c.integration_id,
        account_version.c.valid_to,
        account_version.c.account_key,
    ),
    Index("profile_by_key", account_profile.c.account_key, account_profile.c.content_since),
    Index("account_by_key", account.c.account_key),
    Index("account_by_id", account.c.integration_id, account.c.account_id),
    Index("delivered_by_key", row_fingerprint.c.integration_id, row_fingerprint.c.account_key),
    Index("snapshot_by_moment", snapshot.c.integration_id, snapshot.c.taken_at),
    Index("rejected_by_snapshot", rejected_row.c.snapshot_id),
    Index("count_by_moment", state_count.c.integration_id, state_count.c.taken_at),
    Index("change_by_moment", state_change.c.integration_id, state_change.c.taken_at),
]
"""What finds few rows among many. DuckDB has none of them. Those of versions end in the account,
so that a load that compares two moments is quick even where the planner takes thousands for one."""

for index in INDEXES:
    index.ddl_if(dialect="postgresql")


HAS_TRIGRAMS = func.to_regtype("gtrgm").is_not(None)


def _has_trigrams(*args: Any, **_: Any) -> bool:
    con = args[2]
    return con.dialect.name == "postgresql" and bool(con.scalar(select(HAS_TRIGRAMS)))


Index(
    "current_by_text",
    account_current.c.search,
    postgresql_using="gin",
    postgresql_ops={"search": "gin_trgm_ops"},
).ddl_if(callable_=_has_trigrams)
"""Finds a text within others, where the extension pg_trgm is there or may be created."""


# ---- tables --------------------------------------------------------------------------------------


def create_tables(con: Connection) -> None:
    """The tables of a store, with their indexes; those of a load, too, which here stay."""
    with suppress(DBAPIError), con.begin_nested():  # it may not be allowed here
        con.execute(DDL("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public"))
    if not con.scalar(select(HAS_TRIGRAMS)):
        log.info("Without pg_trgm on the search path, a search reads every account.")
    # No look whether one is there, as it would find those of another schema on the search path.
    metadata.create_all(con, checkfirst=False)
    staging_metadata.create_all(con, checkfirst=False)


@compiles(CreateTable, "postgresql")
def _create_table_unlogged(create: CreateTable, compiler: DDLCompiler, **options: Any) -> str:
    """A load's tables are made once: on a cluster, temporary ones cannot be joined with others."""
    text = str(compiler.visit_create_table(create, **options))
    return text.replace("CREATE TEMPORARY TABLE", "CREATE UNLOGGED TABLE", 1)


@compiles(CreateColumn, "postgresql")
def _create_column_collated(create: CreateColumn, compiler: DDLCompiler, **options: Any) -> str:
    """Texts compare by code points, as in DuckDB, whatever the locale of the database is."""
    text, column_type = str(compiler.visit_create_column(create, **options)), create.element.type
    is_text = isinstance(
        column_type.item_type if isinstance(column_type, ARRAY) else column_type, String
    )
    return f'{text} COLLATE "{CODE_POINT_COLLATION}"' if is_text else text


# ---- connections ---------------------------------------------------------------------------------


def create_postgresql_engine(url: str) -> Engine:
    """An engine whose transactions each see the database at one moment."""
    engine = create_engine(
        url,
        isolation_level="REPEATABLE READ",
        hide_parameters=True,  # values are people's names
        pool_pre_ping=True,  # the server may have been started anew
        pool_size=MAX_CONNECTIONS // 4,
        max_overflow=MAX_CONNECTIONS - MAX_CONNECTIONS // 4,
    )
    event.listen(engine, "connect", _apply_settings)
    return engine


def _apply_settings(connection: Any, _: ConnectionPoolEntry) -> None:
    """Compiling a statement to machine code takes longer than most of them.

    What a transaction is told, the machines of a cluster are told, too; else nobody asks for that.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET jit = off")
        cursor.execute("SET citus.propagate_set_commands = 'local'")
    connection.commit()


def truncate_staging(con: Connection) -> None:
    """What a load before has left; deleted row by row, it would stay in the way."""
    con.execute(DDL(f"TRUNCATE {', '.join(staging_metadata.tables)}"))


def analyze_tables(con: Connection, *tables: Table) -> None:
    """So that the planner knows at once how much there is; by itself it would in a minute."""
    for table in tables or metadata.sorted_tables:
        con.execute(DDL(f"ANALYZE {table.name}"))


@contextmanager
def exclusive_lock(con: Connection) -> Iterator[None]:
    """Nobody else writes to the store meanwhile, on whatever machine.

    The lock is taken in a transaction of its own: one that waited would see what was before.
    """
    key = literal(WRITE_LOCK_KEY), func.hashtext(func.current_schema())
    with con.begin():
        con.execute(select(func.pg_advisory_lock(*key)))
    try:
        yield
    finally:
        if not con.invalidated:
            con.rollback()
            with con.begin():
                con.execute(select(func.pg_advisory_unlock(*key)))


def find_database_problem(con: Connection) -> str:
    """Why the database cannot hold a store, in a sentence; empty where it can."""
    encoding = con.scalar(select(func.current_setting("server_encoding")))
    lowers_unicode = con.scalar(select(func.lower(literal("É")) == "é"))
    if encoding == "UTF8" and lowers_unicode:
        return ""
    return (
        "The database must be of UTF-8, and of a locale that knows letters beyond ASCII: "
        "CREATE DATABASE rollcall TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'."
    )


# ---- a store beside the store --------------------------------------------------------------------


@contextmanager
def temporary_schema(con: Connection) -> Iterator[str]:
    """The address of a store in a new schema of the same database; it is gone afterwards."""
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


def swap_schemas(con: Connection) -> str:
    """Put the tables of the schema beside in the place of the store's, at one blow.

    Answers with the schema in which the store's are kept.
    """
    with con.begin():
        schema = str(con.scalar(select(func.current_schema())))
        backup_schema = f"{schema}_replaced_{datetime.now(UTC):%Y%m%d_%H%M%S}"
        con.execute(CreateSchema(backup_schema))
        for source, target in ((schema, backup_schema), (f"{schema}_new", schema)):
            for name in sorted(inspect(con).get_table_names(schema=source)):
                con.execute(_MoveTable(source, name, target))
    return backup_schema


class _MoveTable(ExecutableDDLElement):
    def __init__(self, from_schema: str, table: str, to_schema: str) -> None:
        self.from_schema, self.table, self.to_schema = from_schema, table, to_schema


@compiles(_MoveTable)
def _compile_move_table(element: _MoveTable, compiler: DDLCompiler, **_: Any) -> str:
    from_schema, table, to_schema = map(
        compiler.preparer.quote, (element.from_schema, element.table, element.to_schema)
    )
    return f"ALTER TABLE {from_schema}.{table} SET SCHEMA {to_schema}"
