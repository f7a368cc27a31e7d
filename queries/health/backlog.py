"""How long things wait, as the snapshots tell it: since the first that shows the state."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, func, select

from data.history.since import operation_of
from data.states import OPERATIONS, WAITING
from queries.cache import remembered
from queries.filters import Filters, conditions, delivered

AGES: tuple[tuple[str, timedelta], ...] = (
    ("≤ 1 h", timedelta()),
    ("1–24 h", timedelta(hours=1)),
    ("1–3 d", timedelta(days=1)),
    ("3–7 d", timedelta(days=3)),
    ("> 7 d", timedelta(days=7)),
)
"""How long something waits, in words, and longer than what."""


@remembered(8)
def waits(con: Connection, integrations: tuple[str, ...], at: datetime | None) -> pd.DataFrame:
    """One row per operation and beginning of waits: [operation, since, accounts] at the moment."""
    asked = Filters(integration=integrations, state=WAITING, as_of=at)
    rows = delivered(at, whole=False)
    operation = operation_of(rows.c.provisioning_state).label("operation")
    since = rows.c.state_since.label("since")
    found = con.execute(
        select(operation, since, func.count().label("accounts"))
        .where(*conditions(asked, rows))
        .group_by(operation, since)
    )
    return pd.DataFrame(found.all(), columns=list(found.keys()))


def backlog(waits: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """One row per operation and age, by what they wait now: [operation, age, accounts]."""
    starts = [start for _, start in AGES]
    nth = pd.Series(starts).searchsorted(now - pd.to_datetime(waits["since"]), side="left") - 1
    ages = [AGES[max(place, 0)][0] for place in nth]
    counted = waits["accounts"].groupby([waits["operation"], ages]).sum()
    every = pd.MultiIndex.from_product(
        [OPERATIONS, [age for age, _ in AGES]], names=["operation", "age"]
    )
    return counted.reindex(every, fill_value=0).rename("accounts").reset_index()
