"""How each integration is doing: its accounts, its failures, its files, and how current it is."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.inbox.quarantine import MISPLACED_FOLDER
from data.records.tables import quarantined_file
from data.schema import integration, snapshot
from data.states import FAILED_STATES, OPEN_STATES
from queries.frames import read_frame
from queries.health.counts import counts
from queries.health.snapshots import (
    account_totals,
    join_counts,
    newest_snapshots,
    shown_snapshots,
    state,
    subtract_matched,
    total,
)
from queries.period import Period
from queries.scope import Scope

INTERVAL_WINDOW = 30
"""Times between snapshots, the last ones, whose median is the usual interval."""

STALE_AFTER_INTERVALS = 2
"""Usual intervals without a new snapshot after which an integration is stale."""


def integrations_as_of(con: Connection, scope: Scope) -> pd.DataFrame:
    """One row per integration, by name: the counts of its newest snapshot.

    [integration, taken_at, accounts, active, unmatched, failed, open, usual_interval];
    `usual_interval` is the median time between its last snapshots, NaT with fewer than three.
    """
    newest = newest_snapshots(scope.integration, scope.as_of).subquery("newest")
    accounts = counts.c.accounts
    frame = read_frame(
        con,
        select(
            integration.c.name.label("integration"),
            newest.c.taken_at,
            *account_totals(),
            total(accounts, state.in_(FAILED_STATES)).label("failed"),
            total(accounts, state.in_(OPEN_STATES)).label("open"),
        )
        .select_from(join_counts(newest, outer=True))
        .join(integration, integration.c.integration_id == newest.c.integration_id)
        .group_by(integration.c.name, newest.c.taken_at)
        .order_by(func.lower(integration.c.name)),
    )
    frame = subtract_matched(con, frame, "integration", scope.integration, scope.as_of)
    seconds = frame["integration"].map(_usual_seconds(con, scope)).astype(float)
    return frame.assign(usual_interval=pd.to_timedelta(seconds, unit="s"))


def _usual_seconds(con: Connection, scope: Scope) -> pd.Series:
    """Integration → the median seconds between its last snapshots, where it has at least three."""
    taken_at, key = snapshot.c.taken_at, snapshot.c.integration_id
    rank = func.row_number().over(partition_by=key, order_by=taken_at.desc()).label("rank")
    ranked = select(key, taken_at, rank).where(scope.includes(snapshot), scope.is_past(taken_at))
    last = ranked.subquery("ranked")
    times = read_frame(
        con,
        select(integration.c.name, last.c.taken_at)
        .join_from(last, integration, integration.c.integration_id == last.c.integration_id)
        .where(last.c.rank <= INTERVAL_WINDOW + 1)
        .order_by(last.c.taken_at),
    )
    by_name = pd.to_datetime(times["taken_at"]).groupby(times["name"])
    intervals: Any = by_name.diff()
    return intervals.dt.total_seconds().groupby(times["name"]).median()[by_name.size() > 2]


def stale_integrations(integrations: pd.DataFrame, now: datetime) -> pd.Series:
    """Whether each integration, as of `integrations_as_of`, is stale at the moment (naive UTC)."""
    age = now - pd.to_datetime(integrations["taken_at"])
    usual = integrations["usual_interval"]
    return usual.notna() & (age > STALE_AFTER_INTERVALS * usual)


def daily_failed_by_integration(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per integration and day: [integration, day, failed, accounts] at the day's end."""
    snapshots, accounts = shown_snapshots(scope), counts.c.accounts
    return read_frame(
        con,
        select(
            integration.c.name.label("integration"),
            snapshots.c.day,
            total(accounts, state.in_(FAILED_STATES)).label("failed"),
            total(accounts).label("accounts"),
        )
        .select_from(join_counts(snapshots))
        .join(integration, integration.c.integration_id == snapshots.c.integration_id)
        .group_by(integration.c.name, snapshots.c.day)
        .order_by(integration.c.name, snapshots.c.day),
    )


def quarantined_files_by_day(
    con: Connection, integrations: Sequence[str], since: date, until: date
) -> pd.DataFrame:
    """One row per day, integration and status: [day, integration, status, files].

    The day (UTC) is that of the snapshot. Where the file names no moment or a future one, it is the
    day on which the file was found.
    """
    file = quarantined_file.c
    found_at = func.least(func.coalesce(file.taken_at, file.quarantined_at), file.quarantined_at)
    day = sa.cast(found_at, sa.Date)
    is_included = file.integration.in_(integrations) if integrations else sa.true()
    keys = day.label("day"), file.integration, file.status
    return read_frame(
        con,
        select(*keys, func.count().label("files"))
        .where(is_included, file.integration != MISPLACED_FOLDER, day >= since, day <= until)
        .group_by(day, file.integration, file.status)
        .order_by(day, file.integration, file.status),
    )
