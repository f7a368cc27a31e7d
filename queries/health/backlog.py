"""How long things wait, as the snapshots tell it: since the first that shows the state."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, func, select

from data.history.since import state_operation
from data.states import OPEN_STATES, OPERATIONS
from queries.cache import cached
from queries.filters import Filters, accounts_as_of, conditions

AGE_BUCKETS: tuple[tuple[str, timedelta], ...] = (
    ("≤ 1 h", timedelta()),
    ("1–24 h", timedelta(hours=1)),
    ("1–3 d", timedelta(days=1)),
    ("3–7 d", timedelta(days=3)),
    ("> 7 d", timedelta(days=7)),
)
"""How long something waits, in words, and longer than what."""


@cached(8)
def open_jobs_by_start(
    con: Connection, integrations: tuple[str, ...], as_of: datetime | None
) -> pd.DataFrame:
    """One row per operation and beginning of waits: [operation, since, accounts] at the moment."""
    filters = Filters(integration=integrations, state=OPEN_STATES, as_of=as_of)
    rows = accounts_as_of(as_of, all_columns=False)
    operation = state_operation(rows.c.provisioning_state).label("operation")
    since = rows.c.state_since.label("since")
    result = con.execute(
        select(operation, since, func.count().label("accounts"))
        .where(*conditions(filters, rows))
        .group_by(operation, since)
    )
    return pd.DataFrame(result.all(), columns=list(result.keys()))


def backlog(open_jobs: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """One row per operation and age, by what they wait now: [operation, age, accounts]."""
    lower_bounds = [start for _, start in AGE_BUCKETS]
    positions = (
        pd.Series(lower_bounds).searchsorted(now - pd.to_datetime(open_jobs["since"]), side="left")
        - 1
    )
    ages = [AGE_BUCKETS[max(position, 0)][0] for position in positions]
    counts = open_jobs["accounts"].groupby([open_jobs["operation"], ages]).sum()
    index = pd.MultiIndex.from_product(
        [OPERATIONS, [age for age, _ in AGE_BUCKETS]], names=["operation", "age"]
    )
    return counts.reindex(index, fill_value=0).rename("accounts").reset_index()
