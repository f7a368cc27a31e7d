"""The list of accounts: its pages, its count, and the whole of it in order."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.records.decisions import MATCH_OVERRIDES, NOTES, decisions_by_account
from data.schema import (
    SLOW_CHANGING_COLUMNS,
    account,
    integration,
    is_same_account,
)
from data.states import STATES
from data.store.dialect import unnest_json_keys
from data.store.transfer import fetch_batches
from queries.account_rows import (
    account_rows,
    counted_versions,
    matching_profiles,
    profile_filters,
    versions_during,
)
from queries.cache import cached
from queries.during import with_stretches
from queries.export.columns import column_value
from queries.filters import Filters, conditions, used_filters
from queries.lookup import lookup
from queries.owners import has_match_overrides
from queries.paging import cut_page
from queries.sign_ins import with_sign_ins
from queries.users.by_key import accounts_by_key, stretches_by_key

PAGE_SIZES = (50, 100, 200)
PAGE_SIZE = PAGE_SIZES[0]
"""Rows on a page; up to 50, DuckDB reads the other columns only for the rows shown."""

DEEP_OFFSET = 100 * PAGE_SIZE
"""Rows before a page from which on the order of the whole list is cached. With a million accounts
that costs a quarter of a second once, and a hundredth for every further page."""

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
    "state_since",
    "attempt_since",
    "attributes",
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
    "user_email",
    "state_reason",
    "failure_code",
    "state_since",
    "open_since",
    "role_count",
    "last_sign_in",
)
"""Sort orders; states sort by lifecycle, roles by number, account IDs within an integration.

The order by account ID is the same in every store that holds the same snapshots.
"""


PROFILE_SORTS = ("user", "username_in_app", "user_email", "upstream_user_id", "roles", "role_count")
VERSION_SORTS = ("last_updated", "active_in_app", "provisioning_state", "state_since")
"""Sort orders by the columns of one table."""

CANDIDATES = (4, 32)
MAX_CANDIDATES = 10_000
"""How many times as many versions as accounts are looked at, before all are, and at most."""


def parse_sort(sort: str) -> tuple[str, bool]:
    """The column of `last_updated` or `-last_updated`, and whether it descends; else by user."""
    column = sort.removeprefix("-")
    return (column, column != sort) if column in SORTS else (SORTS[0], False)


@dataclass(frozen=True)
class AccountPage:
    """One page of the filtered list.

    The counts are queried when they are first read, so that a page can draw its rows before.
    """

    con: Connection
    filters: Filters
    rows: Sequence[sa.Row[Any]]
    """One per account, see `page_of_accounts`."""
    overrides: dict[int, sa.Row[Any]]
    """Account key → its match override, for accounts on the page that have one."""
    notes: dict[int, sa.Row[Any]]
    """Account key → its note, the same."""
    page: int
    """From 1; the first one where the requested page does not exist."""

    @cached_property
    def account_ids(self) -> dict[int, str]:
        """Account key → account ID, for the accounts on the page."""
        return account_ids(self.con, tuple(row.account_key for row in self.rows))

    @cached_property
    def stretches(self) -> dict[int, list[tuple[datetime, datetime | None]]]:
        """Account key → its stretches in the period of the filters; none without a period."""
        return stretches_by_key(self.con, self.filters, [row.account_key for row in self.rows])

    @cached_property
    def count(self) -> int:
        """Accounts that match the filters."""
        return count_accounts(self.con, self.filters)

    @property
    def known_count(self) -> int | None:
        """The same, if it has been read."""
        return self.__dict__.get("count")

    @cached_property
    def total(self) -> int:
        """All accounts at the same moment."""
        return count_accounts(self.con, self.filters.cleared())


def account_page(
    con: Connection,
    filters: Filters,
    *,
    sort: str,
    descending: bool,
    page: int,
    size: int = PAGE_SIZE,
) -> AccountPage:
    """A page of the list with its counts, the owners that people assigned, and their notes."""
    order = {"sort": sort, "descending": descending, "size": size}
    rows = page_of_accounts(con, filters, page=page, **order)
    if not rows and page > 1:
        page = 1
        rows = page_of_accounts(con, filters, page=page, **order)
    keys = [row.account_key for row in rows]
    overrides, notes = (
        decisions_by_account(con, kind, keys, filters.moment) for kind in (MATCH_OVERRIDES, NOTES)
    )
    return AccountPage(con, filters, rows, overrides, notes, page)


@cached(64)
def page_of_accounts(
    con: Connection,
    filters: Filters,
    *,
    sort: str,
    descending: bool,
    page: int,
    size: int = PAGE_SIZE,
) -> Sequence[sa.Row[Any]]:
    """One row per account on the page (from 1), with the integration's name."""
    rows = with_sign_ins(_page_rows(con, filters, sort, page, size, descending=descending))
    columns: list[ColumnElement[Any]] = [*_table_columns(rows), rows.c.last_sign_in]
    query = _with_integration_name(select(*columns), rows)
    return con.execute(_with_order(query, rows, sort, descending=descending)).all()


def _page_rows(
    con: Connection, filters: Filters, sort: str, page: int, size: int, *, descending: bool
) -> sa.FromClause:
    """The accounts of a page, cut out before anything is joined.

    Over a single table DuckDB finds the rows by the sort column alone. With match overrides, in
    the past, sorted by a column of another table, or for longer pages, the keys are found first.
    Pages far behind come from the cached order of the whole list.
    """
    start = (page - 1) * size
    if start >= DEEP_OFFSET:
        account_keys = _sorted_account_keys(con, filters, sort, descending)
        return accounts_by_key(con, filters, account_keys[start : start + size].tolist())
    if first := _first_in_period(con, filters, sort, start + size, descending=descending):
        shown = dict(first[start : start + size])
        return accounts_by_key(con, filters, list(shown), {*shown.values()})
    rows = _sortable_accounts(con, filters, sort)
    is_one_table = (
        sort not in ("account_id", "last_sign_in")
        and size <= PAGE_SIZE
        and filters.moment is None
        and not filters.person
        and not filters.of_person
        and not has_match_overrides(con)
    )
    columns = (
        [*_table_columns(rows), rows.c.integration_id] if is_one_table else [rows.c.account_key]
    )
    query = _with_order(
        select(*columns).where(*conditions(filters, rows)), rows, sort, descending=descending
    )
    query = cut_page(query, page, size)
    if is_one_table:
        return query.subquery("shown")
    return accounts_by_key(con, filters, con.scalars(query).all())


def _first_in_period(
    con: Connection, filters: Filters, sort: str, wanted: int, *, descending: bool
) -> list[tuple[int, datetime]] | None:
    """The first account keys of the list of a period, without comparing all versions in it.

    Each with `valid_from` of its latest version, which gives an account its place: the list is a
    part of all versions in order, or of all profiles. The latest of the first ones are found by
    key. None where few are.
    """
    by_profile = profile_filters(filters)
    is_by_profile = sort in PROFILE_SORTS and not any(
        f.is_slow_changing for f in used_filters(filters) if f not in by_profile
    )
    if not filters.during or not (is_by_profile or sort in VERSION_SORTS):
        return None
    if has_match_overrides(con):
        return None
    rows, moment = (
        (matching_profiles(con, filters), "content_since")
        if is_by_profile
        else (versions_during(con, filters, all_columns=False), "valid_from")
    )
    query = select(rows.c.account_key, rows.c[moment]).where(filters.includes(rows))
    query = _with_order(query, rows, sort, descending=descending)
    for limit in (wanted * times for times in CANDIDATES if wanted * times <= MAX_CANDIDATES):
        first = con.execute(query.limit(limit)).all()
        latest = accounts_by_key(con, filters, [*{row[0] for row in first}]).c
        columns = (latest.account_key, latest[moment], latest.valid_from)
        newest = {(key, at): valid_from for key, at, valid_from in con.execute(select(*columns))}
        found = [(row[0], newest[tuple(row)]) for row in first if tuple(row) in newest]
        if len(found) >= wanted or len(first) < limit:
            return found
    return None


@cached(8)
def _sorted_account_keys(
    con: Connection, filters: Filters, sort: str, descending: bool
) -> numpy.ndarray[Any, Any]:
    """The account keys of the whole filtered list in order, 8 bytes each."""
    rows = _sortable_accounts(con, filters, sort)
    query = select(rows.c.account_key).where(*conditions(filters, rows))
    table = fetch_batches(con, _with_order(query, rows, sort, descending=descending)).read_all()
    return table["account_key"].to_numpy()


def sorted_accounts(
    con: Connection,
    filters: Filters,
    *,
    sort: str,
    descending: bool,
    further: Collection[str] = (),
) -> sa.Select[*tuple[Any, ...]]:
    """One row per account of the filtered list, in the order shown.

    `further` names columns of other tables that the rows have too.
    """
    rows = account_rows(con, filters)
    if "last_sign_in" in (sort, *further):
        rows = with_sign_ins(rows)
    if filters.during and "stretches" in further:
        versions = versions_during(con, filters, all_columns=False)
        rows = with_stretches(filters.during, rows, versions)
    query = select(*_table_columns(rows)).where(*conditions(filters, rows))
    return _with_order(_with_integration_name(query, rows), rows, sort, descending=descending)


@cached(256)
def count_accounts(con: Connection, filters: Filters) -> int:
    """The number of accounts that match the filters."""
    rows = (
        counted_versions(con, filters)
        if filters.during
        else account_rows(con, filters, all_columns=False)
    )
    count = func.count(rows.c.account_key.distinct()) if filters.during else func.count()
    return con.scalar(select(count).select_from(rows).where(*conditions(filters, rows))) or 0


def matching_account_keys(con: Connection, filters: Filters, limit: int) -> tuple[int, ...]:
    """The account keys of the filtered list, in no order."""
    rows = account_rows(con, filters, all_columns=False)
    query = select(rows.c.account_key).where(*conditions(filters, rows)).limit(limit)
    return tuple(con.scalars(query))


@cached(32)
def attribute_names(con: Connection, filters: Filters) -> Sequence[str]:
    """The attributes that any account of the filtered list has, sorted."""
    rows = account_rows(con, filters)
    attributes = select(rows.c.attributes).where(
        rows.c.attributes.is_not(None), *conditions(filters, rows)
    )
    listed = attributes.subquery("listed")
    keys = select(unnest_json_keys(listed.c.attributes).label("key")).subquery("keys")
    return sorted(con.scalars(select(keys.c.key).distinct()))


@cached(64)
def account_ids(con: Connection, account_keys: tuple[int, ...]) -> dict[int, str]:
    """Account key → account ID, for few accounts."""

    def has_account_key(rows: sa.FromClause) -> ColumnElement[bool]:
        return rows.c.account_key.in_(account_keys)

    query = select(account.c.account_key, account.c.account_id)
    found = con.execute(query.where(lookup(account, has_account_key)))
    return {row.account_key: row.account_id for row in found}


def integration_names(con: Connection) -> list[str]:
    """All integrations by name, in any case."""
    return list(con.scalars(select(integration.c.name).order_by(func.lower(integration.c.name))))


def _sortable_accounts(con: Connection, filters: Filters, sort: str) -> sa.FromClause:
    """The accounts with the columns that filters and order need."""
    is_slow_changing = sort in ("user", "role_count", *SLOW_CHANGING_COLUMNS)
    rows = account_rows(con, filters, all_columns=is_slow_changing)
    return with_sign_ins(rows) if sort == "last_sign_in" else rows


def _table_columns(rows: sa.FromClause) -> list[ColumnElement[Any]]:
    return [rows.c[name] for name in TABLE_COLUMNS]


def _with_integration_name(statement: sa.Select[Any], rows: sa.FromClause) -> sa.Select[Any]:
    is_same_integration = integration.c.integration_id == rows.c.integration_id
    return statement.add_columns(integration.c.name.label("integration")).join_from(
        rows, integration, is_same_integration
    )


def _with_order(
    statement: sa.Select[*tuple[Any, ...]], rows: sa.FromClause, sort: str, *, descending: bool
) -> sa.Select[*tuple[Any, ...]]:
    """Empty values last either way; ties by account key, so that pages do not overlap.

    Accounts of one user, and those without a user, come by username.
    """
    key = _sort_key(rows, sort)
    order = key.desc() if descending else key.asc()
    ties = [_sort_key(rows, "username_in_app")] if sort == "user" else []
    return statement.order_by(order.nulls_last(), *ties, rows.c.account_key)


def _sort_key(rows: sa.FromClause, sort: str) -> ColumnElement[Any]:
    keys: dict[str, Callable[[Any], ColumnElement[Any]]] = {
        "user": lambda c: func.lower(func.coalesce(c.user_name, c.user_email)),
        "username_in_app": lambda c: func.lower(c.username_in_app),
        "integration": lambda _: _integration_position(rows),
        "roles": lambda _: column_value(rows, "role_count"),
        "role_count": lambda _: column_value(rows, "role_count"),
        "provisioning_state": lambda c: case(
            *((c.provisioning_state == s.name, position) for position, s in enumerate(STATES)),
            else_=len(STATES),
        ),
        "account_id": lambda _: _qualified_account_id(rows),
        "user_email": lambda c: func.lower(c.user_email),
        "upstream_user_id": lambda c: c.upstream_user_id,
        "open_since": lambda _: column_value(rows, "open_since"),
    }
    return keys[sort](rows.c) if sort in keys else rows.c.get(sort, rows.c.last_updated)


def _integration_position(rows: sa.FromClause) -> ColumnElement[Any]:
    """The integration's rank by name: a number that sorts without a join."""
    position = func.row_number().over(order_by=(func.lower(integration.c.name), integration.c.name))
    positions = select(integration.c.integration_id, position.label("position")).subquery(
        "positions"
    )
    return (
        select(positions.c.position)
        .where(positions.c.integration_id == rows.c.integration_id)
        .scalar_subquery()
    )


def _qualified_account_id(rows: sa.FromClause) -> ColumnElement[Any]:
    """The integration's name and the account's ID in one text."""
    return (
        select(func.concat(integration.c.name, "\x1f", account.c.account_id))
        .join_from(account, integration, integration.c.integration_id == account.c.integration_id)
        .where(is_same_account(account, rows))
        .scalar_subquery()
    )
