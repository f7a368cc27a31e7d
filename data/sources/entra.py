"""Microsoft Entra: provisioning logs.

The logs are events, and the state of an account is that after its latest events. An account without
events in the period of the log is missing, unless the list of assignments is beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.formatting import count_of
from data.sources.documents import Document, Prefix
from data.sources.entra_events import ProvisioningEvent, read_events
from data.sources.pages import iterate_pages, normalize_name
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    as_dict,
    make_account,
    make_role,
    split_names,
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
"""Action and result → the account's state after it."""

DEACTIVATING_ACTIONS = ("disable", "stageddelete", "delete")
EVENT_KEYS = {"provisioningaction", "provisioningstatusinfo", "statusinfo", "changeid"}
MAX_LISTED_APPS = 5
ROLE_PROPERTIES = ("roles", "role", "approleassignments")


@dataclass
class _UserState:
    """What the events so far say about one user."""

    last_event: ProvisioningEvent  # the latest that changed something
    state: str
    username: Any = None
    active: Any = None
    roles: list[str] = field(default_factory=list)
    has_warning: bool = False


def detect(prefix: Prefix) -> str:
    """Provisioning events from Graph, the portal or Azure Monitor; or an app's assignments."""
    if prefix.rows:
        return "columns of a provisioning log" if _is_log_csv(prefix) else ""
    record = prefix.first_record
    keys = {key.casefold() for key in record}
    if "sourceidentity" in keys and EVENT_KEYS & keys:
        return "events with sourceIdentity"
    if str(record.get("category") or "").casefold() == "provisioninglogs":
        return "category ProvisioningLogs"
    if _is_assignment(prefix.first_in_list):
        return "keys principalId, principalType, appRoleId"
    return "key appRoles" if _is_app(prefix) else ""


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user of the app, from the latest of its events.

    Raises NotAListOfAccounts where no event is about a user, or where several apps have events and
    none of them has the integration's name.
    """
    events = _select_app_events(list(read_events(documents, report)), report)
    user_states, skipped_count = _replay_events(events)
    assignments = _read_assignments(documents)
    has_assignments = any(_is_assignment(d.prefix.first_in_list) for d in documents)
    for user_key, user_state in user_states.items():
        yield _map_account(user_state, assignments.pop(user_key, None))
    log_start = events[0].occurred_at if events else ""
    for assignment in assignments.values():
        yield _map_assignment(assignment, log_start)
    if skipped_count:
        report.remarks.append(
            f"Left out {count_of(skipped_count, 'user')} that provisioning skipped, "
            "so the app has no account for them."
        )
    if events and not has_assignments:
        report.remarks.append(
            f"The log covers {log_start[:10]} to {events[-1].occurred_at[:10]}. "
            "Accounts without an event in that period are missing."
        )


def _select_app_events(
    events: list[ProvisioningEvent], report: SourceReport
) -> list[ProvisioningEvent]:
    """The events about users of the wanted app, oldest first."""
    user_events = [event for event in events if event.is_user]
    if events and not user_events:
        kinds = ", ".join(sorted({event.object_type or "unknown" for event in events}))
        raise NotAListOfAccounts(
            f"The provisioning log has {count_of(len(events), 'event')}, none about a user. "
            f"Found: {kinds}."
        )
    if other_count := len(events) - len(user_events):
        report.remarks.append(f"Left out {count_of(other_count, 'event')} not about a user.")
    names = {event.app: event.app_name for event in user_events}
    if len(names) > 1:
        wanted = normalize_name(report.integration)
        apps = {app for app, name in names.items() if wanted and wanted == normalize_name(name)}
        if len(apps) != 1:
            listed = ", ".join(sorted(map(str, names.values()))[:MAX_LISTED_APPS])
            raise NotAListOfAccounts(
                f"The provisioning log has events of {len(names)} apps: {listed}. "
                "Filter it by one app, or give the integration the name of the app."
            )
        user_events = [event for event in user_events if event.app in apps]
    return sorted(user_events, key=lambda event: (event.occurred_at, event.id))


def _replay_events(events: list[ProvisioningEvent]) -> tuple[dict[str, _UserState], int]:
    """User key → state after all events; and the number of users that were always skipped."""
    user_states: dict[str, _UserState] = {}
    skipped = set()
    for event in events:
        result = "success" if event.result == "warning" else event.result
        state = STATE_AFTER_EVENT.get((event.action, result))
        if event.result == "skipped" or (state is None and event.user_key not in user_states):
            skipped.add(event.user_key)
        else:
            user_state = _UserState(event, state or "Onboarded")
            _apply_event(user_states.setdefault(event.user_key, user_state), event, state)
    return user_states, len(skipped - user_states.keys())


def _apply_event(user_state: _UserState, event: ProvisioningEvent, state: str | None) -> None:
    new_values = event.new_values
    user_state.last_event, user_state.state = event, state or user_state.state
    user_state.username = event.username or user_state.username
    user_state.has_warning = event.result == "warning"
    for name in ROLE_PROPERTIES:
        if name in new_values:
            user_state.roles = split_names(new_values[name])
            break
    if not event.succeeded:
        return
    if event.action == "create" and user_state.active is None:
        user_state.active = True
    if new_values.get("active") is not None:
        user_state.active = new_values["active"]
    if event.action in DEACTIVATING_ACTIONS:
        user_state.active = False


def _map_account(user_state: _UserState, assignment: Row | None) -> Row:
    event = user_state.last_event
    roles = [make_role(name, "Role") for name in user_state.roles]
    app_roles = [make_role(name, "App role") for name in (assignment or {}).get("roles", [])]
    return make_account(
        user_state.username or event.target_name or event.upn or event.name,
        account_id=event.user_key or event.target_id,
        name=event.name,
        email=event.upn,
        roles=roles or app_roles,
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


# ---- assignments to the app ----------------------------------------------------------------------


def _is_assignment(record: Row) -> bool:
    return {"principalId", "principalType", "appRoleId"} <= {*record}


def _is_app(prefix: Prefix) -> bool:
    return prefix.list_key == "appRoles" or "appRoles" in prefix.first_record


def _is_log_csv(prefix: Prefix) -> bool:
    headings = set(map(normalize_name, prefix.headings))
    return "changeid" in headings and any(
        heading in ("action", "provisioningaction", "newvalue")
        or "step" in heading
        or "property" in heading
        for heading in headings
    )


def _read_assignments(documents: Sequence[Document]) -> dict[str, Row]:
    """Directory ID of a user → the assignment to the app, with the names of its roles."""
    role_names: dict[str, str] = {}
    assignments: dict[str, Row] = {}
    role_ids: dict[str, list[str]] = {}
    assignment_documents = [
        d for d in documents if _is_app(d.prefix) or _is_assignment(d.prefix.first_in_list)
    ]
    for page in iterate_pages(assignment_documents):
        for record in map(as_dict, page.records):
            for role in record.get("appRoles") or []:
                role_names[str(role.get("id"))] = role.get("displayName")
            if _is_assignment(record) and record["principalType"] == "User":
                user_id = str(record["principalId"])
                assignments.setdefault(user_id, record)
                role_ids.setdefault(user_id, []).append(str(record["appRoleId"]))
    return {
        user_id: assignment | {"roles": list(filter(None, map(role_names.get, role_ids[user_id])))}
        for user_id, assignment in assignments.items()
    }


def _map_assignment(assignment: Row, log_start: str) -> Row:
    """A user with an assignment but without an event."""
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
        attributes={"Username": "unknown: this is the display name"},
    )


ENTRA = Source(
    "entra",
    "a Microsoft Entra provisioning log",
    detect,
    read_accounts,
    formats=("CSV", "JSON", "NDJSON"),
)
