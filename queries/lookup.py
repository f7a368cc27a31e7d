"""Few rows of a large table, found by few of its columns before the others are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Subquery,
    Table,
    and_,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from data.schema import account_profile, account_version, with_profile

Condition = Callable[[FromClause], ColumnElement[bool]]
"""What a row of accounts, or of their versions, says."""


class found_first(GenericFunction[bool]):  # noqa: N801 - reads as the function that it is in SQL
    """A condition on a table that few rows fulfil: `found_first(table, lambda t: t.c.key == 5)`.

    DuckDB reads every column of every row for `IN`, but not for rows that it knows by number:
    of 10,000,000 versions, those of three accounts cost it an eighth. Others have an index.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, table: Table, condition: Condition) -> None:
        same = table.alias("same")
        numbers = select(_number(same)).where(condition(same))
        super().__init__(condition(table), _number(table).in_(numbers))


@compiles(found_first)
def _by_index(element: found_first, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(next(iter(element.clauses)), **options)


@compiles(found_first, "duckdb")
def _by_number(element: found_first, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(list(element.clauses)[1], **options)


def _number(rows: Table | FromClause) -> ColumnElement[Any]:
    return literal_column(f"{rows.name}.rowid")  # type: ignore[attr-defined]


def few_versions(theirs: Condition, hold: Condition = lambda _: true()) -> Subquery:
    """Versions of few accounts, whole: which ones the account key tells, and what else holds."""

    def both(rows: FromClause) -> ColumnElement[bool]:
        return and_(theirs(rows), hold(rows))

    versions = select(account_version).where(found_first(account_version, both))
    profiles = select(account_profile).where(found_first(account_profile, theirs))
    return with_profile(versions.subquery("few"), profiles.subquery("profiles"))
