"""All that is known of some accounts: what the table shows of them and more, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    case,
    false,
    func,
    literal,
    or_,
    select,
)

from data.schema import FOREVER, account, integration, same_account
from queries.cache import remembered
from queries.filters import Filters, accounts
from queries.lookup import few_versions
from queries.users.accounts import accounts_of

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
    others: Sequence[Any]
    """Other accounts of the same person; each says in `found` how many there are."""


def known_of(con: Connection, filters: Filters, account_keys: Sequence[int]) -> dict[int, Known]:
    """Account key → what is known, of those accounts that are there at the moment."""
    moment = Filters(as_of=filters.as_of)
    known = {key: _known(con, moment, key) for key in account_keys}
    return {key: one for key, one in known.items() if one}


@remembered(200)
def _known(con: Connection, moment: Filters, account_key: int) -> Known | None:
    one = details_of(con, moment, account_key)
    if one is None:
        return None
    return Known(one, history_of(con, moment, account_key), others_of(con, moment, one))


def details_of(con: Connection, moment: Filters, account_key: int) -> Row[Any] | None:
    """The account's role details, attributes and flags, and what the table shows besides."""
    rows = accounts_of(con, moment, [account_key])
    return con.execute(
        select(rows, integration.c.name.label("integration"), account.c.account_id)
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .join(account, same_account(account, rows))
        .where(account.c.account_key == account_key)
    ).first()


def history_of(con: Connection, moment: Filters, account_key: int) -> Sequence[Row[Any]]:
    """One row per version of the account, oldest first, as known at the moment.

    What held then had no end yet. At most MOST_VERSIONS, the newest.
    """
    version = few_versions(lambda rows: rows.c.account_key == account_key).c
    until, at_that_time = version.valid_to, []
    if moment.as_of is not None:
        at_that_time.append(version.valid_from <= moment.as_of)
        until = case((until > moment.as_of, literal(FOREVER)), else_=until)
    numbered = (
        select(
            *(c for c in version if c.name not in ("valid_to", "role_details")),
            func.md5(version.role_details).label("role_details"),
            until.label("valid_to"),
            func.row_number().over(order_by=version.valid_from).label("number"),
            func.count().over().label("found"),
        )
        .where(*at_that_time)
        .subquery("numbered")
    )
    return con.execute(
        select(numbered)
        .where(numbered.c.number > numbered.c.found - MOST_VERSIONS)
        .order_by(numbered.c.number)
    ).all()


def others_of(con: Connection, moment: Filters, one: Row[Any]) -> Sequence[Any]:
    """One row per other account of the same person, by integration and username.

    The same person is who has the same upstream ID, else the same e-mail, in any case;
    `same_id` says which, `found` how many there are. At most MOST_OTHERS.
    """
    if not one.upstream_user_id and not one.user_email:
        return []
    everyone = accounts(con, moment)
    same = select(everyone.c.account_key).where(_is_same_person(everyone, one))
    rows = accounts_of(con, moment, con.scalars(same).all())
    return con.execute(
        select(
            rows.c.account_key,
            rows.c.username_in_app,
            rows.c.provisioning_state,
            rows.c.active_in_app,
            _has_same_id(rows, one).label("same_id"),
            integration.c.name.label("integration"),
            func.count().over().label("found"),
        )
        .join(integration, integration.c.integration_id == rows.c.integration_id)
        .where(rows.c.account_key != one.account_key)
        .order_by(integration.c.name, rows.c.username_in_app, rows.c.account_key)
        .limit(MOST_OTHERS)
    ).all()


def _is_same_person(rows: FromClause, one: Row[Any]) -> ColumnElement[bool]:
    email = one.user_email
    same_email = func.lower(rows.c.user_email) == email.lower() if email else false()
    return or_(_has_same_id(rows, one), same_email)


def _has_same_id(rows: FromClause, one: Row[Any]) -> ColumnElement[bool]:
    id_ = one.upstream_user_id
    return func.coalesce(rows.c.upstream_user_id == id_, false()) if id_ else false()
