"""Whether each objective is met, by integration, and how much of its error budget is left."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.formatting import count_of, format_span, utc_now
from data.objectives import (
    KIND_BY_NAME,
    Objective,
    Objectives,
    percent_text,
    read_objectives,
    target_text,
)
from data.people.directories import directory_names
from data.schema import integration, person
from data.states import OPERATIONS
from data.values.durations import duration_key, duration_text
from queries.account_rows import account_rows
from queries.cache import cached
from queries.filters import Filters, conditions
from queries.health.integrations import STALE_AFTER_INTERVALS, integrations_as_of
from queries.objectives.budget import Budget, budget, is_exhausted, window_unit
from queries.objectives.events import Events, failing_events, job_events
from queries.objectives.kinds import MEASURES, BrokenSince
from queries.period import DAY
from queries.scope import Scope

Status = Literal["broken", "burning", "met"]
STATUSES: tuple[Status, ...] = ("broken", "burning", "met")
"""The worst first. Burning: met, but at this rate the budget does not last."""


BUDGETED = (*OPERATIONS, "failing")
"""Kinds of objectives that allow a share; the others allow nothing."""

TOLERANCE = 0.9
"""Snapshots that come every day do not come to the second."""


@dataclass(frozen=True)
class ObjectiveResult:
    """One objective of one integration at a moment. Moments are naive UTC."""

    integration: str
    kind: str
    """A key of KIND_BY_NAME."""
    target: str
    """The objective in words: `at least 95% of provision jobs within 4 hours`."""
    goal: str
    """The same beside what is found: `95%`."""
    found: str
    """What is measured, in words: `94.1% of 17 provision jobs within 4 hours`. It names nobody."""
    status: Status
    accounts: int
    """The accounts behind it now: those that `filters` open."""
    filters: Filters
    broken_since: datetime | None = None
    budget: Budget | None = None
    """None: the objective allows nothing."""
    window: timedelta = DAY
    """The short window of burn rates; the long one is LONG times as long."""

    @property
    def is_met(self) -> bool:
        """Whether it is not broken; it can be burning."""
        return self.status != "broken"

    @property
    def spent(self) -> float | None:
        """The share of the budget of 30 days that is spent, 1 for all; None without a budget."""
        return self.budget.spent if self.budget else None

    @property
    def exhausted_at(self) -> datetime | None:
        """When the budget will be gone at this rate; None where it lasts, or is gone."""
        return self.budget.exhausted_at if self.budget else None


class Measured(NamedTuple):
    """The results, the worst first, and what cannot be measured, in sentences."""

    results: list[ObjectiveResult]
    unmeasured: list[str]


def objective_results(
    con: Connection, scope: Scope | None = None, **options: Any
) -> list[ObjectiveResult]:
    """One row per integration of the scope and objective that can be measured, the worst first.

    As `measure`.
    """
    return measure(con, scope or Scope(), **options).results


def measure(
    con: Connection,
    scope: Scope,
    objectives: Objectives | None = None,
    now: datetime | None = None,
) -> Measured:
    """What is measured for the integrations of a scope.

    The moment is that of the scope or `now`, by default the clock's (naive UTC). It decides about
    the age of snapshots. All else is measured up to the newest snapshot of each integration, so the
    same snapshots always give the same results.
    """
    objectives = objectives or read_objectives(con)
    apps, results = _up_to_snapshots(con, scope, objectives)
    by_clock = _snapshot_results(apps, scope, scope.as_of or now or utc_now())
    return Measured(sorted([*results, *by_clock], key=_badness), [*_unmeasured(apps)])


@cached(16)
def _up_to_snapshots(
    con: Connection, scope: Scope, objectives: Objectives
) -> tuple[list[_App], list[ObjectiveResult]]:
    """The integrations, and all results that do not depend on the clock."""
    apps = _apps(con, scope, objectives)
    return apps, [*_budget_results(con, apps, scope), *_strict_results(con, apps, scope)]


class _App(NamedTuple):
    """An integration, its newest snapshot, and its objectives that can be measured."""

    name: str
    taken_at: datetime
    accounts: int
    failed: int
    interval: timedelta | None
    objectives: Mapping[str, Objective]
    unmeasured: Mapping[str, Objective]
    """Of jobs: a limit shorter than the interval between snapshots."""

    def within(self, kind: str) -> timedelta | None:
        """The duration of an objective; None without one."""
        return self.objectives[kind].within if kind in self.objectives else None


def _apps(con: Connection, scope: Scope, objectives: Objectives) -> list[_App]:
    directories = directory_names(con)
    return [
        _app(row, objectives, is_directory=row["integration"] in directories)
        for row in integrations_as_of(con, scope).to_dict("records")
    ]


def _app(row: Mapping[Any, Any], objectives: Objectives, *, is_directory: bool) -> _App:
    interval = row["usual_interval"]
    interval = None if pd.isna(interval) else interval.to_pytimedelta()
    measured, too_short = {}, {}
    for kind, (objective, _) in objectives.of(row["integration"]).items():
        if objective is None or (is_directory and not MEASURES[kind].is_of_directories):
            continue
        within = objective.within
        if kind == "snapshot" and within is None and interval:
            within = STALE_AFTER_INTERVALS * interval
        if "within" in KIND_BY_NAME[kind].parts and within is None:
            continue  # no interval yet
        if kind not in OPERATIONS:
            measured[kind] = Objective(objective.percent, within)
        elif interval and within:
            (too_short if within < interval * TOLERANCE else measured)[kind] = objective
    taken_at = pd.Timestamp(row["taken_at"]).to_pydatetime()
    counts = int(row["accounts"]), int(row["failed"])
    return _App(row["integration"], taken_at, *counts, interval, measured, too_short)


def _unmeasured(apps: list[_App]) -> Iterator[str]:
    for app in apps:
        for kind, objective in app.unmeasured.items():
            every = format_span((app.interval or DAY).total_seconds())
            yield (
                f"{app.name}: “{target_text(KIND_BY_NAME[kind], objective)}” cannot be measured, "
                f"as snapshots come every {every}."
            )


# ---- kinds ---------------------------------------------------------------------------------------


def _snapshot_results(
    apps: list[_App], scope: Scope, moment: datetime
) -> Iterator[ObjectiveResult]:
    for app in apps:
        within = app.within("snapshot")
        if within is None:
            continue
        is_broken = moment - app.taken_at > within
        age = format_span(max(moment - app.taken_at, timedelta()).total_seconds())
        yield _result(
            app,
            "snapshot",
            scope,
            f"newest snapshot {age} old",
            "broken" if is_broken else "met",
            app.accounts,
            broken_since=app.taken_at + within if is_broken else None,
        )


def _strict_results(con: Connection, apps: list[_App], scope: Scope) -> Iterator[ObjectiveResult]:
    """Of objectives that allow nothing: broken while any account breaks them."""
    for kind, measure in MEASURES.items():
        if not measure.broken_since or not (by_objective := _by_objective(apps, kind)):
            continue
        if kind == "leavers" and not con.scalar(select(sa.exists().select_from(person))):
            continue
        for objective, same in by_objective.items():
            behind = _accounts_behind(con, kind, objective, measure.broken_since, scope)
            for app in same:
                accounts, since = behind.get(app.name, (0, None))
                found = measure.found[0 if accounts else 1].format(_within_text(objective))
                status = "broken" if accounts else "met"
                yield _result(app, kind, scope, found, status, accounts, broken_since=since)


def _budget_results(con: Connection, apps: list[_App], scope: Scope) -> Iterator[ObjectiveResult]:
    limits = {
        (app.name, kind): within
        for app in apps
        for kind in OPERATIONS
        if (within := app.within(kind))
    }
    events = job_events(con, scope, limits)
    if _by_objective(apps, "failing"):
        events |= failing_events(con, scope)
    for app in apps:
        for kind in BUDGETED:
            happened = events.get((app.name, kind)) if kind in app.objectives else None
            spent = _spent(app, kind, happened) if happened else None
            if happened and spent:
                late = int(happened.late_now.sum())
                yield _result(
                    app,
                    kind,
                    scope,
                    _budget_found(kind, app.objectives[kind], spent),
                    _budget_status(spent),
                    app.failed if kind == "failing" else late,
                    broken_since=spent.exhausted_since,
                    budget=spent,
                    window=window_unit(app.interval or DAY),
                )


def _spent(app: _App, kind: str, events: Events) -> Budget | None:
    percent = app.objectives[kind].percent or 0
    allowed = (percent if kind == "failing" else 100 - percent) / 100
    return budget(events, allowed, app.taken_at, app.interval or DAY)


def _budget_status(spent: Budget) -> Status:
    if is_exhausted(spent.spent):
        return "broken"
    return "burning" if spent.is_burning else "met"


def _budget_found(kind: str, objective: Objective, spent: Budget) -> str:
    """What is found; rounded so that it never looks better than it is."""
    if kind == "failing":
        share = math.ceil(spent.bad / spent.total * 1000) / 10
        return f"{percent_text(share)} of accounts failing in 30 days"
    share = math.floor((spent.total - spent.bad) / spent.total * 1000) / 10
    jobs = count_of(spent.total, f"{kind} job")
    return f"{percent_text(share)} of {jobs} within {_within_text(objective)}"


# ---- rows ----------------------------------------------------------------------------------------


def _by_objective(apps: list[_App], kind: str) -> dict[Objective, list[_App]]:
    """The integrations with one objective of a kind need one query."""
    same: dict[Objective, list[_App]] = defaultdict(list)
    for app in apps:
        if kind in app.objectives:
            same[app.objectives[kind]].append(app)
    return same


def _accounts_behind(
    con: Connection, kind: str, objective: Objective, broken_since: BrokenSince, scope: Scope
) -> dict[str, tuple[int, datetime | None]]:
    """Integration → its accounts that the filters of an objective open, and the first since."""
    filters = _filters(kind, objective, scope.integration, scope)
    rows = account_rows(con, filters, all_columns=False)
    since = func.min(broken_since(rows, objective.within or DAY))
    query = (
        select(integration.c.name, func.count(), since)
        .join_from(rows, integration, integration.c.integration_id == rows.c.integration_id)
        .where(*conditions(filters, rows))
        .group_by(integration.c.name)
    )
    return {name: (accounts, first) for name, accounts, first in con.execute(query)}


def _filters(kind: str, objective: Objective, names: tuple[str, ...], scope: Scope) -> Filters:
    return Filters(integration=names, as_of=scope.as_of, **MEASURES[kind].filters(objective))


def _result(
    app: _App,
    kind: str,
    scope: Scope,
    found: str,
    status: Status,
    accounts: int,
    **more: Any,
) -> ObjectiveResult:
    objective = app.objectives[kind]
    within = format_span(objective.within.total_seconds()) if objective.within else ""
    return ObjectiveResult(
        app.name,
        kind,
        target_text(KIND_BY_NAME[kind], objective, within if kind == "snapshot" else ""),
        MEASURES[kind].goal(objective, within),
        found,
        status,
        accounts,
        _filters(kind, objective, (app.name,), scope),
        **more,
    )


def _within_text(objective: Objective) -> str:
    return duration_text(duration_key(objective.within or DAY))


def _badness(result: ObjectiveResult) -> tuple[Any, ...]:
    spent = result.spent if result.spent is not None else (0 if result.is_met else math.inf)
    kinds = list(MEASURES)
    worst = STATUSES.index(result.status), -spent, -result.accounts
    return *worst, result.integration, kinds.index(result.kind)
