"""Which accounts changed between two moments: a page of a list, and the whole of it as a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    func,
    select,
)

from data.schema import integration
from queries.changes.diff import VALUE_CHANGES, ChangeFilter, account_diff, condition_of
from queries.changes.window import Window

PAGE_SIZE = 50
"""Accounts of a page of a list."""


def count_changes(con: Connection, window: Window, change_filter: ChangeFilter) -> int:
    """How many accounts the list has."""
    c = account_diff(window).c
    statement = select(func.count()).select_from(c.account_key.table)
    return con.scalar(statement.where(condition_of(window, change_filter, c))) or 0


def page_of_changes(
    con: Connection, window: Window, change_filter: ChangeFilter, page: int
) -> Sequence[Row[Any]]:
    """One row per account on the page (from 1), by username.

    [`was_…` and `is_…` of each column; `value_…` of each of VALUES: whether it changed]. Its place
    in the order is found by few columns; the others are read for these accounts only.
    """
    account_keys = list(
        con.scalars(
            _ordered_keys(window, change_filter).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)
        )
    )
    rows = account_diff(window, account_keys)
    statement = (
        select(
            rows,
            integration.c.name.label("integration"),
            *(
                value.condition(rows.c).label(f"value_{name}")
                for name, value in VALUE_CHANGES.items()
            ),
        )
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(rows.c.account_key.in_(account_keys))
        .order_by(*sort_key(rows.c))
    )
    return con.execute(statement).all() if account_keys else []


def _ordered_keys(window: Window, change_filter: ChangeFilter) -> Select[Any]:
    c = account_diff(window).c
    return (
        select(c.account_key).where(condition_of(window, change_filter, c)).order_by(*sort_key(c))
    )


def sort_key(c: Any) -> tuple[ColumnElement[Any], ...]:
    """By username, whichever side has one."""
    return func.lower(func.coalesce(c.is_username_in_app, c.was_username_in_app)), c.account_key


# ---- as a file -----------------------------------------------------------------------------------
