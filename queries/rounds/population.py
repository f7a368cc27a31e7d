"""What a review round freezes: the accounts of a filtered list, or those that a rule finds."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.formatting import utc_now
from data.records.rounds import Population
from data.records.tables import review_item
from data.schema import SnapshotTime, account, integration, is_same_account, snapshot
from queries.export.columns import column_value
from queries.filter_sentence import filter_sentence
from queries.filters import Filters, account_rows, conditions
from queries.review.duration import View
from queries.review.findings import finding_rows
from queries.review.rules import Rule
from queries.scope import in_integrations

Freeze = Callable[[Connection, str], Population]
"""(the connection that writes, the ID of the round) → what it freezes."""

ALL_ACCOUNTS = "All accounts"


def freeze_list(filters: Filters, *, is_by_role: bool) -> Freeze:
    """The accounts of a filtered list at its moment, or now. A period has no one moment."""

    def freeze(con: Connection, round_id: str) -> Population:
        moment = filters.as_of or _now(con)
        fixed = replace(filters, as_of=moment)
        rows = account_rows(con, fixed)
        listed = select(rows).where(*conditions(fixed, rows)).subquery("listed")
        return Population(
            filter_sentence(filters) or ALL_ACCOUNTS,
            _address(replace(filters, as_of=None).params()),
            moment,
            _items(listed, round_id, is_by_role=is_by_role),
            _snapshots(filters.integration, moment, round_id),
        )

    return freeze


def freeze_findings(view: View, rule: Rule, *, is_by_role: bool) -> Freeze:
    """The accounts that a rule finds at the moment of a view, or now, without exceptions."""

    def freeze(con: Connection, round_id: str) -> Population:
        moment = view.as_of or _now(con)
        fixed = replace(view, as_of=moment)
        found = finding_rows(fixed, rule)
        keys = select(found.c.account_key).where(found.c.reason.is_(None))
        rows = fixed.accounts()
        listed = select(rows).where(rows.c.account_key.in_(keys)).subquery("listed")
        return Population(
            rule.title,
            _address([("rule", rule.name), *replace(view, as_of=None).params()]),
            moment,
            _items(listed, round_id, is_by_role=is_by_role),
            _snapshots(view.integration, moment, round_id),
        )

    return freeze


def _now(con: Connection) -> datetime:
    """The moment of a list without one: no snapshot is later."""
    newest = con.scalar(select(func.max(snapshot.c.taken_at)))
    return max(filter(None, (utc_now(), newest)))


def _address(params: list[tuple[str, str]]) -> str:
    return urlencode(params)


def _items(
    listed: sa.FromClause, round_id: str, *, is_by_role: bool
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account or, by role, per role of it; one without roles stays one row."""
    values: dict[str, sa.ColumnElement[Any]] = {
        "round_id": sa.literal(round_id),
        "integration": integration.c.name,
        "account_id": account.c.account_id,
        "role": sa.literal(""),
    }

    def rows(role: sa.ColumnElement[Any], *only: sa.ColumnElement[bool]) -> sa.Select[Any]:
        columns = {c.name: c for c in listed.c} | values | {"role": role}
        return (
            select(*(columns[c.name].label(c.name) for c in review_item.c))
            .join_from(listed, account, is_same_account(account, listed))
            .join(integration, integration.c.integration_id == listed.c.integration_id)
            .where(*only)
        )

    if not is_by_role:
        return rows(values["role"])
    has_roles = column_value(listed, "role_count") > 0
    both = sa.union_all(
        rows(func.unnest(listed.c.roles), has_roles), rows(values["role"], ~has_roles)
    ).subquery("items")
    return select(both)


def _snapshots(
    integrations: tuple[str, ...], moment: datetime, round_id: str
) -> sa.Select[*tuple[Any, ...]]:
    """One row per integration: the snapshot that its accounts are listed in."""
    is_past = snapshot.c.taken_at <= sa.literal(moment, SnapshotTime)
    newest = (
        select(snapshot.c.integration_id, func.max(snapshot.c.taken_at).label("taken_at"))
        .where(is_past, in_integrations(snapshot, integrations))
        .group_by(snapshot.c.integration_id)
        .subquery("newest")
    )
    is_newest = sa.and_(
        newest.c.integration_id == snapshot.c.integration_id,
        newest.c.taken_at == snapshot.c.taken_at,
    )
    return (
        select(sa.literal(round_id), integration.c.name, snapshot.c.taken_at, snapshot.c.sha256)
        .join_from(snapshot, newest, is_newest)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
    )
