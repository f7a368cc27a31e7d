"""How long jobs have been open."""

from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, case, func, select

from data.states import OPEN_STATES
from queries.cache import cached
from queries.filters import Filters, conditions
from queries.frames import read_frame
from queries.scope import accounts_as_of

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
def backlog(
    con: Connection, integrations: tuple[str, ...], as_of: datetime | None, now: datetime
) -> pd.DataFrame:
    """One row per open state and age: [state, age, accounts] at the moment.

    `now` (naive UTC) is the moment itself, or the present.
    """
    filters = Filters(integration=integrations, state=OPEN_STATES, as_of=as_of)
    rows = accounts_as_of(as_of, all_columns=False)
    label, _ = AGE_BUCKETS[0]
    is_longer = [(rows.c.attempt_since < now - start, age) for age, start in AGE_BUCKETS[:0:-1]]
    keys = [rows.c.provisioning_state.label("state"), case(*is_longer, else_=label).label("age")]
    counts = read_frame(
        con,
        select(*keys, func.count().label("accounts"))
        .where(*conditions(filters, rows))
        .group_by(*keys),
    )
    index = pd.MultiIndex.from_product(
        [OPEN_STATES, [age for age, _ in AGE_BUCKETS]], names=["state", "age"]
    )
    return counts.set_index(["state", "age"]).reindex(index, fill_value=0).reset_index()
