"""The matrix of people and accounts: each account in exactly one cell, with the oldest since."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from data.schema import integration
from queries.cache import cached
from queries.people.accounts import AccountStatus, Owner, owned_accounts
from queries.people.persons import Grace, people_at
from queries.scope import Scope


class MatrixCell(NamedTuple):
    """The accounts of one integration whose person and account have these statuses."""

    integration: str
    person: Owner
    account: AccountStatus
    accounts: int
    since: datetime  # the longest that one of them has been in the cell (naive UTC)


@cached(64)
def matrix_cells(con: Connection, scope: Scope, grace: Grace) -> Sequence[MatrixCell]:
    """One per integration, status of the person and of the account that some account has."""
    owned = owned_accounts(scope.as_of, grace).subquery("owned")
    keys = (integration.c.name, owned.c.status, owned.c.account_status)
    query = (
        select(*keys, func.count(), func.min(owned.c.since))
        .join_from(owned, integration, integration.c.integration_id == owned.c.integration_id)
        .where(scope.includes(owned))
        .group_by(*keys)
        .order_by(func.lower(integration.c.name), *keys)
    )
    return [MatrixCell(*row) for row in con.execute(query)]


@cached(64)
def count_people(con: Connection, as_of: datetime | None, grace: Grace) -> dict[str, int]:
    """Status → the people of the directories who have it."""
    people = people_at(as_of, grace).subquery("people")
    query = select(people.c.status, func.count()).group_by(people.c.status)
    return {row[0]: row[1] for row in con.execute(query)}
