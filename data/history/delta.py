"""Which accounts of a file are news: by its rows, beside what is known.

A file that extends the history is compared with the newest snapshot, row by row as delivered: what
is unchanged there means what it meant, and need not be understood again. For any other file only
the accounts are known, not their rows, and every row is news.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
)

from data.history.reject import POSITION, Sifted, counted
from data.history.stage import Read
from data.history.versions import Span
from data.schema import account, account_current, delivered_row
from data.staging import (
    delivered_texts,
    load_asked,
    load_known,
    load_missed,
    load_named,
    load_news,
    load_row,
)
from data.store.transfer import empty, handed, kept


class Known(NamedTuple):
    """What is known of an integration's accounts over a span, at the desk."""

    rows: FromClause  # account_key, fingerprint; one row per account
    with_rows: bool  # whether there is any, and the fingerprints tell how it was delivered


def known_accounts(con: Connection, at: Connection, span: Span) -> Known:
    """What the file of the span is to be compared with."""
    remembered = select(delivered_row.c.account_key, delivered_row.c.fingerprint).where(
        delivered_row.c.integration_id == span.integration_id
    )
    with_rows = span.extends and _remembers_all(con, span.integration_id)
    rows = remembered if with_rows else without_fingerprint(span)
    return Known(kept(con, rows, at, load_known), with_rows)


def _remembers_all(con: Connection, integration_id: int) -> bool:
    """Whether `delivered_row` has every account of the newest snapshot, and there is any."""
    delivered, current = (
        select(func.count()).where(table.c.integration_id == integration_id).scalar_subquery()
        for table in (delivered_row, account_current)
    )
    return bool(con.scalar(select(and_(delivered == current, current > 0))))


def without_fingerprint(span: Span) -> Select[*tuple[Any, ...]]:
    """The accounts of the span, whose rows nobody remembers."""
    then = span.accounts_in_store()
    return select(then.c.account_key, cast(null(), BigInteger).label("fingerprint"))


def find_news_unless_odd(
    con: Connection, at: Connection, read: Read, known: Known, span: Span
) -> Sifted | None:
    """What `find_news` does, of a `load_row` without the texts of known rows; the file's counts.

    None where a row is no account, or an account has several: to tell which row that is, all of
    them have to be looked at. The tables are empty then.
    """
    sifted = _sifted_if_plain(con, at, read, known, span)
    if not sifted:
        for each in (load_row, load_missed, load_news, load_named):
            empty(at, each)
    return sifted


def _sifted_if_plain(
    con: Connection, at: Connection, read: Read, known: Known, span: Span
) -> Sifted | None:
    rows, as_before, named, accounts, without_offset = counted(at)
    if read.broken or rows != as_before + named or named != accounts:
        return None
    seen = select(load_row.c.fingerprint).where(load_row.c.known)
    missed = select(known.rows).where(known.rows.c.fingerprint.not_in(seen))
    at.execute(insert(load_missed).from_select([c.name for c in load_missed.c], missed))
    find_news(con, at, load_missed, span)
    in_store, missing, told_anew, of_missing = at.execute(
        select(
            _number_of(known.rows),
            _number_of(load_missed),
            _number_of(_told_anew(known.rows)),
            _number_of(_told_anew(load_missed)),
        )
    ).one()
    if in_store - missing != as_before:  # a known row comes twice
        return None
    if told_anew != of_missing:  # an account has a known row, and another one
        return None
    return Sifted(rows, rows, 0, 0, 0, without_offset)


def _told_anew(known: FromClause) -> FromClause:
    """The known accounts of which the file has a row that is news."""
    same = load_news.c.account_key == known.c.account_key
    return known.join(load_news, and_(same, load_news.c.listed))


def _number_of(rows: FromClause) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def find_news(con: Connection, at: Connection, known: FromClause, span: Span) -> None:
    """Fill `load_news` with what of `load_row` is not `known`, and what of that is missing.

    An account that was never seen gets its key here, by its row: in the order of the file, so that
    every database gives the same ones. Keys have gaps, as to count needs a slow sort.
    """
    texts = [load_row.c.account_id, *delivered_texts().values(), load_row.c.fingerprint]
    number = (POSITION + literal(span.highest_key + 1, BigInteger)).label("number")
    told = select(number, *texts).where(~load_row.c.known).subquery("told")
    seen = _seen_before(con, at, span.integration_id)
    key = func.coalesce(seen.c.account_key, told.c.number).label("account_key")
    row = (
        select(key, told)
        .select_from(told.outerjoin(seen, seen.c.account_id == told.c.account_id))
        .subquery("row")
    )
    news = (
        select(
            func.coalesce(row.c.account_key, known.c.account_key),
            row.c.account_key.is_not(None),
            *(row.c[text.name] for text in texts),
        )
        .select_from(row.join(known, known.c.account_key == row.c.account_key, full=True))
        .where(
            or_(
                known.c.account_key.is_(None),
                row.c.account_key.is_(None),
                row.c.fingerprint.is_distinct_from(known.c.fingerprint),
            )
        )
    )
    at.execute(insert(load_news).from_select([c.name for c in load_news.c], news))


def _seen_before(con: Connection, at: Connection, integration_id: int) -> FromClause:
    """Of the accounts that were ever seen, those that the file lists as news; at the desk."""
    here = literal(integration_id, Integer).label("integration_id")
    asked = load_asked  # which is empty
    if con.scalar(select(exists().where(account.c.integration_id == integration_id))):
        news = select(here, load_row.c.account_id).where(~load_row.c.known)
        asked = handed(at, news, con, load_asked)
    ids = select(asked.c.account_id).where(asked.c.integration_id == integration_id)
    seen = select(account.c.account_key, account.c.account_id).where(
        account.c.integration_id == integration_id, account.c.account_id.in_(ids)
    )
    return kept(con, seen, at, load_named)


def remember_delivered(con: Connection, integration_id: int, news: FromClause) -> None:
    """Bring `delivered_row` up to date with the newest snapshot."""
    named = select(news.c.account_key).where(news.c.integration_id == integration_id)
    con.execute(
        delete(delivered_row).where(
            delivered_row.c.integration_id == integration_id,
            delivered_row.c.account_key.in_(named),
        )
    )
    con.execute(
        insert(delivered_row).from_select(
            [c.name for c in delivered_row.c],
            select(news.c.integration_id, news.c.account_key, news.c.fingerprint).where(
                news.c.listed
            ),
        )
    )
