"""From a mark of a chart to the page that shows what it counts."""

from datetime import date
from typing import NamedTuple

import streamlit as st

from data.access.roles import Permission
from data.states import FAILED_STATES, STATE_BY_NAME, UNSETTLED_STATES
from queries.filters import Filters
from queries.health.backlog import age_bounds
from queries.period import Period, day_end
from server.session import current_principal
from widgets import timezone
from widgets.address import go_to, group_params
from widgets.health.health_data import HealthData
from widgets.health.marks import Mark

LINKED_PERMISSIONS = {Permission.USERS, Permission.CHANGES, Permission.SNAPSHOTS}
"""A reader without one of these can open no mark."""

STATES_BY_KIND = {"failed": FAILED_STATES, "unsettled": UNSETTLED_STATES}


class Address(NamedTuple):
    """A page of Rollcall and its parameters."""

    page: str
    params: dict[str, list[str]]


def can_open_marks() -> bool:
    """Whether the reader may see every page that a mark can open."""
    return current_principal().permissions >= LINKED_PERMISSIONS


def open_mark(mark: Mark, data: HealthData) -> None:
    """Show what a mark counts."""
    if has_only_counts(mark, data):
        st.caption("Retention has deleted the snapshots of this day. Only their counts are left.")
        return
    page, params = address_of(mark, data.scope)
    go_to(page, timezone.with_zone(params))


def has_only_counts(mark: Mark, data: HealthData) -> bool:
    """Whether retention has deleted the snapshots of the day, so that there is no list to open."""
    if not mark.day or mark.kind == "quarantined":
        return False
    moment = _filters(mark, data.scope).as_of
    return moment is not None and data.has_only_counts(moment)


def address_of(mark: Mark, scope: Period) -> Address:
    """The page that shows what a mark counts in the scope."""
    if mark.kind == "quarantined":
        return Address("snapshots.py", {})
    return Address("users.py", group_params(_filters(mark, scope).params()))


def _filters(mark: Mark, scope: Period) -> Filters:
    """The accounts that a mark counts; a day means its end in the zone of the scope."""
    end = day_end(date.fromisoformat(mark.day), scope.zone) if mark.day else None
    has_age = mark.kind == "state" and mark.cell
    longer_than, up_to = age_bounds(mark.cell) if has_age else (None, None)
    in_cell = (mark.cell,) if mark.kind == "failed" and mark.cell else ()
    return Filters(
        state=_states(mark),
        integration=in_cell or scope.integration,
        waiting=longer_than,
        waiting_upto=up_to,
        as_of=min(filter(None, (end, scope.as_of)), default=None),
    )


def _states(mark: Mark) -> tuple[str, ...]:
    if mark.kind == "state":
        return (mark.series,)
    states = STATES_BY_KIND[mark.kind]
    return tuple(s for s in states if mark.series in ("", STATE_BY_NAME[s].operation))
