"""Whose accounts are, where people have said so.

What the snapshots tell stays what it is: a word of a person counts for an account without a user,
from when it was said until it is withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    RowMapping,
    String,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from data.schema import is_unmatched, match_override
from data.store.dialect import is_in_query, search_normalized
from data.store.search_text import contains_normalized
from queries.cache import cached

SNAPSHOT_SEARCH = "search_kept"
"""The text to look through as the snapshots tell it, of which there is an index."""

MATCHED_BY = "Matched by"
"""The attribute that names who has said whose the account is."""


OVERRIDE_COLUMNS = tuple(
    c.name
    for c in match_override.c
    if c.name not in ("account_key", "withdrawn_by", "withdrawn_at")
)
"""What a word says, as long as it holds, to whoever has another store."""


@cached(8)
def has_match_overrides(con: Connection) -> bool:
    """Whether anybody has ever said of an account that it is somebody's."""
    return bool(con.scalar(select(exists().where(match_override.c.people.is_not(None)))))


def with_match_overrides(con: Connection, rows: FromClause, as_of: datetime | None) -> FromClause:
    """The same rows; those without a user have the one who, at the moment, is said to be theirs.

    Where nobody has said anything they are the rows themselves: over a single table, DuckDB reads
    the columns that are shown only for the rows that are. Else they are joined with the few words
    by the key alone: with a condition on the account in the join, DuckDB takes ten times as long.
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
    rows: FromClause, text: str, words: Sequence[str], as_of: datetime | None
) -> ColumnElement[bool]:
    """Whether each of the words, which make up the text, occurs in what a search looks through.

    Where people have decided, that is worked out, and no index is of it. But then it occurs in the
    text that is kept, or the account is one of the few whose person has a word of the text.
    """
    in_search_text = and_(*(contains_normalized(rows.c.search, word) for word in words))
    if SNAPSHOT_SEARCH not in rows.c:
        return in_search_text
    in_snapshot_search = and_(
        *(contains_normalized(rows.c[SNAPSHOT_SEARCH], word) for word in words)
    )
    overrides = _owner_overrides(as_of)
    owner_has_word = or_(
        *(contains_normalized(_owner_search_text(overrides), word) for word in text.split())
    )
    return and_(
        in_search_text,
        or_(
            in_snapshot_search,
            is_in_query(rows.c.account_key, select(overrides.c.account_key).where(owner_has_word)),
        ),
    )


def _owner_search_text(overrides: FromClause) -> ColumnElement[str]:
    """What a search looks through of the person."""
    return search_normalized(func.concat_ws(" ", overrides.c.user_name, overrides.c.user_email))


def is_matched_by_override(rows: FromClause, as_of: datetime | None) -> ColumnElement[bool]:
    """Whether a row has no user but the one who, at the moment, is said to be theirs."""
    return and_(
        is_unmatched(rows), rows.c.account_key.in_(select(_owner_overrides(as_of).c.account_key))
    )


def active_overrides(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> Sequence[RowMapping]:
    """What is said at the moment of whose accounts are, by integration and account ID.

    One row per account: [*SAID]; of all integrations where none is named.
    """
    columns = match_override.c
    query = select(*(columns[name] for name in OVERRIDE_COLUMNS)).where(_is_in_force(as_of))
    query = query.order_by(columns.integration, columns.account_id)
    if integrations:
        query = query.where(columns.integration.in_(integrations))
    return con.execute(query).mappings().all()


def overrides_by_account(
    con: Connection, account_keys: Sequence[int], as_of: datetime | None = None
) -> dict[int, Row[Any]]:
    """Account key → what is said of whose it is at the moment; only for those of whom anything is.

    That it is nobody's, too.
    """
    query = select(match_override).where(
        _is_in_force(as_of), match_override.c.account_key.in_(account_keys)
    )
    return {row.account_key: row for row in con.execute(query)} if account_keys else {}


def _owner_overrides(as_of: datetime | None) -> FromClause:
    """One row per account that is said to be somebody's, and is known here."""
    has_account, has_no_owner = (
        match_override.c.account_key.is_not(None),
        is_unmatched(match_override),
    )
    return (
        select(match_override)
        .where(_is_in_force(as_of), has_account, ~has_no_owner)
        .subquery("said")
    )


def _is_in_force(as_of: datetime | None) -> ColumnElement[bool]:
    withdrawn_at = match_override.c.withdrawn_at
    if as_of is None:
        return withdrawn_at.is_(None)
    return and_(
        match_override.c.decided_at <= as_of, or_(withdrawn_at.is_(None), withdrawn_at > as_of)
    )


def _with_matched_by(
    attributes: ColumnElement[Any], decided_by: ColumnElement[Any]
) -> ColumnElement[Any]:
    """The JSON object with who has said it; as it is, for readers who see no such names."""
    prefix = func.concat(literal(f'{{"{MATCHED_BY}": '), cast(func.to_json(decided_by), String))
    rest = case(
        (func.coalesce(attributes, "{}") == "{}", "}"),
        else_=func.concat(", ", func.substr(attributes, 2)),
    )
    return case((decided_by.is_(None), attributes), else_=func.concat(prefix, rest))
