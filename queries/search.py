"""Words in columns, each asked in the way that its database answers fastest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, literal

from data.store.dialect import occurs_in
from data.store.search_text import plain


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs in the column, whatever case and accents either is written with."""
    return found_in(plain(column), text)


def found_in(plain_text: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs, in any case and with any accents, in a text that has none."""
    return occurs_in(plain(literal(text, String)), plain_text)
