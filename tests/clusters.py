"""What a cluster asks of a statement, as far as its text tells: joins, windows, changes, words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Case, Delete, FromClause, Join, Over, Select, Table, Update
from sqlalchemy.engine.default import StrCompileDialect
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import StrSQLCompiler
from sqlalchemy.sql.elements import BinaryExpression, CollationClause
from sqlalchemy.sql.selectable import ScalarSelect, Subquery

from data.schema import metadata
from data.staging import staging_metadata
from data.store.citus import DISTRIBUTION_COLUMN, REFERENCE_TABLES

LARGE = {*metadata.tables, *staging_metadata.tables} - REFERENCE_TABLES - {"rejected_row"}
"""The tables that are spread over the machines by integration."""

NO_STATEMENT = StrSQLCompiler(StrCompileDialect(), None)


def breaches(statement: Any) -> list[str]:
    """What of the statement a cluster could not do on each machine alone, in words."""
    return [words for part in _parts(statement) for words in _breaches_of(part)]


def _parts(whole: Any) -> Iterator[Any]:
    """Each once, however many others it is part of."""
    left, seen = [whole], set[int]()
    while left:
        part = left.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            left.extend(part.get_children())


def _breaches_of(part: Any) -> Iterator[str]:
    if isinstance(part, Select):
        froms = _froms(part)
        for join in (each for rows in froms for each in _joins(rows)):
            if _know_it(join.left, join.right) and not _meets_on_integration(join.onclause):
                yield f"joined without the integration: {_short(join.onclause)}"
        if _know_it(*froms) and not _meets_on_integration(part.whereclause):
            yield f"side by side without the integration: {_short(part.whereclause)}"
        for over in _own_windows(part):
            if any(map(_is_large, froms)) and not _parts_by_integration(over):
                yield f"a window without the integration: {_short(over)}"
        is_page = any(_is_cut(each) for rows in froms for each in _parts(rows))
        if is_page and any(map(_asks_a_large_table, _ordered(part))):
            yield f"asks a large table about the rows of a page: {_short(part)}"
    if isinstance(part, Case) and part.value is not None:
        yield f"a case that names its value once, which Citus cannot send on: {_short(part)}"
    if isinstance(part, CollationClause):
        yield f"a collation, which Citus does not send on: {_short(part)}"
    changes = isinstance(part, Update | Delete) and part.table.name in LARGE - set(
        staging_metadata.tables
    )
    if changes and not _names_one_integration(part.whereclause):
        yield f"changes more than one integration: {_short(part.whereclause)}"


def _froms(select: Select[Any]) -> list[FromClause]:
    """As `get_final_froms` gives them, which writes all of the statement down first."""
    return select._compile_state_factory(select, NO_STATEMENT)._get_display_froms()


def _joins(rows: FromClause) -> Iterator[Join]:
    if isinstance(rows, Join):
        yield rows
        yield from _joins(rows.left)
        yield from _joins(rows.right)


def _know_it(*rows: FromClause) -> bool:
    """Whether several of them are large, and say the integration of each row.

    Others are short lists of keys, which a cluster gathers before it joins.
    """
    return sum(_is_large(each) and _says_integration(each) for each in rows) > 1


def _says_integration(rows: FromClause) -> bool:
    if isinstance(rows, Join):
        return _says_integration(rows.left) or _says_integration(rows.right)
    return DISTRIBUTION_COLUMN in rows.c


def _is_large(rows: FromClause) -> bool:
    return any(isinstance(e, Table) and e.name in LARGE for e in _parts(rows))


def _equations(condition: Any) -> Iterator[BinaryExpression[Any]]:
    if condition is not None:
        for each in _parts(condition):
            if isinstance(each, BinaryExpression) and each.operator is operators.eq:
                yield each


def _meets_on_integration(condition: Any) -> bool:
    return any(
        getattr(e.left, "key", "") == getattr(e.right, "key", "") == DISTRIBUTION_COLUMN
        for e in _equations(condition)
    )


def _names_one_integration(condition: Any) -> bool:
    return any(getattr(e.left, "key", "") == DISTRIBUTION_COLUMN for e in _equations(condition))


def _own_windows(select: Select[Any]) -> Iterator[Over[Any]]:
    """Of the statement itself, not of what is inside of it."""
    for column in select._raw_columns:
        if not isinstance(column, FromClause):
            yield from (e for e in _parts(column) if isinstance(e, Over))


def _parts_by_integration(over: Over[Any]) -> bool:
    """Or over the whole of a short list, which is gathered first."""
    if over.partition_by is None:
        return True
    return any(
        getattr(part, "key", "") == DISTRIBUTION_COLUMN for part in _parts(over.partition_by)
    )


def _ordered(select: Select[Any]) -> Iterator[Any]:
    """All that the order of the statement itself is made of."""
    for clause in select._order_by_clauses:
        yield from _parts(clause)


def _asks_a_large_table(part: Any) -> bool:
    """Whether it is a query of one value, and not of a small table only."""
    return isinstance(part, ScalarSelect) and any(map(_is_large, part.element.columns_clause_froms))


def _is_cut(part: Any) -> bool:
    """Whether it is a page of a list, which is gathered first."""
    return isinstance(part, Subquery) and getattr(part.element, "_limit_clause", None) is not None


def _short(part: Any) -> str:
    return " ".join(str(part).split())[:160]
