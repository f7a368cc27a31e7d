"""Text search that ignores case and accents."""

import unicodedata
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, func

from data.store.dialect import occurs_in, search_normalized

SEARCH_COLUMNS = ("user_name", "user_email", "username_in_app", "upstream_user_id")
"""The columns of an account that a search covers."""


def search_text(accounts: sa.FromClause) -> ColumnElement[str]:
    """The normalized text of all searched columns, one per account."""
    return search_normalized(func.concat_ws(" ", *(accounts.c[name] for name in SEARCH_COLUMNS)))


def search_key(text: str) -> str:
    """The same normalization of a text that is already read."""
    letters = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs in the column."""
    return contains_normalized(search_normalized(column), text)


def contains_normalized(normalized_text: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text occurs in a text that is already normalized."""
    return occurs_in(search_normalized(sa.literal(text, sa.String)), normalized_text)
