"""An account in words and marks: a row of the Users table, and the panel that it opens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Row

from data.files.naming import parse_moment
from data.files.text import WHITESPACE
from data.states import STATE_BY_NAME
from queries.filters import MAX_SEARCH_LENGTH, Filters
from queries.owners import MATCHED_BY
from queries.users.detail import AccountDetails
from widgets import timezone
from widgets import users_table as ut
from widgets.state_marks import state_mark, tone_and_icon

T = TypeVar("T")
Versions = Sequence[Row[Any]]
"""Of one account, oldest first; the last one is shown."""


MIN_SEARCHABLE_ROLES = 20
"""Roles; a longer list gets a search of its own."""

MAX_NAMES_SHOWN = 100
"""Roles that one point of the history names; more are counted."""

ROLE_COLUMNS = {"type": "Type", "description": "Description", "via": "Via", "since": "Since"}

IDENTIFIERS = {"username_in_app": "Username in app", "upstream_user_id": "Upstream user ID"}

ACTIVE_LABELS = {True: "yes", False: "no", None: "unknown"}

STATE_SOURCE_LABELS = {
    "inferred": "Inferred: the source lists accounts, but reports no jobs.",
    "default": "By default: for signing in only, nothing is provisioned.",
}
"""How a state is known → in words, where it is not the source that reports it."""

ACCOUNT_COLUMNS = [
    ut.column("user", "User", width=1.8),
    ut.column("username_in_app", "Username in app", width=1.5),
    ut.column("integration", "Integration", width=1.0),
    ut.column("roles", "App access", width=1.6),
    ut.column("active_in_app", "Active in app", width=0.85),
    ut.column("upstream_user_id", "Upstream user ID", width=1.05),
    ut.column("provisioning_state", "Provisioning state", width=1.5),
    ut.column("last_updated", "Last updated", width=1.05),
]


def table_columns(*, several_integrations: bool) -> list[ut.TableColumn]:
    """The table's columns; Integration only where there is more than one to tell apart."""
    return [c for c in ACCOUNT_COLUMNS if several_integrations or c["key"] != "integration"]


def table_row(account: Row[Any], override: Row[Any] | None = None) -> ut.TableRow:
    """One row of the table; `decided` is what a person has said of whose the account is."""
    return ut.row(
        str(account.account_key),
        account.username_in_app,
        user=_person_cell(account, override),
        username_in_app=ut.text(account.username_in_app),
        integration=ut.text(account.integration),
        roles=ut.tags(account.roles),
        active_in_app=_active_cell(account.active_in_app),
        upstream_user_id=ut.code(account.upstream_user_id or ""),
        provisioning_state=state_mark(account.provisioning_state),
        last_updated=ut.time(account.last_updated),
    )


def panel(
    details: AccountDetails, *, as_of: datetime | None, override: Row[Any] | None = None
) -> list[ut.Block]:
    """What an open row shows: the state and why, the roles in full, the person, the history."""
    return [
        _state_block(details),
        *_override_blocks(override),
        *_unrecognized_blocks(details.account),
        _roles_block(details),
        *_other_accounts_blocks(details, as_of),
        ut.facts(_account_facts(details)),
        *_attributes_blocks(details.account, override),
        ut.timeline("History", _history_events(details.versions)),
    ]


def _person_cell(account: Row[Any], override: Row[Any] | None = None) -> ut.Cell:
    name, email = account.user_name, account.user_email
    if (
        override
        and override.person_integration
        and (name, email) == (override.user_name, override.user_email)
    ):
        return ut.person(name or email, f"matched by {override.decided_by}")
    if not name and not email:
        return ut.quiet("Unmatched")
    return ut.person(name or email, email if name and email else "")


def _active_cell(active: bool | None) -> ut.Cell:
    if active is None:
        return ut.quiet("Unknown")
    return ut.mark("Yes", "good", "check") if active else ut.mark("No", "quiet", "dash")


# ---- the state, and what was not understood -----------------------------------------------------


def _state_block(details: AccountDetails) -> ut.Block:
    account = details.account
    state = STATE_BY_NAME[account.provisioning_state]
    tone, icon = tone_and_icon(state.name)
    source = STATE_SOURCE_LABELS.get(account.state_source or "")
    facts = [
        ("How it is known", ut.text(source)),
        ("Reason", ut.text(account.state_reason)),
        ("Code", ut.code(account.failure_code)),
    ]
    return ut.note(
        state.definition,
        "bad" if tone == "bad" else "quiet",
        mark=ut.mark(state.name, tone, icon),
        since=_since_cell(_state_since(details.versions), "since at least"),
        facts=[(label, cell) for label, cell in facts if cell["kind"] != "quiet"],
    )


def _override_blocks(override: Row[Any] | None) -> list[ut.Block]:
    """What a person has said of whose the account is."""
    if override is None:
        return []
    owner = " · ".join(filter(None, (override.user_name, override.user_email)))
    facts = [
        ("Listed in", ut.text(override.person_integration)),
        ("Because", ut.text(override.evidence)),
    ]
    return [
        ut.note(
            f"{override.decided_by} has said that it is {owner or 'nobody’s'}.",
            since=ut.time(override.decided_at),
            facts=[(label, cell) for label, cell in facts if cell["kind"] != "quiet"],
        )
    ]


def _unrecognized_blocks(account: Row[Any]) -> list[ut.Block]:
    """One warning per value that is unknown because its text made no sense, with that text."""
    return [
        ut.note(
            f"{column.replace('_', ' ').capitalize()} was not understood.",
            "warn",
            facts=[("The snapshot says", ut.text(_value_text(text)))],
        )
        for column, text in _parse_json(account.flags, dict).items()
    ]


# ---- roles --------------------------------------------------------------------------------------


def _roles_block(details: AccountDetails) -> ut.Block:
    """Every role; a column beside its name only where there is something to say in it.

    A role that is held in two ways, through two groups for example, has two rows.
    """
    details_by_role = _details_by_role(details.account)
    first_seen = _roles_since(details.versions)
    all_role_details = [role for roles in details_by_role.values() for role in roles]
    keys = [
        k for k in ROLE_COLUMNS if k == "since" or any(role.get(k) for role in all_role_details)
    ]
    count = len(details.account.roles)
    return ut.table(
        f"Assigned roles ({count:,})" if count else "No assigned roles",
        ["Role", *(ROLE_COLUMNS[key] for key in keys)],
        [
            [name, *(_role_cell(role, key, first_seen[name]) for key in keys)]
            for name in details.account.roles
            for role in details_by_role.get(name, [{}])
        ],
        searchable=count > MIN_SEARCHABLE_ROLES,
    )


def _details_by_role(account: Row[Any]) -> dict[str, list[dict[str, Any]]]:
    """Role → what the snapshot says of it, once for each way in which it is held."""
    details_by_role: dict[str, list[dict[str, Any]]] = {}
    for role in _parse_json(account.role_details, list):
        if isinstance(role, dict):
            details_by_role.setdefault(_value_text(role.get("name")).strip(WHITESPACE), []).append(
                role
            )
    return details_by_role


def _role_cell(role: dict[str, Any], key: str, first_seen: datetime) -> ut.Cell:
    text = _value_text(role.get(key))
    if key != "since":
        return ut.text(text)
    if not text:
        return _since_cell(first_seen, "by")
    moment = parse_moment(text)
    return ut.time(moment) if moment and "T" in text else ut.text(text)


# ---- since when ---------------------------------------------------------------------------------


def _since_cell(moment: datetime, prefix: str) -> ut.Cell:
    """Since when snapshots show something: it began then, or some time before."""
    since = timezone.format_with_zone(moment, seconds=True)
    title = f"In every snapshot since {since}; the file does not say since when."
    return ut.time(moment, f"{prefix} {timezone.format_moment(moment)}", title=title)


def _state_since(versions: Versions) -> datetime:
    """When the state was first seen that the account has been in ever since."""
    since = versions[-1].valid_from
    for version in _consecutive_versions(versions):
        if version.provisioning_state != versions[-1].provisioning_state:
            break
        since = version.valid_from
    return since


def _roles_since(versions: Versions) -> dict[str, datetime]:
    """Role → when it was first seen with the account, which has had it ever since."""
    since: dict[str, datetime] = {}
    roles = set(versions[-1].roles)
    for version in _consecutive_versions(versions):
        roles.intersection_update(version.roles)
        for role in roles:
            since[role] = version.valid_from
    return since


def _consecutive_versions(versions: Versions) -> Iterator[Row[Any]]:
    """The versions from the newest back, as long as the account was there all the time."""
    next_valid_from = None
    for version in reversed(versions):
        if next_valid_from is not None and version.valid_to < next_valid_from:
            return
        yield version
        next_valid_from = version.valid_from


# ---- the person's other accounts, and all else --------------------------------------------------


def _other_accounts_blocks(details: AccountDetails, as_of: datetime | None) -> list[ut.Block]:
    """The accounts that the same person has besides, each with the way to it."""
    if not details.other_accounts:
        return []
    total, listed = details.other_accounts[0].found, len(details.other_accounts)
    count = f"{total:,}" if listed == total else f"the first {listed:,} of {total:,}"
    return [
        ut.table(
            f"Other accounts of the same person ({count})",
            ["Username in app", "Integration", "Provisioning state", "Active in app", "In common"],
            [
                [
                    ut.link(account.username_in_app, _account_address(account, as_of)),
                    ut.text(account.integration),
                    state_mark(account.provisioning_state),
                    _active_cell(account.active_in_app),
                    "Upstream user ID" if account.same_id else "Email",
                ]
                for account in details.other_accounts
            ],
        )
    ]


def _account_address(account: Row[Any], as_of: datetime | None) -> str:
    """Of the list with that account, on the same page at the same moment."""
    name = account.username_in_app[:MAX_SEARCH_LENGTH]
    filters = Filters(integration=(account.integration,), q=name, as_of=as_of)
    return f"?{urlencode(filters.params())}"


def _account_facts(details: AccountDetails) -> list[tuple[str, ut.Cell]]:
    account = details.account
    return [
        ("Integration", ut.text(account.integration)),
        ("Account ID", ut.code(account.account_id)),
        ("Unchanged", _since_cell(account.valid_from, "since at least")),
    ]


def _attributes_blocks(account: Row[Any], override: Row[Any] | None) -> list[ut.Block]:
    """The snapshot's other columns."""
    attributes = _parse_json(account.attributes, dict)
    if override:
        attributes.pop(MATCHED_BY, None)  # told above, and by no snapshot
    facts = [(name, _attribute_cell(_value_text(value))) for name, value in attributes.items()]
    return [ut.facts(facts, caption="Also in the snapshot")] if facts else []


def _attribute_cell(text: str) -> ut.Cell:
    """A list as its items, anything deeper spread over lines."""
    value = (
        _parse_json(text, list) or _parse_json(text, dict) if text.startswith(("[", "{")) else None
    )
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ut.tags([_value_text(item) for item in value], limit=len(value))
    if value:
        return ut.lines(json.dumps(value, indent=2, ensure_ascii=False))
    return ut.text(text)


def _value_text(value: object) -> str:
    """A value of a JSON text as people write it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parse_json(text: str | None, kind: type[T]) -> T:
    """What the text says if it is of that kind, else nothing of it."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, kind) else kind()


# ---- history ------------------------------------------------------------------------------------


def _history_events(versions: Versions) -> list[ut.TimelineEvent]:
    """The account's history, newest first, as far as the snapshots tell it."""
    moments = [[_first_event(versions[0])]]
    for before, after in pairwise(versions):
        returned = []
        if before.valid_to < after.valid_from:
            moments.append([ut.event(before.valid_to, "Gone from the app’s list", tone="warn")])
            returned = [ut.event(after.valid_from, "Came back")]
        moments.append([*returned, *_change_events(before, after)])
    return [event for moment in reversed(moments) for event in moment]


def _first_event(first: Row[Any]) -> ut.TimelineEvent:
    if first.number > 1:
        return ut.event(first.valid_from, "What was before is not shown")
    return ut.event(first.valid_from, "First seen", first.provisioning_state)


def _change_events(before: Row[Any], after: Row[Any]) -> Iterator[ut.TimelineEvent]:
    """What differs, what matters most first."""
    if before.provisioning_state != after.provisioning_state:
        transition = f"{before.provisioning_state} → {after.provisioning_state}"
        tone, icon = tone_and_icon(after.provisioning_state)
        yield ut.event(after.valid_from, transition, after.state_reason or "", tone=tone, icon=icon)
    yield from _role_events(before, after)
    yield from _match_events(before, after)
    if before.active_in_app != after.active_in_app:
        old, new = (ACTIVE_LABELS[version.active_in_app] for version in (before, after))
        yield ut.event(after.valid_from, f"Active in app: {old} → {new}")
    for column, label in IDENTIFIERS.items():
        old, new = (getattr(version, column) or "–" for version in (before, after))
        if old != new:
            yield ut.event(after.valid_from, f"{label} changed", change=(old, new))
    yield from _detail_events(before, after)


def _role_events(before: Row[Any], after: Row[Any]) -> Iterator[ut.TimelineEvent]:
    old_roles, new_roles = set(before.roles), set(after.roles)
    changes: tuple[tuple[set[str], str, ut.Icon], ...] = (
        (new_roles - old_roles, "gained", "plus"),
        (old_roles - new_roles, "lost", "dash"),
    )
    for roles, verb, icon in changes:
        if roles:
            count = "1 role" if len(roles) == 1 else f"{len(roles):,} roles"
            names = ut.tags(sorted(roles), limit=MAX_NAMES_SHOWN)
            yield ut.event(after.valid_from, f"{count} {verb}", tags=names, icon=icon)


def _match_events(before: Row[Any], after: Row[Any]) -> Iterator[ut.TimelineEvent]:
    moment, old, new = after.valid_from, _person_text(before), _person_text(after)
    if old == new:
        return
    if not new:
        yield ut.event(moment, "Became unmatched", old, tone="warn")
    elif not old:
        yield ut.event(moment, "Matched with a user", new)
    else:
        yield ut.event(moment, "User changed", change=(old, new))


def _person_text(version: Row[Any]) -> str:
    return " · ".join(filter(None, (version.user_name, version.user_email)))


def _detail_events(before: Row[Any], after: Row[Any]) -> Iterator[ut.TimelineEvent]:
    """What else differs, on one line. A new time of the last update alone is no news."""
    old, new = (_parse_json(version.attributes, dict) for version in (before, after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if before.roles == after.roles and before.role_details != after.role_details:
        names.append("Role details")
    same_state = before.provisioning_state == after.provisioning_state
    if same_state and before.state_source != after.state_source:
        names.append("How the state is known")
    if same_state and before.state_reason != after.state_reason:
        names.append("Reason")
    if names:
        tags = ut.tags(names, limit=MAX_NAMES_SHOWN)
        yield ut.event(after.valid_from, "Details changed", tags=tags)
