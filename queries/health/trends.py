"""How provisioning goes: counts per day and state, read from the rollups.

A day is a day of the scope's time zone. A day without any snapshot has no rows: it is a gap, never
a zero. docs/definitions.md defines every number.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection, and_, func, select

from data.states import FAILED_STATES, OPEN_STATES, OPERATIONS, STATE_BY_NAME, STATES, state_names
from queries.cache import cached
from queries.frames import read_frame
from queries.health.counts import changes, counts
from queries.health.integrations import daily_failed_by_integration, integrations_as_of
from queries.health.snapshots import (
    account_totals,
    join_counts,
    newest_snapshots,
    shown_snapshots,
    snapshot_times,
    state,
    subtract_matched,
    total,
)
from queries.period import Period, day_column, day_start

RATE_DAYS = 7
"""Days that a failure rate covers: on one day, few jobs complete."""


class Trends(NamedTuple):
    """All counts of a scope that the rollups have. Callers share it and must not change it."""

    states: pd.DataFrame
    failures: pd.DataFrame
    failed_by_integration: pd.DataFrame
    integrations: pd.DataFrame
    current_states: pd.DataFrame
    """As `states_as_of`, at the moment of the scope."""
    rates: pd.DataFrame
    """As `failure_rates`."""
    snapshot_times: list[datetime]
    """As `snapshot_times`."""


@cached(16)
def trends(con: Connection, scope: Period) -> Trends:
    """The counts of the scope."""
    states, transitions = daily_states(con, scope), daily_transitions(con, scope)
    return Trends(
        states,
        daily_failures(transitions, scope, states),
        daily_failed_by_integration(con, scope),
        integrations_as_of(con, scope),
        states_as_of(con, scope.integration, scope.as_of),
        failure_rates(transitions, scope),
        snapshot_times(con, scope),
    )


def daily_states(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per day and state: [day, state, accounts, active, unmatched, oldest] at its end.

    `oldest` is when the oldest of its open jobs opened, or failed (naive UTC); NaT for settled
    states.
    """
    snapshots = shown_snapshots(scope)
    return read_frame(con, _by_state(join_counts(snapshots), snapshots.c.day))


def states_as_of(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> pd.DataFrame:
    """One row per state: [state, accounts, active, unmatched, oldest] at the moment; None is now.

    `oldest` as in `daily_states`. Counts the last snapshot of each integration by then.
    """
    newest = newest_snapshots(integrations, as_of).subquery("shown")
    frame = read_frame(con, _by_state(join_counts(newest)))
    return subtract_matched(con, frame, "state", integrations, as_of)


def _by_state(joined: Any, *keys: Any) -> sa.Select[*tuple[Any, ...]]:
    """One row per state and key, in order."""
    oldest = func.min(counts.c.oldest).label("oldest")
    query = select(*keys, state.label("state"), *account_totals(), oldest).select_from(joined)
    return query.group_by(*keys, state).order_by(*keys, state)


def oldest_open_since(states: pd.DataFrame) -> datetime | None:
    """When the oldest open job opened (naive UTC); None without open jobs."""
    oldest = states.loc[states["state"].isin(OPEN_STATES), "oldest"].min()
    return None if pd.isna(oldest) else oldest


def daily_failures(transitions: pd.DataFrame, scope: Period, states: pd.DataFrame) -> pd.DataFrame:
    """One row per day and operation: how its failures change.

    [day, operation, failed, new, settled, resolved, existing]; `transitions` as of
    `daily_transitions`, `states` as of `daily_states`.
    `failed` accounts are in the failed state when the day ends. `new` entered it on the day and
    `resolved` left it, each transition counted; `settled` left any state of the operation for
    Onboarded or Deleted. An integration's first snapshot shows no transitions. `existing` =
    failed - new + resolved had failed when the day began, or in such a first snapshot.
    """
    transitions = transitions[transitions.index >= scope.first]
    days = sorted({*states["day"], *transitions.index})
    index = pd.MultiIndex.from_product([days, OPERATIONS], names=["day", "operation"])
    transitions.columns = transitions.columns.str.split(" ", expand=True)
    counts = transitions.stack(0, future_stack=True).reindex(index) if len(transitions) else None
    frame = pd.DataFrame(counts, index=index, columns=["new", "settled", "resolved"])
    failed = states[states["state"].isin(FAILED_STATES)]
    operation = failed["state"].map(lambda name: STATE_BY_NAME[name].operation)
    failed_counts = failed["accounts"].groupby([failed["day"], operation]).sum()
    frame.insert(0, "failed", failed_counts.reindex(index) if len(failed_counts) else 0)
    frame = frame.fillna(0).astype("int64").reset_index()
    return frame.assign(existing=frame["failed"] - frame["new"] + frame["resolved"])


def failure_rates(transitions: pd.DataFrame, scope: Period) -> pd.DataFrame:
    """One row per day of the scope: the failure rate of the seven days that end with it.

    [day, new, completed, rate, before]: `rate` = new / completed, where `completed` = new + settled
    jobs of all operations; NaN without any. `before` is the rate as many days earlier as the scope
    has. `transitions` as of `daily_transitions`.
    """
    measures = {"new": ["new"], "completed": ["new", "settled"]}
    days = pd.date_range(_first_transitions(scope), scope.last)
    daily = pd.DataFrame(
        {
            name: transitions[[f"{o} {part}" for o in OPERATIONS for part in parts]].sum(axis=1)
            for name, parts in measures.items()
        }
    ).astype(float)
    daily.index = pd.DatetimeIndex(daily.index)
    weekly = daily.reindex(days, fill_value=0.0).rolling(RATE_DAYS, min_periods=1).sum()
    weekly["rate"] = weekly["new"] / weekly["completed"].where(weekly["completed"] > 0)
    weekly["before"] = weekly["rate"].shift(scope.days)
    in_scope = weekly.loc[pd.Timestamp(scope.first) :]
    return in_scope.astype({"new": int, "completed": int}).rename_axis("day").reset_index()


def _first_transitions(scope: Period) -> date:
    """The first day of the seven that end with the first day of the period before."""
    return scope.previous.first - timedelta(days=RATE_DAYS - 1)


def daily_transitions(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per day with transitions, which is the index: ["update new", "update settled", …].

    Of the scope, and of the days before it that its failure rates cover.
    """
    change = changes.c
    day = day_column(change.taken_at, scope.zone)
    columns = []
    for name in OPERATIONS:
        failed = state_names(phase="failed", operation=name)
        in_operation = change.from_state.in_([s.name for s in STATES if s.operation == name])
        settles = and_(in_operation, change.to_state.in_(state_names(phase="settled")))
        for measure, condition in (
            ("new", change.to_state.in_(failed)),
            ("settled", settles),
            ("resolved", change.from_state.in_(failed)),
        ):
            columns.append(total(change.accounts, condition).label(f"{name} {measure}"))
    query = (
        select(day.label("day"), *columns)
        .where(
            scope.includes(changes),
            change.taken_at >= day_start(_first_transitions(scope), scope.zone),
            scope.is_past(change.taken_at),
            day <= scope.last,
        )
        .group_by(day)
    )
    return read_frame(con, query).set_index("day")
