"""Suggested owners of unmatched accounts: by upstream ID, then by email, with the evidence.

People come from directories: integrations that list people, such as Okta. A suggestion changes
nothing until a person accepts it.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.files.text import id_key
from data.people.directories import directory_names
from data.records.decisions import MATCH_OVERRIDES
from data.records.tables import match_override
from data.schema import account, account_current, integration, is_same_account, is_unmatched
from data.store.dialect import json_text

MatchKind = Literal["suggested", "doubtful", "nobody", "decided"]
MATCH_KINDS: tuple[MatchKind, ...] = get_args(MatchKind)

MAX_SHOWN = 500
"""Accounts of one kind that are listed; more are only counted."""


class MatchCandidates(NamedTuple):
    """Unmatched accounts and their suggested or decided owners."""

    counts: dict[str, int]  # kind → accounts
    rows: Sequence[sa.Row[Any]]  # of the selected kind


def match_candidates(con: Connection, kind: MatchKind) -> MatchCandidates:
    """The unmatched accounts of one kind, and the number of each kind.

    One row per account: [integration, account_id, username_in_app, upstream_user_id, email, by_id,
    by_email, kind], and of the suggested or decided person [person_integration,
    person_id, user_name, user_email, decided_by, decided_at, evidence]. `by_id` and `by_email` are
    the number of people with the upstream ID and with the email.
    """
    candidates = _candidates_query(directory_names(con)).subquery("candidates")
    query = select(candidates.c.kind, func.count()).group_by(candidates.c.kind)
    counts = {row[0]: row[1] for row in con.execute(query)}
    order = (func.lower(candidates.c.integration), func.lower(candidates.c.username_in_app))
    rows = select(candidates).where(candidates.c.kind == kind).order_by(*order).limit(MAX_SHOWN)
    return MatchCandidates(counts, con.execute(rows).all())


def evidence_text(row: sa.Row[Any]) -> str:
    """The evidence for an account’s kind, in words."""
    by_id, by_email = row.by_id or 0, row.by_email or 0
    upstream, email = f"upstream ID {row.upstream_user_id}", f"email {row.email}"
    if row.kind == "suggested":
        same = ["upstream ID"] * bool(by_id) + ["email"] * bool(by_email)
        return f"Same {' and '.join(same)}"
    if by_id > 1:
        return f"{by_id:,} people have the {upstream}."
    if by_id:
        return f"The {upstream} and the {email} belong to different people."
    if by_email > 1:
        return f"{by_email:,} people have the {email}."
    clues = [
        clue for clue, value in ((upstream, row.upstream_user_id), (email, row.email)) if value
    ]
    if not clues:
        return "The account has neither an upstream ID nor an email."
    return f"Nobody in the directories has the {' or the '.join(clues)}."


def _candidates_query(lists: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    people, unmatched = _people_query(lists).cte("people"), _unmatched_query(lists).cte("unmatched")
    id_clue, email_clue = id_key(unmatched.c.upstream_user_id), func.lower(unmatched.c.email)
    ids = _count_people(unmatched, people, id_clue, ("person_id", "person_upstream")).subquery(
        "ids"
    )
    emails = _count_people(unmatched, people, email_clue, ("person_email",)).subquery("emails")
    overrides = _overrides()
    has_one_id, has_one_email = ids.c.people_count == 1, emails.c.people_count == 1
    conflicts = and_(has_one_id, has_one_email, ids.c.person_key != emails.c.person_key)
    is_clear = sa.or_(
        and_(has_one_id, ~func.coalesce(conflicts, False)),
        and_(ids.c.people_count.is_(None), has_one_email),
    )
    has_candidates = sa.or_(ids.c.people_count.is_not(None), emails.c.people_count.is_not(None))
    kind = case(
        (overrides.c.decided_at.is_not(None), "decided"),
        (is_clear, "suggested"),
        (has_candidates, "doubtful"),
        else_="nobody",
    )
    person_key = case((is_clear, func.coalesce(ids.c.person_key, emails.c.person_key)))
    person = (
        _overridden_or_suggested(overrides, name, people.c[column])
        for name, column in PERSON_COLUMNS.items()
    )
    return select(
        unmatched,
        ids.c.people_count.label("by_id"),
        emails.c.people_count.label("by_email"),
        kind.label("kind"),
        *person,
        *(overrides.c[name] for name in ("decided_by", "decided_at", "evidence")),
    ).select_from(
        unmatched.outerjoin(ids, ids.c.account_key == unmatched.c.account_key)
        .outerjoin(emails, emails.c.account_key == unmatched.c.account_key)
        .outerjoin(people, people.c.person_key == person_key)
        .outerjoin(overrides, overrides.c.account_key == unmatched.c.account_key)
    )


PERSON_COLUMNS = {
    "person_integration": "person_integration",
    "person_id": "person_id",
    "user_name": "person_name",
    "user_email": "person_own_email",
}
"""Column of the result → column of the suggested person."""


def _overridden_or_suggested(
    overrides: sa.FromClause, name: str, suggested: ColumnElement[Any]
) -> ColumnElement[Any]:
    """From the decision, which can be that nobody owns the account; else from the suggestion."""
    return case((overrides.c.decided_at.is_not(None), overrides.c[name]), else_=suggested).label(
        name
    )


def _people_query(lists: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    """One row per person."""
    current = account_current
    return (
        select(
            current.c.account_key.label("person_key"),
            integration.c.name.label("person_integration"),
            account.c.account_id.label("person_id"),
            id_key(current.c.upstream_user_id).label("person_upstream"),
            func.coalesce(current.c.user_name, current.c.username_in_app).label("person_name"),
            current.c.user_email.label("person_own_email"),
            func.lower(current.c.user_email).label("person_email"),
        )
        .join_from(current, account, is_same_account(account, current))
        .join(integration, integration.c.integration_id == current.c.integration_id)
        .where(integration.c.name.in_(lists))
    )


def _unmatched_query(lists: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    """One row per account without a user, with the email that the account itself has."""
    current = account_current
    is_email = current.c.username_in_app.like("%_@_%")
    email = func.coalesce(
        json_text(current.c.attributes, sa.literal("Email")),
        case((is_email, current.c.username_in_app)),
    )
    return (
        select(
            current.c.account_key,
            integration.c.name.label("integration"),
            account.c.account_id,
            current.c.username_in_app,
            current.c.upstream_user_id,
            email.label("email"),
        )
        .join_from(current, account, is_same_account(account, current))
        .join(integration, integration.c.integration_id == current.c.integration_id)
        .where(is_unmatched(current), integration.c.name.not_in(lists))
    )


def _count_people(
    unmatched: sa.FromClause,
    people: sa.FromClause,
    clue: ColumnElement[Any],
    columns: Sequence[str],
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account with a person's clue: [account_key, people_count, person_key]."""
    pairs = sa.union(
        *(
            select(unmatched.c.account_key, people.c.person_key).join_from(
                unmatched, people, people.c[name] == clue
            )
            for name in columns
        )
    ).subquery()
    return select(
        pairs.c.account_key,
        func.count(pairs.c.person_key.distinct()).label("people_count"),
        func.min(pairs.c.person_key).label("person_key"),
    ).group_by(pairs.c.account_key)


def _overrides() -> sa.FromClause:
    """One row per account with an override in force now."""
    in_force = MATCH_OVERRIDES.is_in_force()
    return select(match_override).where(in_force).subquery("overrides")
