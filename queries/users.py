"""Accounts, one row each: a page of them, and how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    case,
    func,
    select,
)

from data.handing import in_batches
from data.states import STATES
from data.tables import account_current, account_version, integration
from queries.filters import Filters, accounts, conditions
from queries.found_first import found_first
from queries.remembering import remembered

PAGE_SIZE = 50
"""Rows of a page; up to 50, DuckDB fetches the other columns only for the rows that are shown."""

FAR = 10 * PAGE_SIZE
"""Rows before a page from which on the whole list's order is kept: half a second once for a
million accounts, and a hundredth for every further page."""

COLUMNS = (
    "account_key",
    "username_in_app",
    "user_name",
    "user_email",
    "roles",
    "active_in_app",
    "upstream_user_id",
    "provisioning_state",
    "last_updated",
    "state_source",
    "state_reason",
    "failure_code",
)

SORTS = (
    "user",
    "username_in_app",
    "integration",
    "roles",
    "active_in_app",
    "upstream_user_id",
    "provisioning_state",
    "last_updated",
)
"""What the table can be sorted by; a state by its place in the lifecycle, roles by how many."""


def order_of(sort: str) -> tuple[str, bool]:
    """The column that `last_updated` or `-last_updated` names, and whether it descends.

    By user for anything that names none.
    """
    column = sort.removeprefix("-")
    return (column, column != sort) if column in SORTS else (SORTS[0], False)


@remembered(64)
def page_of_accounts(
    con: Connection, filters: Filters, *, sort: str, descending: bool, page: int
) -> Sequence[Row[Any]]:
    """One row per account on the page (from 1), with the integration's name.

    The page is cut out before the name is joined: over one table DuckDB finds the rows by the
    sort column alone, and reads the others only for those. That is quick for the first pages; for
    those far behind, the order of the whole list is worth keeping.
    """
    start = (page - 1) * PAGE_SIZE
    if start < FAR:
        rows = accounts(filters)
        within = select(*_columns(rows), rows.c.integration_id).where(*conditions(filters, rows))
        cut = _sorted(within, rows, sort, descending=descending)
        shown = cut.limit(PAGE_SIZE).offset(start).subquery("shown")
    else:
        listed = _order(con, filters, sort, descending)
        shown = accounts_with(filters, listed[start : start + PAGE_SIZE].tolist())
    named = _named(select(*_columns(shown)), shown)
    return con.execute(_sorted(named, shown, sort, descending=descending)).all()


def accounts_with(filters: Filters, account_keys: Sequence[int]) -> FromClause:
    """One row per account with such a key that is there at the moment; for a few of them."""
    return accounts_where(filters, lambda rows: rows.c.account_key.in_(account_keys))


def accounts_where(
    filters: Filters, condition: Callable[[FromClause], ColumnElement[bool]]
) -> FromClause:
    """One row per account that is there at the moment and fulfils what few of them do."""
    at = filters.as_of
    table = account_current if at is None else account_version

    def those(rows: FromClause) -> ColumnElement[bool]:
        asked = condition(rows)
        return asked if at is None else and_(asked, rows.c.valid_from <= at, rows.c.valid_to > at)

    return select(table).where(found_first(table, those)).subquery()


@remembered(8)
def _order(
    con: Connection, filters: Filters, sort: str, descending: bool
) -> numpy.ndarray[Any, Any]:
    """The account keys of the whole filtered list, in order: 8 bytes for each."""
    rows = accounts(filters)
    keys = select(rows.c.account_key).where(*conditions(filters, rows))
    with con.engine.connect() as apart:
        listed = in_batches(apart, _sorted(keys, rows, sort, descending=descending)).read_all()
        return listed["account_key"].to_numpy()


def all_accounts(filters: Filters, *, sort: str, descending: bool) -> Select[Any]:
    """One row per account of the whole filtered list, in the order shown; for downloads."""
    rows = accounts(filters)
    listed = _named(select(*_columns(rows)).where(*conditions(filters, rows)), rows)
    return _sorted(listed, rows, sort, descending=descending)


@remembered(256)
def count_accounts(con: Connection, filters: Filters) -> int:
    """How many accounts the filters leave."""
    rows = accounts(filters)
    counted = select(func.count()).select_from(rows).where(*conditions(filters, rows))
    return con.scalar(counted) or 0


def integration_names(con: Connection) -> list[str]:
    """All integrations, by name."""
    return list(con.scalars(select(integration.c.name).order_by(func.lower(integration.c.name))))


def _columns(rows: FromClause) -> list[ColumnElement[Any]]:
    return [rows.c[name] for name in COLUMNS]


def _named(statement: Select[Any], rows: FromClause) -> Select[Any]:
    """With the name of the integration."""
    here = integration.c.integration_id == rows.c.integration_id
    return statement.add_columns(integration.c.name.label("integration")).join_from(
        rows, integration, here
    )


def _sorted(
    statement: Select[Any], rows: FromClause, sort: str, *, descending: bool
) -> Select[Any]:
    """Empty values last either way; ties in an order of their own, so that pages do not overlap."""
    key = _sort_key(rows, sort)
    order = key.desc() if descending else key.asc()
    return statement.order_by(order.nulls_last(), rows.c.account_key)


def _sort_key(rows: FromClause, sort: str) -> ColumnElement[Any]:
    keys: dict[str, ColumnElement[Any]] = {
        "user": func.lower(func.coalesce(rows.c.user_name, rows.c.user_email)),
        "username_in_app": func.lower(rows.c.username_in_app),
        "integration": _place_by_name(rows),
        "roles": func.coalesce(func.array_length(rows.c.roles, 1), 0),
        "provisioning_state": case(
            {state.name: place for place, state in enumerate(STATES)},
            value=rows.c.provisioning_state,
            else_=len(STATES),
        ),
    }
    return keys.get(sort, rows.c.get(sort, rows.c.last_updated))


def _place_by_name(rows: FromClause) -> ColumnElement[Any]:
    """The integration's place among all by name: a number, which sorts without a join."""
    place = func.row_number().over(order_by=(func.lower(integration.c.name), integration.c.name))
    places = select(integration.c.integration_id, place.label("place")).subquery("places")
    return (
        select(places.c.place)
        .where(places.c.integration_id == rows.c.integration_id)
        .scalar_subquery()
    )
