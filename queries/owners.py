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

from data.schema import is_unmatched, matched
from data.store.dialect import is_among
from data.store.search_text import plain
from queries.cache import remembered
from queries.search import found_in

SEARCH_KEPT = "search_kept"
"""The text to look through as the snapshots tell it, of which there is an index."""

MATCHED_BY = "Matched by"
"""The attribute that names who has said whose the account is."""


SAID = tuple(
    c.name for c in matched.c if c.name not in ("account_key", "withdrawn_by", "withdrawn_at")
)
"""What a word says, as long as it holds, to whoever has another store."""


@remembered(8)
def is_anything_decided(con: Connection) -> bool:
    """Whether anybody has ever said of an account that it is somebody's."""
    return bool(con.scalar(select(exists().where(matched.c.people.is_not(None)))))


def as_decided(con: Connection, rows: FromClause, at: datetime | None) -> FromClause:
    """The same rows; those without a user have the one who, at the moment, is said to be theirs.

    Where nobody has said anything they are the rows themselves: over a single table, DuckDB reads
    the columns that are shown only for the rows that are. Else they are joined with the few words
    by the key alone: with a condition on the account in the join, DuckDB takes ten times as long.
    """
    if not is_anything_decided(con):
        return rows
    said = _somebody_s(at)
    same = said.c.account_key == rows.c.account_key
    told = {
        "user_name": said.c.user_name,
        "user_email": said.c.user_email,
        "attributes": _with_name(rows.c.attributes, said.c.decided_by),
    }
    kept = []
    if "search" in rows.c:
        told["search"] = func.concat_ws(" ", _person(said), rows.c.search)
        kept.append(rows.c.search.label(SEARCH_KEPT))
    is_theirs = and_(said.c.account_key.is_not(None), is_unmatched(rows))
    columns = (
        case((is_theirs, told[c.name]), else_=c).label(c.name) if c.name in told else c
        for c in rows.c
    )
    return select(*columns, *kept).select_from(rows.outerjoin(said, same)).subquery("accounts")


def found_in_search(
    rows: FromClause, text: str, words: Sequence[str], at: datetime | None
) -> ColumnElement[bool]:
    """Whether each of the words, which make up the text, occurs in what a search looks through.

    Where people have decided, that is worked out, and no index is of it. But then it occurs in the
    text that is kept, or the account is one of the few whose person has a word of the text.
    """
    found = and_(*(found_in(rows.c.search, word) for word in words))
    if SEARCH_KEPT not in rows.c:
        return found
    kept = and_(*(found_in(rows.c[SEARCH_KEPT], word) for word in words))
    said = _somebody_s(at)
    has_a_word = or_(*(found_in(_person(said), word) for word in text.split()))
    return and_(
        found, or_(kept, is_among(rows.c.account_key, select(said.c.account_key).where(has_a_word)))
    )


def _person(said: FromClause) -> ColumnElement[str]:
    """What a search looks through of the person."""
    return plain(func.concat_ws(" ", said.c.user_name, said.c.user_email))


def matched_by_people(rows: FromClause, at: datetime | None) -> ColumnElement[bool]:
    """Whether a row has no user but the one who, at the moment, is said to be theirs."""
    return and_(is_unmatched(rows), rows.c.account_key.in_(select(_somebody_s(at).c.account_key)))


def what_holds(
    con: Connection, integrations: Sequence[str], at: datetime | None
) -> Sequence[RowMapping]:
    """What is said at the moment of whose accounts are, by integration and account ID.

    One row per account: [*SAID]; of all integrations where none is named.
    """
    said = matched.c
    listed = select(*(said[name] for name in SAID)).where(_holds(at))
    listed = listed.order_by(said.integration, said.account_id)
    if integrations:
        listed = listed.where(said.integration.in_(integrations))
    return con.execute(listed).mappings().all()


def decided_for(
    con: Connection, account_keys: Sequence[int], at: datetime | None = None
) -> dict[int, Row[Any]]:
    """Account key → what is said of whose it is at the moment; only for those of whom anything is.

    That it is nobody's, too.
    """
    said = select(matched).where(_holds(at), matched.c.account_key.in_(account_keys))
    return {row.account_key: row for row in con.execute(said)} if account_keys else {}


def _somebody_s(at: datetime | None) -> FromClause:
    """One row per account that is said to be somebody's, and is known here."""
    is_here, is_nobody_s = matched.c.account_key.is_not(None), is_unmatched(matched)
    return select(matched).where(_holds(at), is_here, ~is_nobody_s).subquery("said")


def _holds(at: datetime | None) -> ColumnElement[bool]:
    ended = matched.c.withdrawn_at
    if at is None:
        return ended.is_(None)
    return and_(matched.c.decided_at <= at, or_(ended.is_(None), ended > at))


def _with_name(attributes: ColumnElement[Any], name: ColumnElement[Any]) -> ColumnElement[Any]:
    """The JSON object with who has said it; as it is, for readers who see no such names."""
    first = func.concat(literal(f'{{"{MATCHED_BY}": '), cast(func.to_json(name), String))
    others = case(
        (func.coalesce(attributes, "{}") == "{}", "}"),
        else_=func.concat(", ", func.substr(attributes, 2)),
    )
    return case((name.is_(None), attributes), else_=func.concat(first, others))
