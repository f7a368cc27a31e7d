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
from queries.changes.diff import VALUES, Listed, compared, condition_of
from queries.changes.window import Between

PAGE_SIZE = 50
"""Accounts of a page of a list."""


def count_changes(con: Connection, between: Between, listed: Listed) -> int:
    """How many accounts the list has."""
    c = compared(between).c
    counted = select(func.count()).select_from(c.account_key.table)
    return con.scalar(counted.where(condition_of(between, listed, c))) or 0


def page_of_changes(
    con: Connection, between: Between, listed: Listed, page: int
) -> Sequence[Row[Any]]:
    """One row per account on the page (from 1), by username.

    [`was_…` and `is_…` of each column; `value_…` of each of VALUES: whether it changed]. Its place
    in the order is found by few columns; the others are read for these accounts only.
    """
    keys = list(
        con.scalars(_in_order(between, listed).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE))
    )
    rows = compared(between, keys)
    shown = (
        select(
            rows,
            integration.c.name.label("integration"),
            *(value.changed(rows.c).label(f"value_{name}") for name, value in VALUES.items()),
        )
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(rows.c.account_key.in_(keys))
        .order_by(*order(rows.c))
    )
    return con.execute(shown).all() if keys else []


def _in_order(between: Between, listed: Listed) -> Select[Any]:
    c = compared(between).c
    return select(c.account_key).where(condition_of(between, listed, c)).order_by(*order(c))


def order(c: Any) -> tuple[ColumnElement[Any], ...]:
    """By username, whichever side has one."""
    return func.lower(func.coalesce(c.is_username_in_app, c.was_username_in_app)), c.account_key


# ---- as a file -----------------------------------------------------------------------------------
