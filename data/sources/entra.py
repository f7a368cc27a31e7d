"""Microsoft Entra: what provisioning logs say of each user, and the directory's own users.

The logs are events. The state of an account is what its latest events left it in; who has none in
the time that they cover is not in them, unless the list of assignments lies beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Beginning, Part, pages
from data.sources.entra_events import Event, events
from data.sources.source import How, Row, Said, Source, account, counted, mapping, role

AFTER = {
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

DEACTIVATING = ("disable", "stageddelete", "delete")
MOST_NAMED = 5
ROLE_NAMES = ("roles", "role", "approleassignments")


@dataclass
class _Known:
    """What the events so far say of one user."""

    event: Event  # the latest that changed something
    state: str
    username: Any = None
    active: Any = None
    roles: list[str] = field(default_factory=list)
    warned: bool = False


def knows(begins: Beginning) -> bool:
    """Provisioning events, of Graph, the portal or Azure Monitor; or assignments to an app."""
    found = {key.casefold() for key in begins.first}
    if "sourceidentity" in found and {"provisioningaction", "action", "changeid"} & found:
        return True
    if str(begins.first.get("category") or "").casefold() == "provisioninglogs":
        return True
    return _is_csv(begins) or _is_assignment(begins.record) or _is_app(begins)


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per user of the app, from the latest of its events.

    Raises NotAListOfAccounts where no event is about a user, or they are of several apps and none
    is called like the integration.
    """
    happened = _of_one_app(list(events(parts, said)), said)
    known, skipped = _left_by(happened)
    assigned = _assignments(parts)
    for person, each in known.items():
        yield _account(each, assigned.pop(person, None))
    began = min((each.at for each in happened), default="")
    for each in assigned.values():
        yield _assigned_only(each, began)
    if skipped:
        said.remarks.append(
            f"{counted(skipped, 'user')} left out: provisioning skipped them, so the app has no "
            "account of theirs."
        )
    if happened and not any(_is_assignment(part.beginning.record) for part in parts):
        said.remarks.append(
            f"A log of what happened from {began[:10]} to {max(e.at for e in happened)[:10]}: "
            "accounts to which nothing happened in that time are not in it."
        )


def _of_one_app(happened: list[Event], said: Said) -> list[Event]:
    """The events about users, of the one app that is meant, from the earliest on."""
    users = [each for each in happened if each.is_user]
    if happened and not users:
        kinds = ", ".join(sorted({each.kind or "unknown" for each in happened}))
        raise NotAListOfAccounts(
            f"The provisioning log tells of no user in {counted(len(happened), 'event')}, only of: "
            f"{kinds}."
        )
    if others := len(happened) - len(users):
        said.remarks.append(f"{counted(others, 'event')} left out: not about users.")
    apps = {each.app: each.app_name for each in users}
    if len(apps) > 1:
        wanted = _plainly(said.integration)
        named = {app for app, name in apps.items() if wanted and wanted == _plainly(name)}
        if len(named) != 1:
            names = ", ".join(sorted(map(str, apps.values()))[:MOST_NAMED])
            raise NotAListOfAccounts(
                f"The provisioning log tells of {len(apps)} apps: {names}. Filter it by one app, "
                "or name the integration like the app that is meant."
            )
        users = [each for each in users if each.app in named]
    return sorted(users, key=lambda each: (each.at, each.id))


def _left_by(happened: list[Event]) -> tuple[dict[str, _Known], int]:
    """User → what is known after all events; and how many were never more than skipped."""
    known: dict[str, _Known] = {}
    skipped = set()
    for event in happened:
        state = AFTER.get((event.action, "success" if event.result == "warning" else event.result))
        if event.result == "skipped" or (state is None and event.person not in known):
            skipped.add(event.person)
            continue
        _happen(known, event, state)
    return known, len(skipped - known.keys())


def _happen(known: dict[str, _Known], event: Event, state: str | None) -> None:
    each = known.setdefault(event.person, _Known(event, state or "Onboarded"))
    each.event, each.state = event, state or each.state
    each.username = event.username or each.username
    each.warned = event.result == "warning"
    changed = event.changed
    each.roles = next((_names(changed[n]) for n in ROLE_NAMES if n in changed), each.roles)
    if event.action == "create" and each.active is None and event.succeeded:
        each.active = True
    if changed.get("active") is not None and event.succeeded:
        each.active = changed["active"]
    if event.action in DEACTIVATING and event.succeeded:
        each.active = False


def _account(each: _Known, assigned: Row | None) -> Row:
    event = each.event
    roles = [role(name, "Role") for name in each.roles]
    return account(
        each.username or event.target_name or event.upn or event.name,
        account_id=event.person or event.target_id,
        name=event.name,
        email=event.upn,
        roles=roles or [role(name, "App role") for name in (assigned or {}).get("roles", [])],
        active=each.active,
        upstream_id=event.source_id,
        state=each.state,
        reason=event.reason or ("Ended with a warning." if each.warned else None),
        code=event.code,
        last_updated=event.at or None,
        more={
            "Recommended action": event.advice,
            "ID in app": event.target_id,
            "Last action": f"{event.action}: {event.result}",
            "App": event.app_name,
        },
    )


def _plainly(name: Any) -> str:
    return "".join(c for c in str(name or "").casefold() if c.isalnum())


def _names(text: Any) -> list[str]:
    return [name.strip() for name in str(text or "").split(",") if name.strip()]


# ---- who is assigned to the app ------------------------------------------------------------------


def _is_assignment(found: Row) -> bool:
    return {"principalId", "principalType", "appRoleId"} <= {*found}


def _is_app(begins: Beginning) -> bool:
    return begins.listed_under == "appRoles" or "appRoles" in begins.first


def _is_csv(begins: Beginning) -> bool:
    headings = {_plainly(heading) for heading in begins.headings}
    return "changeid" in headings and bool(
        headings & {"action", "provisioningaction", "modifiedproperty", "newvalue", "stepname"}
        or any("step" in h or "property" in h for h in headings)
    )


def _assignments(parts: Sequence[Part]) -> dict[str, Row]:
    """Directory ID of a user → the assignment to the app, with the names of its roles."""
    names: dict[str, str] = {}
    found: dict[str, Row] = {}
    chosen = [p for p in parts if _is_app(p.beginning) or _is_assignment(p.beginning.record)]
    for page in pages(chosen, "value"):
        for each in map(mapping, page.records):
            names |= {str(r.get("id")): r.get("displayName") for r in each.get("appRoles") or []}
            if _is_assignment(each) and each["principalType"] == "User":
                one = found.setdefault(str(each["principalId"]), each | {"role_ids": []})
                one["role_ids"].append(str(each["appRoleId"]))
    for each in found.values():
        each["roles"] = [names[of] for of in each["role_ids"] if names.get(of)]
    return found


def _assigned_only(each: Row, began: str) -> Row:
    """Someone who is assigned and to whom nothing happened while the log was kept."""
    since = str(each.get("createdDateTime") or "")
    is_new = bool(began) and since > began
    return account(
        each.get("principalDisplayName"),
        account_id=each.get("principalId"),
        name=each.get("principalDisplayName"),
        roles=[role(name, "App role", since=since) for name in each["roles"]],
        upstream_id=each.get("principalId"),
        state="Provisioning awaiting" if is_new else "Onboarded",
        how="inferred",
        last_updated=since or None,
        more={"Username": "not known: the display name stands for it"},
    )


# ---- the directory's own users -------------------------------------------------------------------


def knows_users(begins: Beginning) -> bool:
    """People as Graph lists them: `GET /users`."""
    return "userPrincipalName" in begins.first and "id" in begins.first


def users(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per person: with these, the accounts of apps are matched."""
    followed = False
    for page in pages(parts, "value"):
        followed = bool(page.envelope.get("@odata.nextLink"))
        for found in map(mapping, page.records):
            enabled = found.get("accountEnabled")
            how: How = "inferred"
            yield account(
                found.get("userPrincipalName"),
                account_id=found.get("id"),
                name=found.get("displayName"),
                email=found.get("mail") or found.get("userPrincipalName"),
                active=enabled,
                upstream_id=found.get("id"),
                how=how,
                more={
                    "Title": found.get("jobTitle"),
                    "Department": found.get("department"),
                    "Employee ID": found.get("employeeId"),
                    "User type": found.get("userType"),
                },
            )
    if followed:
        said.incomplete = "the last page names another one (@odata.nextLink), which is not here"


ENTRA = Source("a Microsoft Entra provisioning log", knows, accounts)
ENTRA_USERS = Source("Microsoft Entra users", knows_users, users)
