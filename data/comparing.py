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
    Select,
    and_,
    cast,
    delete,
    func,
    insert,
    null,
    or_,
    select,
)

from data.handing import kept
from data.reading import Read
from data.rejecting import POSITION, Sifted, counted
from data.tables import (
    DELIVERED,
    account,
    account_current,
    delivered_row,
    load_known,
    load_missed,
    load_news,
    load_row,
    same_account,
)
from data.versions import Span


class Known(NamedTuple):
    """What is known of an integration's accounts over a span."""

    accounts: FromClause  # at the desk: account_id, fingerprint; one row per account
    with_rows: bool  # whether there is any, and the fingerprints tell how it was delivered


def known_accounts(con: Connection, at: Connection, span: Span) -> Known:
    """What the file of the span is to be compared with."""
    remembered = select(delivered_row.c.account_id, delivered_row.c.fingerprint).where(
        delivered_row.c.integration_id == span.integration_id
    )
    with_rows = span.extends and _remembers_all(con, span.integration_id)
    accounts = remembered if with_rows else without_fingerprint(span)
    return Known(kept(con, accounts, at, load_known), with_rows)


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
    return select(account.c.account_id, cast(null(), BigInteger).label("fingerprint")).select_from(
        then.join(account, same_account(account, then))
    )


def sift_unless_odd(at: Connection, read: Read, known: FromClause) -> Sifted | None:
    """The counts of a file of which `load_row` has the news only; and `load_missed`, filled.

    None where a row is no account, or an account has several: to tell which row that is, all of
    them have to be looked at.
    """
    rows, as_before, named, accounts, without_offset = counted(at)
    if read.broken or rows != as_before + named or named != accounts:
        return None
    row = load_row.c
    looked_up = select(
        *known.c,
        known.c.fingerprint.in_(select(row.fingerprint).where(row.known)).label("found"),
        known.c.account_id.in_(select(row.account_id).where(~row.known)).label("told_anew"),
    ).subquery("looked_up")
    seen = looked_up.c
    missed = select(seen.account_id, seen.fingerprint, seen.found)
    at.execute(
        insert(load_missed).from_select(
            [c.name for c in load_missed.c], missed.where(or_(~seen.found, seen.told_anew))
        )
    )
    every, gone, twice = at.execute(
        select(
            select(func.count()).select_from(known).scalar_subquery(),
            func.count().filter(~load_missed.c.repeated),
            func.count().filter(load_missed.c.repeated),
        ).select_from(load_missed)
    ).one()
    if twice or every - gone != as_before:
        return None
    return Sifted(rows, rows, 0, 0, 0, without_offset)


def find_news(at: Connection, known: FromClause) -> None:
    """Fill `load_news` with what of `load_row` is not `known`, and what of that is missing."""
    row = select(POSITION.label("number"), load_row).where(~load_row.c.known).subquery("row")
    news = (
        select(
            row.c.number,
            row.c.account_id.is_not(None),
            func.coalesce(row.c.account_id, known.c.account_id),
            *(row.c[n] for n in (*DELIVERED, "fingerprint")),
        )
        .select_from(row.join(known, known.c.account_id == row.c.account_id, full=True))
        .where(
            or_(
                known.c.account_id.is_(None),
                row.c.account_id.is_(None),
                row.c.fingerprint.is_distinct_from(known.c.fingerprint),
            )
        )
    )
    at.execute(insert(load_news).from_select([c.name for c in load_news.c], news))


def remember_delivered(con: Connection, integration_id: int, news: FromClause) -> None:
    """Bring `delivered_row` up to date with the newest snapshot."""
    named = select(news.c.account_id).where(news.c.integration_id == integration_id)
    con.execute(
        delete(delivered_row).where(
            delivered_row.c.integration_id == integration_id,
            delivered_row.c.account_id.in_(named),
        )
    )
    con.execute(
        insert(delivered_row).from_select(
            ["integration_id", "account_id", "fingerprint"],
            select(news.c.integration_id, news.c.account_id, news.c.fingerprint).where(
                news.c.listed
            ),
        )
    )
