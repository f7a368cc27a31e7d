"""Accounts, one row each: a page of them, and how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import ge, gt, le, lt
from typing import Any, NamedTuple

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
    literal,
    or_,
    select,
    true,
)

from data.schema import (
    SLOW_CHANGING_COLUMNS,
    account,
    account_current,
    integration,
    is_same_account,
    is_valid_at,
)
from data.states import STATES
from data.store.adapter import adapter_of
from data.store.transfer import fetch_batches
from queries.cache import cached
from queries.filters import Filters, account_rows, conditions
from queries.lookup import lookup, lookup_versions
from queries.owners import has_match_overrides, with_match_overrides

PAGE_SIZE = 50
"""Rows of a page; up to 50, DuckDB fetches the other columns only for the rows that are shown."""

DEEP_OFFSET = 100 * PAGE_SIZE
"""Rows before a page from which on the whole list's order is kept: a quarter of a second once for a
million accounts, and a hundredth for every further page. Up to there, a page costs as the first."""

SLICE_SIZE = 350_000
"""Rows that a download sorts at a time: a sort holds all of its rows in memory."""

SAMPLE_INTERVAL = 499
"""Of so many rows, one tells where to cut."""

TABLE_COLUMNS = (
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
    "account_id",
)
"""What a list can be sorted by; a state by its place in the lifecycle, roles by how many.

By account ID, within an integration, is an order that does not depend on how a store came to be.
"""


def parse_sort(sort: str) -> tuple[str, bool]:
    """The column that `last_updated` or `-last_updated` names, and whether it descends.

    By user for anything that names none.
    """
    column = sort.removeprefix("-")
    return (column, column != sort) if column in SORTS else (SORTS[0], False)


@cached(64)
def page_of_accounts(
    con: Connection, filters: Filters, *, sort: str, descending: bool, page: int
) -> Sequence[Row[Any]]:
    """One row per account on the page (from 1), with the integration's name.

    The page is cut out before the name is joined: over one table DuckDB finds the rows by the
    sort column alone, and reads the others only for those. That is quick for the first pages; for
    those far behind, the order of the whole list is worth keeping. Where people have said whose
    accounts are, or the order is by what another table tells, it is not one table any more, and
    the rows are found first.
    """
    start, is_current = (page - 1) * PAGE_SIZE, filters.as_of is None
    if start >= DEEP_OFFSET:
        account_keys = _sorted_account_keys(con, filters, sort, descending)
        page_rows = accounts_by_key(con, filters, account_keys[start : start + PAGE_SIZE].tolist())
    else:
        is_one_table = sort != "account_id" and is_current and not has_match_overrides(con)
        rows = _sortable_accounts(con, filters, sort)
        columns = (
            [*_table_columns(rows), rows.c.integration_id] if is_one_table else [rows.c.account_key]
        )
        query = select(*columns).where(*conditions(filters, rows))
        page_query = (
            _with_order(query, rows, sort, descending=descending).limit(PAGE_SIZE).offset(start)
        )
        page_rows = (
            page_query.subquery("shown")
            if is_one_table
            else accounts_by_key(con, filters, con.scalars(page_query).all())
        )
    named_query = _with_integration_name(select(*_table_columns(page_rows)), page_rows)
    return con.execute(_with_order(named_query, page_rows, sort, descending=descending)).all()


def accounts_by_key(con: Connection, filters: Filters, account_keys: Sequence[int]) -> FromClause:
    """One row per account with such a key that is there at the moment; for a few of them."""
    return with_match_overrides(con, snapshot_accounts_by_key(filters, account_keys), filters.as_of)


def snapshot_accounts_by_key(filters: Filters, account_keys: Sequence[int]) -> FromClause:
    """The same as the snapshots tell it."""
    as_of = filters.as_of

    def has_account_key(rows: FromClause) -> ColumnElement[bool]:
        return rows.c.account_key.in_(account_keys)

    if as_of is None:
        return select(account_current).where(lookup(account_current, has_account_key)).subquery()
    return lookup_versions(has_account_key, lambda rows: is_valid_at(rows, as_of))


@cached(8)
def _sorted_account_keys(
    con: Connection, filters: Filters, sort: str, descending: bool
) -> numpy.ndarray[Any, Any]:
    """The account keys of the whole filtered list, in order: 8 bytes for each."""
    rows = _sortable_accounts(con, filters, sort)
    query = select(rows.c.account_key).where(*conditions(filters, rows))
    table = fetch_batches(con, _with_order(query, rows, sort, descending=descending)).read_all()
    return table["account_key"].to_numpy()


class Boundary(NamedTuple):
    """A row, by what its place in the list depends on."""

    sort_key: Any
    account_key: int


class ListSlice(NamedTuple):
    """A stretch of a list in its order."""

    first: Boundary | None = None  # None: from the beginning
    until: Boundary | None = None  # the row after the last one; None: to the end


def split_list(
    con: Connection, filters: Filters, *, sort: str, descending: bool
) -> list[ListSlice]:
    """The filtered list, cut into stretches of about PART rows; of a shorter one the whole.

    Where to cut is told by some of its rows: it need not be exact. A database that is a process of
    its own does not sort in the memory of this one.
    """
    slice_count = -(-count_accounts(con, filters) // SLICE_SIZE)
    if slice_count < 2 or adapter_of(con).is_server:
        return [ListSlice()]
    rows = _sortable_accounts(con, filters, sort)
    sort_columns: list[ColumnElement[Any]] = [
        _sort_key(rows, sort).label("key"),
        rows.c.account_key,
    ]
    sample_query = select(*sort_columns).where(
        *conditions(filters, rows), rows.c.account_key % SAMPLE_INTERVAL == 0
    )
    sample = con.execute(_with_order(sample_query, rows, sort, descending=descending)).all()
    boundaries = [
        Boundary(*sample[len(sample) * n // slice_count]) for n in range(1, slice_count) if sample
    ]
    return [ListSlice(*bounds) for bounds in pairwise((None, *boundaries, None))]


def sorted_accounts(
    con: Connection,
    filters: Filters,
    *,
    sort: str,
    descending: bool,
    list_slice: ListSlice | None = None,
) -> Select[Any]:
    """One row per account of the filtered list, or of a part of it, in the order shown."""
    rows = account_rows(con, filters)
    query = select(*_table_columns(rows)).where(*conditions(filters, rows))
    if list_slice:
        key = _sort_key(rows, sort)
        query = query.where(
            _is_in_slice(list_slice, key, rows.c.account_key, descending=descending)
        )
    return _with_order(_with_integration_name(query, rows), rows, sort, descending=descending)


def _is_in_slice(
    list_slice: ListSlice,
    key: ColumnElement[Any],
    account_key: ColumnElement[int],
    *,
    descending: bool,
) -> ColumnElement[bool]:
    """Whether a row is in the part, as `_sorted` has it.

    DuckDB works out the key anew wherever it is named, so it is named as seldom as can be.
    """
    first, until = list_slice
    includes_nulls = until is None or until.sort_key is None
    condition: ColumnElement[bool] = true()
    if first and first.sort_key is None:
        condition = and_(key.is_(None), account_key >= first.account_key)
    elif first:
        inclusive, strict = (le, lt) if descending else (ge, gt)
        boundary_key = literal(first.sort_key, key.type)
        follows = and_(
            inclusive(key, boundary_key),
            or_(strict(key, boundary_key), account_key >= first.account_key),
        )
        condition = or_(follows, key.is_(None)) if includes_nulls else follows
    if until and until.sort_key is None:
        condition = and_(condition, or_(key.is_not(None), account_key < until.account_key))
    elif until:
        inclusive, strict = (ge, gt) if descending else (le, lt)
        boundary_key = literal(until.sort_key, key.type)
        precedes = or_(strict(key, boundary_key), account_key < until.account_key)
        condition = and_(condition, inclusive(key, boundary_key), precedes)
    return condition


@cached(256)
def count_accounts(con: Connection, filters: Filters) -> int:
    """How many accounts the filters leave."""
    rows = account_rows(con, filters, all_columns=False)
    query = select(func.count()).select_from(rows).where(*conditions(filters, rows))
    return con.scalar(query) or 0


def integration_names(con: Connection) -> list[str]:
    """All integrations, by name."""
    return list(con.scalars(select(integration.c.name).order_by(func.lower(integration.c.name))))


def _sortable_accounts(con: Connection, filters: Filters, sort: str) -> FromClause:
    """The accounts with what a list of their keys depends on."""
    return account_rows(con, filters, all_columns=sort == "user" or sort in SLOW_CHANGING_COLUMNS)


def _table_columns(rows: FromClause) -> list[ColumnElement[Any]]:
    return [rows.c[name] for name in TABLE_COLUMNS]


def _with_integration_name(statement: Select[Any], rows: FromClause) -> Select[Any]:
    """With the name of the integration."""
    is_same_integration = integration.c.integration_id == rows.c.integration_id
    return statement.add_columns(integration.c.name.label("integration")).join_from(
        rows, integration, is_same_integration
    )


def _with_order(
    statement: Select[Any], rows: FromClause, sort: str, *, descending: bool
) -> Select[Any]:
    """Empty values last either way; ties in an order of their own, so that pages do not overlap."""
    key = _sort_key(rows, sort)
    order = key.desc() if descending else key.asc()
    return statement.order_by(order.nulls_last(), rows.c.account_key)


def _sort_key(rows: FromClause, sort: str) -> ColumnElement[Any]:
    keys: dict[str, Callable[[Any], ColumnElement[Any]]] = {
        "user": lambda c: func.lower(func.coalesce(c.user_name, c.user_email)),
        "username_in_app": lambda c: func.lower(c.username_in_app),
        "integration": lambda _: _integration_position(rows),
        "roles": lambda c: func.coalesce(func.array_length(c.roles, 1), 0),
        "provisioning_state": lambda c: case(
            *((c.provisioning_state == s.name, position) for position, s in enumerate(STATES)),
            else_=len(STATES),
        ),
        "account_id": lambda _: _qualified_account_id(rows),
    }
    return keys[sort](rows.c) if sort in keys else rows.c.get(sort, rows.c.last_updated)


def _integration_position(rows: FromClause) -> ColumnElement[Any]:
    """The integration's place among all by name: a number, which sorts without a join."""
    position = func.row_number().over(order_by=(func.lower(integration.c.name), integration.c.name))
    positions = select(integration.c.integration_id, position.label("place")).subquery("places")
    return (
        select(positions.c.place)
        .where(positions.c.integration_id == rows.c.integration_id)
        .scalar_subquery()
    )


def _qualified_account_id(rows: FromClause) -> ColumnElement[Any]:
    """The integration's name and the account's ID in it, as one text to sort by."""
    return (
        select(func.concat(integration.c.name, "\x1f", account.c.account_id))
        .join_from(account, integration, integration.c.integration_id == account.c.integration_id)
        .where(is_same_account(account, rows))
        .scalar_subquery()
    )
