"""The history of one account: since when something holds, and the events of its timeline."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar

import sqlalchemy as sa

from data.files.headers import column_title
from data.formatting import count_of
from widgets import users_table as ut
from widgets.state_marks import tone_and_icon

T = TypeVar("T")
Versions = Sequence[sa.Row[Any]]
"""The versions of one account, oldest first. The panel shows the last one."""

MAX_NAMES_SHOWN = 100
"""Roles that one event names; further ones are counted."""

IDENTIFIERS = ("username_in_app", "upstream_user_id")
ACTIVE_LABELS = {True: "yes", False: "no", None: "unknown"}

EARLIER_NOT_SHOWN = "Earlier history is not shown"


# ---- since when ----------------------------------------------------------------------------------


def state_since(versions: Versions) -> datetime:
    """The first moment from which the account has been in its state without interruption."""
    since = versions[-1].valid_from
    for version in _consecutive_versions(versions):
        if version.provisioning_state != versions[-1].provisioning_state:
            break
        since = version.valid_from
    return since


def roles_since(versions: Versions) -> dict[str, datetime]:
    """Role → the first moment from which the account has had it without interruption."""
    since: dict[str, datetime] = {}
    roles = set(versions[-1].roles)
    for version in _consecutive_versions(versions):
        roles.intersection_update(version.roles)
        since |= dict.fromkeys(roles, version.valid_from)
    return since


def _consecutive_versions(versions: Versions) -> Iterator[sa.Row[Any]]:
    """The versions from the newest back to the last removal."""
    next_valid_from = None
    for version in reversed(versions):
        if next_valid_from is not None and version.valid_to < next_valid_from:
            return
        yield version
        next_valid_from = version.valid_from


# ---- events --------------------------------------------------------------------------------------


def history_events(versions: Versions) -> list[ut.TimelineEvent]:
    """The account's history, newest moment first."""
    moments = [[_first_event(versions[0])]]
    for before, after in pairwise(versions):
        returned = []
        if before.valid_to < after.valid_from:
            moments.append([ut.event(before.valid_to, "Removed", tone="warn")])
            returned = [ut.event(after.valid_from, "Returned")]
        moments.append([*returned, *_change_events(before, after)])
    return [event for moment in reversed(moments) for event in moment]


def _first_event(first: sa.Row[Any]) -> ut.TimelineEvent:
    if first.number > 1:
        return ut.event(first.valid_from, EARLIER_NOT_SHOWN)
    return ut.event(first.valid_from, "First seen", first.provisioning_state)


def _change_events(before: sa.Row[Any], after: sa.Row[Any]) -> Iterator[ut.TimelineEvent]:
    """What differs, most important first."""
    if before.provisioning_state != after.provisioning_state:
        transition = f"{before.provisioning_state} → {after.provisioning_state}"
        tone, icon = tone_and_icon(after.provisioning_state)
        yield ut.event(after.valid_from, transition, after.state_reason or "", tone=tone, icon=icon)
    yield from _role_events(before, after)
    yield from _match_events(before, after)
    if before.active_in_app != after.active_in_app:
        old, new = (ACTIVE_LABELS[version.active_in_app] for version in (before, after))
        yield ut.event(after.valid_from, f"Active in app: {old} → {new}")
    for column in IDENTIFIERS:
        old, new = (getattr(version, column) or "–" for version in (before, after))
        if old != new:
            yield ut.event(after.valid_from, f"{column_title(column)} changed", change=(old, new))
    yield from _detail_events(before, after)


def _role_events(before: sa.Row[Any], after: sa.Row[Any]) -> Iterator[ut.TimelineEvent]:
    old_roles, new_roles = set(before.roles), set(after.roles)
    changes: tuple[tuple[set[str], str, ut.Icon], ...] = (
        (new_roles - old_roles, "gained", "plus"),
        (old_roles - new_roles, "lost", "dash"),
    )
    for roles, verb, icon in changes:
        if roles:
            title = f"{count_of(len(roles), 'role')} {verb}"
            names = ut.tags(sorted(roles), limit=MAX_NAMES_SHOWN)
            yield ut.event(after.valid_from, title, tags=names, icon=icon)


def _match_events(before: sa.Row[Any], after: sa.Row[Any]) -> Iterator[ut.TimelineEvent]:
    moment, old, new = after.valid_from, person_text(before), person_text(after)
    if old == new:
        return
    if not new:
        yield ut.event(moment, "Became unmatched", old, tone="warn")
    elif not old:
        yield ut.event(moment, "Matched with a user", new)
    else:
        yield ut.event(moment, "User changed", change=(old, new))


def _detail_events(before: sa.Row[Any], after: sa.Row[Any]) -> Iterator[ut.TimelineEvent]:
    """The names of all other differences; a new time of the last update alone is no event."""
    old, new = (parse_json(version.attributes, dict) for version in (before, after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if before.roles == after.roles and before.role_details != after.role_details:
        names.append("Role details")
    same_state = before.provisioning_state == after.provisioning_state
    if same_state and before.state_source != after.state_source:
        names.append("Source of state")
    if same_state and before.state_reason != after.state_reason:
        names.append("Reason")
    if names:
        tags = ut.tags(names, limit=MAX_NAMES_SHOWN)
        yield ut.event(after.valid_from, "Details changed", tags=tags)


# ---- values --------------------------------------------------------------------------------------


def person_text(row: sa.Row[Any]) -> str:
    """Name and email of a row's user; empty without one."""
    return " · ".join(filter(None, (row.user_name, row.user_email)))


def json_text(value: object) -> str:
    """A JSON value as text; lists and objects stay JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parse_json(text: str | None, kind: type[T]) -> T:
    """The JSON value in a text, or an empty one if it is not of that kind."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, kind) else kind()
