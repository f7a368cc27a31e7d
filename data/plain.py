"""Texts without case and accents, which is how a search compares them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, String, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


def searched(accounts: FromClause) -> ColumnElement[str]:
    """All that a search looks through, as one text per account."""
    c = accounts.c
    return plain(
        func.concat_ws(" ", c.user_name, c.user_email, c.username_in_app, c.upstream_user_id)
    )


class plain(GenericFunction[str]):  # noqa: N801 - reads as the function that it is in SQL
    """A text without its case and accents: `plain("Zoë")` is `zoe`."""

    type = String()
    inherit_cache = True


@compiles(plain)
def _unmarked(element: plain, compiler: SQLCompiler, **options: Any) -> str:
    """Take letters and their marks apart, and drop the marks: PostgreSQL needs no extension."""
    apart = func.normalize(func.lower(*element.clauses), literal_column("NFD"))
    marks = literal_column("'[\u0300-\u036f]'")
    unmarked = func.regexp_replace(apart, marks, literal_column("''"), literal_column("'g'"))
    return compiler.process(unmarked, **options)


@compiles(plain, "duckdb")
def _stripped(element: plain, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.strip_accents(func.lower(*element.clauses)), **options)
