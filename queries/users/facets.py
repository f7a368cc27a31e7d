"""What each choice of a filter would show: counts that honour all the other filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    FromClause,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    true,
)

from data.schema import account_profile, integration, snapshot
from data.states import UNRECOGNISED
from data.store.dialect import has_role
from queries.filters import (
    FILTER_BY_NAME,
    Filter,
    Filters,
    accounts,
    conditions,
)
from queries.search import contains

MOST_CHOICES = 30
"""Choices of an open list that are shown; a search brings the others."""


class Choice(NamedTuple):
    """A value of a filter, as the address has it, and the accounts that it alone would show."""

    value: str
    accounts: int


class Choices(NamedTuple):
    """The choices of one filter, and how many more there are."""

    shown: list[Choice]
    more: int = 0


def choices(con: Connection, filters: Filters, name: str, search: str = "") -> Choices:
    """The choices of a filter: in the order of their kind, or the most frequent first.

    Of roles and integrations those that the search finds, and in any case those that are chosen.
    """
    if name == "waiting":
        return Choices(_waits(con, filters))
    if FILTER_BY_NAME[name].counted_by:
        return Choices(_of_a_kind(con, filters, FILTER_BY_NAME[name]))
    counted = {"role": _roles, "integration": _integrations, "reason": _reasons}[name](con, filters)
    return _most_frequent(con, counted, filters.values(name), search)


def _others(con: Connection, filters: Filters, name: str) -> tuple[FromClause, Any]:
    """The accounts, and what all filters but one ask of them."""
    rows = accounts(con, filters, whole=FILTER_BY_NAME[name].of_profile)
    return rows, and_(true(), *conditions(filters.without(name), rows))


def _of_a_kind(con: Connection, filters: Filters, kind: Filter) -> list[Choice]:
    rows, others = _others(con, filters, kind.name)
    assert kind.counted_by  # noqa: S101 - asked for only where it is there
    value = kind.counted_by(rows).label("value")
    counted = select(value, func.count().label("accounts")).where(others).group_by(value)
    found = {row.value: row.accounts for row in con.execute(counted)}
    chosen = filters.values(kind.name)
    return [
        Choice(name, found.get(name, 0))
        for name in kind.choices
        if name != UNRECOGNISED.name or name in found or name in chosen
    ]


def _waits(con: Connection, filters: Filters) -> list[Choice]:
    rows, others = _others(con, filters, "waiting")
    spans, waiting = _spans(filters), FILTER_BY_NAME["waiting"]
    totals = [
        func.count().filter(waiting.condition(rows, length, filters.as_of))
        for length in spans.values()
    ]
    found = con.execute(select(*totals).select_from(rows).where(others)).one()
    return [Choice(span, count) for span, count in zip(spans, found, strict=True)]


def _spans(filters: Filters) -> dict[str, timedelta]:
    """What can be chosen, and what an address asks besides, shortest first."""
    waiting = FILTER_BY_NAME["waiting"]
    spans = {text: waiting.read([text]) for text in (*waiting.choices, *filters.values("waiting"))}
    return dict(sorted(spans.items(), key=lambda span: span[1]))


def _roles(con: Connection, filters: Filters) -> Select[Any, Any]:
    """One row per role that any account has: [value, accounts]."""
    rows, others = _others(con, filters, "role")
    held = select(func.unnest(rows.c.roles).label("value"), others.label("counts")).subquery("held")
    return select(held.c.value, func.count().filter(held.c.counts).label("accounts")).group_by(
        held.c.value
    )


def _integrations(con: Connection, filters: Filters) -> Select[Any, Any]:
    """One row per integration: [value, accounts]."""
    rows, others = _others(con, filters, "integration")
    found = (
        select(rows.c.integration_id, func.count().label("accounts"))
        .where(others)
        .group_by(rows.c.integration_id)
        .subquery("found")
    )
    return select(
        integration.c.name.label("value"), func.coalesce(found.c.accounts, 0).label("accounts")
    ).join_from(
        integration, found, found.c.integration_id == integration.c.integration_id, isouter=True
    )


def _reasons(con: Connection, filters: Filters) -> Select[Any, Any]:
    """One row per reason that accounts fail for: [value, accounts]."""
    rows, others = _others(con, filters, "reason")
    return (
        select(rows.c.failure_reason.label("value"), func.count().filter(others).label("accounts"))
        .where(rows.c.failure_reason.is_not(None))
        .group_by(rows.c.failure_reason)
    )


def _most_frequent(
    con: Connection, counted: Select[Any, Any], chosen: list[str], search: str
) -> Choices:
    of = counted.subquery("counted")
    is_chosen = of.c.value.in_(chosen)
    listed = or_(is_chosen, contains(of.c.value, search)) if search else true()
    found = con.execute(
        select(of.c.value, of.c.accounts, func.count().over())
        .where(listed)
        .order_by(case((is_chosen, 0), else_=1), of.c.accounts.desc(), func.lower(of.c.value))
        .limit(MOST_CHOICES + len(chosen))
    ).all()
    shown = [Choice(value, accounts) for value, accounts, _ in found]
    return Choices(shown, more=found[0][2] - len(shown) if found else 0)


def heard_of(con: Connection, filters: Filters) -> Filters:
    """The filters without integrations and roles that the store has never known.

    A role that nobody has any more stays asked: its list is empty, which is an answer.
    """
    named = select(integration.c.name).where(integration.c.name.in_(filters.integration))
    known = set(con.scalars(named)) if filters.integration else set()
    missing = [role for role in filters.role if not _is_held(con, filters, role)]
    never = set(missing) - _ever_held(con, missing)
    return replace(
        filters,
        integration=tuple(name for name in filters.integration if name in known),
        role=tuple(role for role in filters.role if role not in never),
    )


def _is_held(con: Connection, filters: Filters, role: str) -> bool:
    rows = accounts(con, filters)
    found = select(rows.c.account_key).where(has_role(rows.c.roles, role)).limit(1)
    return con.scalar(found) is not None


def _ever_held(con: Connection, roles: Sequence[str]) -> set[str]:
    if not roles:
        return set()
    held = [func.bool_or(has_role(account_profile.c.roles, role)) for role in roles]
    return {
        role for role, found in zip(roles, con.execute(select(*held)).one(), strict=True) if found
    }


def moments(con: Connection, *, last: int = 5) -> list[datetime]:
    """When snapshots were taken (naive UTC): the last few, newest first, then the first of all."""
    taken = snapshot.c.taken_at
    newest = con.scalars(select(taken).distinct().order_by(taken.desc()).limit(last)).all()
    first = con.scalar(select(func.min(taken)))
    return [*newest, first] if first else []
