"""The accounts that filters are about, with all that the filters read."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, select

from data.schema import account_profile, account_version, join_profile
from data.store.search_text import with_search_text
from queries.during import latest_versions
from queries.filters import BY_PROFILE, Filter, Filters, conditions, used_filters
from queries.owners import has_match_overrides, with_match_overrides
from queries.people.accounts import with_person_status
from queries.scope import accounts_as_of


def account_rows(
    con: Connection, filters: Filters, *, all_columns: bool = True, shown: Filter | None = None
) -> sa.FromClause:
    """One row per account at the moment of the filters, before any other filter.

    With the user from the snapshot or from a match override, and all that the filters and `shown`
    read. Without `all_columns`, other slow-changing columns are left out: faster for the past.
    """
    if filters.during:
        found = latest_versions(
            filters.during,
            account_version,
            lambda times: _matching_versions(con, filters, times, all_columns=False),
        )
        needs_profile = all_columns and "roles" not in found.c  # the filters may have read it
        return join_profile(found) if needs_profile else found
    used = used_filters(filters, shown)
    all_columns = all_columns or _needs_all_columns(con, used)
    rows = accounts_as_of(filters.as_of, all_columns=all_columns)
    rows = _with_owners_and_text(con, filters, rows)
    reads_person = any(f.reads_person for f in used)
    return with_person_status(con, rows, filters.as_of) if reads_person else rows


def versions_during(
    con: Connection, filters: Filters, *, all_columns: bool = True
) -> sa.FromClause:
    """One row per version in the period of the filters that meets them all."""
    assert filters.during  # noqa: S101 - the caller has checked it
    times = filters.during.overlaps(account_version)
    return _matching_versions(con, filters, times, all_columns=all_columns)


def counted_versions(
    con: Connection, filters: Filters, shown: Filter | None = None
) -> sa.FromClause:
    """Versions in the period of the filters, by which accounts are counted, before any filter.

    Of an account's versions that meet the filters, and have one choice of `shown`, it has the
    first, and not all others.
    """
    during, used = filters.during, used_filters(filters, shown)
    assert during  # noqa: S101 - the caller has checked it
    is_first = during.is_first(account_version, [f.changes_with for f in used])
    rows = select(account_version).where(during.overlaps(account_version), is_first)
    versions: sa.FromClause = rows.subquery("versions")
    if _needs_all_columns(con, used):
        versions = join_profile(versions)
    return _with_owners_and_text(con, filters, versions)


def _matching_versions(
    con: Connection, filters: Filters, times: ColumnElement[bool], *, all_columns: bool
) -> sa.FromClause:
    """The versions with these times that meet the filters.

    There are fewer profiles than versions, so those that do not meet the filters leave first.
    """
    used = used_filters(filters)
    rows: sa.FromClause = select(account_version).where(times).subquery("versions")
    by_profile = profile_filters(filters)
    if by_profile and not has_match_overrides(con):
        rows = join_profile(rows, matching_profiles(con, filters))
        used = [f for f in used if f not in by_profile]
    elif all_columns or _needs_all_columns(con, used):
        rows = join_profile(rows)
    rows = _with_owners_and_text(con, filters, rows)
    return select(rows).where(*conditions(filters, rows, used)).subquery("matching")


def profile_filters(filters: Filters) -> list[Filter]:
    """The filters that are set and read slow-changing columns alone."""
    return [f for f in used_filters(filters) if f.changes_with == BY_PROFILE]


def matching_profiles(con: Connection, filters: Filters) -> sa.FromClause:
    """The profiles that meet `profile_filters`."""
    by_profile = profile_filters(filters)
    rows = _with_owners_and_text(con, filters, account_profile) if by_profile else account_profile
    return select(rows).where(*conditions(filters, rows, by_profile)).subquery("profiles")


def _with_owners_and_text(con: Connection, filters: Filters, rows: sa.FromClause) -> sa.FromClause:
    """The same rows, with the owners in force, and with the text that a search reads."""
    if filters.q and "search" not in rows.c:
        rows = with_search_text(rows)
    return with_match_overrides(con, rows, filters.moment)


def _needs_all_columns(con: Connection, used: Sequence[Filter]) -> bool:
    return any(f.is_slow_changing for f in used) or has_match_overrides(con)
