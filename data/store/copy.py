"""Copies a complete store into another one, of the same or another kind of database."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection, func, select
from sqlalchemy.types import Numeric

from data.schema import metadata, snapshot
from data.store.engine import write_connection
from data.store.errors import StoreError
from data.store.transfer import copy_to_store, refresh_statistics, scan, shared_workspace

TableProgress = Callable[[str, int], None]
"""Called for every table, with its name and its number of rows."""


class NotEmpty(StoreError):
    """The target has snapshots, so nothing was copied."""


def copy_store(
    source: sa.Engine,
    target: sa.Engine,
    progress: TableProgress = lambda *_: None,
    tables: Sequence[sa.Table] = metadata.sorted_tables,
) -> None:
    """Copy the tables in one transaction. Raises NotEmpty."""
    with source.connect() as source_con, write_connection(target) as target_con:
        with target_con.begin():
            if target_con.scalar(select(func.count()).select_from(snapshot)):
                raise NotEmpty(f"{target.url!r} already has snapshots, so nothing was copied.")
            for table in tables:
                _copy_table(source_con, target_con, table)
                progress(table.name, count_rows(target_con, table))
        with target_con.begin():  # a cluster has no statistics of uncommitted rows
            refresh_statistics(target_con, *tables)


def _copy_table(source: Connection, target: Connection, table: sa.Table) -> None:
    """In the order of time, so that DuckDB skips blocks when it looks for a moment."""
    order = [table.c[name] for name in ("valid_from", "taken_at") if name in table.c]
    rows = select(table).order_by(*order)
    with shared_workspace(target, source) as workspace:
        scanned = (
            rows
            if workspace is source
            else select(scan(source, rows, workspace, f"all_{table.name}"))
        )
        copy_to_store(workspace, scanned, target, table)


# ---- comparison ----------------------------------------------------------------------------------


def count_rows(con: Connection, table: sa.Table) -> int:
    """The number of rows of the table."""
    return con.scalar(select(func.count()).select_from(table)) or 0


def find_different_tables(left: sa.Engine, right: sa.Engine) -> list[str]:
    """The tables whose rows differ. Every row is compared."""
    with left.connect() as left_con, right.connect() as right_con:
        return [
            table.name
            for table in metadata.sorted_tables
            if table_checksum(left_con, table) != table_checksum(right_con, table)
        ]


def table_checksum(con: Connection, table: sa.Table) -> tuple[int, int]:
    """The number of rows, and a checksum that does not depend on their order."""
    with shared_workspace(con) as workspace:
        rows = scan(con, select(table), workspace, f"checksum_{table.name}")
        typed = (sa.cast(c, table.c[c.key].type) for c in rows.c)
        hash_sum = func.sum(sa.cast(func.hash(*typed), Numeric(38, 0)))
        count, total = workspace.execute(select(func.count(), hash_sum).select_from(rows)).one()
        return count, int(total or 0)
