"""The choices of each filter with their counts, under all the other filters."""

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, and_, case, func, select

from data.history.failure_reasons import reason_template
from data.schema import account_current, account_profile, integration, snapshot
from data.states import UNRECOGNIZED
from data.store.dialect import has_role
from data.store.restricted_views import REASON_NOT_SHOWN
from data.store.search_text import contains
from queries.account_rows import account_rows, counted_versions
from queries.during import EXCLUDED_BY_PERIOD
from queries.filters import (
    FILTER_BY_NAME,
    Filter,
    Filters,
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
    """The choices of a filter: fixed ones in their own order, else the most frequent first.

    A search narrows an open list; the selected values stay in it. A filter that the period excludes
    has none.
    """
    filter_ = FILTER_BY_NAME[name]
    if filters.during and name in EXCLUDED_BY_PERIOD:
        return Choices([])
    if filter_.choices:
        count = _count_by_value if filter_.group_by else _count_by_condition
        return Choices(count(con, filters, filter_))
    query = OPEN_LISTS.get(name, _count_groups)(con, filters, filter_)
    return _most_frequent(con, query, filters.values(name), search)


def _without_filter(
    con: Connection, filters: Filters, filter_: Filter
) -> tuple[sa.FromClause, Any]:
    """The accounts, and the condition of all filters but one."""
    remaining = filters.without(filter_.name)
    rows = _counted_rows(con, filters, filter_)
    return rows, and_(sa.true(), *conditions(remaining, rows))


def _counted_rows(con: Connection, filters: Filters, shown: Filter) -> sa.FromClause:
    """One row per account; in a period per version, as an account counts for each of its values."""
    if filters.during:
        return counted_versions(con, filters, shown)
    return account_rows(con, filters, all_columns=False, shown=shown)


def _count(filters: Filters, rows: sa.FromClause) -> Any:
    """The number of accounts of a group."""
    return func.count(rows.c.account_key.distinct()) if filters.during else func.count()


def _count_by_value(con: Connection, filters: Filters, filter_: Filter) -> list[Choice]:
    rows, other_filters = _without_filter(con, filters, filter_)
    assert filter_.group_by  # noqa: S101 - the caller has checked it
    value = filter_.group_by(rows)
    query = select(value, _count(filters, rows)).select_from(rows)
    query = query.where(other_filters).group_by(value)
    counts = {row[0]: row[1] for row in con.execute(query)}
    selected = filters.values(filter_.name)
    return [
        Choice(name, counts.get(name, 0))
        for name in filter_.choices
        if name != UNRECOGNIZED.name or name in counts or name in selected
    ]


def _count_by_condition(con: Connection, filters: Filters, filter_: Filter) -> list[Choice]:
    """Choices that overlap, those of the address among them; durations from short to long."""
    rows, other_filters = _without_filter(con, filters, filter_)
    values = {
        text: filter_.parse([text]) for text in (*filter_.choices, *filters.values(filter_.name))
    }
    if not isinstance(getattr(filters, filter_.name), tuple):
        values = dict(sorted(values.items(), key=lambda item: item[1]))
    totals = [
        _count(filters, rows).filter(filter_.condition(rows, value, filters.moment))
        for value in values.values()
    ]
    counts = con.execute(select(*totals).select_from(rows).where(other_filters)).one()
    return [Choice(text, count) for text, count in zip(values, counts, strict=True)]


def _count_groups(
    con: Connection, filters: Filters, filter_: Filter
) -> sa.Select[*tuple[Any, ...]]:
    """One row per value that any account has: [value, accounts]."""
    rows, other_filters = _without_filter(con, filters, filter_)
    assert filter_.group_by  # noqa: S101 - an open list without it is in OPEN_LISTS
    value = filter_.group_by(rows)
    return (
        select(value.label("value"), _count(filters, rows).filter(other_filters).label("accounts"))
        .where(value.is_not(None))
        .group_by(value)
    )


def _count_roles(con: Connection, filters: Filters, filter_: Filter) -> sa.Select[*tuple[Any, ...]]:
    """One row per role that any account has: [value, accounts]."""
    rows, other_filters = _without_filter(con, filters, filter_)
    roles = select(
        rows.c.account_key,
        func.unnest(rows.c.roles).label("value"),
        other_filters.label("is_counted"),
    ).subquery("assigned")
    count = _count(filters, roles).filter(roles.c.is_counted)
    return select(roles.c.value, count.label("accounts")).group_by(roles.c.value)


def _count_integrations(
    con: Connection, filters: Filters, filter_: Filter
) -> sa.Select[*tuple[Any, ...]]:
    """One row per integration: [value, accounts]."""
    rows, other_filters = _without_filter(con, filters, filter_)
    counts = (
        select(rows.c.integration_id, _count(filters, rows).label("accounts"))
        .where(other_filters)
        .group_by(rows.c.integration_id)
        .subquery("counts")
    )
    accounts = func.coalesce(counts.c.accounts, 0).label("accounts")
    is_same = counts.c.integration_id == integration.c.integration_id
    return select(integration.c.name.label("value"), accounts).select_from(
        integration.outerjoin(counts, is_same)
    )


OPEN_LISTS: dict[str, Callable[[Connection, Filters, Filter], sa.Select[*tuple[Any, ...]]]] = {
    "role": _count_roles,
    "integration": _count_integrations,
}
"""Filters whose choices are not one value of each account."""


def _most_frequent(
    con: Connection, query: sa.Select[*tuple[Any, ...]], selected: list[str], search: str
) -> Choices:
    counts = query.subquery("counts").c
    is_selected = counts.value.in_(selected)
    condition = sa.or_(is_selected, contains(counts.value, search)) if search else sa.true()
    order = (case((is_selected, 0), else_=1), counts.accounts.desc(), func.lower(counts.value))
    rows = con.execute(
        select(counts.value, counts.accounts, func.count().over())
        .where(condition)
        .order_by(*order)
        .limit(MAX_CHOICES + len(selected))
    ).all()
    shown = [Choice(value, count) for value, count, _ in rows]
    return Choices(shown, remaining=rows[0][2] - len(shown) if rows else 0)


def reason_texts(con: Connection, reasons: Sequence[str]) -> dict[str, str]:
    """Failure code → the code and the words of one of its texts, where there are any."""
    c = account_current.c
    text = func.min(c.state_reason).filter(c.state_reason != REASON_NOT_SHOWN)
    query = (
        select(c.failure_reason, reason_template(text))
        .where(c.failure_reason.in_(reasons), c.failure_code == c.failure_reason)
        .group_by(c.failure_reason)
    )
    rows = con.execute(query) if reasons else ()
    return {code: f"{code} · {words}" for code, words in rows if words}


def drop_unknown_values(con: Connection, filters: Filters) -> Filters:
    """The filters without integrations and roles that the store has never held.

    Both count in any case. A role that no account has any more stays: its empty list is an answer.
    """
    wanted = [name.lower() for name in filters.integration]
    query = select(integration.c.name).where(func.lower(integration.c.name).in_(wanted))
    known_integrations = {n.lower(): n for n in con.scalars(query)} if wanted else {}
    unassigned_roles = [role for role in filters.role if not _is_role_assigned(con, filters, role)]
    unknown_roles = set(unassigned_roles) - _ever_assigned_roles(con, unassigned_roles)
    spellings = _roles_in_any_case(con, filters, unknown_roles)
    roles = [spellings.get(role, role) for role in filters.role]
    return replace(
        filters,
        integration=tuple(known_integrations[n] for n in wanted if n in known_integrations),
        role=tuple(dict.fromkeys(role for role in roles if role not in unknown_roles)),
    )


def _roles_in_any_case(con: Connection, filters: Filters, roles: Set[str]) -> dict[str, str]:
    """Role as an address has it → as accounts have it, where that differs in case alone."""
    if not roles:
        return {}
    rows = _counted_rows(con, filters, FILTER_BY_NAME["role"])
    assigned = select(func.unnest(rows.c.roles).label("role")).subquery("assigned").c.role
    wanted = {role.lower(): role for role in roles}
    query = select(func.min(assigned)).where(func.lower(assigned).in_(wanted))
    found = con.scalars(query.group_by(func.lower(assigned)))
    return {wanted[role.lower()]: role for role in found}


def _is_role_assigned(con: Connection, filters: Filters, role: str) -> bool:
    rows = _counted_rows(con, filters, FILTER_BY_NAME["role"])
    query = select(rows.c.account_key).where(has_role(rows.c.roles, role)).limit(1)
    return con.scalar(query) is not None


def _ever_assigned_roles(con: Connection, roles: Sequence[str]) -> set[str]:
    if not roles:
        return set()
    was_assigned = [func.bool_or(has_role(account_profile.c.roles, role)) for role in roles]
    flags = con.execute(select(*was_assigned)).one()
    return {role for role, flag in zip(roles, flags, strict=True) if flag}


def snapshot_times(con: Connection, *, newest_count: int = 5) -> list[datetime]:
    """When snapshots were taken (naive UTC): the last few, newest first, then the first of all."""
    taken_at = snapshot.c.taken_at
    newest = con.scalars(
        select(taken_at).distinct().order_by(taken_at.desc()).limit(newest_count)
    ).all()
    first = con.scalar(select(func.min(taken_at)))
    return [*newest, first] if first else []
