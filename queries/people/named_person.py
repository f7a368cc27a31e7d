"""The accounts of one person, whom an address names by any of her accounts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, select

from data.schema import OPEN_END, account, account_profile, integration, is_valid_at, person
from queries.account_links import account_link, account_link_column
from queries.lookup import RowCondition
from queries.people.accounts import (
    AccountKeys,
    clued_versions,
    owners_of_rows,
    versions_of,
)
from queries.people.persons import PersonKeys
from queries.scope import is_past

SEPARATOR = "/"


class NamedPerson(NamedTuple):
    """An account of the person: its integration, and its `account_link`, which has no name."""

    integration: str
    link: str

    def __str__(self) -> str:
        """As an address has it."""
        return f"{self.integration}{SEPARATOR}{self.link}"

    def account_keys(self) -> sa.Select[*tuple[Any, ...]]:
        """The key of the account; none if there is no such account.

        To find it, all accounts of the integration are hashed: a query does so once.
        """
        return (
            select(account.c.account_key)
            .join_from(
                account, integration, integration.c.integration_id == account.c.integration_id
            )
            .where(integration.c.name == self.integration, account_link_column() == self.link)
        )


def named_by(integration: str, account_id: str) -> NamedPerson:
    """The person of an account."""
    return NamedPerson(integration, account_link(integration, account_id))


def parse_named_person(values: Sequence[str]) -> NamedPerson | None:
    """The account in `hr/0123456789ab`; None for any other text."""
    name, separator, link = next(iter(values), "").rpartition(SEPARATOR)
    return (
        NamedPerson(name, link) if separator and name and link and "\0" not in name + link else None
    )


def at_moment(as_of: datetime | None) -> RowCondition:
    """Which versions hold at the moment (None: now)."""
    if as_of is None:
        return lambda rows: rows.c.valid_to == OPEN_END
    return lambda rows: is_valid_at(rows, as_of)


def person_of(keys: AccountKeys, as_of: datetime | None) -> PersonKeys:
    """The `person_key` of an account's person at the moment; none if no directory has one.

    `keys` is the key of the account; a moment of None is now.
    """
    key = _found_once(keys)
    return _people(key, _named(key, as_of), as_of)


def accounts_of(
    keys: AccountKeys, as_of: datetime | None, times: RowCondition
) -> sa.Select[*tuple[Any, ...]]:
    """One row per version of the accounts of an account's person with such times.

    [account_key, valid_from, source]. `keys` is the key of the account. Without a person in a
    directory: of the account, and of those that share its upstream user ID or email.
    """
    key, p = _found_once(keys), account_profile.c
    named = _named(key, as_of)
    people = _people(key, named, as_of)
    found = versions_of(people, as_of, times).subquery("found")
    emails, ids = select(named.c.email_clue), select(named.c.id_clue)
    sharing = select(p.account_key).where(sa.or_(p.email_clue.in_(emails), p.id_clue.in_(ids)))
    rows = clued_versions(sa.union(key, sharing), times).subquery("sharing")
    sources = (
        (rows.c.account_key.in_(select(named.c.account_key)), "named"),
        (rows.c.id_clue.in_(ids), "same ID"),
        (rows.c.email_clue.in_(emails), "same email"),
    )
    others = select(rows.c.account_key, rows.c.valid_from, case(*sources).label("source")).where(
        sa.or_(*(condition for condition, _ in sources)), ~sa.exists(people)
    )
    columns = (found.c[name] for name in ("account_key", "valid_from", "source"))
    return sa.union_all(select(*columns), others).subquery("of_person").select()


def is_theirs(rows: sa.FromClause, who: NamedPerson, as_of: datetime | None) -> ColumnElement[bool]:
    """Whether a version is one of the person's, as known at the moment."""
    found = accounts_of(
        who.account_keys(), as_of, lambda v: is_past(v.c.valid_from, as_of)
    ).subquery("hers")
    key = sa.tuple_(rows.c.account_key, rows.c.valid_from)
    return key.in_(select(found.c.account_key, found.c.valid_from))


def _found_once(keys: AccountKeys) -> AccountKeys:
    """The same, which a query that uses it several times works out once."""
    found = keys.cte()
    return select(found.c.account_key)


def _named(key: AccountKeys, as_of: datetime | None) -> sa.CTE:
    """The account as it was last listed by the moment, with its clues."""
    by_then = clued_versions(key, lambda v: is_past(v.c.valid_from, as_of))
    newest = by_then.subquery("by_then")
    return select(newest).order_by(newest.c.valid_from.desc()).limit(1).cte()


def _people(key: AccountKeys, named: sa.FromClause, as_of: datetime | None) -> PersonKeys:
    listed = select(person.c.person_key).where(person.c.account_key.in_(key))
    owners = owners_of_rows(named, as_of, is_few=True).subquery("owners_of_named")
    known = select(owners.c.person_key).where(owners.c.person_key.is_not(None))
    people = sa.union(listed, known).cte()
    return select(people.c.person_key)
