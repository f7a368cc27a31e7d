"""The conditions of filters that need more than a column."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_

from data.formatting import utc_now
from data.schema import is_unmatched
from data.states import OPEN_STATES
from data.store.pseudonyms import match_pseudonym
from data.store.search_text import contains_normalized, search_text
from queries import owners
from queries.scope import newest_snapshots

ActiveFilter = Literal["yes", "no", "unknown"]
MatchFilter = Literal["matched", "unmatched"]

Condition = Callable[[sa.FromClause, Any, datetime | None], ColumnElement[bool]]
"""(rows of accounts, the filter's value, the moment or None for now) → which rows it keeps."""

MAX_SEARCH_WORDS = 8
"""Words that a search looks for one by one; the rest counts as one text."""


def matches_search(rows: sa.FromClause, text: str, as_of: datetime | None) -> ColumnElement[bool]:
    """Each word occurs in any of the columns, or the text is a pseudonym."""
    words = search_words(text)
    if "search" in rows.c:
        condition = owners.matches_search(rows, text, words, as_of)
    else:
        condition = and_(*(contains_normalized(search_text(rows), word) for word in words))
    pseudonym_condition = match_pseudonym(rows, text)
    return condition if pseudonym_condition is None else sa.or_(condition, pseudonym_condition)


def search_words(text: str) -> list[str]:
    """The words to look for, without the comma of `Xu, Quentin`."""
    return [word.strip(",;") or word for word in text.split(None, MAX_SEARCH_WORDS)]


def has_activity(rows: sa.FromClause, value: ActiveFilter, _: Any) -> ColumnElement[bool]:
    """Whether an account is active in the app."""
    return rows.c.active_in_app.is_({"yes": True, "no": False, "unknown": None}[value])


def has_match(rows: sa.FromClause, value: MatchFilter, _: Any) -> ColumnElement[bool]:
    """Whether an account has a user."""
    return is_unmatched(rows) if value == "unmatched" else ~is_unmatched(rows)


def holds_for(column: str, *states: str) -> Condition:
    """In one of the states, and since a moment for at least a duration.

    It ends with the newest snapshot of the integration, which is the last to show the account.
    """

    def condition(
        rows: sa.FromClause, duration: timedelta, as_of: datetime | None
    ) -> ColumnElement[bool]:
        newest = newest_snapshots(as_of)
        return and_(
            rows.c.provisioning_state.in_(states) if states else sa.true(),
            sa.exists().where(
                newest.c.integration_id == rows.c.integration_id,
                rows.c[column] <= newest.c.at - duration,
            ),
        )

    return condition


def is_open(is_longer: bool) -> Condition:
    """Open for longer than a duration, or up to it."""

    def condition(
        rows: sa.FromClause, duration: timedelta, as_of: datetime | None
    ) -> ColumnElement[bool]:
        end = as_of or utc_now()
        start = end - min(duration, end - datetime(1, 1, 1))
        since = rows.c.attempt_since
        return and_(
            rows.c.provisioning_state.in_(OPEN_STATES),
            since < start if is_longer else since >= start,
        )

    return condition
