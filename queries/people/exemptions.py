"""People who are exempt from the rules about people: exceptions of a person, not of a finding."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.records.decisions import EXCEPTIONS
from data.records.exceptions import PERSON_RULE
from data.records.tables import exception
from data.schema import account, integration, is_same_account, person
from queries.people.accounts import versions_of
from queries.people.named_person import at_moment

EXEMPTION_COLUMNS = ("reason", "accepted_by", "accepted_at", "until")


def exempt_people(at: datetime | None) -> sa.Select[*tuple[Any, ...]]:
    """One row per person who is exempt at the moment (None: now), by the newest exemption.

    [person_key, integration, account_id, *EXEMPTION_COLUMNS]
    """
    columns = exception.c
    is_its_account = sa.and_(
        account.c.integration_id == integration.c.integration_id,
        account.c.account_id == columns.account_id,
    )
    c = (
        select(
            person.c.person_key,
            columns.integration,
            columns.account_id,
            *(columns[name] for name in EXEMPTION_COLUMNS),
        )
        .join_from(exception, integration, integration.c.name == columns.integration)
        .join(account, is_its_account)
        .join(person, is_same_account(person, account))
        .where(columns.rule == PERSON_RULE, EXCEPTIONS.is_in_force(at))
        .cte()
        .c
    )
    newest = select(c.person_key, func.max(c.accepted_at).label("at")).group_by(c.person_key)
    newest = newest.subquery("newest")
    is_newest = sa.and_(newest.c.person_key == c.person_key, newest.c.at == c.accepted_at)
    # A person has one at a time. Were there two, any of them would do: Citus has no such window.
    texts = (func.min(column).label(column.name) for column in c if column is not c.person_key)
    return select(c.person_key, *texts).where(is_newest).group_by(c.person_key)


def exempt_accounts(as_of: datetime | None, at: datetime) -> sa.Select[*tuple[Any, ...]]:
    """One row per account whose person is exempt: [account_key, *EXEMPTION_COLUMNS].

    Of the accounts at `as_of` (None: now), by the exemptions in force `at` a moment.
    """
    people = exempt_people(at).cte()
    rows = versions_of(select(people.c.person_key), as_of, at_moment(as_of)).subquery("rows")
    columns = (people.c[name] for name in EXEMPTION_COLUMNS)
    return select(rows.c.account_key, *columns).join_from(
        rows, people, people.c.person_key == rows.c.person_key
    )


def find_exemption(con: Connection, person_key: int, at: datetime | None) -> sa.Row[Any] | None:
    """The exemption of a person at the moment (None: now), see `exempt_people`."""
    people = exempt_people(at).subquery("people")
    return con.execute(select(people).where(people.c.person_key == person_key)).first()
