"""Words in columns, each asked in the way that its database answers fastest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, literal

from data.plain import plain
from data.portable import occurs_in


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs in the column, whatever case and accents either is written with."""
    return found_in(plain(column), text)


def found_in(plain_text: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs, in any case and with any accents, in a text that has none."""
    return occurs_in(plain(literal(text, String)), plain_text)
