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

from data.inbox.quarantine import MISPLACED
from data.schema import integration, snapshot, state_change, state_count, unloaded
from data.states import FAILED, OPERATIONS, STATE_BY_NAME, STATES, WAITING, state_names
from data.store.dialect import seconds
from queries.cache import remembered
from queries.filters import delivered
from queries.owners import is_anything_decided, matched_by_people
from queries.period import Scope, day_column, day_of

RHYTHM_OF = 30
"""Spans between snapshots, the last ones, of which the usual one is the median."""

STALE_AFTER = 2
"""Usual spans between snapshots without a new one, after which an integration is stale."""


class Trends(NamedTuple):
    """All that the rollups tell of a scope. Shared between readers: never changed in place."""

    states: pd.DataFrame
    failures: pd.DataFrame
    by_integration: pd.DataFrame
    newest: pd.DataFrame
    now: pd.DataFrame
    """As `states_at`, of the scope's moment."""
    before: pd.DataFrame
    """As `states_at`, of the moment just before the scope."""
    taken: list[datetime]
    """When its snapshots were taken (naive UTC), and the last one before them; oldest first."""


@remembered(16)
def trends(con: Connection, scope: Scope) -> Trends:
    """What the rollups tell of the scope."""
    states = daily_states(con, scope)
    return Trends(
        states,
        daily_failures(con, scope, states),
        daily_failing(con, scope),
        integrations_at(con, scope),
        states_at(con, scope.integrations, scope.at),
        states_at(con, scope.integrations, scope.before.at),
        moments_of(con, scope),
    )


def newest_day(
    con: Connection, integrations: Sequence[str], zone: str = "UTC", at: datetime | None = None
) -> date | None:
    """The day of the newest snapshot at the moment; None without any."""
    newest = con.scalar(select(func.max(snapshot.c.taken_at)).where(_known(integrations, at)))
    return day_of(newest, zone) if newest else None


def oldest_day(con: Connection, integrations: Sequence[str], zone: str = "UTC") -> date | None:
    """The day of the first snapshot; None without any."""
    oldest = con.scalar(select(func.min(snapshot.c.taken_at)).where(_known(integrations, None)))
    return day_of(oldest, zone) if oldest else None


def moments_of(con: Connection, scope: Scope) -> list[datetime]:
    """When the snapshots of the scope were taken (naive UTC), and the last one before; in order."""
    taken = snapshot.c.taken_at
    known = _known(scope.integrations, scope.at)
    earlier = con.scalar(select(func.max(taken)).where(known, taken < scope.begins))
    listed = select(taken).distinct().where(known, taken >= scope.begins).order_by(taken)
    return [*([earlier] if earlier else []), *con.scalars(listed)]


def span_of(con: Connection, integrations: Sequence[str]) -> tuple[datetime, datetime] | None:
    """When the first and the newest snapshot were taken (naive UTC); None without any."""
    taken = snapshot.c.taken_at
    known = _known(integrations, None)
    first, newest = con.execute(select(func.min(taken), func.max(taken)).where(known)).one()
    return (first, newest) if first else None


def neighbours(
    con: Connection, integrations: Sequence[str], at: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """When the snapshot before the one shown at the moment was taken, and the one after it."""
    taken = snapshot.c.taken_at
    shown = con.scalar(select(func.max(taken)).where(_known(integrations, at)))
    if shown is None:
        return None, None
    every = _known(integrations, None)
    return (
        con.scalar(select(func.max(taken)).where(every, taken < shown)),
        con.scalar(select(func.min(taken)).where(every, taken > shown)),
    )


def daily_states(con: Connection, scope: Scope) -> pd.DataFrame:
    """One row per day and state: [day, state, accounts, active, unmatched, oldest] at its end.

    `oldest`: since when the account that has been in the state longest has (naive UTC); NaT for
    the settled ones.
    """
    shown = _shown_snapshots(scope)
    state = state_count.c.provisioning_state
    return _frame(
        con,
        select(shown.c.day, state.label("state"), *_totals())
        .select_from(_counts_of(shown))
        .group_by(shown.c.day, state)
        .order_by(shown.c.day, state),
    )


def states_at(con: Connection, integrations: Sequence[str], at: datetime | None) -> pd.DataFrame:
    """One row per state: [state, accounts, active, unmatched, oldest] at the moment; None is now.

    `oldest` as of `daily_states`. Of each integration the last snapshot until then.
    """
    shown = _newest(integrations, at).subquery("shown")
    state = state_count.c.provisioning_state
    frame = _frame(
        con,
        select(state.label("state"), *_totals())
        .select_from(_counts_of(shown))
        .group_by(state)
        .order_by(state),
    )
    return _without_decided(con, frame, "state", integrations, at)


def _without_decided(
    con: Connection,
    frame: pd.DataFrame,
    by: str,
    integrations: Sequence[str],
    at: datetime | None,
) -> pd.DataFrame:
    """A frame by state or by integration; what people have matched is not unmatched there."""
    if not is_anything_decided(con):
        return frame
    rows = delivered(at)
    told = {"state": rows.c.provisioning_state, "integration": integration.c.name}[by]
    counted = (
        select(told, func.count())
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(_chosen(rows, integrations), matched_by_people(rows, at))
        .group_by(told)
    )
    found = {row[0]: row[1] for row in con.execute(counted)}
    return frame.assign(unmatched=frame["unmatched"] - frame[by].map(found).fillna(0).astype(int))


def oldest_wait(states: pd.DataFrame) -> datetime | None:
    """Since when what has waited longest has (naive UTC); None: nothing waits."""
    oldest = states.loc[states["state"].isin(WAITING), "oldest"].min()
    return None if pd.isna(oldest) else oldest


def daily_failures(con: Connection, scope: Scope, states: pd.DataFrame) -> pd.DataFrame:
    """One row per day and operation: how its failures come and go.

    [day, operation, failing, new, settled, cleared, carried, rate]; `states` as of `daily_states`.
    `new` are the accounts that came into the operation's failed state, `cleared` those that left
    it, however; `settled` those that left any of its states for Onboarded or Deleted. An
    integration's first snapshot tells no moves and is left out. `failing` are in the failed state
    when the day ends, and `carried` = failing - new + cleared were when it began: those of an
    integration that joins are among them. rate = new / (new + settled), NaN where neither happened.
    """
    moves = _frame(con, _moves(scope)).set_index("day")
    days = sorted({*states["day"], *moves.index})
    every = pd.MultiIndex.from_product([days, OPERATIONS], names=["day", "operation"])
    moves.columns = moves.columns.str.split(" ", expand=True)
    numbers = moves.stack(0, future_stack=True).reindex(every) if len(moves) else None
    frame = pd.DataFrame(numbers, index=every, columns=["new", "settled", "cleared"])
    failed = states[states["state"].isin(FAILED)]
    operation = failed["state"].map(lambda name: STATE_BY_NAME[name].operation)
    failing = failed["accounts"].groupby([failed["day"], operation]).sum()
    frame.insert(0, "failing", failing.reindex(every) if len(failing) else 0)
    frame = frame.fillna(0).astype("int64").reset_index()
    finished = frame["new"] + frame["settled"]
    return frame.assign(
        carried=frame["failing"] - frame["new"] + frame["cleared"],
        rate=frame["new"] / finished.where(finished > 0),
    )


def _moves(scope: Scope) -> Select[*tuple[Any, ...]]:
    """One row per day on which accounts failed, settled or left a failed state, by operation."""
    moved, first = state_change, _firsts()
    came, went = moved.c.to_state, moved.c.from_state
    day = day_column(moved.c.taken_at, scope.zone)
    numbers = []
    for name in OPERATIONS:
        failed = state_names(phase="failed", operation=name)
        of_it = went.in_([state.name for state in STATES if state.operation == name])
        settles = and_(of_it, came.in_(state_names(phase="settled")))
        for what, counts in (
            ("new", came.in_(failed)),
            ("settled", settles),
            ("cleared", went.in_(failed)),
        ):
            numbers.append(_total(moved.c.accounts, counts).label(f"{name} {what}"))
    later = and_(
        first.c.integration_id == moved.c.integration_id, moved.c.taken_at > first.c.taken_at
    )
    return (
        select(day.label("day"), *numbers)
        .join_from(moved, first, later)
        .where(
            _chosen(moved, scope.integrations),
            moved.c.taken_at >= scope.begins,
            _until(moved.c.taken_at, scope.at),
            day <= scope.last,
        )
        .group_by(day)
    )


def integrations_at(con: Connection, scope: Scope) -> pd.DataFrame:
    """One row per integration, by name: what its newest snapshot counts, and how old that may be.

    [integration, taken_at, accounts, active, unmatched, failed, waiting, rhythm]; `rhythm` is the
    usual time between two snapshots: the median of the last spans, NaT with fewer than two spans.
    """
    newest = _newest(scope.integrations, scope.at).subquery("newest")
    count, state = state_count.c, state_count.c.provisioning_state
    frame = _frame(
        con,
        select(
            integration.c.name.label("integration"),
            newest.c.at.label("taken_at"),
            _total(count.accounts, true()).label("accounts"),
            _total(count.active, true()).label("active"),
            _total(count.unmatched, true()).label("unmatched"),
            _total(count.accounts, state.in_(FAILED)).label("failed"),
            _total(count.accounts, state.in_(WAITING)).label("waiting"),
        )
        .select_from(
            newest.join(
                integration, integration.c.integration_id == newest.c.integration_id
            ).outerjoin(
                state_count,
                and_(
                    count.integration_id == newest.c.integration_id,
                    count.taken_at == newest.c.at,
                ),
            )
        )
        .group_by(integration.c.name, newest.c.at)
        .order_by(func.lower(integration.c.name)),
    )
    spans = _spans(con, scope)
    usual = spans.groupby("integration")["seconds"].agg(["median", "size"])
    usual = usual["median"].where(usual["size"] >= 2)
    rhythm = pd.to_timedelta(frame["integration"].map(usual).astype(float), unit="s")
    frame = _without_decided(con, frame, "integration", scope.integrations, scope.at)
    return frame.assign(rhythm=rhythm)


def stale(newest: pd.DataFrame, now: datetime) -> pd.Series:
    """Which integrations are stale at the moment (naive UTC), by their own rhythm."""
    age = now - pd.to_datetime(newest["taken_at"])
    return newest["rhythm"].notna() & (age > STALE_AFTER * newest["rhythm"])


def unloaded_days(
    con: Connection, integrations: Sequence[str], since: date, until: date
) -> pd.DataFrame:
    """One row per day, integration and verdict: [day, integration, verdict, files].

    The day is the snapshot's. Where the file does not say it, or says one that had not come yet,
    it is the day on which the file was found.
    """
    file = unloaded.c
    day = cast(func.least(func.coalesce(file.taken_at, file.found_at), file.found_at), Date)
    named = file.integration.in_(integrations) if integrations else true()
    return _frame(
        con,
        select(day.label("day"), file.integration, file.verdict, func.count().label("files"))
        .where(named, file.integration != MISPLACED, day >= since, day <= until)
        .group_by(day, file.integration, file.verdict)
        .order_by(day, file.integration, file.verdict),
    )


def _spans(con: Connection, scope: Scope) -> pd.DataFrame:
    """One row per integration and span between two snapshots, the last ones: [.., seconds]."""
    taken, mine = snapshot.c.taken_at, snapshot.c.integration_id
    before = func.lag(taken).over(partition_by=mine, order_by=taken)
    nth = func.row_number().over(partition_by=mine, order_by=taken.desc())
    spans = (
        select(mine, seconds(taken - before).label("seconds"), nth.label("nth"))
        .where(_known(scope.integrations, scope.at))
        .subquery("spans")
    )
    return _frame(
        con,
        select(integration.c.name.label("integration"), spans.c.seconds)
        .join_from(spans, integration, integration.c.integration_id == spans.c.integration_id)
        .where(spans.c.nth <= RHYTHM_OF, spans.c.seconds.is_not(None)),
    )


def daily_failing(con: Connection, scope: Scope) -> pd.DataFrame:
    """One row per integration and day: [integration, day, failed, accounts] at the day's end."""
    shown = _shown_snapshots(scope)
    failed = _total(state_count.c.accounts, state_count.c.provisioning_state.in_(FAILED))
    return _frame(
        con,
        select(
            integration.c.name.label("integration"),
            shown.c.day,
            failed.label("failed"),
            _total(state_count.c.accounts, true()).label("accounts"),
        )
        .select_from(
            _counts_of(shown).join(
                integration, integration.c.integration_id == shown.c.integration_id
            )
        )
        .group_by(integration.c.name, shown.c.day)
        .order_by(integration.c.name, shown.c.day),
    )


def _firsts() -> FromClause:
    """One row per integration: when its first snapshot was taken."""
    return (
        select(snapshot.c.integration_id, func.min(snapshot.c.taken_at).label("taken_at"))
        .group_by(snapshot.c.integration_id)
        .subquery("first")
    )


def _newest(integrations: Sequence[str], at: datetime | None) -> Select[Any, Any]:
    """One row per integration: its last snapshot until the moment."""
    return (
        select(snapshot.c.integration_id, func.max(snapshot.c.taken_at).label("at"))
        .where(_known(integrations, at))
        .group_by(snapshot.c.integration_id)
    )


def _days(scope: Scope) -> FromClause:
    """One row per day of the scope on which a snapshot was taken."""
    day = day_column(snapshot.c.taken_at, scope.zone).label("day")
    return (
        select(day)
        .where(
            _known(scope.integrations, scope.at),
            snapshot.c.taken_at >= scope.begins,
            day <= scope.last,
        )
        .distinct()
        .subquery("days")
    )


def _shown_snapshots(scope: Scope) -> FromClause:
    """One row per day and integration: the snapshot that the day shows."""
    day = day_column(snapshot.c.taken_at, scope.zone)
    earlier = _newest(scope.integrations, scope.before.at).add_columns(
        day_column(func.max(snapshot.c.taken_at), scope.zone).label("day")
    )
    within = (
        select(
            snapshot.c.integration_id, func.max(snapshot.c.taken_at).label("at"), day.label("day")
        )
        .where(_known(scope.integrations, scope.at), snapshot.c.taken_at >= scope.begins)
        .group_by(snapshot.c.integration_id, day)
    )
    last = earlier.union_all(within).subquery("last")
    until = func.lead(last.c.day).over(partition_by=last.c.integration_id, order_by=last.c.day)
    spans = select(last, until.label("until")).subquery("spans")
    days = _days(scope)
    in_span = and_(
        days.c.day >= spans.c.day, or_(spans.c.until.is_(None), days.c.day < spans.c.until)
    )
    return (
        select(days.c.day, spans.c.integration_id, spans.c.at)
        .join_from(days, spans, in_span)
        .subquery("shown")
    )


def _counts_of(shown: FromClause) -> FromClause:
    return shown.join(
        state_count,
        and_(
            state_count.c.integration_id == shown.c.integration_id,
            state_count.c.taken_at == shown.c.at,
        ),
    )


def _totals() -> list[ColumnElement[Any]]:
    numbers = ("accounts", "active", "unmatched")
    return [
        *(cast(func.sum(state_count.c[name]), BigInteger).label(name) for name in numbers),
        func.min(state_count.c.oldest).label("oldest"),
    ]


def _known(integrations: Sequence[str], at: datetime | None) -> ColumnElement[bool]:
    """Snapshots of the integrations that were taken until the moment."""
    return and_(_chosen(snapshot, integrations), _until(snapshot.c.taken_at, at))


def _until(moment: ColumnElement[Any], at: datetime | None) -> ColumnElement[bool]:
    return true() if at is None else moment <= at


def _chosen(of: FromClause, integrations: Sequence[str]) -> ColumnElement[bool]:
    """All integrations where none is chosen."""
    if not integrations:
        return true()
    named = select(integration.c.integration_id).where(integration.c.name.in_(integrations))
    return of.c.integration_id.in_(named)


def _total(number: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[Any]:
    return cast(func.coalesce(func.sum(number).filter(where), 0), BigInteger)


def _frame(con: Connection, statement: Select[*tuple[Any, ...]]) -> pd.DataFrame:
    rows = con.execute(statement)
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))
