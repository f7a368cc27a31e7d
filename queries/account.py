"""All that is known of some accounts: what the table shows of them and more, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Subquery,
    Table,
    case,
    func,
    literal,
    or_,
    select,
    union_all,
)

from data.tables import FOREVER, account, account_version, integration
from queries.filters import Filters
from queries.found_first import found_first
from queries.users import accounts_where, accounts_with

MOST_VERSIONS = 1_000
"""Of one account; older ones are counted, but not fetched."""

MOST_OTHERS = 50
"""Other accounts of one person; more are counted, but not fetched."""


class Known(NamedTuple):
    """What is known of one account at the moment that the filters name."""

    account: Row[Any]
    """Role details, attributes and flags, and what the table shows besides."""
    versions: Sequence[Row[Any]]
    """Its newest versions, oldest first; each says in `number` the how-manieth it is, from 1."""
    others: Sequence[Row[Any]]
    """Accounts of the same person; each says in `found` how many there are."""


def known_of(con: Connection, filters: Filters, account_keys: Sequence[int]) -> dict[int, Known]:
    """Account key → what is known, of those accounts that are there at the moment."""
    versions = _by_account(history_of(con, filters, account_keys))
    others = _by_account(others_of(con, filters, account_keys))
    return {
        one.account_key: Known(
            one, versions.get(one.account_key, []), others.get(one.account_key, [])
        )
        for one in details_of(con, filters, account_keys)
    }


def _by_account(rows: Sequence[Row[Any]]) -> dict[int, list[Row[Any]]]:
    found: dict[int, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.account_key, []).append(row)
    return found


def details_of(
    con: Connection, filters: Filters, account_keys: Sequence[int]
) -> Sequence[Row[Any]]:
    """One row per account: role details, attributes, flags, and what the table shows besides."""
    rows = accounts_with(filters, account_keys)
    identity = _rows_of(account, account_keys)
    return con.execute(
        select(rows, integration.c.name.label("integration"), identity.c.account_id)
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .join(identity, identity.c.account_key == rows.c.account_key)
    ).all()


def _rows_of(table: Table, account_keys: Sequence[int]) -> Subquery:
    """The rows of a table that are of the accounts."""
    return (
        select(table)
        .where(found_first(table, lambda rows: rows.c.account_key.in_(account_keys)))
        .subquery()
    )


def history_of(
    con: Connection, filters: Filters, account_keys: Sequence[int]
) -> Sequence[Row[Any]]:
    """One row per version of the accounts, oldest first, as known at the moment.

    What held then had no end yet. At most MOST_VERSIONS of each account, the newest.
    """
    whole = _rows_of(account_version, account_keys)
    until = whole.c.valid_to
    if filters.as_of is not None:
        until = case((until > filters.as_of, literal(FOREVER)), else_=until).label("valid_to")
    of_one = whole.c.account_key
    numbered = select(
        *(c for c in whole.c if c.name not in ("valid_to", "role_details")),
        func.md5(whole.c.role_details).label("role_details"),
        until,
        func.row_number().over(partition_by=of_one, order_by=whole.c.valid_from).label("number"),
        func.count().over(partition_by=of_one).label("found"),
    )
    if filters.as_of is not None:
        numbered = numbered.where(whole.c.valid_from <= filters.as_of)
    numbered = numbered.subquery("numbered")
    return con.execute(
        select(numbered)
        .where(numbered.c.number > numbered.c.found - MOST_VERSIONS)
        .order_by(numbered.c.account_key, numbered.c.number)
    ).all()


def others_of(con: Connection, filters: Filters, account_keys: Sequence[int]) -> Sequence[Row[Any]]:
    """One row per account and other account of the same person, by integration and username.

    The same person is who has the same upstream ID, else the same e-mail, in any case;
    `same_id` says which. At most MOST_OTHERS for each account.
    """
    asked = accounts_with(filters, account_keys)
    told = con.execute(select(asked.c.upstream_user_id, asked.c.user_email)).all()
    ids = {row.upstream_user_id for row in told} - {None}
    emails = {row.user_email.lower() for row in told if row.user_email}
    rows = accounts_where(filters, lambda rows: _is_of(rows, ids, emails))
    same = union_all(_with_same_id(asked, rows), _with_same_email(asked, rows)).subquery("same")
    order = (integration.c.name, same.c.username_in_app, same.c.other_key)
    of_one = same.c.account_key
    ranked = (
        select(
            *same.c,
            integration.c.name.label("integration"),
            func.row_number().over(partition_by=of_one, order_by=order).label("number"),
            func.count().over(partition_by=of_one).label("found"),
        )
        .join(integration, integration.c.integration_id == same.c.integration_id)
        .subquery("ranked")
    )
    return con.execute(
        select(ranked)
        .where(ranked.c.number <= MOST_OTHERS)
        .order_by(ranked.c.account_key, ranked.c.number)
    ).all()


def _is_of(rows: FromClause, ids: set[str], emails: set[str]) -> ColumnElement[bool]:
    return or_(rows.c.upstream_user_id.in_(ids), func.lower(rows.c.user_email).in_(emails))


def _with_same_id(asked: FromClause, rows: FromClause) -> Select[Any]:
    return _other(asked, rows, same_id=True).where(
        rows.c.upstream_user_id == asked.c.upstream_user_id
    )


def _with_same_email(asked: FromClause, rows: FromClause) -> Select[Any]:
    return _other(asked, rows, same_id=False).where(
        func.lower(rows.c.user_email) == func.lower(asked.c.user_email),
        rows.c.upstream_user_id.is_distinct_from(asked.c.upstream_user_id)
        | asked.c.upstream_user_id.is_(None),
    )


def _other(asked: FromClause, rows: FromClause, *, same_id: bool) -> Select[Any]:
    shown = ("username_in_app", "provisioning_state", "active_in_app", "integration_id")
    return select(
        asked.c.account_key,
        rows.c.account_key.label("other_key"),
        *(rows.c[name] for name in shown),
        literal(same_id).label("same_id"),
    ).where(rows.c.account_key != asked.c.account_key)
