"""Whose the unmatched accounts could be: by upstream ID, then by email, with the evidence.

People are the accounts of integrations that list people, an identity provider's. Nothing here
changes anything: a suggestion is for a person to take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    union,
)

from data.records.matches import people_lists
from data.schema import (
    account,
    account_current,
    integration,
    is_unmatched,
    matched,
    same_account,
    snapshot,
)
from data.store.dialect import text_under

Kind = Literal["suggested", "doubtful", "nobody", "decided"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SHOWN = 500
"""Accounts of one kind that are listed; more are counted."""

PEOPLE_SOURCES = ("Read as Okta users", "Read as Microsoft Entra users")


class Found(NamedTuple):
    """What is known of whose the unmatched accounts are."""

    counts: dict[str, int]  # kind → accounts
    rows: Sequence[Row[Any]]  # of the kind that was asked for


def likely_people(con: Connection) -> list[str]:
    """Integrations whose files say that they list people."""
    is_people = or_(*(snapshot.c.facts.contains(words) for words in PEOPLE_SOURCES))
    named = snapshot.join(integration, integration.c.integration_id == snapshot.c.integration_id)
    found = select(integration.c.name).select_from(named).where(is_people)
    return list(con.scalars(found.distinct().order_by(integration.c.name)))


def matching(con: Connection, kind: Kind) -> Found:
    """The unmatched accounts of one kind, and how many there are of each.

    One row per account: [integration, account_id, username_in_app, upstream_user_id, email, by_id,
    by_email, kind], and of the person that is suggested or was decided [people, person_id,
    user_name, user_email, decided_by, decided_at, evidence]. `by_id` and `by_email` say how many
    people the upstream ID, and the email, are of.
    """
    listed = _clues(people_lists(con)).subquery("listed")
    counted = select(listed.c.kind, func.count()).group_by(listed.c.kind)
    counts = {row[0]: row[1] for row in con.execute(counted)}
    order = (func.lower(listed.c.integration), func.lower(listed.c.username_in_app))
    rows = select(listed).where(listed.c.kind == kind).order_by(*order).limit(SHOWN)
    return Found(counts, con.execute(rows).all())


def evidence(row: Row[Any]) -> str:
    """Why an account is of that kind, in a sentence."""
    by_id, by_email = row.by_id or 0, row.by_email or 0
    upstream, email = f"upstream ID {row.upstream_user_id}", f"email {row.email}"
    if row.kind == "suggested":
        also = f", and the {email} is theirs too" if by_id and by_email else ""
        return f"The {upstream} is theirs{also}." if by_id else f"The {email} is theirs."
    if by_id > 1:
        return f"{by_id:,} people have the {upstream}."
    if by_id:
        return f"The {upstream} and the {email} are of different people."
    if by_email > 1:
        return f"{by_email:,} people have the {email}."
    known = [
        words for words, told in ((upstream, row.upstream_user_id), (email, row.email)) if told
    ]
    if not known:
        return "It has neither an upstream ID nor an email."
    return f"Nobody in the list of people has the {' or the '.join(known)}."


def _clues(lists: Sequence[str]) -> Select[*tuple[Any, ...]]:
    people, mine = _people(lists).cte("people"), _unmatched(lists).cte("mine")
    by_id = _persons(mine, people, mine.c.upstream_user_id, ("person_id", "person_upstream"))
    by_email = _persons(mine, people, func.lower(mine.c.email), ("person_email",))
    ids, emails = by_id.subquery("ids"), by_email.subquery("emails")
    said = _decided()
    contradict = and_(ids.c.persons == 1, emails.c.persons == 1, ids.c.person != emails.c.person)
    is_clear = or_(
        and_(ids.c.persons == 1, ~func.coalesce(contradict, False)),
        and_(ids.c.persons.is_(None), emails.c.persons == 1),
    )
    kind = case(
        (said.c.decided_at.is_not(None), "decided"),
        (is_clear, "suggested"),
        (or_(ids.c.persons.is_not(None), emails.c.persons.is_not(None)), "doubtful"),
        else_="nobody",
    )
    one = case((is_clear, func.coalesce(ids.c.person, emails.c.person)))
    return select(
        mine,
        ids.c.persons.label("by_id"),
        emails.c.persons.label("by_email"),
        kind.label("kind"),
        *(_whose(said, name, people.c[own]) for name, own in THEIRS.items()),
        *(said.c[name] for name in ("decided_by", "decided_at", "evidence")),
    ).select_from(
        mine.outerjoin(ids, ids.c.account_key == mine.c.account_key)
        .outerjoin(emails, emails.c.account_key == mine.c.account_key)
        .outerjoin(people, people.c.person_key == one)
        .outerjoin(said, said.c.account_key == mine.c.account_key)
    )


THEIRS = {
    "people": "people",
    "person_id": "person_id",
    "user_name": "person_name",
    "user_email": "person_own_email",
}
"""What is told of the person → where it is of the suggested one."""


def _whose(said: FromClause, name: str, suggested: ColumnElement[Any]) -> ColumnElement[Any]:
    """Who was decided, nobody perhaps; else who is suggested."""
    return case((said.c.decided_at.is_not(None), said.c[name]), else_=suggested).label(name)


def _people(lists: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """One row per person."""
    now = account_current
    return (
        select(
            now.c.account_key.label("person_key"),
            integration.c.name.label("people"),
            account.c.account_id.label("person_id"),
            now.c.upstream_user_id.label("person_upstream"),
            func.coalesce(now.c.user_name, now.c.username_in_app).label("person_name"),
            now.c.user_email.label("person_own_email"),
            func.lower(now.c.user_email).label("person_email"),
        )
        .join_from(now, account, same_account(account, now))
        .join(integration, integration.c.integration_id == now.c.integration_id)
        .where(integration.c.name.in_(lists))
    )


def _unmatched(lists: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """One row per account without a user, with the email that is its own."""
    now = account_current
    is_email = now.c.username_in_app.like("%_@_%")
    own = func.coalesce(
        text_under(now.c.attributes, literal("Email")), case((is_email, now.c.username_in_app))
    )
    return (
        select(
            now.c.account_key,
            integration.c.name.label("integration"),
            account.c.account_id,
            now.c.username_in_app,
            now.c.upstream_user_id,
            own.label("email"),
        )
        .join_from(now, account, same_account(account, now))
        .join(integration, integration.c.integration_id == now.c.integration_id)
        .where(is_unmatched(now), integration.c.name.not_in(lists))
    )


def _persons(
    mine: FromClause, people: FromClause, clue: ColumnElement[Any], of: Sequence[str]
) -> Select[*tuple[Any, ...]]:
    """One row per account whose clue is somebody's: [account_key, persons, person]."""
    each = union(
        *(
            select(mine.c.account_key, people.c.person_key).join_from(
                mine, people, people.c[name] == clue
            )
            for name in of
        )
    ).subquery()
    return select(
        each.c.account_key,
        func.count(each.c.person_key.distinct()).label("persons"),
        func.min(each.c.person_key).label("person"),
    ).group_by(each.c.account_key)


def _decided() -> FromClause:
    """One row per account of which somebody has said whose it is, as it holds now."""
    return select(matched).where(matched.c.withdrawn_at.is_(None)).subquery("said")
