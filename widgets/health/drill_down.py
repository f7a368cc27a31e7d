"""From a mark of a chart to the accounts behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, NoReturn

import streamlit as st

from data.access.roles import Permission
from data.states import FAILED_STATES, STATE_BY_NAME
from queries.filters import Filters
from queries.period import DAY, Period, day_end
from server.session import current_principal
from widgets.figure_theme import NEW, QUARANTINED, RESOLVED
from widgets.filters import open_users

AGE_FILTERS = {
    "≤ 1 h": {"waiting_upto": ["1h"]},
    "1–24 h": {"waiting": ["1h"], "waiting_upto": ["1d"]},
    "1–3 d": {"waiting": ["1d"], "waiting_upto": ["3d"]},
    "3–7 d": {"waiting": ["3d"], "waiting_upto": ["7d"]},
    "> 7 d": {"waiting": ["7d"]},
}
"""Age → how the address of Users names it."""


def mark_opener(scope: Period) -> Callable[[Sequence[Any]], NoReturn] | None:
    """What a click on a mark of the scope's charts does; nothing where nobody may see more."""
    if not current_principal().permissions >= LINKED_PERMISSIONS:
        return None

    def open_mark(mark: Sequence[Any]) -> NoReturn:
        if QUARANTINED in mark:
            st.switch_page("snapshots.py")
        if NEW in mark or RESOLVED in mark:
            st.switch_page("changes.py", query_params=mark_changes_params(mark, scope))
        open_users(mark_filters(mark, scope))

    return open_mark


LINKED_PERMISSIONS = {Permission.USERS, Permission.CHANGES, Permission.SNAPSHOTS}
"""What one has to see to go on from Health."""


def mark_filters(mark: Sequence[Any], scope: Period) -> Filters:
    """The accounts that a mark stands for, by the words in it.

    A day means its end in the scope's zone, an operation its failed state; besides states there
    may be an age of AGES, and `[integration]`.
    """
    day = _mark_day(mark)
    states = [
        state.name
        for state in STATE_BY_NAME.values()
        if state.name in mark or (state.phase == "failed" and state.operation in mark)
    ]
    end = day_end(day, scope.zone) if day else None
    as_of = min(filter(None, (end, scope.as_of)), default=None)
    return Filters.from_params(
        {
            "integration": next((word for word in mark if isinstance(word, list)), None)
            or scope.integration,
            "state": states,
            **next((waits for age, waits in AGE_FILTERS.items() if age in mark), {}),
            "as_of": [_format_moment(as_of)] if as_of else [],
        }
    )


def mark_changes_params(mark: Sequence[Any], scope: Period) -> dict[str, list[str]]:
    """The address of who came into a failed state on the mark's day, or left it, on Changes.

    That compares the end of the day with the end of the day before.
    """
    day = _mark_day(mark) or scope.last
    until = min(filter(None, (day_end(day, scope.zone), scope.as_of)))
    return {
        "from": [_format_moment(day_end(day - DAY, scope.zone))],
        "to": [_format_moment(until)],
        "integration": list(scope.integration),
        "list": ["moved"],
        "now" if NEW in mark else "was": [
            name for name in FAILED_STATES if STATE_BY_NAME[name].operation in mark
        ],
    }


def _format_moment(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='seconds')}Z"


def _mark_day(mark: Sequence[Any]) -> date | None:
    try:
        return date.fromisoformat(str(mark[0])[:10])
    except ValueError:
        return None


def cell_mark(mark: Sequence[Any]) -> list[Any]:
    """What a cell of the map means, which names a day and an integration; other marks stay."""
    if QUARANTINED in mark[1:-1]:
        return list(mark)
    day, integration = mark
    return [day, *FAILED_STATES, [integration]]
