"""One person: what the directories say, and the accounts in every integration."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.records.exceptions import read_rule_settings
from data.schema import (
    OPEN_END,
    account,
    account_version,
    integration,
    person,
)
from queries.account_links import account_link, account_link_column
from queries.cache import cached
from queries.filters import Filters
from queries.lookup import lookup
from queries.people.accounts import account_people
from queries.people.owner import SOURCE_TEXTS
from queries.people.persons import entries_at, people_at, with_profiles
from queries.scope import Scope, is_past
from queries.users.detail import find_accounts, find_other_accounts


class Stretch(NamedTuple):
    """A time in which an account had one state and activity; `end` is None while it lasts."""

    state: str
    active: bool | None
    start: datetime
    end: datetime | None

    @property
    def is_active(self) -> bool:
        """Whether a person with this account of a directory was active."""
        return bool(self.active) and self.state != "Deleted"


class Entry(NamedTuple):
    """An account of a directory, as last listed by the moment."""

    listed: sa.Row[Any]
    """See `_entries`."""
    stretches: Sequence[Stretch]

    @property
    def active_stretches(self) -> list[Stretch]:
        """Its times of activity, each in one piece."""
        merged: list[Stretch] = []
        for stretch in filter(lambda s: s.is_active, self.stretches):
            if merged and merged[-1].end == stretch.start:
                merged[-1] = merged[-1]._replace(end=stretch.end)
            else:
                merged.append(stretch)
        return merged


class PersonAccount(NamedTuple):
    """An account of the person that is listed at the moment."""

    account: sa.Row[Any]
    """See `find_accounts`."""
    known_by: str
    stretches: Sequence[Stretch]


class Dossier(NamedTuple):
    """A person at a moment. Without a directory, the accounts with one upstream ID or email."""

    named: sa.Row[Any]
    """[integration, account_id] of the account that the address names."""
    status: sa.Row[Any] | None
    """[status, since]; None if no directory has the person."""
    entries: Sequence[Entry]
    accounts: Sequence[PersonAccount]

    @property
    def name_and_email(self) -> tuple[str, str]:
        """As the directories say, or else the accounts; either can be empty."""
        listed = [entry.listed for entry in self.entries]
        rows = listed or [owned.account for owned in self.accounts]
        names = [row.user_name for row in rows if row.user_name]
        emails = [row.user_email for row in rows if row.user_email]
        return next(iter(names), ""), next(iter(emails), "")

    @property
    def active_stretches(self) -> list[Stretch]:
        """Of the entries that decide the status: those of an HR list before a provider's."""
        lists = [entry for entry in self.entries if not entry.listed.is_from_provider]
        return [stretch for entry in lists or self.entries for stretch in entry.active_stretches]


def person_params(
    app: str, account_id: str, as_of: datetime | None = None
) -> list[tuple[str, str]]:
    """The address of the person of an account; it holds in a rebuilt store, and has no name."""
    scope = Scope(integration=(app,), as_of=as_of)
    return [*scope.params(), ("account", account_link(app, account_id))]


@cached(50)
def find_dossier(con: Connection, app: str, link: str, as_of: datetime | None) -> Dossier | None:
    """The person of an account, named by its integration and `account_link`; None if unknown."""
    named = _named_account(con, app, link)
    if named is None:
        return None
    person_key, known_by = _person_and_accounts(con, named.account_key, as_of)
    rows = find_accounts(con, Filters(as_of=as_of), list(known_by))
    entries, status = [], None
    if person_key is not None:
        grace = read_rule_settings(con).grace_days
        entries = _entries(con, person_key, as_of, grace)
        people = people_at(as_of, grace).subquery("people")
        status = con.execute(select(people).where(people.c.person_key == person_key)).first()
    keys = {*known_by, *(row.account_key for row in entries)}
    stretches = _stretches(con, sorted(keys), as_of)
    return Dossier(
        named,
        status,
        [Entry(row, stretches.get(row.account_key, [])) for row in entries],
        [
            PersonAccount(row, known_by[row.account_key], stretches.get(row.account_key, []))
            for row in rows
        ],
    )


def _named_account(con: Connection, app: str, link: str) -> sa.Row[Any] | None:
    query: sa.Select[*tuple[Any, ...]] = (
        select(account.c.account_key, account.c.account_id, integration.c.name.label("integration"))
        .join_from(account, integration, integration.c.integration_id == account.c.integration_id)
        .where(integration.c.name == app, account_link_column() == link)
    )
    return con.execute(query).first()


def _person_and_accounts(
    con: Connection, account_key: int, as_of: datetime | None
) -> tuple[int | None, dict[int, str]]:
    """The person of an account, and account key → how it is known to be the person's."""
    owners = account_people(as_of).subquery("owners")
    own = select(person.c.person_key).where(person.c.account_key == account_key)
    owned = select(owners.c.person_key).where(owners.c.account_key == account_key)
    person_key = con.scalar(own)
    if person_key is None:
        person_key = con.scalar(owned)
    if person_key is not None:
        found = select(owners).where(owners.c.person_key == person_key)
        return person_key, {row.account_key: SOURCE_TEXTS[row.source] for row in con.execute(found)}
    point_in_time = Filters(as_of=as_of)
    known_by: dict[int, str] = {}
    for row in find_accounts(con, point_in_time, [account_key]):
        known_by[account_key] = "Named by this address"
        for other in find_other_accounts(con, point_in_time, row):
            known_by[other.account_key] = "Upstream user ID" if other.same_id else "Email"
    return None, known_by


def _entries(
    con: Connection, person_key: int, as_of: datetime | None, grace: int | None
) -> list[sa.Row[Any]]:
    """One row per account of a directory, the last that changed first.

    [account_key, is_from_provider, status, since, integration, account_id, user_name, user_email,
    upstream_user_id]
    """
    entries = entries_at(as_of, grace).subquery("entries")
    columns = (entries.c[name] for name in ("account_key", "is_from_provider", "status", "since"))
    rows = with_profiles(entries, as_of, *columns).where(entries.c.person_key == person_key)
    newest: dict[int, sa.Row[Any]] = {}
    for row in con.execute(rows):
        newest.setdefault(row.account_key, row)
    return list(newest.values())


def _stretches(
    con: Connection, account_keys: list[int], as_of: datetime | None
) -> dict[int, list[Stretch]]:
    """Account key → its times by state and activity, the oldest first, as known at the moment."""
    v = account_version.c
    listed = lookup(account_version, lambda rows: rows.c.account_key.in_(account_keys))
    columns = (v.account_key, v.valid_from, v.valid_to, v.provisioning_state, v.active_in_app)
    versions = con.execute(
        select(*columns)
        .where(listed, is_past(v.valid_from, as_of))
        .order_by(v.account_key, v.valid_from)
    )
    by_key: dict[int, list[Stretch]] = {}
    for row in versions:
        is_open = row.valid_to == OPEN_END or (as_of is not None and row.valid_to > as_of)
        end = None if is_open else row.valid_to
        stretch = Stretch(row.provisioning_state, row.active_in_app, row.valid_from, end)
        own = by_key.setdefault(row.account_key, [])
        if own and (*own[-1][:2], own[-1].end) == (*stretch[:2], stretch.start):
            stretch = stretch._replace(start=own.pop().start)
        own.append(stretch)
    return by_key
