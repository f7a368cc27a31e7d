"""How provisioning goes: counts per day and per integration, read from the rollups.

A day is a day of a time zone; it shows each integration's last snapshot of the day, or, where there
is none, the last one before. A day without any snapshot at all is not in the answers: a gap, never
a zero. What an answer means in full is told by `Definitions`, from docs/definitions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import pandas as pd
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Select,
    and_,
    cast,
    func,
    or_,
    select,
    true,
)

from data.inbox.quarantine import MISPLACED_FOLDER
from data.schema import integration, quarantined_file, snapshot, state_change, state_count
from data.states import FAILED_STATES, OPEN_STATES, OPERATIONS, STATE_BY_NAME, STATES, state_names
from data.store.dialect import interval_seconds
from queries.cache import cached
from queries.filters import accounts_as_of
from queries.owners import has_match_overrides, is_matched_by_override
from queries.period import Period, day_column, local_date

INTERVAL_WINDOW = 30
"""Spans between snapshots, the last ones, of which the usual one is the median."""

STALE_AFTER_INTERVALS = 2
"""Usual spans between snapshots without a new one, after which an integration is stale."""


class Trends(NamedTuple):
    """All that the rollups tell of a scope. Shared between readers: never changed in place."""

    states: pd.DataFrame
    failures: pd.DataFrame
    failed_by_integration: pd.DataFrame
    integrations: pd.DataFrame
    current_states: pd.DataFrame
    """As `states_at`, of the scope's moment."""
    previous_states: pd.DataFrame
    """As `states_at`, of the moment just before the scope."""
    snapshot_times: list[datetime]
    """When its snapshots were taken (naive UTC), and the last one before them; oldest first."""


@cached(16)
def trends(con: Connection, scope: Period) -> Trends:
    """What the rollups tell of the scope."""
    states = daily_states(con, scope)
    return Trends(
        states,
        daily_failures(con, scope, states),
        daily_failed_by_integration(con, scope),
        integrations_as_of(con, scope),
        states_as_of(con, scope.integration, scope.as_of),
        states_as_of(con, scope.integration, scope.previous.as_of),
        snapshot_times(con, scope),
    )


def newest_day(
    con: Connection, integrations: Sequence[str], zone: str = "UTC", as_of: datetime | None = None
) -> date | None:
    """The day of the newest snapshot at the moment; None without any."""
    newest = con.scalar(
        select(func.max(snapshot.c.taken_at)).where(_snapshots_until(integrations, as_of))
    )
    return local_date(newest, zone) if newest else None


def oldest_day(con: Connection, integrations: Sequence[str], zone: str = "UTC") -> date | None:
    """The day of the first snapshot; None without any."""
    oldest = con.scalar(
        select(func.min(snapshot.c.taken_at)).where(_snapshots_until(integrations, None))
    )
    return local_date(oldest, zone) if oldest else None


def snapshot_times(con: Connection, scope: Period) -> list[datetime]:
    """When the snapshots of the scope were taken (naive UTC), and the last one before; in order."""
    taken_at = snapshot.c.taken_at
    in_scope = _snapshots_until(scope.integration, scope.as_of)
    previous = con.scalar(select(func.max(taken_at)).where(in_scope, taken_at < scope.start))
    in_order = (
        select(taken_at).distinct().where(in_scope, taken_at >= scope.start).order_by(taken_at)
    )
    return [*([previous] if previous else []), *con.scalars(in_order)]


def snapshot_span(con: Connection, integrations: Sequence[str]) -> tuple[datetime, datetime] | None:
    """When the first and the newest snapshot were taken (naive UTC); None without any."""
    taken_at = snapshot.c.taken_at
    is_included = _snapshots_until(integrations, None)
    first, newest = con.execute(
        select(func.min(taken_at), func.max(taken_at)).where(is_included)
    ).one()
    return (first, newest) if first else None


def adjacent_snapshots(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """When the snapshot before the one shown at the moment was taken, and the one after it."""
    taken_at = snapshot.c.taken_at
    current = con.scalar(select(func.max(taken_at)).where(_snapshots_until(integrations, as_of)))
    if current is None:
        return None, None
    is_included = _snapshots_until(integrations, None)
    return (
        con.scalar(select(func.max(taken_at)).where(is_included, taken_at < current)),
        con.scalar(select(func.min(taken_at)).where(is_included, taken_at > current)),
    )


def daily_states(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per day and state: [day, state, accounts, active, unmatched, oldest] at its end.

    `oldest`: since when the account that has been in the state longest has (naive UTC); NaT for
    the settled ones.
    """
    snapshots = _shown_snapshots(scope)
    state = state_count.c.provisioning_state
    return _read_frame(
        con,
        select(snapshots.c.day, state.label("state"), *_totals())
        .select_from(_join_counts(snapshots))
        .group_by(snapshots.c.day, state)
        .order_by(snapshots.c.day, state),
    )


def states_as_of(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> pd.DataFrame:
    """One row per state: [state, accounts, active, unmatched, oldest] at the moment; None is now.

    `oldest` as of `daily_states`. Of each integration the last snapshot until then.
    """
    newest = _newest_snapshots(integrations, as_of).subquery("shown")
    state = state_count.c.provisioning_state
    frame = _read_frame(
        con,
        select(state.label("state"), *_totals())
        .select_from(_join_counts(newest))
        .group_by(state)
        .order_by(state),
    )
    return _apply_match_overrides(con, frame, "state", integrations, as_of)


def _apply_match_overrides(
    con: Connection,
    frame: pd.DataFrame,
    key_column: str,
    integrations: Sequence[str],
    as_of: datetime | None,
) -> pd.DataFrame:
    """A frame by state or by integration; what people have matched is not unmatched there."""
    if not has_match_overrides(con):
        return frame
    rows = accounts_as_of(as_of)
    key = {"state": rows.c.provisioning_state, "integration": integration.c.name}[key_column]
    statement = (
        select(key, func.count())
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(_in_integrations(rows, integrations), is_matched_by_override(rows, as_of))
        .group_by(key)
    )
    matched_counts = {row[0]: row[1] for row in con.execute(statement)}
    return frame.assign(
        unmatched=frame["unmatched"] - frame[key_column].map(matched_counts).fillna(0).astype(int)
    )


def oldest_open_since(states: pd.DataFrame) -> datetime | None:
    """Since when what has waited longest has (naive UTC); None: nothing waits."""
    oldest = states.loc[states["state"].isin(OPEN_STATES), "oldest"].min()
    return None if pd.isna(oldest) else oldest


def daily_failures(con: Connection, scope: Period, states: pd.DataFrame) -> pd.DataFrame:
    """One row per day and operation: how its failures come and go.

    [day, operation, failing, new, settled, cleared, carried, rate]; `states` as of `daily_states`.
    `new` are the accounts that came into the operation's failed state, `cleared` those that left
    it, however; `settled` those that left any of its states for Onboarded or Deleted. An
    integration's first snapshot tells no moves and is left out. `failing` are in the failed state
    when the day ends, and `carried` = failing - new + cleared were when it began: those of an
    integration that joins are among them. rate = new / (new + settled), NaN where neither happened.
    """
    transitions = _read_frame(con, _daily_transitions(scope)).set_index("day")
    days = sorted({*states["day"], *transitions.index})
    index = pd.MultiIndex.from_product([days, OPERATIONS], names=["day", "operation"])
    transitions.columns = transitions.columns.str.split(" ", expand=True)
    counts = transitions.stack(0, future_stack=True).reindex(index) if len(transitions) else None
    frame = pd.DataFrame(counts, index=index, columns=["new", "settled", "cleared"])
    failed = states[states["state"].isin(FAILED_STATES)]
    operation = failed["state"].map(lambda name: STATE_BY_NAME[name].operation)
    failed_counts = failed["accounts"].groupby([failed["day"], operation]).sum()
    frame.insert(0, "failing", failed_counts.reindex(index) if len(failed_counts) else 0)
    frame = frame.fillna(0).astype("int64").reset_index()
    finished = frame["new"] + frame["settled"]
    return frame.assign(
        carried=frame["failing"] - frame["new"] + frame["cleared"],
        rate=frame["new"] / finished.where(finished > 0),
    )


def _daily_transitions(scope: Period) -> Select[*tuple[Any, ...]]:
    """One row per day on which accounts failed, settled or left a failed state, by operation."""
    changes, first_snapshots = state_change, _first_snapshots()
    to_state, from_state = changes.c.to_state, changes.c.from_state
    day = day_column(changes.c.taken_at, scope.zone)
    columns = []
    for name in OPERATIONS:
        failed = state_names(phase="failed", operation=name)
        in_operation = from_state.in_([state.name for state in STATES if state.operation == name])
        settles = and_(in_operation, to_state.in_(state_names(phase="settled")))
        for measure, condition in (
            ("new", to_state.in_(failed)),
            ("settled", settles),
            ("cleared", from_state.in_(failed)),
        ):
            columns.append(_total(changes.c.accounts, condition).label(f"{name} {measure}"))
    is_after_first = and_(
        first_snapshots.c.integration_id == changes.c.integration_id,
        changes.c.taken_at > first_snapshots.c.taken_at,
    )
    return (
        select(day.label("day"), *columns)
        .join_from(changes, first_snapshots, is_after_first)
        .where(
            _in_integrations(changes, scope.integration),
            changes.c.taken_at >= scope.start,
            _is_past(changes.c.taken_at, scope.as_of),
            day <= scope.last,
        )
        .group_by(day)
    )


def integrations_as_of(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per integration, by name: what its newest snapshot counts, and how old that may be.

    [integration, taken_at, accounts, active, unmatched, failed, waiting, rhythm]; `rhythm` is the
    usual time between two snapshots: the median of the last spans, NaT with fewer than two spans.
    """
    newest = _newest_snapshots(scope.integration, scope.as_of).subquery("newest")
    counts, state = state_count.c, state_count.c.provisioning_state
    frame = _read_frame(
        con,
        select(
            integration.c.name.label("integration"),
            newest.c.at.label("taken_at"),
            _total(counts.accounts, true()).label("accounts"),
            _total(counts.active, true()).label("active"),
            _total(counts.unmatched, true()).label("unmatched"),
            _total(counts.accounts, state.in_(FAILED_STATES)).label("failed"),
            _total(counts.accounts, state.in_(OPEN_STATES)).label("waiting"),
        )
        .select_from(
            newest.join(
                integration, integration.c.integration_id == newest.c.integration_id
            ).outerjoin(
                state_count,
                and_(
                    counts.integration_id == newest.c.integration_id,
                    counts.taken_at == newest.c.at,
                ),
            )
        )
        .group_by(integration.c.name, newest.c.at)
        .order_by(func.lower(integration.c.name)),
    )
    intervals = _intervals(con, scope)
    median_seconds = intervals.groupby("integration")["seconds"].agg(["median", "size"])
    median_seconds = median_seconds["median"].where(median_seconds["size"] >= 2)
    usual_interval = pd.to_timedelta(
        frame["integration"].map(median_seconds).astype(float), unit="s"
    )
    frame = _apply_match_overrides(con, frame, "integration", scope.integration, scope.as_of)
    return frame.assign(rhythm=usual_interval)


def stale_integrations(integrations: pd.DataFrame, now: datetime) -> pd.Series:
    """Which integrations are stale at the moment (naive UTC), by their own rhythm."""
    age = now - pd.to_datetime(integrations["taken_at"])
    return integrations["rhythm"].notna() & (age > STALE_AFTER_INTERVALS * integrations["rhythm"])


def quarantined_files_by_day(
    con: Connection, integrations: Sequence[str], since: date, until: date
) -> pd.DataFrame:
    """One row per day, integration and status: [day, integration, status, files].

    The day is the snapshot's. Where the file does not say it, or says one that had not come yet,
    it is the day on which the file was found.
    """
    file = quarantined_file.c
    day = cast(
        func.least(func.coalesce(file.taken_at, file.quarantined_at), file.quarantined_at), Date
    )
    in_integrations = file.integration.in_(integrations) if integrations else true()
    return _read_frame(
        con,
        select(day.label("day"), file.integration, file.status, func.count().label("files"))
        .where(in_integrations, file.integration != MISPLACED_FOLDER, day >= since, day <= until)
        .group_by(day, file.integration, file.status)
        .order_by(day, file.integration, file.status),
    )


def _intervals(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per integration and span between two snapshots, the last ones: [.., seconds]."""
    taken_at, integration_id = snapshot.c.taken_at, snapshot.c.integration_id
    previous = func.lag(taken_at).over(partition_by=integration_id, order_by=taken_at)
    rank = func.row_number().over(partition_by=integration_id, order_by=taken_at.desc())
    intervals = (
        select(
            integration_id,
            interval_seconds(taken_at - previous).label("seconds"),
            rank.label("nth"),
        )
        .where(_snapshots_until(scope.integration, scope.as_of))
        .subquery("spans")
    )
    return _read_frame(
        con,
        select(integration.c.name.label("integration"), intervals.c.seconds)
        .join_from(
            intervals, integration, integration.c.integration_id == intervals.c.integration_id
        )
        .where(intervals.c.nth <= INTERVAL_WINDOW, intervals.c.seconds.is_not(None)),
    )


def daily_failed_by_integration(con: Connection, scope: Period) -> pd.DataFrame:
    """One row per integration and day: [integration, day, failed, accounts] at the day's end."""
    snapshots = _shown_snapshots(scope)
    failed = _total(state_count.c.accounts, state_count.c.provisioning_state.in_(FAILED_STATES))
    return _read_frame(
        con,
        select(
            integration.c.name.label("integration"),
            snapshots.c.day,
            failed.label("failed"),
            _total(state_count.c.accounts, true()).label("accounts"),
        )
        .select_from(
            _join_counts(snapshots).join(
                integration, integration.c.integration_id == snapshots.c.integration_id
            )
        )
        .group_by(integration.c.name, snapshots.c.day)
        .order_by(integration.c.name, snapshots.c.day),
    )


def _first_snapshots() -> FromClause:
    """One row per integration: when its first snapshot was taken."""
    return (
        select(snapshot.c.integration_id, func.min(snapshot.c.taken_at).label("taken_at"))
        .group_by(snapshot.c.integration_id)
        .subquery("first")
    )


def _newest_snapshots(integrations: Sequence[str], as_of: datetime | None) -> Select[Any, Any]:
    """One row per integration: its last snapshot until the moment."""
    return (
        select(snapshot.c.integration_id, func.max(snapshot.c.taken_at).label("at"))
        .where(_snapshots_until(integrations, as_of))
        .group_by(snapshot.c.integration_id)
    )


def _snapshot_days(scope: Period) -> FromClause:
    """One row per day of the scope on which a snapshot was taken."""
    day = day_column(snapshot.c.taken_at, scope.zone).label("day")
    return (
        select(day)
        .where(
            _snapshots_until(scope.integration, scope.as_of),
            snapshot.c.taken_at >= scope.start,
            day <= scope.last,
        )
        .distinct()
        .subquery("days")
    )


def _shown_snapshots(scope: Period) -> FromClause:
    """One row per day and integration: the snapshot that the day shows."""
    day = day_column(snapshot.c.taken_at, scope.zone)
    before_scope = _newest_snapshots(scope.integration, scope.previous.as_of).add_columns(
        day_column(func.max(snapshot.c.taken_at), scope.zone).label("day")
    )
    in_scope = (
        select(
            snapshot.c.integration_id, func.max(snapshot.c.taken_at).label("at"), day.label("day")
        )
        .where(_snapshots_until(scope.integration, scope.as_of), snapshot.c.taken_at >= scope.start)
        .group_by(snapshot.c.integration_id, day)
    )
    last_of_day = before_scope.union_all(in_scope).subquery("last")
    next_day = func.lead(last_of_day.c.day).over(
        partition_by=last_of_day.c.integration_id, order_by=last_of_day.c.day
    )
    spans = select(last_of_day, next_day.label("until")).subquery("spans")
    days = _snapshot_days(scope)
    in_span = and_(
        days.c.day >= spans.c.day, or_(spans.c.until.is_(None), days.c.day < spans.c.until)
    )
    return (
        select(days.c.day, spans.c.integration_id, spans.c.at)
        .join_from(days, spans, in_span)
        .subquery("shown")
    )


def _join_counts(snapshots: FromClause) -> FromClause:
    return snapshots.join(
        state_count,
        and_(
            state_count.c.integration_id == snapshots.c.integration_id,
            state_count.c.taken_at == snapshots.c.at,
        ),
    )


def _totals() -> list[ColumnElement[Any]]:
    columns = ("accounts", "active", "unmatched")
    return [
        *(cast(func.sum(state_count.c[name]), BigInteger).label(name) for name in columns),
        func.min(state_count.c.oldest).label("oldest"),
    ]


def _snapshots_until(integrations: Sequence[str], as_of: datetime | None) -> ColumnElement[bool]:
    """Snapshots of the integrations that were taken until the moment."""
    return and_(_in_integrations(snapshot, integrations), _is_past(snapshot.c.taken_at, as_of))


def _is_past(moment: ColumnElement[Any], as_of: datetime | None) -> ColumnElement[bool]:
    return true() if as_of is None else moment <= as_of


def _in_integrations(table: FromClause, integrations: Sequence[str]) -> ColumnElement[bool]:
    """All integrations where none is chosen."""
    if not integrations:
        return true()
    ids = select(integration.c.integration_id).where(integration.c.name.in_(integrations))
    return table.c.integration_id.in_(ids)


def _total(value: ColumnElement[Any], condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return cast(func.coalesce(func.sum(value).filter(condition), 0), BigInteger)


def _read_frame(con: Connection, statement: Select[*tuple[Any, ...]]) -> pd.DataFrame:
    rows = con.execute(statement)
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))
