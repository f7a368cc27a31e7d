"""The accounts of one list of changes, a page at a time."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, func, select

from data.schema import integration
from queries.changes.diff import VALUE_CHANGES, ChangeFilter, account_diff, condition_of
from queries.changes.window import Window
from queries.paging import cut_page

PAGE_SIZE = 50
"""Accounts on a page of a list."""


def count_changes(con: Connection, window: Window, change_filter: ChangeFilter) -> int:
    """The number of accounts in the list."""
    diff = account_diff(window)
    query = select(func.count()).select_from(diff)
    return con.scalar(query.where(condition_of(window, change_filter, diff.c))) or 0


def page_of_changes(
    con: Connection, window: Window, change_filter: ChangeFilter, page: int
) -> Sequence[sa.Row[Any]]:
    """One row per account on the page (from 1), by username.

    [columns of `account_diff`; integration; `value_…` for each of VALUE_CHANGES: whether it
    changed]. Few columns decide the order; the others are read for these accounts only.
    """
    c = account_diff(window).c
    query = select(c.account_key).where(condition_of(window, change_filter, c))
    keys = list(con.scalars(cut_page(query.order_by(*sort_key(c)), page, PAGE_SIZE)))
    if not keys:
        return []
    rows = account_diff(window, keys)
    value_flags = [
        value.condition(rows.c).label(f"value_{name}") for name, value in VALUE_CHANGES.items()
    ]
    return con.execute(
        select(rows, integration.c.name.label("integration"), *value_flags)
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(rows.c.account_key.in_(keys))
        .order_by(*sort_key(rows.c))
    ).all()


def sort_key(c: Any) -> tuple[ColumnElement[Any], ...]:
    """By username, from the side that has one."""
    return func.lower(
        func.coalesce(c.after_username_in_app, c.before_username_in_app)
    ), c.account_key
