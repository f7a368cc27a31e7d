"""Objectives: what is defined, what is measured, and when they are broken."""

from __future__ import annotations

from datetime import timedelta

from builders import TODAY, Deliveries
from sqlalchemy import Connection

from data.objectives import Objectives
from queries.objectives.results import objective_results
from queries.scope import Scope

NONE = Objectives({}, {})
DAY = timedelta(days=1)


def test_a_snapshot_has_to_come_within_twice_the_usual_interval(
    snapshots: Deliveries, con: Connection
) -> None:
    for days in (3, 2, 1):
        snapshots.take(at=TODAY - days * DAY)
    (kept,) = objective_results(con, objectives=NONE, now=TODAY + DAY)
    (broken,) = objective_results(con, objectives=NONE, now=TODAY + DAY + timedelta(hours=1))
    assert (kept.target, kept.status) == ("a snapshot at least every 2 days", "kept")
    assert broken.broken_since == TODAY + DAY
    assert broken.found == "the newest snapshot is 2 days 1 h old"
    assert not objective_results(con, Scope(as_of=TODAY - 2 * DAY), objectives=NONE)
