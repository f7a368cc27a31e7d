"""Text search that ignores case and accents."""

import unicodedata
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func, select

from data.schema import account, is_same_account, is_unmatched
from data.store.dialect import json_text, occurs_in, search_normalized

SEARCH_COLUMNS = ("user_name", "user_email", "username_in_app", "upstream_user_id")
"""The texts of an account that a search covers, besides its roles and its account ID."""

NAME_ATTRIBUTES = ("Name", "Display name", "Email")
"""What some sources, as SCIM, say of an account's user without naming a user."""


def search_text(accounts: sa.FromClause) -> ColumnElement[str]:
    """The normalized text of all that a search covers, one per account.

    It has the attributes that name a user where nothing else does, as a row shows them then.
    Every search reads all of it, so what a text repeats is left out: usernames are often email
    addresses, and account IDs often usernames.
    """
    c = accounts.c
    account_id = c.account_id if "account_id" in c else _account_id(accounts)
    named = (
        case((is_unmatched(accounts), json_text(c.attributes, name))) for name in NAME_ATTRIBUTES
    )
    texts = (
        c.user_name,
        c.user_email,
        func.nullif(func.lower(c.username_in_app), func.lower(c.user_email)),
        c.upstream_user_id,
        func.nullif(func.lower(account_id), func.lower(c.username_in_app)),
        *(func.nullif(func.lower(text), func.lower(c.username_in_app)) for text in named),
        func.array_to_string(c.roles, " "),
    )
    return search_normalized(func.concat_ws(" ", *texts))


def with_search_text(accounts: sa.FromClause) -> sa.FromClause:
    """The same rows, one per account, with `search`: their account IDs are looked up once."""
    with_id = select(*accounts.c, account.c.account_id)
    rows = with_id.join_from(accounts, account, is_same_account(account, accounts)).subquery(
        "named"
    )
    columns = [rows.c[column.name] for column in accounts.c]
    return select(*columns, search_text(rows).label("search")).subquery("searched")


def _account_id(accounts: sa.FromClause) -> ColumnElement[str]:
    ids = account.alias()  # the query around this one can read the table too
    return select(ids.c.account_id).where(is_same_account(ids, accounts)).scalar_subquery()


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
