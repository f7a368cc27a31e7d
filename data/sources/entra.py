"""Microsoft Entra: what provisioning logs say of each user, and the directory's own users.

The logs are events. The state of an account is what its latest events left it in; who has none in
the time that they cover is not in them, unless the list of assignments lies beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Document, Prefix, read_pages
from data.sources.entra_events import ProvisioningEvent, read_events
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    StateSource,
    as_dict,
    make_account,
    make_role,
    pluralize,
)

STATE_AFTER_EVENT = {
    ("create", "success"): "Onboarded",
    ("create", "failure"): "Provisioning failed",
    ("update", "success"): "Onboarded",
    ("update", "failure"): "Update failed",
    ("disable", "success"): "Onboarded",
    ("disable", "failure"): "Delete failed",
    ("stageddelete", "success"): "Delete awaiting",
    ("stageddelete", "failure"): "Delete failed",
    ("delete", "success"): "Deleted",
    ("delete", "failure"): "Delete failed",
}
"""What happened, and how it ended → the state of the account after it."""

DEACTIVATING_ACTIONS = ("disable", "stageddelete", "delete")
MAX_LISTED_APPS = 5
ROLE_PROPERTIES = ("roles", "role", "approleassignments")


@dataclass
class _UserState:
    """What the events so far say of one user."""

    last_event: ProvisioningEvent  # the latest that changed something
    state: str
    username: Any = None
    active: Any = None
    roles: list[str] = field(default_factory=list)
    has_warning: bool = False


def detect(prefix: Prefix) -> bool:
    """Provisioning events, of Graph, the portal or Azure Monitor; or assignments to an app."""
    record_keys = {key.casefold() for key in prefix.first_record}
    if (
        "sourceidentity" in record_keys
        and {"provisioningaction", "action", "changeid"} & record_keys
    ):
        return True
    if str(prefix.first_record.get("category") or "").casefold() == "provisioninglogs":
        return True
    return _is_log_csv(prefix) or _is_assignment(prefix.first_in_list) or _is_app(prefix)


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user of the app, from the latest of its events.

    Raises NotAListOfAccounts where no event is about a user, or they are of several apps and none
    is called like the integration.
    """
    app_events = _select_app_events(list(read_events(documents, report)), report)
    user_states, skipped = _replay_events(app_events)
    assignments = _read_assignments(documents)
    for user_key, entry in user_states.items():
        yield _map_account(entry, assignments.pop(user_key, None))
    log_start = min((entry.occurred_at for entry in app_events), default="")
    for entry in assignments.values():
        yield _map_assignment(entry, log_start)
    if skipped:
        report.remarks.append(
            f"{pluralize(skipped, 'user')} left out: provisioning skipped them, so the app has no "
            "account of theirs."
        )
    if app_events and not any(
        _is_assignment(document.prefix.first_in_list) for document in documents
    ):
        report.remarks.append(
            f"A log of what happened from {log_start[:10]} to "
            f"{max(e.occurred_at for e in app_events)[:10]}: "
            "accounts to which nothing happened in that time are not in it."
        )


def _select_app_events(
    all_events: list[ProvisioningEvent], report: SourceReport
) -> list[ProvisioningEvent]:
    """The events about users, of the one app that is meant, from the earliest on."""
    user_events = [event for event in all_events if event.is_user]
    if all_events and not user_events:
        kinds = ", ".join(sorted({event.object_type or "unknown" for event in all_events}))
        raise NotAListOfAccounts(
            f"The provisioning log tells of no user in {pluralize(len(all_events), 'event')}, "
            "only of: "
            f"{kinds}."
        )
    if other_count := len(all_events) - len(user_events):
        report.remarks.append(f"{pluralize(other_count, 'event')} left out: not about users.")
    apps = {event.app: event.app_name for event in user_events}
    if len(apps) > 1:
        wanted_name = _normalize_name(report.integration)
        matching_apps = {
            app
            for app, name in apps.items()
            if wanted_name and wanted_name == _normalize_name(name)
        }
        if len(matching_apps) != 1:
            names = ", ".join(sorted(map(str, apps.values()))[:MAX_LISTED_APPS])
            raise NotAListOfAccounts(
                f"The provisioning log tells of {len(apps)} apps: {names}. Filter it by one app, "
                "or name the integration like the app that is meant."
            )
        user_events = [event for event in user_events if event.app in matching_apps]
    return sorted(user_events, key=lambda event: (event.occurred_at, event.id))


def _replay_events(app_events: list[ProvisioningEvent]) -> tuple[dict[str, _UserState], int]:
    """User → what is known after all events; and how many were never more than skipped."""
    user_states: dict[str, _UserState] = {}
    skipped = set()
    for event in app_events:
        state = STATE_AFTER_EVENT.get(
            (event.action, "success" if event.result == "warning" else event.result)
        )
        if event.result == "skipped" or (state is None and event.user_key not in user_states):
            skipped.add(event.user_key)
            continue
        _apply_event(user_states, event, state)
    return user_states, len(skipped - user_states.keys())


def _apply_event(
    user_states: dict[str, _UserState], event: ProvisioningEvent, state: str | None
) -> None:
    user_state = user_states.setdefault(event.user_key, _UserState(event, state or "Onboarded"))
    user_state.last_event, user_state.state = event, state or user_state.state
    user_state.username = event.username or user_state.username
    user_state.has_warning = event.result == "warning"
    new_values = event.new_values
    user_state.roles = next(
        (_split_names(new_values[n]) for n in ROLE_PROPERTIES if n in new_values), user_state.roles
    )
    if event.action == "create" and user_state.active is None and event.succeeded:
        user_state.active = True
    if new_values.get("active") is not None and event.succeeded:
        user_state.active = new_values["active"]
    if event.action in DEACTIVATING_ACTIONS and event.succeeded:
        user_state.active = False


def _map_account(user_state: _UserState, assignment: Row | None) -> Row:
    event = user_state.last_event
    roles = [make_role(name, "Role") for name in user_state.roles]
    return make_account(
        user_state.username or event.target_name or event.upn or event.name,
        account_id=event.user_key or event.target_id,
        name=event.name,
        email=event.upn,
        roles=roles
        or [make_role(name, "App role") for name in (assignment or {}).get("roles", [])],
        active=user_state.active,
        upstream_id=event.source_id,
        state=user_state.state,
        reason=event.reason or ("Ended with a warning." if user_state.has_warning else None),
        code=event.code,
        last_updated=event.occurred_at or None,
        attributes={
            "Recommended action": event.advice,
            "ID in app": event.target_id,
            "Last action": f"{event.action}: {event.result}",
            "App": event.app_name,
        },
    )


def _normalize_name(name: Any) -> str:
    return "".join(c for c in str(name or "").casefold() if c.isalnum())


def _split_names(text: Any) -> list[str]:
    return [name.strip() for name in str(text or "").split(",") if name.strip()]


# ---- who is assigned to the app ------------------------------------------------------------------


def _is_assignment(record: Row) -> bool:
    return {"principalId", "principalType", "appRoleId"} <= {*record}


def _is_app(prefix: Prefix) -> bool:
    return prefix.list_key == "appRoles" or "appRoles" in prefix.first_record


def _is_log_csv(prefix: Prefix) -> bool:
    headings = {_normalize_name(heading) for heading in prefix.headings}
    return "changeid" in headings and bool(
        headings & {"action", "provisioningaction", "modifiedproperty", "newvalue", "stepname"}
        or any("step" in h or "property" in h for h in headings)
    )


def _read_assignments(documents: Sequence[Document]) -> dict[str, Row]:
    """Directory ID of a user → the assignment to the app, with the names of its roles."""
    role_names: dict[str, str] = {}
    assignments: dict[str, Row] = {}
    assignment_documents = [
        p for p in documents if _is_app(p.prefix) or _is_assignment(p.prefix.first_in_list)
    ]
    for page in read_pages(assignment_documents, "value"):
        for record in map(as_dict, page.records):
            role_names |= {
                str(r.get("id")): r.get("displayName") for r in record.get("appRoles") or []
            }
            if _is_assignment(record) and record["principalType"] == "User":
                assignment = assignments.setdefault(
                    str(record["principalId"]), record | {"role_ids": []}
                )
                assignment["role_ids"].append(str(record["appRoleId"]))
    for record in assignments.values():
        record["roles"] = [
            role_names[role_id] for role_id in record["role_ids"] if role_names.get(role_id)
        ]
    return assignments


def _map_assignment(assignment: Row, log_start: str) -> Row:
    """Someone who is assigned and to whom nothing happened while the log was kept."""
    since = str(assignment.get("createdDateTime") or "")
    is_new = bool(log_start) and since > log_start
    return make_account(
        assignment.get("principalDisplayName"),
        account_id=assignment.get("principalId"),
        name=assignment.get("principalDisplayName"),
        roles=[make_role(name, "App role", since=since) for name in assignment["roles"]],
        upstream_id=assignment.get("principalId"),
        state="Provisioning awaiting" if is_new else "Onboarded",
        state_source="inferred",
        last_updated=since or None,
        attributes={"Username": "not known: the display name stands for it"},
    )


# ---- the directory's own users -------------------------------------------------------------------


def detect_users(prefix: Prefix) -> bool:
    """People as Graph lists them: `GET /users`."""
    return "userPrincipalName" in prefix.first_record and "id" in prefix.first_record


def read_users(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per person: with these, the accounts of apps are matched."""
    has_next_page = False
    for page in read_pages(documents, "value"):
        has_next_page = bool(page.envelope.get("@odata.nextLink"))
        for user in map(as_dict, page.records):
            is_enabled = user.get("accountEnabled")
            state_source: StateSource = "inferred"
            yield make_account(
                user.get("userPrincipalName"),
                account_id=user.get("id"),
                name=user.get("displayName"),
                email=user.get("mail") or user.get("userPrincipalName"),
                active=is_enabled,
                upstream_id=user.get("id"),
                state_source=state_source,
                attributes={
                    "Title": user.get("jobTitle"),
                    "Department": user.get("department"),
                    "Employee ID": user.get("employeeId"),
                    "User type": user.get("userType"),
                },
            )
    if has_next_page:
        report.incomplete_reason = (
            "the last page names another one (@odata.nextLink), which is not here"
        )


ENTRA = Source("a Microsoft Entra provisioning log", detect, read_accounts)
ENTRA_USERS = Source("Microsoft Entra users", detect_users, read_users)
