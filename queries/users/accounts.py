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

from data.schema import PROFILE, account, account_current, held_at, integration, same_account
from data.states import STATES
from data.store.engine import is_duckdb
from data.store.transfer import in_batches
from queries.cache import remembered
from queries.filters import Filters, accounts, conditions
from queries.lookup import few_versions, found_first
from queries.owners import as_decided, is_anything_decided

PAGE_SIZE = 50
"""Rows of a page; up to 50, DuckDB fetches the other columns only for the rows that are shown."""

FAR = 100 * PAGE_SIZE
"""Rows before a page from which on the whole list's order is kept: a quarter of a second once for a
million accounts, and a hundredth for every further page. Up to there, a page costs as the first."""

PART = 350_000
"""Rows that a download sorts at a time: a sort holds all of its rows in memory."""

ONE_OF = 499
"""Of so many rows, one tells where to cut."""

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
    "account_id",
)
"""What a list can be sorted by; a state by its place in the lifecycle, roles by how many.

By account ID, within an integration, is an order that does not depend on how a store came to be.
"""


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
    those far behind, the order of the whole list is worth keeping. Where people have said whose
    accounts are, or the order is by what another table tells, it is not one table any more, and
    the rows are found first.
    """
    start, is_now = (page - 1) * PAGE_SIZE, filters.as_of is None
    if start >= FAR:
        listed = _order(con, filters, sort, descending)
        shown = accounts_of(con, filters, listed[start : start + PAGE_SIZE].tolist())
    else:
        is_one_table = sort != "account_id" and is_now and not is_anything_decided(con)
        rows = _to_sort(con, filters, sort)
        columns = [*_columns(rows), rows.c.integration_id] if is_one_table else [rows.c.account_key]
        within = select(*columns).where(*conditions(filters, rows))
        cut = _sorted(within, rows, sort, descending=descending).limit(PAGE_SIZE).offset(start)
        shown = (
            cut.subquery("shown")
            if is_one_table
            else accounts_of(con, filters, con.scalars(cut).all())
        )
    named = _named(select(*_columns(shown)), shown)
    return con.execute(_sorted(named, shown, sort, descending=descending)).all()


def accounts_of(con: Connection, filters: Filters, account_keys: Sequence[int]) -> FromClause:
    """One row per account with such a key that is there at the moment; for a few of them."""
    return as_decided(con, accounts_with(filters, account_keys), filters.as_of)


def accounts_with(filters: Filters, account_keys: Sequence[int]) -> FromClause:
    """The same as the snapshots tell it."""
    at = filters.as_of

    def those(rows: FromClause) -> ColumnElement[bool]:
        return rows.c.account_key.in_(account_keys)

    if at is None:
        return select(account_current).where(found_first(account_current, those)).subquery()
    return few_versions(those, lambda rows: held_at(rows, at))


@remembered(8)
def _order(
    con: Connection, filters: Filters, sort: str, descending: bool
) -> numpy.ndarray[Any, Any]:
    """The account keys of the whole filtered list, in order: 8 bytes for each."""
    rows = _to_sort(con, filters, sort)
    keys = select(rows.c.account_key).where(*conditions(filters, rows))
    with con.engine.connect() as apart:
        listed = in_batches(apart, _sorted(keys, rows, sort, descending=descending)).read_all()
        return listed["account_key"].to_numpy()


class Mark(NamedTuple):
    """A row, by what its place in the list depends on."""

    key: Any
    account_key: int


class Part(NamedTuple):
    """A stretch of a list in its order."""

    first: Mark | None = None  # None: from the beginning
    until: Mark | None = None  # the row after the last one; None: to the end


def parts_of(con: Connection, filters: Filters, *, sort: str, descending: bool) -> list[Part]:
    """The filtered list, cut into stretches of about PART rows; of a shorter one the whole.

    Where to cut is told by some of its rows: it need not be exact. A database that is a process of
    its own does not sort in the memory of this one.
    """
    wanted = -(-count_accounts(con, filters) // PART)
    if wanted < 2 or not is_duckdb(con):
        return [Part()]
    rows = _to_sort(con, filters, sort)
    place: list[ColumnElement[Any]] = [_sort_key(rows, sort).label("key"), rows.c.account_key]
    some = select(*place).where(*conditions(filters, rows), rows.c.account_key % ONE_OF == 0)
    found = con.execute(_sorted(some, rows, sort, descending=descending)).all()
    marks = [Mark(*found[len(found) * n // wanted]) for n in range(1, wanted) if found]
    return [Part(*ends) for ends in pairwise((None, *marks, None))]


def all_accounts(
    con: Connection, filters: Filters, *, sort: str, descending: bool, part: Part | None = None
) -> Select[Any]:
    """One row per account of the filtered list, or of a part of it, in the order shown."""
    rows = accounts(con, filters)
    listed = select(*_columns(rows)).where(*conditions(filters, rows))
    if part:
        key = _sort_key(rows, sort)
        listed = listed.where(_within(part, key, rows.c.account_key, descending=descending))
    return _sorted(_named(listed, rows), rows, sort, descending=descending)


def _within(
    part: Part, key: ColumnElement[Any], number: ColumnElement[int], *, descending: bool
) -> ColumnElement[bool]:
    """Whether a row is in the part, as `_sorted` has it.

    DuckDB works out the key anew wherever it is named, so it is named as seldom as can be.
    """
    first, until = part
    last_have_none = until is None or until.key is None
    within: ColumnElement[bool] = true()
    if first and first.key is None:
        within = and_(key.is_(None), number >= first.account_key)
    elif first:
        at, beyond = (le, lt) if descending else (ge, gt)
        mark = literal(first.key, key.type)
        follows = and_(at(key, mark), or_(beyond(key, mark), number >= first.account_key))
        within = or_(follows, key.is_(None)) if last_have_none else follows
    if until and until.key is None:
        within = and_(within, or_(key.is_not(None), number < until.account_key))
    elif until:
        at, beyond = (ge, gt) if descending else (le, lt)
        mark = literal(until.key, key.type)
        precedes = or_(beyond(key, mark), number < until.account_key)
        within = and_(within, at(key, mark), precedes)
    return within


@remembered(256)
def count_accounts(con: Connection, filters: Filters) -> int:
    """How many accounts the filters leave."""
    rows = accounts(con, filters, whole=False)
    counted = select(func.count()).select_from(rows).where(*conditions(filters, rows))
    return con.scalar(counted) or 0


def integration_names(con: Connection) -> list[str]:
    """All integrations, by name."""
    return list(con.scalars(select(integration.c.name).order_by(func.lower(integration.c.name))))


def _to_sort(con: Connection, filters: Filters, sort: str) -> FromClause:
    """The accounts with what a list of their keys depends on."""
    return accounts(con, filters, whole=sort == "user" or sort in PROFILE)


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
    keys: dict[str, Callable[[Any], ColumnElement[Any]]] = {
        "user": lambda c: func.lower(func.coalesce(c.user_name, c.user_email)),
        "username_in_app": lambda c: func.lower(c.username_in_app),
        "integration": lambda _: _place_by_name(rows),
        "roles": lambda c: func.coalesce(func.array_length(c.roles, 1), 0),
        "provisioning_state": lambda c: case(
            *((c.provisioning_state == s.name, place) for place, s in enumerate(STATES)),
            else_=len(STATES),
        ),
        "account_id": lambda _: _identity(rows),
    }
    return keys[sort](rows.c) if sort in keys else rows.c.get(sort, rows.c.last_updated)


def _place_by_name(rows: FromClause) -> ColumnElement[Any]:
    """The integration's place among all by name: a number, which sorts without a join."""
    place = func.row_number().over(order_by=(func.lower(integration.c.name), integration.c.name))
    places = select(integration.c.integration_id, place.label("place")).subquery("places")
    return (
        select(places.c.place)
        .where(places.c.integration_id == rows.c.integration_id)
        .scalar_subquery()
    )


def _identity(rows: FromClause) -> ColumnElement[Any]:
    """The integration's name and the account's ID in it, as one text to sort by."""
    return (
        select(func.concat(integration.c.name, "\x1f", account.c.account_id))
        .join_from(account, integration, integration.c.integration_id == account.c.integration_id)
        .where(same_account(account, rows))
        .scalar_subquery()
    )
