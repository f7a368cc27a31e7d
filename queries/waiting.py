"""Since when accounts have waited, as the snapshots tell it, and how long things wait."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    case,
    func,
    or_,
    select,
    true,
)

from data.states import OPERATIONS, WAITING
from data.tables import FOREVER, account_version
from queries.durations import known, operation_of, runs
from queries.remembering import remembered

AGES: tuple[tuple[str, timedelta], ...] = (
    ("< 1 h", timedelta()),
    ("1–24 h", timedelta(hours=1)),
    ("1–3 d", timedelta(days=1)),
    ("3–7 d", timedelta(days=3)),
    ("> 7 d", timedelta(days=7)),
)
"""How long something waits, in words, and from which time on."""


def waiting_since(rows: FromClause, at: datetime | None) -> FromClause:
    """One row per account of `rows` that waits: [account_key, since], in naive UTC.

    `rows` are accounts as they were at the moment, which None says is now. An account waits in a
    state since the first snapshot that shows it there without interruption: another state, or a
    snapshot without the account, begins the wait anew.
    """
    version = account_version.c
    waiting = (
        select(rows.c.account_key).where(rows.c.provisioning_state.in_(WAITING)).subquery("waiting")
    )

    def before(column: ColumnElement[Any]) -> ColumnElement[Any]:
        """What the account's version before says; NULL for its first."""
        mine, in_time = version.account_key, version.valid_from
        return func.lag(column).over(partition_by=mine, order_by=in_time)

    stretches = (
        select(
            version.account_key,
            version.valid_from,
            or_(
                before(version.provisioning_state).is_distinct_from(version.provisioning_state),
                before(version.valid_to).is_distinct_from(version.valid_from),
            ).label("begins"),
        )
        .join_from(account_version, waiting, waiting.c.account_key == version.account_key)
        .where(true() if at is None else version.valid_from <= at)
        .subquery("stretches")
    )
    return (
        select(stretches.c.account_key, func.max(stretches.c.valid_from).label("since"))
        .where(stretches.c.begins)
        .group_by(stretches.c.account_key)
        .subquery("waiting_since")
    )


@remembered(8)
def waits(con: Connection, integrations: tuple[str, ...], at: datetime | None) -> pd.DataFrame:
    """All waits until the moment: [operation, ended, since, oldest, accounts].

    One row per operation and end of waits, with the beginning of the `oldest` of them; of those
    that still go on one per beginning, which is then `since` too, and the end of time as end.
    """
    state = account_version.c.provisioning_state
    wait = runs(state, WAITING, *known(integrations, at)).subquery("wait")
    goes_on = wait.c.ended > (at or FOREVER - timedelta(days=1))
    ended = case((goes_on, FOREVER), else_=wait.c.ended).label("ended")
    since = case((goes_on, wait.c.began)).label("since")
    operation = operation_of(wait.c.label).label("operation")
    rows = con.execute(
        select(
            operation,
            ended,
            since,
            func.min(wait.c.began).label("oldest"),
            func.count().label("accounts"),
        ).group_by(operation, ended, since)
    )
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))


def oldest_wait(waits: pd.DataFrame, at: datetime | None = None) -> datetime | None:
    """Since when what waited longest at the moment had waited; None: nothing did.

    At a moment until then of `waits`; without one, at the end of them.
    """
    lasting = waits["since"].notna() if at is None else waits["ended"] > at
    oldest = waits.loc[lasting, "oldest"].min()
    return None if pd.isna(oldest) or (at is not None and oldest > at) else oldest


def backlog(waits: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """One row per operation and age, by what they wait now: [operation, age, accounts]."""
    waiting = waits[waits["since"].notna()]
    starts = [start for _, start in AGES]
    nth = pd.Series(starts).searchsorted(now - pd.to_datetime(waiting["since"]), side="right") - 1
    ages = [AGES[max(place, 0)][0] for place in nth]
    counted = waiting["accounts"].groupby([waiting["operation"], ages]).sum()
    every = pd.MultiIndex.from_product(
        [OPERATIONS, [age for age, _ in AGES]], names=["operation", "age"]
    )
    return counted.reindex(every, fill_value=0).rename("accounts").reset_index()
