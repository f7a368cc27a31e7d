"""A store, whole, into another one: from DuckDB to PostgreSQL, back, or between two of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from sqlalchemy import Connection, Engine, Table, cast, func, select
from sqlalchemy.types import Numeric

from data.schema import metadata, snapshot
from data.store.engine import is_duckdb, writing
from data.store.errors import StoreFault
from data.store.transfer import at_a_desk, count_anew, fetched, hand_over

Progress = Callable[[str, int], None]
"""Told of every table: its name, and how many rows it has."""


class NotEmpty(StoreFault):
    """The store that is copied to holds snapshots; nothing was copied."""


def copy_store(
    source: Engine,
    target: Engine,
    progress: Progress = lambda *_: None,
    tables: Sequence[Table] = metadata.sorted_tables,
) -> None:
    """Copy the tables; whole or not at all. Raises NotEmpty."""
    with source.connect() as con, writing(target) as into:
        with into.begin():
            if into.scalar(select(func.count()).select_from(snapshot)):
                raise NotEmpty(f"{target.url!r} holds snapshots already; nothing was copied.")
            for table in tables:
                _copy(con, into, table)
                progress(table.name, size_of(into, table))
        with into.begin():  # a cluster gathers no statistics where it has just written
            count_anew(into, *tables)


def _copy(source: Connection, target: Connection, table: Table) -> None:
    """In the order of time, by which DuckDB finds what was at a moment."""
    order = [table.c[name] for name in ("valid_from", "taken_at") if name in table.c]
    rows = select(table).order_by(*order)
    with _between(source, target) as at:
        brought = rows if at is source else select(fetched(source, rows, at, f"all_{table.name}"))
        hand_over(at, brought, target, table)


@contextmanager
def _between(source: Connection, target: Connection) -> Iterator[Connection]:
    """The DuckDB connection that rows pass: one of the two, or one in memory."""
    if is_duckdb(target):
        yield target
    elif is_duckdb(source):
        yield source
    else:
        with at_a_desk(source) as at:
            yield at


# ---- whether they are the same -------------------------------------------------------------------


def size_of(con: Connection, table: Table) -> int:
    """How many rows the table has."""
    return con.scalar(select(func.count()).select_from(table)) or 0


def tables_that_differ(one: Engine, other: Engine) -> list[str]:
    """The tables that do not hold the very same rows, each row looked at."""
    with one.connect() as con, other.connect() as against:
        return [
            table.name
            for table in metadata.sorted_tables
            if seal_of(con, table) != seal_of(against, table)
        ]


def seal_of(con: Connection, table: Table) -> tuple[int, int]:
    """How many rows, and a number that is another where any of them is, in whatever order."""
    with nullcontext(con) if is_duckdb(con) else at_a_desk(con) as at:
        rows = fetched(con, select(table), at, f"seal_{table.name}")
        typed = (cast(c, table.c[c.key].type) for c in rows.c)
        number = func.sum(cast(func.hash(*typed), Numeric(38, 0)))
        count, total = at.execute(select(func.count(), number).select_from(rows)).one()
        return count, int(total or 0)
