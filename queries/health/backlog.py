"""How long jobs have been open."""

from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, func, select

from data.states import OPEN_STATES
from queries.cache import cached
from queries.filters import Filters, accounts_as_of, conditions
from queries.health.snapshots import read_frame

AGE_BUCKETS: tuple[tuple[str, timedelta], ...] = (
    ("≤ 1 h", timedelta()),
    ("1–24 h", timedelta(hours=1)),
    ("1–3 d", timedelta(days=1)),
    ("3–7 d", timedelta(days=3)),
    ("> 7 d", timedelta(days=7)),
)
"""Ages of open jobs: label, and longer than what."""

OLD_AGE = AGE_BUCKETS[-1][0]


def age_bounds(age: str) -> tuple[timedelta | None, timedelta | None]:
    """An age as Users filters it: open longer than, open up to."""
    bounds = [None, *(start for _, start in AGE_BUCKETS[1:]), None]
    index = [label for label, _ in AGE_BUCKETS].index(age)
    return bounds[index], bounds[index + 1]


@cached(8)
def open_jobs_by_start(
    con: Connection, integrations: tuple[str, ...], as_of: datetime | None
) -> pd.DataFrame:
    """One row per state and start of the job: [state, since, accounts] at the moment."""
    filters = Filters(integration=integrations, state=OPEN_STATES, as_of=as_of)
    rows = accounts_as_of(as_of, all_columns=False)
    state, since = rows.c.provisioning_state.label("state"), rows.c.attempt_since.label("since")
    return read_frame(
        con,
        select(state, since, func.count().label("accounts"))
        .where(*conditions(filters, rows))
        .group_by(state, since),
    )


def backlog(open_jobs: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """One row per open state and age: [state, age, accounts] at the moment (naive UTC).

    `open_jobs` as of `open_jobs_by_start`.
    """
    starts = pd.Series([start for _, start in AGE_BUCKETS])
    positions = starts.searchsorted(now - pd.to_datetime(open_jobs["since"]), side="left") - 1
    ages = [AGE_BUCKETS[max(position, 0)][0] for position in positions]
    counts = open_jobs["accounts"].groupby([open_jobs["state"], ages]).sum()
    index = pd.MultiIndex.from_product(
        [OPEN_STATES, [age for age, _ in AGE_BUCKETS]], names=["state", "age"]
    )
    return counts.reindex(index, fill_value=0).rename("accounts").reset_index()
