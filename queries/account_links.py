"""What stands for an account in an address, in this store and in any rebuilt one."""

import re
from collections.abc import Sequence
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import array

from data.schema import account, integration
from data.store.dialect import hex_of, sha256_of, utf8_bytes

LINK_LENGTH = 12
"""Hexadecimal digits: two of a million accounts share them in one of 500 stores."""

MAX_MARKED = 500
"""Accounts that an address names: with them it has less than the 8 KB that proxies accept."""


def account_link(integration: str, account_id: str) -> str:
    """The link of an account."""
    return sha256(f"{integration}\x1f{account_id}".encode()).hexdigest()[:LINK_LENGTH]


def account_link_column() -> ColumnElement[str]:
    """`account_link` in a query of `integration` and `account`."""
    text = func.concat(integration.c.name, "\x1f", account.c.account_id)
    return func.left(hex_of(sha256_of(utf8_bytes(text))), LINK_LENGTH)


def parse_links(values: Sequence[str]) -> tuple[str, ...]:
    """The links in `1f0c…,93ab…`, each once; anything else is left out."""
    links = (link for value in values for link in value.lower().split(","))
    is_link = re.compile(f"[0-9a-f]{{{LINK_LENGTH}}}").fullmatch
    return tuple(dict.fromkeys(filter(is_link, links)))[:MAX_MARKED]


def serialize_links(links: Sequence[str]) -> list[str]:
    """All links in one value of an address."""
    return [",".join(links)] if links else []


def has_link(rows: sa.FromClause, links: Sequence[str]) -> ColumnElement[bool]:
    """Whether an account has one of these links. The reader's connection has to show it.

    The links are rows: with a list of a few, DuckDB hashes each account once per link.
    """
    is_of_account = integration.c.integration_id == account.c.integration_id
    keys = select(account.c.account_key).join_from(account, integration, is_of_account)
    wanted = select(func.unnest(sa.cast(array(links), sa.ARRAY(sa.String))))
    return rows.c.account_key.in_(keys.where(account_link_column().in_(wanted)))
