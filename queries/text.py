"""Words in columns, each asked in the way that its database answers fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, cast, func, literal
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from data.plain import plain


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs in the column, whatever case and accents either is written with."""
    return found_in(plain(column), text)


def found_in(plain_text: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs, in any case and with any accents, in a text that has none."""
    return func.strpos(plain_text, plain(literal(text, String))) > 0


class is_one_of(GenericFunction[bool]):  # noqa: N801 - reads as the function that it is in SQL
    """Whether a column holds one of some texts: `is_one_of(accounts.c.provisioning_state, names)`.

    DuckDB makes a join of `IN` with more than five values, and then reads every column of every
    row to find the first fifty.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], texts: Sequence[str]) -> None:
        super().__init__(column, *(literal(text, String) for text in texts))


@compiles(is_one_of)
def _in(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, *texts = element.clauses
    return compiler.process(column.in_(texts), **options)


@compiles(is_one_of, "duckdb")
def _in_list(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, *texts = element.clauses
    return compiler.process(func.list_contains(array(texts), column), **options)


class has_role(GenericFunction[bool]):  # noqa: N801 - reads as the function that it is in SQL
    """Whether an account has the role: `has_role(accounts.c.roles, name)`."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, roles: ColumnElement[Any], role: str) -> None:
        super().__init__(roles, literal(role, String))


@compiles(has_role)
def _contained(element: has_role, compiler: SQLCompiler, **options: Any) -> str:
    roles, role = element.clauses
    return compiler.process(roles.op("@>")(cast(array([role]), roles.type)), **options)


@compiles(has_role, "duckdb")
def _listed(element: has_role, compiler: SQLCompiler, **options: Any) -> str:
    """`list_contains` uses no index, but is eight times as fast as `= ANY`."""
    return compiler.process(func.list_contains(*element.clauses), **options)
