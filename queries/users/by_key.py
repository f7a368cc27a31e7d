"""Few accounts, by their keys."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, select

from data.schema import account_current, is_valid_at
from queries.during import latest_of_each, stretches
from queries.filters import Filters, conditions
from queries.lookup import lookup, lookup_versions
from queries.owners import with_match_overrides
from queries.scope import Scope


def accounts_by_key(
    con: Connection,
    filters: Filters,
    account_keys: Sequence[int],
    moments: Collection[datetime] = (),
) -> sa.FromClause:
    """One row per account with one of these few keys, at the moment of the filters.

    In a period, it is the latest version that meets the filters. Where it is known when those
    begin, no others are read: DuckDB reads rows that lie far from each other one block at a time.
    """
    if filters.during:
        return latest_of_each(versions_by_key(con, filters, account_keys, moments)).subquery()
    return with_match_overrides(con, snapshot_accounts_by_key(filters, account_keys), filters.as_of)


def versions_by_key(
    con: Connection,
    filters: Filters,
    account_keys: Sequence[int],
    moments: Collection[datetime] = (),
) -> sa.FromClause:
    """The versions of few accounts in the period of the filters that meet them all.

    Of those that begin at these moments, if there are any.
    """
    during = filters.during
    assert during  # noqa: S101 - the caller has checked it

    def times(rows: sa.FromClause) -> ColumnElement[bool]:
        begins = rows.c.valid_from.in_(moments) if moments else sa.true()
        return sa.and_(during.overlaps(rows), begins)

    found = lookup_versions(lambda rows: rows.c.account_key.in_(account_keys), times)
    rows = with_match_overrides(con, found, filters.moment)
    return select(rows).where(*conditions(filters, rows)).subquery("matching")


def stretches_by_key(
    con: Connection, filters: Filters, account_keys: Sequence[int]
) -> dict[int, list[tuple[datetime, datetime | None]]]:
    """Account key → its stretches in the period of the filters; none without a period.

    Naive UTC; without an end, a stretch lasts beyond the period.
    """
    found: dict[int, list[tuple[datetime, datetime | None]]] = {}
    if filters.during and account_keys:
        versions = versions_by_key(con, filters, account_keys)
        for _, key, start, end in con.execute(stretches(filters.during, versions)):
            found.setdefault(key, []).append((start, end))
    return found


def snapshot_accounts_by_key(scope: Scope, account_keys: Sequence[int]) -> sa.FromClause:
    """The same without match overrides."""
    as_of = scope.as_of

    def has_account_key(rows: sa.FromClause) -> ColumnElement[bool]:
        return rows.c.account_key.in_(account_keys)

    if as_of is None:
        return select(account_current).where(lookup(account_current, has_account_key)).subquery()
    return lookup_versions(has_account_key, lambda rows: is_valid_at(rows, as_of))
