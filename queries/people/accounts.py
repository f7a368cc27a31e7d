"""Whose each account is, how that is known, and which cell of the matrix the account is in."""

from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.records.decisions import MATCH_OVERRIDES
from data.records.exceptions import read_rule_settings
from data.records.tables import match_override
from data.schema import (
    account,
    account_current,
    account_profile,
    account_version,
    integration,
    is_its_profile,
    is_same_account,
    is_unmatched,
    is_valid_at,
    person,
    person_clue,
)
from data.states import DELETE_STATES
from queries.lookup import RowCondition, lookup
from queries.people.persons import Grace, PersonKeys, PersonStatus, people_at
from queries.scope import is_past

AccountKeys = sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]
"""A select of the `account_key` of few accounts."""

Source = Literal["directory", "snapshot", "decision", "upstream ID", "email"]
SOURCES: tuple[Source, ...] = get_args(Source)
"""How the person of an account is known, the surest first."""

AccountStatus = Literal["active", "inactive", "deleting", "deleted"]
ACCOUNT_STATUSES: tuple[AccountStatus, ...] = get_args(AccountStatus)

Owner = PersonStatus | Literal["nobody"]
OWNERS: tuple[Owner, ...] = ("active", "disabled", "left", "unknown", "nobody")
"""The rows of the matrix: the status of an account's person, or that nobody is known."""

PERSON_TEXTS: dict[str, str] = {
    "active": "Active",
    "disabled": "Disabled",
    "left": "Left",
    "unknown": "Status unknown",
    "nobody": "Nobody known",
}
PERSON_PHRASES = {
    "active": "people who are active",
    "disabled": "people who are disabled",
    "left": "people who left",
    "unknown": "people of unknown status",
    "nobody": "nobody known",
}
ACCOUNT_TEXTS: dict[str, str] = {
    "active": "Active",
    "inactive": "Not active or unknown",
    "deleting": "Being deleted",
    "deleted": "Deleted",
}


def account_status(rows: sa.FromClause) -> ColumnElement[str]:
    """Whether an account is active, not active (or its activity is unknown), or going."""
    c = rows.c
    return case(
        (c.provisioning_state == "Deleted", "deleted"),
        (c.provisioning_state.in_(DELETE_STATES), "deleting"),
        (c.active_in_app, "active"),
        else_="inactive",
    )


def account_status_since(rows: sa.FromClause) -> ColumnElement[Any]:
    """Since when: in its state or its deletion, or with the same activity."""
    c = rows.c
    return case(
        (c.provisioning_state == "Deleted", c.state_since),
        (c.provisioning_state.in_(DELETE_STATES), c.job_since),
        else_=c.active_since,
    )


def owned_accounts(
    as_of: datetime | None, grace: Grace, keys: AccountKeys | None = None
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account at the moment (None: now), of all or of few accounts, with its person.

    [integration_id, account_key, person_key, source, by_email, by_id, status, account_status,
    owned_since, person_since, since]. `person_key` is NULL where nobody is known; `by_email` and
    `by_id` say how many people have the account's email and upstream ID.
    """
    found = account_people(as_of, keys)
    owners = found.subquery("owners") if keys is None else found.cte()
    few_people = None if keys is None else select(owners.c.person_key)
    people = people_at(as_of, grace, few_people).subquery("people")
    c = owners.c
    since = func.greatest(
        func.coalesce(people.c.since, c.status_since), c.status_since, c.owned_since
    )
    return select(
        *(c[name] for name in ("integration_id", "account_key", "person_key", "source")),
        *(c[name] for name in ("by_email", "by_id", "account_status", "owned_since")),
        func.coalesce(people.c.status, "nobody").label("status"),
        people.c.since.label("person_since"),
        since.label("since"),
    ).select_from(owners.outerjoin(people, people.c.person_key == c.person_key))


def with_person_status(
    con: Connection, rows: sa.FromClause, as_of: datetime | None
) -> sa.FromClause:
    """The same rows with `person_status`, one of OWNERS, and `person_since`, NULL without one."""
    owned = owned_accounts(as_of, read_rule_settings(con).grace_days).subquery("owned")
    return (
        select(*rows.c, owned.c.status.label("person_status"), owned.c.person_since)
        .join_from(rows, owned, is_same_account(rows, owned))
        .subquery("of_people")
    )


def account_people(
    as_of: datetime | None, keys: AccountKeys | None = None
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account at the moment (None: now): whose it is, and how that is known.

    Of all accounts, or of few.

    [integration_id, account_key, valid_from, person_key, source, by_email, by_id, account_status,
    status_since, owned_since]
    """
    accounts = _clued_accounts(as_of)
    if keys is None:
        return owners_of_rows(accounts.subquery("rows"), as_of)
    few = accounts.where(accounts.selected_columns["account_key"].in_(keys))
    return owners_of_rows(few.cte(), as_of, is_few=True)


def versions_of(
    people: PersonKeys, as_of: datetime | None, times: RowCondition
) -> sa.Select[*tuple[Any, ...]]:
    """One row per version of these few people's accounts with such times, as known at the moment.

    [account_key, valid_from, person_key, source]. Only accounts that ever shared a clue with them
    are looked at, so it does not matter how many others there are.
    """
    possible = _possible_accounts(people)
    rows = clued_versions(possible, times).cte()
    owners = owners_of_rows(rows, as_of, is_few=True).subquery("owners")
    columns = (owners.c[name] for name in ("account_key", "valid_from", "person_key", "source"))
    return select(*columns).where(owners.c.person_key.in_(people))


def _possible_accounts(people: PersonKeys) -> AccountKeys:
    """Keys of accounts that could be theirs: in a directory, by a clue, or by a decision."""
    own = select(person.c.account_key).where(person.c.person_key.in_(people))
    clues = select(person_clue.c.clue).where(person_clue.c.account_key.in_(own))
    p = account_profile.c
    decided = _decided_people(None, is_in_force=False)
    return sa.union(
        own,
        *(select(p.account_key).where(clue.in_(clues)) for clue in (p.email_clue, p.id_clue)),
        select(decided.c.account_key).where(decided.c.person_key.in_(people)),
    )


def owners_of_rows(
    rows: sa.FromClause, as_of: datetime | None, *, is_few: bool = False
) -> sa.Select[*tuple[Any, ...]]:
    """The rows, each with its person."""
    ids, emails = (_clue_owners(as_of, rows if is_few else None, is_email=e) for e in (False, True))
    decided, own = _decided_people(as_of), person
    by_email, by_id = _is_clear(emails, ids), _is_clear(ids, emails)
    names_user = rows.c.user_email.is_not(None)
    cases = (
        (own.c.person_key.is_not(None), own.c.person_key, "directory"),
        (and_(names_user, by_email), emails.c.person_key, "snapshot"),
        (and_(is_unmatched(rows), decided.c.account_key.is_not(None)), decided.c.person_key,
         "decision"),
        (by_id, ids.c.person_key, "upstream ID"),
        (by_email, emails.c.person_key, "email"),
    )  # fmt: skip
    owned_since = func.greatest(
        rows.c.user_since, func.coalesce(decided.c.decided_at, rows.c.user_since)
    )
    return select(
        rows.c.integration_id,
        rows.c.account_key,
        rows.c.valid_from,
        case(*((condition, key) for condition, key, _ in cases)).label("person_key"),
        case(*((condition, source) for condition, _, source in cases)).label("source"),
        func.coalesce(emails.c.people, 0).label("by_email"),
        func.coalesce(ids.c.people, 0).label("by_id"),
        account_status(rows).label("account_status"),
        account_status_since(rows).label("status_since"),
        owned_since.label("owned_since"),
    ).select_from(
        rows.outerjoin(ids, ids.c.clue == rows.c.id_clue)
        .outerjoin(emails, emails.c.clue == rows.c.email_clue)
        .outerjoin(own, is_same_account(own, rows))
        .outerjoin(decided, decided.c.account_key == rows.c.account_key)
    )


def _is_clear(clue: sa.FromClause, other: sa.FromClause) -> ColumnElement[bool]:
    """Whether one person has the clue, and the other clue is not somebody else's alone."""
    agrees = clue.c.person_key == other.c.person_key
    return and_(clue.c.people == 1, sa.or_(other.c.people.is_(None), other.c.people > 1, agrees))


ACCOUNT_COLUMNS = (
    *("integration_id", "account_key", "provisioning_state", "active_in_app"),
    *("state_since", "job_since", "active_since", "user_since", "valid_from"),
)


CLUE_COLUMNS = ("user_name", "user_email", "email_clue", "id_clue")


def _clued_accounts(as_of: datetime | None) -> sa.Select[*tuple[Any, ...]]:
    """One row per account at the moment, with its clues."""
    if as_of is None:
        return select(*(account_current.c[name] for name in (*ACCOUNT_COLUMNS, *CLUE_COLUMNS)))
    return _with_clues(account_version).where(is_valid_at(account_version, as_of))


def clued_versions(keys: AccountKeys, times: RowCondition) -> sa.Select[Any]:
    """One row per version of few accounts, with its clues."""
    found = lookup(account_version, lambda rows: and_(rows.c.account_key.in_(keys), times(rows)))
    return _with_clues(select(account_version).where(found).subquery("found"))


def _with_clues(versions: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    v, p = versions, account_profile
    columns = (*(v.c[name] for name in ACCOUNT_COLUMNS), *(p.c[name] for name in CLUE_COLUMNS))
    return select(*columns).join_from(v, p, is_its_profile(p, v))


def _clue_owners(
    as_of: datetime | None, among: sa.FromClause | None, *, is_email: bool
) -> sa.FromClause:
    """One row per clue that a person had by then: [clue, people, person_key] of one of them.

    Of all clues, or of those among the rows of few accounts.
    """
    kind = person_clue.c.kind == "email" if is_email else person_clue.c.kind != "email"
    name = "email_clue" if is_email else "id_clue"
    is_among = sa.true() if among is None else person_clue.c.clue.in_(select(among.c[name]))
    return (
        select(
            person_clue.c.clue,
            func.count(person.c.person_key.distinct()).label("people"),
            func.min(person.c.person_key).label("person_key"),
        )
        .join_from(person_clue, person, is_same_account(person, person_clue))
        .where(kind, is_among, is_past(person_clue.c.since, as_of))
        .group_by(person_clue.c.clue)
        .subquery("emails" if is_email else "ids")
    )


def _decided_people(as_of: datetime | None, *, is_in_force: bool = True) -> sa.FromClause:
    """One row per account whose person was decided: [account_key, person_key, decided_at].

    Also of decisions that are over, unless `is_in_force`. `person_key` is NULL where the decision
    is that it has none, or the person is not listed.
    """
    decision = match_override.c
    people = (
        select(integration.c.name, account.c.account_id, person.c.person_key)
        .join_from(person, account, is_same_account(account, person))
        .join(integration, integration.c.integration_id == person.c.integration_id)
        .subquery("deciders")
    )
    names_person = and_(
        people.c.name == decision.person_integration, people.c.account_id == decision.person_id
    )
    return (
        select(decision.account_key, people.c.person_key, decision.decided_at)
        .select_from(match_override.outerjoin(people, names_person))
        .where(
            decision.account_key.is_not(None),
            MATCH_OVERRIDES.is_in_force(as_of) if is_in_force else sa.true(),
        )
        .subquery("decided")
    )
