"""A store, whole, into another one: from DuckDB to PostgreSQL, back, or between two of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from sqlalchemy import Connection, Engine, Table, cast, func, select
from sqlalchemy.types import Numeric

from data.schema import metadata, snapshot
from data.store.engine import is_duckdb, write_connection
from data.store.errors import StoreError
from data.store.transfer import as_workspace, copy_to_store, refresh_statistics, scan

TableProgress = Callable[[str, int], None]
"""Told of every table: its name, and how many rows it has."""


class NotEmpty(StoreError):
    """The store that is copied to holds snapshots; nothing was copied."""


def copy_store(
    source: Engine,
    target: Engine,
    progress: TableProgress = lambda *_: None,
    tables: Sequence[Table] = metadata.sorted_tables,
) -> None:
    """Copy the tables; whole or not at all. Raises NotEmpty."""
    with source.connect() as source_con, write_connection(target) as target_con:
        with target_con.begin():
            if target_con.scalar(select(func.count()).select_from(snapshot)):
                raise NotEmpty(f"{target.url!r} holds snapshots already; nothing was copied.")
            for table in tables:
                _copy_table(source_con, target_con, table)
                progress(table.name, count_rows(target_con, table))
        with target_con.begin():  # a cluster gathers no statistics where it has just written
            refresh_statistics(target_con, *tables)


def _copy_table(source: Connection, target: Connection, table: Table) -> None:
    """In the order of time, by which DuckDB finds what was at a moment."""
    order = [table.c[name] for name in ("valid_from", "taken_at") if name in table.c]
    rows = select(table).order_by(*order)
    with _shared_workspace(source, target) as workspace:
        scanned = (
            rows
            if workspace is source
            else select(scan(source, rows, workspace, f"all_{table.name}"))
        )
        copy_to_store(workspace, scanned, target, table)


@contextmanager
def _shared_workspace(source: Connection, target: Connection) -> Iterator[Connection]:
    """The DuckDB connection that rows pass: one of the two, or one in memory."""
    if is_duckdb(target):
        yield target
    elif is_duckdb(source):
        yield source
    else:
        with as_workspace(source) as workspace:
            yield workspace


# ---- whether they are the same -------------------------------------------------------------------


def count_rows(con: Connection, table: Table) -> int:
    """How many rows the table has."""
    return con.scalar(select(func.count()).select_from(table)) or 0


def find_different_tables(left: Engine, right: Engine) -> list[str]:
    """The tables that do not hold the very same rows, each row looked at."""
    with left.connect() as left_con, right.connect() as right_con:
        return [
            table.name
            for table in metadata.sorted_tables
            if table_checksum(left_con, table) != table_checksum(right_con, table)
        ]


def table_checksum(con: Connection, table: Table) -> tuple[int, int]:
    """How many rows, and a number that is another where any of them is, in whatever order."""
    with nullcontext(con) if is_duckdb(con) else as_workspace(con) as workspace:
        rows = scan(con, select(table), workspace, f"checksum_{table.name}")
        typed = (cast(c, table.c[c.key].type) for c in rows.c)
        hash_sum = func.sum(cast(func.hash(*typed), Numeric(38, 0)))
        count, total = workspace.execute(select(func.count(), hash_sum).select_from(rows)).one()
        return count, int(total or 0)
