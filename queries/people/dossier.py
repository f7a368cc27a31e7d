"""One person: what the directories say, and the accounts in every integration."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.records.exceptions import read_rule_settings
from data.schema import OPEN_END, account, integration, person
from queries.account_links import account_link
from queries.cache import cached
from queries.filters import Filters
from queries.lookup import lookup_versions
from queries.people.named_person import NamedPerson, accounts_of, at_moment, person_of
from queries.people.owner import SOURCE_TEXTS
from queries.people.persons import PersonKeys, entries_at, people_at, with_profiles
from queries.scope import Scope, is_past
from queries.users.by_key import stretches_by_key
from queries.users.detail import find_accounts


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


class RoleChange(NamedTuple):
    """The roles that an account gained and lost with one snapshot."""

    at: datetime
    gained: Sequence[str]
    lost: Sequence[str]


class PersonAccount(NamedTuple):
    """An account of the person that is listed at the moment, or at any time in the period."""

    account: sa.Row[Any]
    """See `find_accounts`."""
    known_by: str
    stretches: Sequence[Stretch]
    role_changes: Sequence[RoleChange]
    in_period: Sequence[tuple[datetime, datetime | None]] = ()
    """Its stretches in the period of the filters; none without one."""


class Dossier(NamedTuple):
    """A person at a moment. Without a directory, the accounts with one upstream ID or email."""

    filters: Filters
    """They list the same accounts on Users."""
    named: sa.Row[Any]
    """[integration, account_id] of the account that the address names."""
    person_key: int | None
    """Of this store; None if no directory has the person."""
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
def find_dossier(con: Connection, filters: Filters) -> Dossier | None:
    """The person whom the filters name, at their moment or in their period; None if unknown."""
    person, moment = filters.of_person, filters.moment
    account_of_address = _named_account(con, person) if person else None
    if person is None or account_of_address is None:
        return None
    key = select(account.c.account_key).where(
        account.c.account_key == account_of_address.account_key
    )
    person_key = con.scalar(person_of(key, moment))
    times = filters.during.overlaps if filters.during else at_moment(filters.as_of)
    found = con.execute(accounts_of(key, moment, times).order_by("valid_from"))
    known_by = {row.account_key: SOURCE_TEXTS[row.source] for row in found}
    rows = find_accounts(con, filters, list(known_by))
    entries, status = [], None
    if person_key is not None:
        grace = read_rule_settings(con).grace_days
        entries = _entries(con, person_key, moment, grace)
        status = con.execute(people_at(moment, grace, _alone(person_key))).first()
    keys = {*known_by, *(row.account_key for row in entries)}
    stretches, changes = _history(con, sorted(keys), moment)
    in_period = stretches_by_key(con, filters, list(known_by))
    return Dossier(
        filters,
        account_of_address,
        person_key,
        status,
        [Entry(row, stretches.get(row.account_key, [])) for row in entries],
        [
            PersonAccount(row, known_by[row.account_key], stretches.get(row.account_key, []),
                          changes.get(row.account_key, []), in_period.get(row.account_key, ()))
            for row in rows
        ],
    )  # fmt: skip


def _named_account(con: Connection, who: NamedPerson) -> sa.Row[Any] | None:
    query = select(account, integration.c.name.label("integration")).join_from(
        account, integration, integration.c.integration_id == account.c.integration_id
    )
    return con.execute(query.where(account.c.account_key.in_(who.account_keys()))).first()


def _entries(
    con: Connection, person_key: int, as_of: datetime | None, grace: int | None
) -> list[sa.Row[Any]]:
    """One row per account of a directory, the last that changed first.

    [account_key, is_from_provider, status, since, integration, account_id, user_name, user_email,
    upstream_user_id]
    """
    entries = entries_at(as_of, grace, _alone(person_key)).subquery("entries")
    columns = (entries.c[name] for name in ("account_key", "is_from_provider", "status", "since"))
    newest: dict[int, sa.Row[Any]] = {}
    for row in con.execute(with_profiles(entries, as_of, *columns)):
        newest.setdefault(row.account_key, row)
    return list(newest.values())


def _alone(person_key: int) -> PersonKeys:
    return select(person.c.person_key).where(person.c.person_key == person_key)


def _history(
    con: Connection, account_keys: list[int], as_of: datetime | None
) -> tuple[dict[int, list[Stretch]], dict[int, list[RoleChange]]]:
    """Account key → its times by state and activity, and its changes of roles, the oldest first.

    Both as known at the moment.
    """
    v = lookup_versions(
        lambda rows: rows.c.account_key.in_(account_keys),
        lambda rows: is_past(rows.c.valid_from, as_of),
    ).c
    columns = (v.account_key, v.valid_from, v.valid_to, v.provisioning_state, v.active_in_app)
    versions = con.execute(select(*columns, v.roles).order_by(v.account_key, v.valid_from))
    times: dict[int, list[Stretch]] = {}
    changes: dict[int, list[RoleChange]] = {}
    roles: dict[int, set[str]] = {}
    for row in versions:
        key, now = row.account_key, set(row.roles)
        before = roles.get(key, now)
        if before != now:
            change = RoleChange(row.valid_from, sorted(now - before), sorted(before - now))
            changes.setdefault(key, []).append(change)
        roles[key] = now
        is_open = row.valid_to == OPEN_END or (as_of is not None and row.valid_to > as_of)
        end = None if is_open else row.valid_to
        stretch = Stretch(row.provisioning_state, row.active_in_app, row.valid_from, end)
        own = times.setdefault(key, [])
        if own and (*own[-1][:2], own[-1].end) == (*stretch[:2], stretch.start):
            stretch = stretch._replace(start=own.pop().start)
        own.append(stretch)
    return times, changes
