"""Whether two stores answer alike: what pages ask, asked of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from queries.changes.summary import summary_of
from queries.changes.window import Between
from queries.filters import FILTERS, Filters
from queries.health.durations import durations
from queries.health.failure_reasons import failure_reasons
from queries.health.trends import span_of, states_at, trends
from queries.period import Scope
from queries.review.duration import View
from queries.review.rules import RULES, count_findings
from queries.snapshots import page_of_snapshots
from queries.users.accounts import SORTS, count_accounts, page_of_accounts
from queries.users.facets import choices

Question = Callable[[Connection], Any]


def answers_that_differ(one: Connection, other: Connection) -> list[str]:
    """The questions, in words, that the stores do not answer alike."""
    return [name for name, ask in _questions(one) if _plain(ask(one)) != _plain(ask(other))]


def count_questions(con: Connection) -> int:
    """How many there are."""
    return sum(1 for _ in _questions(con))


def _questions(con: Connection) -> Iterator[tuple[str, Question]]:
    """Of now, of the first moment and of the middle of the history."""
    yield "snapshots", lambda con: page_of_snapshots(con, (), 1)
    if not (span := span_of(con, ())):
        return
    first, last = span
    middle = (first + (last - first) / 2).replace(microsecond=0)
    for sort in SORTS:
        yield f"list by {sort}", lambda con, s=sort: _first_page(con, s)
    for at in (None, first, middle):
        yield from _of_a_moment(Filters(as_of=at), last)
    for at in (None, middle):
        scope = Scope((), first.date(), last.date(), at=at)
        yield f"trends {scope.at}", lambda con, s=scope: trends(con, s)
        yield f"durations {scope.at}", lambda con, s=scope: durations(con, s)
        yield f"reasons {scope.at}", lambda con, s=scope: failure_reasons(con, s)
    for since in (first, middle):
        between = Between(since, last)
        yield f"changes since {since}", lambda con, b=between: summary_of(con, b)


def _of_a_moment(filters: Filters, last: datetime) -> Iterator[tuple[str, Question]]:
    when = filters.as_of or "now"
    yield f"accounts {when}", lambda con: count_accounts(con, filters)
    yield f"states {when}", lambda con: states_at(con, (), filters.as_of)
    for each in FILTERS:
        if each.counted_by or each.name in ("role", "integration"):
            yield f"{each.label} {when}", lambda con, n=each.name: choices(con, filters, n)
    view = View(at=filters.as_of, asked_at=last)
    for rule in RULES:
        yield f"{rule.title} {when}", lambda con, r=rule: count_findings(con, view, r)


def _first_page(con: Connection, sort: str) -> Any:
    return page_of_accounts(con, Filters(), sort=sort, descending=False, page=1)


def _plain(answer: Any) -> Any:
    """Frames as texts; rows that come in no order, in one."""
    if isinstance(answer, pd.DataFrame):
        return sorted(map(str, answer.astype(object).to_dict("records")))
    if isinstance(answer, dict):
        return {key: _plain(value) for key, value in answer.items()}
    if hasattr(answer, "__dataclass_fields__"):
        return _plain({name: getattr(answer, name) for name in answer.__dataclass_fields__})
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return [_plain(each) for each in answer]
    return [_plain(each) for each in answer] if isinstance(answer, list) else str(answer)
