"""From a mark of a chart to the accounts behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, NoReturn

import streamlit as st

from data.access.roles import Act
from data.states import FAILED, STATE_BY_NAME
from queries.filters import Filters
from queries.period import DAY, Scope, end_of
from server.session import principal
from widgets.figure_theme import CLEARED, NEW, UNLOADED
from widgets.filters import open_users

WAITS = {
    "≤ 1 h": {"waiting_upto": ["1h"]},
    "1–24 h": {"waiting": ["1h"], "waiting_upto": ["1d"]},
    "1–3 d": {"waiting": ["1d"], "waiting_upto": ["3d"]},
    "3–7 d": {"waiting": ["3d"], "waiting_upto": ["7d"]},
    "> 7 d": {"waiting": ["7d"]},
}
"""Age → how the address of Users names it."""


def opens(scope: Scope) -> Callable[[Sequence[Any]], NoReturn] | None:
    """What a click on a mark of the scope's charts does; nothing where nobody may see more."""
    if not principal().acts >= LEADS_TO:
        return None

    def open_mark(mark: Sequence[Any]) -> NoReturn:
        if UNLOADED in mark:
            st.switch_page("snapshots.py")
        if NEW in mark or CLEARED in mark:
            st.switch_page("changes.py", query_params=changes_meant_by(mark, scope))
        open_users(meant_by(mark, scope))

    return open_mark


LEADS_TO = {Act.USERS, Act.CHANGES, Act.SNAPSHOTS}
"""What one has to see to go on from Health."""


def meant_by(mark: Sequence[Any], scope: Scope) -> Filters:
    """The accounts that a mark stands for, by the words in it.

    A day means its end in the scope's zone, an operation its failed state; besides states there
    may be an age of AGES, and `[integration]`.
    """
    day = _day_of(mark)
    states = [
        state.name
        for state in STATE_BY_NAME.values()
        if state.name in mark or (state.phase == "failed" and state.operation in mark)
    ]
    end = end_of(day, scope.zone) if day else None
    at = min(filter(None, (end, scope.at)), default=None)
    return Filters.from_params(
        {
            "integration": next((word for word in mark if isinstance(word, list)), None)
            or scope.integrations,
            "state": states,
            **next((waits for age, waits in WAITS.items() if age in mark), {}),
            "as_of": [_moment(at)] if at else [],
        }
    )


def changes_meant_by(mark: Sequence[Any], scope: Scope) -> dict[str, list[str]]:
    """The address of who came into a failed state on the mark's day, or left it, on Changes.

    That compares the end of the day with the end of the day before.
    """
    day = _day_of(mark) or scope.last
    until = min(filter(None, (end_of(day, scope.zone), scope.at)))
    return {
        "from": [_moment(end_of(day - DAY, scope.zone))],
        "to": [_moment(until)],
        "integration": list(scope.integrations),
        "list": ["moved"],
        "now" if NEW in mark else "was": [
            name for name in FAILED if STATE_BY_NAME[name].operation in mark
        ],
    }


def _moment(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='seconds')}Z"


def _day_of(mark: Sequence[Any]) -> date | None:
    try:
        return date.fromisoformat(str(mark[0])[:10])
    except ValueError:
        return None


def in_cell(mark: Sequence[Any]) -> list[Any]:
    """What a cell of the map means, which names a day and an integration; other marks stay."""
    if UNLOADED in mark[1:-1]:
        return list(mark)
    day, integration = mark
    return [day, *FAILED, [integration]]
