"""An account in words and marks: a row of the Users table, and the panel that it opens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Row

from data.files.naming import moment_of
from data.files.text import WHITE
from data.states import STATE_BY_NAME
from queries.filters import LONGEST_SEARCH, Filters
from queries.owners import MATCHED_BY
from queries.users.detail import Known
from widgets import timezone
from widgets import users_table as ut
from widgets.state_marks import looks, state_mark

T = TypeVar("T")
Versions = Sequence[Row[Any]]
"""Of one account, oldest first; the last one is shown."""


SEARCHABLE_FROM = 20
"""Roles; a longer list gets a search of its own."""

MOST_NAMES = 100
"""Roles that one point of the history names; more are counted."""

ROLE_COLUMNS = {"type": "Type", "description": "Description", "via": "Via", "since": "Since"}

IDENTIFIERS = {"username_in_app": "Username in app", "upstream_user_id": "Upstream user ID"}

ACTIVE_WORDS = {True: "yes", False: "no", None: "unknown"}

HOW_KNOWN = {
    "inferred": "Inferred: the source lists accounts, but reports no jobs.",
    "default": "By default: for signing in only, nothing is provisioned.",
}
"""How a state is known → in words, where it is not the source that reports it."""

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


def table_row(account: Row[Any], decided: Row[Any] | None = None) -> ut.Row:
    """One row of the table; `decided` is what a person has said of whose the account is."""
    return ut.row(
        str(account.account_key),
        account.username_in_app,
        user=_person(account, decided),
        username_in_app=ut.text(account.username_in_app),
        integration=ut.text(account.integration),
        roles=ut.tags(account.roles),
        active_in_app=_active(account.active_in_app),
        upstream_user_id=ut.code(account.upstream_user_id or ""),
        provisioning_state=state_mark(account.provisioning_state),
        last_updated=ut.time(account.last_updated),
    )


def panel(
    known: Known, *, as_of: datetime | None, decided: Row[Any] | None = None
) -> list[ut.Block]:
    """What an open row shows: the state and why, the roles in full, the person, the history."""
    return [
        _state(known),
        *_decided(decided),
        *_not_understood(known.account),
        _roles(known),
        *_others(known, as_of),
        ut.facts(_facts(known)),
        *_attributes(known.account, decided),
        ut.timeline("History", _events(known.versions)),
    ]


def _person(account: Row[Any], decided: Row[Any] | None = None) -> ut.Cell:
    name, email = account.user_name, account.user_email
    if decided and decided.people and (name, email) == (decided.user_name, decided.user_email):
        return ut.person(name or email, f"matched by {decided.decided_by}")
    if not name and not email:
        return ut.quiet("Unmatched")
    return ut.person(name or email, email if name and email else "")


def _active(active: bool | None) -> ut.Cell:
    if active is None:
        return ut.quiet("Unknown")
    return ut.mark("Yes", "good", "check") if active else ut.mark("No", "quiet", "dash")


# ---- the state, and what was not understood -----------------------------------------------------


def _state(known: Known) -> ut.Block:
    one = known.account
    state = STATE_BY_NAME[one.provisioning_state]
    tone, icon = looks(state.name)
    how = HOW_KNOWN.get(one.state_source or "")
    why = [
        ("How it is known", ut.text(how)),
        ("Reason", ut.text(one.state_reason)),
        ("Code", ut.code(one.failure_code)),
    ]
    return ut.note(
        state.definition,
        "bad" if tone == "bad" else "quiet",
        mark=ut.mark(state.name, tone, icon),
        since=_seen(_in_state_since(known.versions), "since at least"),
        facts=[(label, cell) for label, cell in why if cell["kind"] != "quiet"],
    )


def _decided(said: Row[Any] | None) -> list[ut.Block]:
    """What a person has said of whose the account is."""
    if said is None:
        return []
    whose = " · ".join(filter(None, (said.user_name, said.user_email)))
    facts = [("Listed in", ut.text(said.people)), ("Because", ut.text(said.evidence))]
    return [
        ut.note(
            f"{said.decided_by} has said that it is {whose or 'nobody’s'}.",
            since=ut.time(said.decided_at),
            facts=[(label, cell) for label, cell in facts if cell["kind"] != "quiet"],
        )
    ]


def _not_understood(account: Row[Any]) -> list[ut.Block]:
    """One warning per value that is unknown because its text made no sense, with that text."""
    return [
        ut.note(
            f"{column.replace('_', ' ').capitalize()} was not understood.",
            "warn",
            facts=[("The snapshot says", ut.text(_words(text)))],
        )
        for column, text in _json(account.flags, dict).items()
    ]


# ---- roles --------------------------------------------------------------------------------------


def _roles(known: Known) -> ut.Block:
    """Every role; a column beside its name only where there is something to say in it.

    A role that is held in two ways, through two groups for example, has two rows.
    """
    told = _told_of_roles(known.account)
    seen = _roles_since(known.versions)
    everything = [role for roles in told.values() for role in roles]
    shown = [k for k in ROLE_COLUMNS if k == "since" or any(role.get(k) for role in everything)]
    count = len(known.account.roles)
    return ut.table(
        f"Assigned roles ({count:,})" if count else "No assigned roles",
        ["Role", *(ROLE_COLUMNS[key] for key in shown)],
        [
            [name, *(_role_cell(role, key, seen[name]) for key in shown)]
            for name in known.account.roles
            for role in told.get(name, [{}])
        ],
        searchable=count > SEARCHABLE_FROM,
    )


def _told_of_roles(account: Row[Any]) -> dict[str, list[dict[str, Any]]]:
    """Role → what the snapshot says of it, once for each way in which it is held."""
    told: dict[str, list[dict[str, Any]]] = {}
    for role in _json(account.role_details, list):
        if isinstance(role, dict):
            told.setdefault(_words(role.get("name")).strip(WHITE), []).append(role)
    return told


def _role_cell(role: dict[str, Any], key: str, seen: datetime) -> ut.Cell:
    text = _words(role.get(key))
    if key != "since":
        return ut.text(text)
    if not text:
        return _seen(seen, "by")
    at = moment_of(text)
    return ut.time(at) if at and "T" in text else ut.text(text)


# ---- since when ---------------------------------------------------------------------------------


def _seen(at: datetime, word: str) -> ut.Cell:
    """Since when snapshots show something: it began then, or some time before."""
    since = timezone.named(at, seconds=True)
    says = f"In every snapshot since {since}; the file does not say since when."
    return ut.time(at, f"{word} {timezone.told(at)}", title=says)


def _in_state_since(versions: Versions) -> datetime:
    """When the state was first seen that the account has been in ever since."""
    since = versions[-1].valid_from
    for version in _unbroken(versions):
        if version.provisioning_state != versions[-1].provisioning_state:
            break
        since = version.valid_from
    return since


def _roles_since(versions: Versions) -> dict[str, datetime]:
    """Role → when it was first seen with the account, which has had it ever since."""
    since: dict[str, datetime] = {}
    held = set(versions[-1].roles)
    for version in _unbroken(versions):
        held.intersection_update(version.roles)
        for role in held:
            since[role] = version.valid_from
    return since


def _unbroken(versions: Versions) -> Iterator[Row[Any]]:
    """The versions from the newest back, as long as the account was there all the time."""
    then = None
    for version in reversed(versions):
        if then is not None and version.valid_to < then:
            return
        yield version
        then = version.valid_from


# ---- the person's other accounts, and all else --------------------------------------------------


def _others(known: Known, as_of: datetime | None) -> list[ut.Block]:
    """The accounts that the same person has besides, each with the way to it."""
    if not known.others:
        return []
    found, shown = known.others[0].found, len(known.others)
    count = f"{found:,}" if shown == found else f"the first {shown:,} of {found:,}"
    return [
        ut.table(
            f"Other accounts of the same person ({count})",
            ["Username in app", "Integration", "Provisioning state", "Active in app", "In common"],
            [
                [
                    ut.link(other.username_in_app, _address(other, as_of)),
                    ut.text(other.integration),
                    state_mark(other.provisioning_state),
                    _active(other.active_in_app),
                    "Upstream user ID" if other.same_id else "Email",
                ]
                for other in known.others
            ],
        )
    ]


def _address(other: Row[Any], as_of: datetime | None) -> str:
    """Of the list with that account, on the same page at the same moment."""
    name = other.username_in_app[:LONGEST_SEARCH]
    wanted = Filters(integration=(other.integration,), q=name, as_of=as_of)
    return f"?{urlencode(wanted.params())}"


def _facts(known: Known) -> list[tuple[str, ut.Cell]]:
    one = known.account
    return [
        ("Integration", ut.text(one.integration)),
        ("Account ID", ut.code(one.account_id)),
        ("Unchanged", _seen(one.valid_from, "since at least")),
    ]


def _attributes(account: Row[Any], decided: Row[Any] | None) -> list[ut.Block]:
    """The snapshot's other columns."""
    attributes = _json(account.attributes, dict)
    if decided:
        attributes.pop(MATCHED_BY, None)  # told above, and by no snapshot
    facts = [(name, _readable(_words(value))) for name, value in attributes.items()]
    return [ut.facts(facts, caption="Also in the snapshot")] if facts else []


def _readable(text: str) -> ut.Cell:
    """A list as its items, anything deeper spread over lines."""
    value = _json(text, list) or _json(text, dict) if text.startswith(("[", "{")) else None
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ut.tags([_words(item) for item in value], shown=len(value))
    if value:
        return ut.lines(json.dumps(value, indent=2, ensure_ascii=False))
    return ut.text(text)


def _words(value: object) -> str:
    """A value of a JSON text as people write it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(text: str | None, kind: type[T]) -> T:
    """What the text says if it is of that kind, else nothing of it."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, kind) else kind()


# ---- history ------------------------------------------------------------------------------------


def _events(versions: Versions) -> list[ut.Event]:
    """The account's history, newest first, as far as the snapshots tell it."""
    moments = [[_beginning(versions[0])]]
    for before, after in pairwise(versions):
        back = []
        if before.valid_to < after.valid_from:
            moments.append([ut.event(before.valid_to, "Gone from the app’s list", tone="warn")])
            back = [ut.event(after.valid_from, "Came back")]
        moments.append([*back, *_changes(before, after)])
    return [event for moment in reversed(moments) for event in moment]


def _beginning(first: Row[Any]) -> ut.Event:
    if first.number > 1:
        return ut.event(first.valid_from, "What was before is not shown")
    return ut.event(first.valid_from, "First seen", first.provisioning_state)


def _changes(before: Row[Any], after: Row[Any]) -> Iterator[ut.Event]:
    """What differs, what matters most first."""
    if before.provisioning_state != after.provisioning_state:
        move = f"{before.provisioning_state} → {after.provisioning_state}"
        tone, icon = looks(after.provisioning_state)
        yield ut.event(after.valid_from, move, after.state_reason or "", tone=tone, icon=icon)
    yield from _roles_changed(before, after)
    yield from _match_changed(before, after)
    if before.active_in_app != after.active_in_app:
        was, is_ = (ACTIVE_WORDS[version.active_in_app] for version in (before, after))
        yield ut.event(after.valid_from, f"Active in app: {was} → {is_}")
    for column, label in IDENTIFIERS.items():
        was, is_ = (getattr(version, column) or "–" for version in (before, after))
        if was != is_:
            yield ut.event(after.valid_from, f"{label} changed", change=(was, is_))
    yield from _quiet_changes(before, after)


def _roles_changed(before: Row[Any], after: Row[Any]) -> Iterator[ut.Event]:
    had, has = set(before.roles), set(after.roles)
    moves: tuple[tuple[set[str], str, ut.Icon], ...] = (
        (has - had, "gained", "plus"),
        (had - has, "lost", "dash"),
    )
    for roles, word, icon in moves:
        if roles:
            count = "1 role" if len(roles) == 1 else f"{len(roles):,} roles"
            names = ut.tags(sorted(roles), shown=MOST_NAMES)
            yield ut.event(after.valid_from, f"{count} {word}", tags=names, icon=icon)


def _match_changed(before: Row[Any], after: Row[Any]) -> Iterator[ut.Event]:
    at, was, is_ = after.valid_from, _who(before), _who(after)
    if was == is_:
        return
    if not is_:
        yield ut.event(at, "Became unmatched", was, tone="warn")
    elif not was:
        yield ut.event(at, "Matched with a user", is_)
    else:
        yield ut.event(at, "User changed", change=(was, is_))


def _who(version: Row[Any]) -> str:
    return " · ".join(filter(None, (version.user_name, version.user_email)))


def _quiet_changes(before: Row[Any], after: Row[Any]) -> Iterator[ut.Event]:
    """What else differs, on one line. A new time of the last update alone is no news."""
    was, is_ = (_json(version.attributes, dict) for version in (before, after))
    names = [name for name in {**was, **is_} if was.get(name) != is_.get(name)]
    if before.roles == after.roles and before.role_details != after.role_details:
        names.append("Role details")
    same_state = before.provisioning_state == after.provisioning_state
    if same_state and before.state_source != after.state_source:
        names.append("How the state is known")
    if same_state and before.state_reason != after.state_reason:
        names.append("Reason")
    if names:
        tags = ut.tags(names, shown=MOST_NAMES)
        yield ut.event(after.valid_from, "Details changed", tags=tags)
