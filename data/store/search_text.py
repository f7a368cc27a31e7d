"""Texts without case and accents, which is how a search compares them."""

from __future__ import annotations

import sys
from functools import cache
from itertools import groupby
from typing import Any
from unicodedata import category

from sqlalchemy import ColumnElement, FromClause, String, case, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

SEARCH_COLUMNS = ("user_name", "user_email", "username_in_app", "upstream_user_id")
"""Columns that a search looks through."""


def search_text(accounts: FromClause) -> ColumnElement[str]:
    """All that a search looks through, as one text per account."""
    return search_normalized(func.concat_ws(" ", *(accounts.c[name] for name in SEARCH_COLUMNS)))


class search_normalized(GenericFunction[str]):  # noqa: N801 - reads as the function that it is in SQL
    """A text without its case and accents: `plain("Zoë")` is `zoe`."""

    type = String()
    inherit_cache = True


@compiles(search_normalized)
def _compile_by_unicode(element: search_normalized, compiler: SQLCompiler, **options: Any) -> str:
    """Take letters and their marks apart, drop the marks, join again: no extension is needed.

    Most texts are ASCII, which has none; they are as long in bytes as they are in characters.
    """
    (text,) = (func.lower(clause) for clause in element.clauses)
    decomposed = func.normalize(text, literal_column("NFD"))
    without_marks = func.regexp_replace(decomposed, f"[{_mark_ranges()}]", "", "g")
    composed = func.normalize(without_marks, literal_column("NFC"), type_=String)
    is_ascii = func.octet_length(text) == func.char_length(text)
    return compiler.process(case((is_ascii, text), else_=composed), **options)


@compiles(search_normalized, "duckdb")
def _compile_by_strip_accents(
    element: search_normalized, compiler: SQLCompiler, **options: Any
) -> str:
    return compiler.process(func.strip_accents(func.lower(*element.clauses)), **options)


@cache
def _mark_ranges() -> str:
    """All characters that Unicode calls marks, as the ranges of a regular expression."""
    marks = [code for code in range(sys.maxunicode + 1) if category(chr(code))[0] == "M"]
    runs = groupby(enumerate(marks), key=lambda place: place[1] - place[0])
    ends = ([code for _, code in run] for _, run in runs)
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ends)
