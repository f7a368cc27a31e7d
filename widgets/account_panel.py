"""The panel of one account, which its row opens."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa

from data.files.headers import column_title
from data.files.naming import parse_moment
from data.files.text import WHITESPACE
from data.states import STATE_BY_NAME
from queries.filters import MAX_SEARCH_LENGTH, Filters
from queries.owners import MATCHED_BY
from queries.people.accounts import PERSON_TEXTS
from queries.people.owner import AccountOwner
from queries.users.detail import AccountDetails
from widgets import timezone
from widgets import users_table as ut
from widgets.account_history import (
    history_events,
    json_text,
    parse_json,
    person_text,
    roles_since,
    state_since,
)
from widgets.account_row import DELETED_BUT_ACTIVE, Account, active_cell, sign_in_cell
from widgets.people.address import person_address
from widgets.state_marks import state_mark, tone_and_icon

MAX_UNSEARCHABLE_ROLES = 20
"""A longer list of roles gets a search box."""

SINCE = "since {} or earlier"
FIRST_SEEN = "first seen {}"
LAST_CHANGE = "on or before {}"
IN_EVERY_SNAPSHOT = "In every snapshot since {}; the file does not say since when."
UNREADABLE = "Could not read “{}”: “{}”"
UNKNOWN_STATE = "The state in the file, “{}”, is not one Rollcall knows."

SIGN_IN_NOW = "Last sign-in, as of the newest snapshot"

ROLE_COLUMNS = {"type": "Type", "description": "Description", "via": "Via", "since": "Since"}

STATE_SOURCE_LABELS = {
    "inferred": "Inferred: the source lists accounts but reports no jobs.",
    "default": "Default: sign-in only, nothing is provisioned.",
}
"""Source of a state → its text, where the state is not reported by the source."""

CONTRADICTION = (
    f"{DELETED_BUT_ACTIVE}: the account is marked Deleted, and the app reports it active."
)


def panel(
    details: AccountDetails, *, as_of: datetime | None, override: sa.Row[Any] | None = None
) -> list[ut.Block]:
    """The state and its reason, all roles, the person's other accounts, the history."""
    return [
        _state_block(details),
        *([ut.note(CONTRADICTION, "warn")] if Account(details.account).is_contradiction else []),
        *_override_blocks(override),
        *_owner_blocks(details.owner, as_of),
        *_unreadable_blocks(details.account),
        _roles_block(details),
        *_other_accounts_blocks(details, as_of),
        ut.facts(_account_facts(details.account, as_of)),
        *_attributes_blocks(details.account, override),
        ut.timeline("History", history_events(details.versions)),
    ]


# ---- the state -----------------------------------------------------------------------------------


def _state_block(details: AccountDetails) -> ut.Block:
    account = details.account
    state = STATE_BY_NAME[account.provisioning_state]
    tone, icon = tone_and_icon(state.name)
    flagged = parse_json(account.flags, dict).get("provisioning_state")
    return ut.note(
        UNKNOWN_STATE.format(json_text(flagged)) if flagged else state.definition,
        "bad" if tone == "bad" else "quiet",
        mark=ut.mark(state.name, tone, icon),
        since=_since_cell(state_since(details.versions), SINCE),
        facts=_present_facts(
            ("Source of state", ut.text(STATE_SOURCE_LABELS.get(account.state_source or ""))),
            ("Reason", ut.copyable(ut.text(account.state_reason))),
            ("Code", ut.copyable(ut.code(account.failure_code))),
        ),
    )


def _override_blocks(override: sa.Row[Any] | None) -> list[ut.Block]:
    """The owner that a person assigned."""
    if override is None:
        return []
    owner = person_text(override)
    decision = f"assigned this account to {owner}" if owner else "decided that nobody owns this"
    return [
        ut.note(
            f"{override.decided_by} {decision}.",
            since=ut.time(override.decided_at),
            facts=_present_facts(
                ("Listed in", ut.text(override.person_integration)),
                ("Evidence", ut.text(override.evidence)),
            ),
        )
    ]


def _owner_blocks(owner: AccountOwner | None, as_of: datetime | None) -> list[ut.Block]:
    """The person in the directories, how that is known, or why nobody is."""
    if owner is None:
        return []
    status, listed = PERSON_TEXTS[owner.owned.status], owner.directory
    facts = [("Person", ut.text(status)), ("Known by", ut.text(owner.explanation))]
    if listed is None:
        return [ut.facts(facts, caption="Directory")]
    since = timezone.format_day(owner.owned.person_since)
    address = person_address(listed.integration, listed.account_id, as_of)
    person = listed.user_name or listed.user_email
    facts[0] = ("Person", ut.link(person or listed.account_id, address))
    facts.insert(1, ("Status", ut.text(f"{status} since {since}")))
    return [ut.facts([*facts, ("Listed in", ut.text(listed.integration))], caption="Directory")]


def _unreadable_blocks(account: sa.Row[Any]) -> list[ut.Block]:
    """One warning per value that could not be read, with its text."""
    return [
        ut.note(UNREADABLE.format(column_title(column), json_text(text)), "warn")
        for column, text in parse_json(account.flags, dict).items()
        if column != "provisioning_state"
    ]


def _present_facts(*facts: tuple[str, ut.Cell]) -> list[tuple[str, ut.Cell]]:
    return [(label, cell) for label, cell in facts if cell["kind"] != "quiet"]


# ---- roles ---------------------------------------------------------------------------------------


def _roles_block(details: AccountDetails) -> ut.Block:
    """One row per role and way in which it is held, such as a group.

    A column is drawn only if some role has a value for it.
    """
    by_role: dict[str, list[dict[str, Any]]] = {}
    for role in parse_json(details.account.role_details, list):
        if isinstance(role, dict):
            name = json_text(role.get("name")).strip(WHITESPACE)
            by_role.setdefault(name, []).append(role)
    first_seen = roles_since(details.versions)
    keys = [
        key
        for key in ROLE_COLUMNS
        if key == "since" or any(role.get(key) for ways in by_role.values() for role in ways)
    ]
    names = details.account.roles
    return ut.table(
        f"Assigned roles ({len(names):,})" if names else "No assigned roles",
        ["Role", *(ROLE_COLUMNS[key] for key in keys)],
        [
            [name, *(_role_cell(role, key, first_seen[name]) for key in keys)]
            for name in names
            for role in by_role.get(name, [{}])
        ],
        searchable=len(names) > MAX_UNSEARCHABLE_ROLES,
    )


def _role_cell(role: dict[str, Any], key: str, first_seen: datetime) -> ut.Cell:
    text = json_text(role.get(key))
    if key != "since":
        return ut.text(text)
    if not text:
        return _since_cell(first_seen, FIRST_SEEN)
    moment = parse_moment(text)
    return ut.time(moment) if moment and "T" in text else ut.text(text)


def _since_cell(moment: datetime, label: str) -> ut.Cell:
    """The day of the first snapshot that shows something; the tooltip has the exact moment."""
    title = IN_EVERY_SNAPSHOT.format(timezone.format_with_zone(moment, seconds=True))
    return ut.time(moment, label.format(timezone.format_day(moment)), title=title)


# ---- other accounts and columns ------------------------------------------------------------------


def _other_accounts_blocks(details: AccountDetails, as_of: datetime | None) -> list[ut.Block]:
    """The same person's other accounts, each with a link."""
    accounts = details.other_accounts
    if not accounts:
        return []
    total = accounts[0].found
    count = f"{total:,}" if len(accounts) == total else f"first {len(accounts):,} of {total:,}"
    return [
        ut.table(
            f"Other accounts of the same person ({count})",
            ["Username in app", "Integration", "Provisioning state", "Active in app", "Matched by"],
            [
                [
                    ut.link(account.username_in_app, _account_address(account, as_of)),
                    ut.text(account.integration),
                    state_mark(account.provisioning_state),
                    active_cell(account.active_in_app),
                    "Upstream user ID" if account.same_id else "Email",
                ]
                for account in accounts
            ],
        )
    ]


def _account_address(account: sa.Row[Any], as_of: datetime | None) -> str:
    """The list with that account, on the same page at the same moment."""
    name = account.username_in_app[:MAX_SEARCH_LENGTH]
    filters = Filters(integration=(account.integration,), q=name, as_of=as_of)
    return f"?{urlencode(filters.params())}"


def _account_facts(account: sa.Row[Any], as_of: datetime | None) -> list[tuple[str, ut.Cell]]:
    """With what a row cuts off, or leaves out on a phone."""
    return [
        ("Integration", ut.text(account.integration)),
        ("Username in app", ut.copyable(ut.text(account.username_in_app))),
        ("Email", ut.copyable(ut.text(account.user_email))),
        ("Account ID", ut.copyable(ut.code(account.account_id))),
        ("Upstream user ID", ut.copyable(ut.code(account.upstream_user_id))),
        ("Active in app", active_cell(account.active_in_app)),
        ("Last updated", ut.time(account.last_updated)),
        (SIGN_IN_NOW if as_of else "Last sign-in", sign_in_cell(account.last_sign_in)),
        ("Last change", _since_cell(account.valid_from, LAST_CHANGE)),
    ]


def _attributes_blocks(account: sa.Row[Any], override: sa.Row[Any] | None) -> list[ut.Block]:
    """The other columns of the snapshot."""
    attributes = parse_json(account.attributes, dict)
    if override:
        attributes.pop(MATCHED_BY, None)  # shown above, and in no snapshot
    facts = [(name, _attribute_cell(json_text(value))) for name, value in attributes.items()]
    return [ut.facts(facts, caption="Also in the snapshot")] if facts else []


def _attribute_cell(text: str) -> ut.Cell:
    """A list as chips, nested values over several lines, anything else as text."""
    value = (
        parse_json(text, list) or parse_json(text, dict) if text.startswith(("[", "{")) else None
    )
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ut.tags([json_text(item) for item in value], limit=len(value))
    if value:
        return ut.lines(json.dumps(value, indent=2, ensure_ascii=False))
    return ut.text(text)
