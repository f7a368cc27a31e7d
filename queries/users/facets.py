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
from data.states import UNRECOGNIZED
from data.store.dialect import has_role
from data.store.search_text import contains
from queries.filters import (
    FILTER_BY_NAME,
    Filter,
    Filters,
    account_rows,
    conditions,
)

MAX_CHOICES = 30
"""Choices of an open list that are shown; a search brings the others."""


class Choice(NamedTuple):
    """A value of a filter, as the address has it, and the accounts that it alone would show."""

    value: str
    accounts: int


class Choices(NamedTuple):
    """The choices of one filter, and how many more there are."""

    shown: list[Choice]
    remaining: int = 0


def list_choices(con: Connection, filters: Filters, name: str, search: str = "") -> Choices:
    """The choices of a filter: in the order of their kind, or the most frequent first.

    Of roles and integrations those that the search finds, and in any case those that are chosen.
    """
    if name == "waiting":
        return Choices(_count_durations(con, filters))
    if FILTER_BY_NAME[name].group_by:
        return Choices(_count_fixed_choices(con, filters, FILTER_BY_NAME[name]))
    query = {"role": _count_roles, "integration": _count_integrations, "reason": _count_reasons}[
        name
    ](con, filters)
    return _most_frequent(con, query, filters.values(name), search)


def _without_filter(con: Connection, filters: Filters, name: str) -> tuple[FromClause, Any]:
    """The accounts, and what all filters but one ask of them."""
    rows = account_rows(con, filters, all_columns=FILTER_BY_NAME[name].is_slow_changing)
    return rows, and_(true(), *conditions(filters.without(name), rows))


def _count_fixed_choices(con: Connection, filters: Filters, filter_: Filter) -> list[Choice]:
    rows, other_filters = _without_filter(con, filters, filter_.name)
    assert filter_.group_by  # noqa: S101 - asked for only where it is there
    value = filter_.group_by(rows).label("value")
    query = select(value, func.count().label("accounts")).where(other_filters).group_by(value)
    counts = {row.value: row.accounts for row in con.execute(query)}
    selected = filters.values(filter_.name)
    return [
        Choice(name, counts.get(name, 0))
        for name in filter_.choices
        if name != UNRECOGNIZED.name or name in counts or name in selected
    ]


def _count_durations(con: Connection, filters: Filters) -> list[Choice]:
    rows, other_filters = _without_filter(con, filters, "waiting")
    durations, waiting_filter = _duration_choices(filters), FILTER_BY_NAME["waiting"]
    totals = [
        func.count().filter(waiting_filter.condition(rows, duration, filters.as_of))
        for duration in durations.values()
    ]
    counts = con.execute(select(*totals).select_from(rows).where(other_filters)).one()
    return [Choice(text, count) for text, count in zip(durations, counts, strict=True)]


def _duration_choices(filters: Filters) -> dict[str, timedelta]:
    """What can be chosen, and what an address asks besides, shortest first."""
    waiting_filter = FILTER_BY_NAME["waiting"]
    durations = {
        text: waiting_filter.parse([text])
        for text in (*waiting_filter.choices, *filters.values("waiting"))
    }
    return dict(sorted(durations.items(), key=lambda span: span[1]))


def _count_roles(con: Connection, filters: Filters) -> Select[Any, Any]:
    """One row per role that any account has: [value, accounts]."""
    rows, other_filters = _without_filter(con, filters, "role")
    assigned = select(
        func.unnest(rows.c.roles).label("value"), other_filters.label("counts")
    ).subquery("held")
    return select(
        assigned.c.value, func.count().filter(assigned.c.counts).label("accounts")
    ).group_by(assigned.c.value)


def _count_integrations(con: Connection, filters: Filters) -> Select[Any, Any]:
    """One row per integration: [value, accounts]."""
    rows, other_filters = _without_filter(con, filters, "integration")
    counts = (
        select(rows.c.integration_id, func.count().label("accounts"))
        .where(other_filters)
        .group_by(rows.c.integration_id)
        .subquery("found")
    )
    return select(
        integration.c.name.label("value"), func.coalesce(counts.c.accounts, 0).label("accounts")
    ).join_from(
        integration, counts, counts.c.integration_id == integration.c.integration_id, isouter=True
    )


def _count_reasons(con: Connection, filters: Filters) -> Select[Any, Any]:
    """One row per reason that accounts fail for: [value, accounts]."""
    rows, other_filters = _without_filter(con, filters, "reason")
    return (
        select(
            rows.c.failure_reason.label("value"),
            func.count().filter(other_filters).label("accounts"),
        )
        .where(rows.c.failure_reason.is_not(None))
        .group_by(rows.c.failure_reason)
    )


def _most_frequent(
    con: Connection, query: Select[Any, Any], selected: list[str], search: str
) -> Choices:
    counts = query.subquery("counted")
    is_selected = counts.c.value.in_(selected)
    condition = or_(is_selected, contains(counts.c.value, search)) if search else true()
    rows = con.execute(
        select(counts.c.value, counts.c.accounts, func.count().over())
        .where(condition)
        .order_by(
            case((is_selected, 0), else_=1), counts.c.accounts.desc(), func.lower(counts.c.value)
        )
        .limit(MAX_CHOICES + len(selected))
    ).all()
    shown = [Choice(value, account_count) for value, account_count, _ in rows]
    return Choices(shown, remaining=rows[0][2] - len(shown) if rows else 0)


def drop_unknown_values(con: Connection, filters: Filters) -> Filters:
    """The filters without integrations and roles that the store has never known.

    A role that nobody has any more stays asked: its list is empty, which is an answer.
    """
    query = select(integration.c.name).where(integration.c.name.in_(filters.integration))
    known_integrations = set(con.scalars(query)) if filters.integration else set()
    unassigned_roles = [role for role in filters.role if not _is_role_assigned(con, filters, role)]
    unknown_roles = set(unassigned_roles) - _ever_assigned_roles(con, unassigned_roles)
    return replace(
        filters,
        integration=tuple(name for name in filters.integration if name in known_integrations),
        role=tuple(role for role in filters.role if role not in unknown_roles),
    )


def _is_role_assigned(con: Connection, filters: Filters, role: str) -> bool:
    rows = account_rows(con, filters)
    query = select(rows.c.account_key).where(has_role(rows.c.roles, role)).limit(1)
    return con.scalar(query) is not None


def _ever_assigned_roles(con: Connection, roles: Sequence[str]) -> set[str]:
    if not roles:
        return set()
    aggregates = [func.bool_or(has_role(account_profile.c.roles, role)) for role in roles]
    return {
        role
        for role, was_assigned in zip(roles, con.execute(select(*aggregates)).one(), strict=True)
        if was_assigned
    }


def snapshot_times(con: Connection, *, newest_count: int = 5) -> list[datetime]:
    """When snapshots were taken (naive UTC): the last few, newest first, then the first of all."""
    taken_at = snapshot.c.taken_at
    newest = con.scalars(
        select(taken_at).distinct().order_by(taken_at.desc()).limit(newest_count)
    ).all()
    first = con.scalar(select(func.min(taken_at)))
    return [*newest, first] if first else []
