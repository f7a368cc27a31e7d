"""The first accounts that a search finds, by person."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.files.text import id_key
from data.schema import account, integration, is_same_account
from data.store.dialect import occurs_in, search_normalized
from data.store.search_text import search_key
from queries.account_rows import account_rows
from queries.cache import cached
from queries.filter_conditions import search_words
from queries.filters import Filters, conditions
from queries.users.accounts import count_accounts
from queries.users.by_key import accounts_by_key

MAX_FOUND = 60
"""Accounts that are grouped by person; a search that finds more shows the best ones."""


class FoundPerson(NamedTuple):
    """A person's accounts that a search has found; an account without a user is alone."""

    name: str
    email: str
    accounts: list[sa.Row[Any]]
    """See `_best_accounts`."""


class Found(NamedTuple):
    """What a search has found: the best persons first, and the number of all accounts."""

    people: list[FoundPerson]
    accounts: int


@cached(64)
def find_people(con: Connection, text: str) -> Found:
    """The accounts that match a search now, grouped by person.

    A person's accounts have the same upstream user ID, or the same email in any case.
    """
    filters = Filters(q=text)
    if not text:
        return Found([], 0)
    accounts = _best_accounts(con, filters)
    count = len(accounts) if len(accounts) < MAX_FOUND else count_accounts(con, filters)
    return Found(group_by_person(accounts), count)


def matched_texts(row: Any, text: str) -> list[str]:
    """The texts of an account, besides its user, in which words of the search occur."""
    user = search_key(" ".join(filter(None, (row.user_name, row.user_email))))
    words = [word for word in map(search_key, search_words(text)) if word not in user]
    texts: dict[str, str] = {}
    for value in (row.username_in_app, row.account_id, row.upstream_user_id, *row.roles):
        key = search_key(value or "")
        if found := [word for word in words if word in key]:
            texts.setdefault(key, value)
            words = [word for word in words if word not in found]
    return list(texts.values())


def group_by_person(accounts: Sequence[Any]) -> list[FoundPerson]:
    """The accounts by person, in the order of each person's first account."""
    groups: list[list[Any]] = []
    group_by_key: dict[tuple[str, str], list[Any]] = {}
    for row in accounts:
        keys = _person_keys(row)
        known = [group_by_key[key] for key in keys if key in group_by_key]
        group = known[0] if known else []
        if not known:
            groups.append(group)
        for other in known[1:]:  # one account has the ID of one group and the email of another
            if other is not group:
                group += other
                groups.remove(other)
                keys += [key for key, value in group_by_key.items() if value is other]
        group.append(row)
        group_by_key |= dict.fromkeys(keys, group)
    return [_found_person(group) for group in groups]


def _person_keys(row: Any) -> list[tuple[str, str]]:
    keys = [("id", row.person_id), ("email", (row.user_email or "").lower())]
    return [key for key in keys if key[1]]


def _found_person(accounts: list[Any]) -> FoundPerson:
    names = [row.user_name for row in accounts if row.user_name]
    emails = [row.user_email for row in accounts if row.user_email]
    return FoundPerson(next(iter(names), ""), next(iter(emails), ""), accounts)


def _best_accounts(con: Connection, filters: Filters) -> Sequence[sa.Row[Any]]:
    """One row per account, those first in which words of the search begin a text, then by name.

    The order reads only the text that is searched, and the other columns of those shown.
    """
    rows = account_rows(con, filters)
    ranks = [_word_rank(rows.c.search, word) for word in search_words(filters.q)]
    best = (
        select(rows.c.account_key)
        .where(*conditions(filters, rows))
        .order_by(sum(ranks, sa.literal(0)), rows.c.search, rows.c.account_key)
        .limit(MAX_FOUND)
    )
    account_keys = con.scalars(best).all()
    position = {key: number for number, key in enumerate(account_keys)}
    shown = accounts_by_key(con, filters, account_keys)
    query = (
        select(
            shown,
            id_key(shown.c.upstream_user_id).label("person_id"),
            integration.c.name.label("app"),
            account.c.account_id,
        )
        .join(integration, integration.c.integration_id == shown.c.integration_id)
        .join(account, is_same_account(account, shown))
        .where(account.c.account_key.in_(account_keys))
    )
    found = con.execute(query).all() if account_keys else []
    return sorted(found, key=lambda row: position[row.account_key])


def _word_rank(search: ColumnElement[Any], word: str) -> ColumnElement[int]:
    """0 where the name begins with the word, 1 where any other text does, else 2."""
    key = search_normalized(sa.literal(word, sa.String))
    begins_a_text = occurs_in(func.concat(" ", key), search)
    return case((func.strpos(search, key) == 1, 0), (begins_a_text, 1), else_=2)
