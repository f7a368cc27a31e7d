"""An account in words and marks: a row of the Users table, and the panel that it opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Row

from data.states import STATE_BY_NAME, State
from data.tables import FOREVER
from widgets import users_table as ut

MARKS: dict[str, tuple[ut.Tone, ut.Icon]] = {
    "waiting": ("wait", "clock"),
    "working": ("busy", "spinner"),
    "failed": ("bad", "cross"),
    "Onboarded": ("good", "check"),
    "Deleted": ("quiet", "dash"),
    "Unrecognised": ("warn", "question"),
}
"""Phase, or name of a settled state → how it is drawn."""

SEARCHABLE_FROM = 20
"""Roles; a longer list gets a search of its own."""

COLUMNS = [
    ut.column("user", "User", width=1.8),
    ut.column("username_in_app", "Username in app", width=1.5),
    ut.column("integration", "Integration", width=1.0),
    ut.column("roles", "App access", width=1.6),
    ut.column("active_in_app", "Active in app", width=0.85),
    ut.column("upstream_user_id", "Upstream user ID", width=1.05),
    ut.column("provisioning_state", "Provisioning state", width=1.5),
    ut.column("last_updated", "Last updated", width=1.05),
]


def columns(*, several_integrations: bool) -> list[ut.Column]:
    """The table's columns; Integration only where there is more than one to tell apart."""
    return [c for c in COLUMNS if several_integrations or c["key"] != "integration"]


def table_row(account: Row[Any]) -> ut.Row:
    """One row of the table."""
    return ut.row(
        str(account.account_key),
        account.username_in_app,
        user=_person(account),
        username_in_app=ut.text(account.username_in_app),
        integration=ut.text(account.integration),
        roles=ut.tags(account.roles),
        active_in_app=_active(account.active_in_app),
        upstream_user_id=ut.code(account.upstream_user_id or ""),
        provisioning_state=_state_mark(account.provisioning_state),
        last_updated=ut.time(account.last_updated),
    )


def panel(account: Row[Any], versions: Sequence[Row[Any]]) -> list[ut.Block]:
    """What an open row shows: the state and its reason, the roles in full, the history."""
    state = STATE_BY_NAME[account.provisioning_state]
    return [
        *_why(account, state),
        _roles(account),
        ut.facts(_facts(account)),
        ut.timeline("History", _events(versions)),
    ]


def _person(account: Row[Any]) -> ut.Cell:
    name, email = account.user_name, account.user_email
    if not name and not email:
        return ut.quiet("Unmatched")
    return ut.person(name or email, email if name and email else "")


def _active(active: bool | None) -> ut.Cell:
    if active is None:
        return ut.quiet("Unknown")
    return ut.mark("Yes", "good", "check") if active else ut.mark("No", "quiet", "dash")


def _state_mark(name: str) -> ut.Cell:
    state = STATE_BY_NAME[name]
    tone, icon = MARKS.get(state.name) or MARKS[state.phase]
    return ut.mark(name, tone, icon)


def _why(account: Row[Any], state: State) -> list[ut.Block]:
    tone: ut.Tone = "bad" if state.phase == "failed" else "quiet"
    words = [f"{state.name}. {state.definition}", account.state_reason]
    if account.failure_code:
        words.append(f"({account.failure_code})")
    notes = [ut.note(" ".join(word for word in words if word), tone)]
    for column, text in json.loads(account.flags or "{}").items():
        label = column.replace("_", " ").capitalize()
        notes.append(ut.note(f"{label} was not understood. The snapshot says: {text}", "warn"))
    return notes


def _roles(account: Row[Any]) -> ut.Block:
    """Every role; the columns beside its name only where the snapshot says something of them."""
    told = json.loads(account.role_details or "[]")
    details = {role.get("name"): role for role in told if isinstance(role, dict)}
    shown = [k for k in ROLE_COLUMNS if any(role.get(k) for role in details.values())]
    rows = [
        [name, *(str(details.get(name, {}).get(key) or "–") for key in shown)]
        for name in account.roles
    ]
    count = len(rows)
    return ut.table(
        f"Assigned roles ({count:,})" if count else "No assigned roles",
        ["Role", *(ROLE_COLUMNS[key] for key in shown)],
        rows,
        searchable=count > SEARCHABLE_FROM,
    )


ROLE_COLUMNS = {"type": "Type", "description": "Description", "via": "Via", "since": "Since"}


def _facts(account: Row[Any]) -> list[tuple[str, ut.Cell]]:
    attributes = json.loads(account.attributes or "{}")
    return [
        ("Integration", ut.text(account.integration)),
        ("Account ID", ut.code(account.account_id)),
        ("In this shape since", ut.time(account.valid_from)),
        *((name, ut.text(str(value))) for name, value in attributes.items()),
    ]


def _events(versions: Sequence[Row[Any]]) -> list[ut.Event]:
    """The account's history, newest first, as far as the snapshots tell it."""
    if not versions:
        return []
    events = [_event(versions[0].valid_from, "First seen", versions[0], "quiet")]
    for before, after in pairwise(versions):
        if before.valid_to < after.valid_from:
            events.append(_event(before.valid_to, "Gone from the app’s list", None, "warn"))
            events.append(_event(after.valid_from, "Came back", after, "quiet"))
        events += _changes(before, after)
    last = versions[-1]
    if last.valid_to < FOREVER:
        events.append(_event(last.valid_to, "Gone from the app’s list", None, "warn"))
    return events[::-1]


def _event(at: datetime, title: str, version: Row[Any] | None, tone: ut.Tone) -> ut.Event:
    return ut.event(at, title, version.provisioning_state if version else "", tone)


def _changes(before: Row[Any], after: Row[Any]) -> list[ut.Event]:
    at, events = after.valid_from, []
    if before.provisioning_state != after.provisioning_state:
        tone: ut.Tone = "bad" if after.provisioning_state.endswith("failed") else "good"
        move = f"{before.provisioning_state} → {after.provisioning_state}"
        events.append(ut.event(at, move, after.state_reason or "", tone))
    gained = sorted(set(after.roles) - set(before.roles))
    lost = sorted(set(before.roles) - set(after.roles))
    for roles, word in ((gained, "gained"), (lost, "lost")):
        if roles:
            count = "1 role" if len(roles) == 1 else f"{len(roles)} roles"
            events.append(ut.event(at, f"{count} {word}", ", ".join(roles)))
    was, is_ = (bool(v.user_name or v.user_email) for v in (before, after))
    if was != is_:
        events.append(ut.event(at, "Matched with a user" if is_ else "Became unmatched"))
    if before.active_in_app != after.active_in_app:
        events.append(ut.event(at, f"Active in app: {ACTIVE_WORDS[after.active_in_app]}"))
    return events


ACTIVE_WORDS = {True: "yes", False: "no", None: "unknown"}
