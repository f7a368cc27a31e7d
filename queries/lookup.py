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

from data.schema import account_profile, account_version, join_profile

RowCondition = Callable[[FromClause], ColumnElement[bool]]
"""What a row of accounts, or of their versions, says."""


class lookup(GenericFunction[bool]):  # noqa: N801 - reads as the function that it is in SQL
    """A condition on a table that few rows fulfil: `found_first(table, lambda t: t.c.key == 5)`.

    DuckDB reads every column of every row for `IN`, but not for rows that it knows by number:
    of 10,000,000 versions, those of three accounts cost it an eighth. Others have an index.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, table: Table, condition: RowCondition) -> None:
        inner = table.alias("same")
        row_ids = select(_row_id(inner)).where(condition(inner))
        super().__init__(condition(table), _row_id(table).in_(row_ids))


@compiles(lookup)
def _by_index(element: lookup, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(next(iter(element.clauses)), **options)


@compiles(lookup, "duckdb")
def _by_row_id(element: lookup, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(list(element.clauses)[1], **options)


def _row_id(rows: Table | FromClause) -> ColumnElement[Any]:
    return literal_column(f"{rows.name}.rowid")  # type: ignore[attr-defined]


def lookup_versions(
    account_condition: RowCondition, version_condition: RowCondition = lambda _: true()
) -> Subquery:
    """Versions of few accounts, whole: which ones the account key tells, and what else holds."""

    def matches_both(rows: FromClause) -> ColumnElement[bool]:
        return and_(account_condition(rows), version_condition(rows))

    versions = select(account_version).where(lookup(account_version, matches_both))
    profiles = select(account_profile).where(lookup(account_profile, account_condition))
    return join_profile(versions.subquery("few"), profiles.subquery("profiles"))
