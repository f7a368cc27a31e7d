"""What a review round freezes: the accounts of a filtered list, or those that a rule finds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.formatting import utc_now
from data.records.rounds import Population
from data.records.tables import review_item, review_snapshot
from data.schema import account, integration, is_same_account
from queries.export.columns import column_value
from queries.export.manifest import snapshot_sources
from queries.filter_sentence import filter_sentence
from queries.filters import Filters, account_rows, conditions
from queries.review.duration import View
from queries.review.findings import finding_rows
from queries.review.rules import Rule
from queries.scope import now_or_newest

Freeze = Callable[[Connection, str], Population]
"""(the connection that writes, the ID of the round) → what it freezes."""

ALL_ACCOUNTS = "All accounts"


def freeze_list(filters: Filters, *, is_by_role: bool) -> Freeze:
    """The accounts of a filtered list at its moment, or now. A period has no one moment."""

    def freeze(con: Connection, round_id: str) -> Population:
        moment = filters.as_of or now_or_newest(con, utc_now())
        fixed = replace(filters, as_of=moment)
        rows = account_rows(con, fixed)
        listed = select(rows).where(*conditions(fixed, rows)).subquery("listed")
        return Population(
            filter_sentence(filters) or ALL_ACCOUNTS,
            urlencode(replace(filters, as_of=None).params()),
            moment,
            _items(listed, round_id, is_by_role=is_by_role),
            _snapshots(con, filters.integration, moment, round_id),
        )

    return freeze


def freeze_findings(view: View, rule: Rule, *, is_by_role: bool) -> Freeze:
    """The accounts that a rule finds at the moment of a view, or now, without exceptions."""

    def freeze(con: Connection, round_id: str) -> Population:
        moment = view.as_of or now_or_newest(con, utc_now())
        fixed = replace(view, as_of=moment)
        found = finding_rows(fixed, rule)
        keys = select(found.c.account_key).where(found.c.reason.is_(None))
        rows = fixed.accounts()
        listed = select(rows).where(rows.c.account_key.in_(keys)).subquery("listed")
        return Population(
            rule.title,
            urlencode([("rule", rule.name), *replace(view, as_of=None).params()]),
            moment,
            _items(listed, round_id, is_by_role=is_by_role),
            _snapshots(con, view.integration, moment, round_id),
        )

    return freeze


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
    con: Connection, integrations: Sequence[str], moment: datetime, round_id: str
) -> list[dict[str, Any]]:
    """One row per integration: the snapshot that its accounts are listed in."""
    names = [column.name for column in review_snapshot.c if column.name != "round_id"]
    return [
        {"round_id": round_id} | {name: getattr(source, name) for name in names}
        for source in snapshot_sources(con, integrations, moment)
    ]
