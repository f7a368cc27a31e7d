"""Whether each objective is kept, by integration, and how much of its error budget is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import pandas as pd
from sqlalchemy import Connection

from data.formatting import format_span, utc_now
from data.objectives import KIND_BY_NAME, Objectives, read_objectives, target_text
from queries.filters import Filters
from queries.health.integrations import STALE_AFTER_INTERVALS, integrations_as_of
from queries.period import Period
from queries.scope import Scope

Status = Literal["broken", "burning", "kept"]


@dataclass(frozen=True)
class ObjectiveResult:
    """One objective of one integration at a moment. Moments are naive UTC."""

    integration: str
    kind: str
    """A key of KIND_BY_NAME."""
    target: str
    """The objective in words: `at least 95% of provision jobs within 4 hours`."""
    found: str
    """What is measured, in words; it names nobody."""
    status: Status
    """Burning: kept, but at this rate the budget does not last."""
    accounts: int
    """The accounts behind it now: those that `filters` open."""
    filters: Filters
    spent: float | None = None
    """The share of the budget of 30 days that is spent, 1 for all; None: it has no budget."""
    short_burn: float | None = None
    """How many times too fast the budget is spent over the short window."""
    long_burn: float | None = None
    exhausted_at: datetime | None = None
    """When the budget will be gone; None where it lasts, or is gone."""
    broken_since: datetime | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it is not broken; it can be burning."""
        return self.status != "broken"


def objective_results(
    con: Connection,
    scope: Scope | None = None,
    *,
    objectives: Objectives | None = None,
    now: datetime | None = None,
) -> list[ObjectiveResult]:
    """One row per integration of the scope and objective that can be measured, the worst first.

    `now` (naive UTC) is the clock where the scope is as of now.
    """
    scope = scope or Scope()
    moment = scope.as_of or now or utc_now()
    objectives = objectives or read_objectives(con)
    return _snapshot_results(con, scope, objectives, moment)


def _snapshot_results(
    con: Connection, scope: Scope, objectives: Objectives, moment: datetime
) -> list[ObjectiveResult]:
    period = Period(moment.date(), moment.date(), as_of=scope.as_of, integration=scope.integration)
    results = []
    for row in integrations_as_of(con, period).to_dict("records"):
        defined = objectives.of(row["integration"]).get("snapshot")
        if not defined or not defined.objective:
            continue
        kind, within = KIND_BY_NAME["snapshot"], defined.objective.within
        if within is None:
            within = STALE_AFTER_INTERVALS * row["usual_interval"]
        if pd.isna(within):  # no usual interval yet
            continue
        age = moment - row["taken_at"]
        is_broken = age > within
        results.append(
            ObjectiveResult(
                row["integration"],
                kind.name,
                target_text(kind, defined.objective, format_span(within.total_seconds())),
                f"the newest snapshot is {format_span(age.total_seconds())} old",
                "broken" if is_broken else "kept",
                int(row["accounts"]),
                Filters(integration=(row["integration"],), as_of=scope.as_of),
                broken_since=row["taken_at"] + timedelta(seconds=within.total_seconds())
                if is_broken
                else None,
            )
        )
    return sorted(results, key=lambda result: (result.is_kept, result.integration))
