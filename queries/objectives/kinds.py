"""What is looked at for each kind of objective."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, func

from data.objectives import Objective, percent_text
from data.states import FAILED_STATES, OPERATIONS, STATES

BrokenSince = Callable[[sa.FromClause, timedelta], ColumnElement[Any]]


class Measure(NamedTuple):
    """How a kind of objective is measured, and how that is said."""

    behind: str
    """The accounts behind it now, with their number and noun as `{}`."""
    filters: Callable[[Objective], Mapping[str, Any]] = lambda _: {}
    """Filters that open these accounts."""
    broken_since: BrokenSince | None = None
    """For an objective that allows nothing: when each of these accounts broke it."""
    found: tuple[str, str] = ("", "")
    """The same: what there is while it is broken, and while it is met."""
    is_of_directories: bool = False
    """Whether it is an objective of integrations that list people, too."""

    def goal(self, objective: Objective, within: str) -> str:
        """The objective beside what is found."""
        if self.broken_since:
            return "none"
        if not objective.percent:
            return f"at least every {within}"
        limit = "" if objective.within else "at most "
        return f"{limit}{percent_text(objective.percent)}"


def _late_jobs(operation: str) -> Measure:
    states = tuple(state.name for state in STATES if state.operation == operation)
    return Measure(
        "{} late now", lambda objective: {"state": states, "unsettled_for": objective.within}
    )


MEASURES: dict[str, Measure] = {
    **{name: _late_jobs(name) for name in OPERATIONS},
    "failing": Measure("{} failing now", lambda _: {"state": FAILED_STATES}),
    "failing_for": Measure(
        "{}",
        lambda objective: {"failing_for": objective.within},
        lambda rows, within: rows.c.state_since + within,
        ("accounts failing for {} or longer", "no account failing for {}"),
    ),
    "leavers": Measure(
        "{}",
        lambda objective: {"left_for": objective.within, "account": "active"},
        lambda rows, within: func.greatest(rows.c.person_since + within, rows.c.active_since),
        ("accounts of leavers active after {}", "no leaver active after {}"),
    ),
    "snapshot": Measure("{} listed then", is_of_directories=True),
}
"""Kind of objective → how it is measured."""
