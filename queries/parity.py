"""Checks that two stores give the same results to the queries of all pages."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from data.objectives import Entry, Objective, Objectives
from data.states import OPERATIONS
from queries.changes.summary import summarize_changes
from queries.changes.window import Window
from queries.filters import FILTERS, Filters
from queries.health.durations import durations
from queries.health.failure_reasons import failure_reasons
from queries.health.snapshots import snapshot_span
from queries.health.trends import states_as_of, trends
from queries.objectives.results import measure
from queries.period import Period
from queries.review.duration import View
from queries.review.findings import count_findings
from queries.review.rules import RULES
from queries.rounds.files import RoundFile
from queries.rounds.lists import read_rounds
from queries.scope import Scope
from queries.snapshots import page_of_snapshots
from queries.users.accounts import SORTS, count_accounts, page_of_accounts
from queries.users.facets import list_choices

Check = Callable[[Connection], Any]

EVERY_OBJECTIVE = Objectives(
    file=(
        *(Entry("", operation, Objective(90, timedelta(days=3))) for operation in OPERATIONS),
        Entry("", "failing", Objective(5)),
        Entry("", "leavers", Objective(within=timedelta(days=1))),
    ),
)


def find_differences(first: Connection, second: Connection) -> list[str]:
    """The names of the checks that differ between the stores."""
    return [
        name
        for name, check in _checks(first)
        if _comparable(check(first)) != _comparable(check(second))
    ]


def count_checks(con: Connection) -> int:
    """The number of checks."""
    return sum(1 for _ in _checks(con))


def _checks(con: Connection) -> Iterator[tuple[str, Check]]:
    """Checks of now, of the first moment and of the middle of the history."""
    yield "snapshots", lambda con: page_of_snapshots(con, (), 1)
    if not (span := snapshot_span(con, ())):
        return
    first, last = span
    middle = (first + (last - first) / 2).replace(microsecond=0)
    for sort in SORTS:
        yield f"list by {sort}", lambda con, s=sort: _first_page(con, s)
    for as_of in (None, first, middle):
        yield from _checks_at(Filters(as_of=as_of), last)
    for as_of in (None, middle):
        scope = Period(first.date(), last.date(), as_of=as_of)
        yield f"trends {scope.as_of}", lambda con, s=scope: trends(con, s)
        yield f"durations {scope.as_of}", lambda con, s=scope: durations(con, s)
        yield f"reasons {scope.as_of}", lambda con, s=scope: failure_reasons(con, s)
    for round_ in read_rounds(con):
        yield f"round {round_.name}", lambda con, r=round_: RoundFile.read(con, r, ()).rows
    for since in (first, middle):
        window = Window(since, last)
        yield f"changes since {since}", lambda con, b=window: summarize_changes(con, b)


def _checks_at(filters: Filters, last: datetime) -> Iterator[tuple[str, Check]]:
    moment = filters.as_of or "now"
    yield f"accounts {moment}", lambda con: count_accounts(con, filters)
    yield f"states {moment}", lambda con: states_as_of(con, (), filters.as_of)
    for filter_ in FILTERS:
        if filter_.group_by or filter_.name in ("role", "integration"):
            yield (
                f"{filter_.label} {moment}",
                lambda con, n=filter_.name: list_choices(con, filters, n),
            )
    scope = Scope(as_of=filters.as_of)
    yield f"objectives {moment}", lambda con: measure(con, scope, EVERY_OBJECTIVE, last)
    view = View(as_of=filters.as_of, evaluated_at=last)
    for rule in RULES:
        yield f"{rule.title} {moment}", lambda con, r=rule: count_findings(con, view, r)


def _first_page(con: Connection, sort: str) -> Any:
    return page_of_accounts(con, Filters(), sort=sort, descending=False, page=1)


def _comparable(result: Any) -> Any:
    """A value that can be compared. Rows of frames are sorted, because some have no order."""
    if isinstance(result, pd.DataFrame):
        return sorted(map(str, result.astype(object).to_dict("records")))
    if isinstance(result, dict):
        return {key: _comparable(value) for key, value in result.items()}
    if hasattr(result, "__dataclass_fields__"):
        return _comparable({name: getattr(result, name) for name in result.__dataclass_fields__})
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return [_comparable(item) for item in result]
    return [_comparable(item) for item in result] if isinstance(result, list) else str(result)
