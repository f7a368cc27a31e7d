"""Details of accounts: all columns, the history, and other accounts of the same person."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.files.text import id_key
from data.schema import OPEN_END, account, integration, is_same_account
from queries.account_rows import account_rows
from queries.cache import cached
from queries.during import SECOND
from queries.filters import Filters
from queries.lookup import lookup_versions
from queries.people.owner import AccountOwner, account_owner
from queries.sign_ins import with_sign_ins
from queries.users.by_key import accounts_by_key, stretches_by_key

MAX_VERSIONS = 1_000
"""Versions of one account that are fetched; older ones are only counted."""

MAX_OTHER_ACCOUNTS = 50
"""Other accounts of one person that are fetched; more are only counted."""


class AccountDetails(NamedTuple):
    """The details of one account at a moment."""

    account: sa.Row[Any]
    """See `find_accounts`."""
    versions: Sequence[sa.Row[Any]]
    """See `account_history`."""
    other_accounts: Sequence[Any]
    """See `find_other_accounts`."""
    owner: AccountOwner | None = None
    """The person in the directories, if there are any."""


def account_details(
    con: Connection, filters: Filters, account_keys: Sequence[int]
) -> dict[int, AccountDetails]:
    """Account key → details, for the accounts that are listed at the moment of the filters.

    In a period, an account is as it is at the end of its last stretch.
    """
    last_moments = {
        key: end - SECOND if end else filters.moment
        for key, found in stretches_by_key(con, filters, account_keys).items()
        for _, end in found[-1:]
    }
    details_by_key = {
        key: _cached_details(con, Filters(as_of=last_moments.get(key, filters.as_of)), key)
        for key in account_keys
    }
    return {key: details for key, details in details_by_key.items() if details}


@cached(200)
def _cached_details(
    con: Connection, point_in_time: Filters, account_key: int
) -> AccountDetails | None:
    rows = find_accounts(con, point_in_time, [account_key])
    if not rows:
        return None
    (account_row,) = rows
    return AccountDetails(
        account_row,
        account_history(con, point_in_time, account_key),
        find_other_accounts(con, point_in_time, account_row),
        account_owner(con, point_in_time.as_of, account_key),
    )


def find_accounts(
    con: Connection, point_in_time: Filters, account_keys: Sequence[int]
) -> Sequence[sa.Row[Any]]:
    """One row per account with all columns, its integration and its account ID, by integration."""
    rows = with_sign_ins(accounts_by_key(con, point_in_time, account_keys))
    return con.execute(
        select(rows, integration.c.name.label("integration"), account.c.account_id)
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .join(account, is_same_account(account, rows))
        .where(account.c.account_key.in_(account_keys))
        .order_by(func.lower(integration.c.name), rows.c.username_in_app, rows.c.account_key)
    ).all()


def account_history(
    con: Connection, point_in_time: Filters, account_key: int
) -> Sequence[sa.Row[Any]]:
    """One row per version of the account, oldest first, as known at the moment.

    At most the newest MAX_VERSIONS; `number` counts them from 1, `found` is the number of all. The
    version in force at the moment has no end yet.
    """
    version = lookup_versions(lambda rows: rows.c.account_key == account_key).c
    valid_to, time_conditions = version.valid_to, []
    if point_in_time.as_of is not None:
        time_conditions.append(version.valid_from <= point_in_time.as_of)
        valid_to = case((valid_to > point_in_time.as_of, sa.literal(OPEN_END)), else_=valid_to)
    numbered = (
        select(
            *(c for c in version if c.name not in ("valid_to", "role_details")),
            func.md5(version.role_details).label("role_details"),
            valid_to.label("valid_to"),
            func.row_number().over(order_by=version.valid_from).label("number"),
            func.count().over().label("found"),
        )
        .where(*time_conditions)
        .subquery("numbered")
    )
    return con.execute(
        select(numbered)
        .where(numbered.c.number > numbered.c.found - MAX_VERSIONS)
        .order_by(numbered.c.number)
    ).all()


def find_other_accounts(
    con: Connection, point_in_time: Filters, account_row: sa.Row[Any]
) -> Sequence[Any]:
    """One row per other account of the same person, by integration and username.

    The same person has the same upstream ID (`same_id`), or the same email in any case. At most
    MAX_OTHER_ACCOUNTS; `found` is the number of all.
    """
    if not account_row.upstream_user_id and not account_row.user_email:
        return []
    all_accounts = account_rows(con, point_in_time)
    same_person_keys = select(all_accounts.c.account_key).where(
        _is_same_person(all_accounts, account_row)
    )
    rows = accounts_by_key(con, point_in_time, con.scalars(same_person_keys).all())
    return con.execute(
        select(
            rows.c.account_key,
            rows.c.username_in_app,
            rows.c.provisioning_state,
            rows.c.active_in_app,
            _has_same_id(rows, account_row).label("same_id"),
            integration.c.name.label("integration"),
            func.count().over().label("found"),
        )
        .join(integration, integration.c.integration_id == rows.c.integration_id)
        .where(rows.c.account_key != account_row.account_key)
        .order_by(integration.c.name, rows.c.username_in_app, rows.c.account_key)
        .limit(MAX_OTHER_ACCOUNTS)
    ).all()


def _is_same_person(rows: sa.FromClause, account_row: sa.Row[Any]) -> ColumnElement[bool]:
    email = account_row.user_email
    same_email = func.lower(rows.c.user_email) == email.lower() if email else sa.false()
    return sa.or_(_has_same_id(rows, account_row), same_email)


def _has_same_id(rows: sa.FromClause, account_row: sa.Row[Any]) -> ColumnElement[bool]:
    """By the clue where the rows have it: reading every ID takes ten times as long."""
    upstream_id = account_row.upstream_user_id
    if upstream_id and "id_clue" in rows.c:
        return func.coalesce(rows.c.id_clue == account_row.id_clue, sa.false())
    return (
        func.coalesce(
            id_key(rows.c.upstream_user_id) == id_key(sa.literal(upstream_id)), sa.false()
        )
        if upstream_id
        else sa.false()
    )
