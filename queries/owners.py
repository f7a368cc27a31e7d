"""Owners of accounts that people assigned: match overrides.

The snapshots stay as they are: an override applies to an account without a user, from when it was
decided until it is withdrawn.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.records.decisions import MATCH_OVERRIDES
from data.records.tables import match_override
from data.schema import is_unmatched
from data.store.dialect import is_in_query, search_normalized
from data.store.search_text import contains_normalized
from queries.cache import cached

SNAPSHOT_SEARCH = "snapshot_search"
"""The search text from the snapshots, without overrides: it has an index."""

MATCHED_BY = "Matched by"
"""The attribute that names the person who decided the override."""


@cached(8)
def has_match_overrides(con: Connection) -> bool:
    """Whether any account was ever assigned to a person."""
    return bool(
        con.scalar(select(sa.exists().where(match_override.c.person_integration.is_not(None))))
    )


def with_match_overrides(
    con: Connection, rows: sa.FromClause, as_of: datetime | None
) -> sa.FromClause:
    """The same rows, with the owner in force at the moment where a row has no user.

    Without any override these are the rows themselves: over a single table, DuckDB reads the other
    columns only for the rows shown. The join is by key alone: with a condition on the account in
    it, DuckDB takes ten times as long.
    """
    if not has_match_overrides(con):
        return rows
    overrides = _owner_overrides(as_of)
    is_same_account = overrides.c.account_key == rows.c.account_key
    replacements = {
        "user_name": overrides.c.user_name,
        "user_email": overrides.c.user_email,
        "attributes": _with_matched_by(rows.c.attributes, overrides.c.decided_by),
    }
    extra_columns = []
    if "search" in rows.c:
        replacements["search"] = func.concat_ws(" ", _owner_search_text(overrides), rows.c.search)
        extra_columns.append(rows.c.search.label(SNAPSHOT_SEARCH))
    is_overridden = and_(overrides.c.account_key.is_not(None), is_unmatched(rows))
    columns = (
        case((is_overridden, replacements[c.name]), else_=c).label(c.name)
        if c.name in replacements
        else c
        for c in rows.c
    )
    return (
        select(*columns, *extra_columns)
        .select_from(rows.outerjoin(overrides, is_same_account))
        .subquery("accounts")
    )


def matches_search(
    rows: sa.FromClause, text: str, words: Sequence[str], as_of: datetime | None
) -> ColumnElement[bool]:
    """Whether each word of the text occurs in the search text of a row.

    With overrides the search text is computed, so no index helps. The row then also has to match
    the indexed text of the snapshot, or to be one of the few with an owner who has such a word.
    """
    in_search_text = and_(*(contains_normalized(rows.c.search, word) for word in words))
    if SNAPSHOT_SEARCH not in rows.c:
        return in_search_text
    in_snapshot_search = and_(
        *(contains_normalized(rows.c[SNAPSHOT_SEARCH], word) for word in words)
    )
    overrides = _owner_overrides(as_of)
    owner_has_word = sa.or_(
        *(contains_normalized(_owner_search_text(overrides), word) for word in text.split())
    )
    return and_(
        in_search_text,
        sa.or_(
            in_snapshot_search,
            is_in_query(rows.c.account_key, select(overrides.c.account_key).where(owner_has_word)),
        ),
    )


def _owner_search_text(overrides: sa.FromClause) -> ColumnElement[str]:
    """The search text of the owner."""
    return search_normalized(func.concat_ws(" ", overrides.c.user_name, overrides.c.user_email))


def is_matched_by_override(rows: sa.FromClause, as_of: datetime | None) -> ColumnElement[bool]:
    """Whether a row has a user only by an override in force at the moment."""
    return and_(
        is_unmatched(rows), rows.c.account_key.in_(select(_owner_overrides(as_of).c.account_key))
    )


def _owner_overrides(as_of: datetime | None) -> sa.FromClause:
    """One row per account in this store that is assigned to a person."""
    has_account = match_override.c.account_key.is_not(None)
    return (
        select(match_override)
        .where(MATCH_OVERRIDES.is_in_force(as_of), has_account, ~is_unmatched(match_override))
        .subquery("overrides")
    )


def _with_matched_by(
    attributes: ColumnElement[Any], decided_by: ColumnElement[Any]
) -> ColumnElement[Any]:
    """The JSON object with the decider's name; unchanged for readers who may not see names."""
    prefix = func.concat(
        sa.literal(f'{{"{MATCHED_BY}": '), sa.cast(func.to_json(decided_by), sa.String)
    )
    rest = case(
        (func.coalesce(attributes, "{}") == "{}", "}"),
        else_=func.concat(", ", func.substr(attributes, 2)),
    )
    return case((decided_by.is_(None), attributes), else_=func.concat(prefix, rest))
