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

SEARCHED = ("user_name", "user_email", "username_in_app", "upstream_user_id")
"""Columns that a search looks through."""


def searched(accounts: FromClause) -> ColumnElement[str]:
    """All that a search looks through, as one text per account."""
    return plain(func.concat_ws(" ", *(accounts.c[name] for name in SEARCHED)))


class plain(GenericFunction[str]):  # noqa: N801 - reads as the function that it is in SQL
    """A text without its case and accents: `plain("Zoë")` is `zoe`."""

    type = String()
    inherit_cache = True


@compiles(plain)
def _unmarked(element: plain, compiler: SQLCompiler, **options: Any) -> str:
    """Take letters and their marks apart, drop the marks, join again: no extension is needed.

    Most texts are ASCII, which has none; they are as long in bytes as they are in characters.
    """
    (text,) = (func.lower(each) for each in element.clauses)
    apart = func.normalize(text, literal_column("NFD"))
    bare = func.regexp_replace(apart, f"[{_marks()}]", "", "g")
    joined = func.normalize(bare, literal_column("NFC"), type_=String)
    is_ascii = func.octet_length(text) == func.char_length(text)
    return compiler.process(case((is_ascii, text), else_=joined), **options)


@compiles(plain, "duckdb")
def _stripped(element: plain, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.strip_accents(func.lower(*element.clauses)), **options)


@cache
def _marks() -> str:
    """All characters that Unicode calls marks, as the ranges of a regular expression."""
    marks = [code for code in range(sys.maxunicode + 1) if category(chr(code))[0] == "M"]
    runs = groupby(enumerate(marks), key=lambda place: place[1] - place[0])
    ends = ([code for _, code in run] for _, run in runs)
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ends)
