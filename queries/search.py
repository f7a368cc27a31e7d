"""Words in columns, each asked in the way that its database answers fastest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, literal

from data.store.dialect import occurs_in
from data.store.search_text import search_normalized


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs in the column, whatever case and accents either is written with."""
    return contains_normalized(search_normalized(column), text)


def contains_normalized(normalized_text: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs, in any case and with any accents, in a text that has none."""
    return occurs_in(search_normalized(literal(text, String)), normalized_text)
