"""The items of a review round: counts by outcome, a page of them, and all of them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.formatting import utc_now
from data.records.rounds import ItemKey
from data.schema import snapshot
from queries.paging import cut_page
from queries.period import day_end, to_local
from queries.rounds.lists import Round
from queries.rounds.outcomes import OUTCOMES, item_outcomes
from queries.sign_ins import with_sign_ins

PAGE_SIZE = 50
"""Items on a page."""

TO_DECIDE: tuple[str, ...] = ("undecided", "unsure")
"""The outcomes of what nobody has decided for sure."""

TO_DO: tuple[str, ...] = ("open", "late", "came back")
"""The outcomes of what is revoked and still there."""

MAX_DAYS = 30
"""Days of the chart; of a longer round, as many days at equal distances."""


def count_outcomes(con: Connection, round_: Round, as_of: datetime | None = None) -> dict[str, int]:
    """Outcome → items, for every outcome in the order of OUTCOMES."""
    return count_by_round(con, [round_], as_of)[round_.round_id]


def count_by_round(
    con: Connection, rounds: Sequence[Round], as_of: datetime | None = None
) -> dict[str, dict[str, int]]:
    """ID of the round → the same."""
    if not rounds:
        return {}
    item = item_outcomes(rounds, as_of).c
    key = item.round_id, item.outcome
    counts = {
        (id_, name): n for id_, name, n in con.execute(select(*key, func.count()).group_by(*key))
    }
    ids = [each.round_id for each in rounds]
    return {id_: {name: counts.get((id_, name), 0) for name in OUTCOMES} for id_ in ids}


def outcomes_by_day(con: Connection, round_: Round, zone: str) -> list[tuple[date, dict[str, int]]]:
    """The counts at the end of each day in the zone, from the start of the round until now."""
    now = utc_now()
    first, last = (to_local(moment, zone).date() for moment in (round_.started_at, now))
    length = (last - first).days
    step = max(1, -(-(length + 1) // MAX_DAYS))
    days = [last - timedelta(days=n) for n in range(length - length % step, -1, -step)]
    return [(day, count_outcomes(con, round_, min(day_end(day, zone), now))) for day in days]


def page_of_items(
    con: Connection, round_: Round, outcomes: Sequence[str], page: int
) -> Sequence[sa.Row[Any]]:
    """One row per item of the page (from 1), as in `item_outcomes`, with its last sign-in."""
    rows = with_sign_ins(item_outcomes([round_]))
    return con.execute(cut_page(_in_order(rows, outcomes), page, PAGE_SIZE)).all()


def all_items(
    con: Connection, round_: Round, outcomes: Sequence[str] = ()
) -> Sequence[sa.Row[Any]]:
    """The same for all items with one of these outcomes; none means all, and `proved_by`.

    That is the SHA-256 of the snapshot of `proved_at`.
    """
    rows = with_sign_ins(item_outcomes([round_]))
    is_proof = sa.and_(
        snapshot.c.integration_id == rows.c.integration_id, snapshot.c.taken_at == rows.c.proved_at
    )
    proved = select(*rows.c, snapshot.c.sha256.label("proved_by"))
    proved_rows = proved.select_from(rows.outerjoin(snapshot, is_proof)).subquery("proved")
    return con.execute(_in_order(proved_rows, outcomes)).all()


def key_of(row: sa.Row[Any]) -> ItemKey:
    """What a row of these is about."""
    return ItemKey(row.integration, row.account_id, row.role)


def _in_order(rows: sa.FromClause, outcomes: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    query = select(rows).order_by(
        func.lower(rows.c.integration),
        func.lower(rows.c.username_in_app),
        rows.c.account_id,
        rows.c.role,
    )
    return query.where(rows.c.outcome.in_(outcomes)) if outcomes else query
