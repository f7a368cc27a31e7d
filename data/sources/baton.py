"""ConductorOne's Baton: the template of baton-file, and what `baton resources` and `grants` print.

Neither knows jobs, so states are inferred; and whose an account is follows from its email.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Document, Prefix
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    as_dict,
    as_dicts,
    join_names,
    make_account,
    make_role,
)

ACTIVE_BY_STATUS = {
    "enabled": True,
    "active": True,
    "disabled": False,
    "inactive": False,
    "deleted": False,
}


def detect(prefix: Prefix) -> bool:
    """By the lists that stand beside the users, or by resources that wrap themselves."""
    record = prefix.first_in_list
    if prefix.list_key in ("resources", "grants") and (
        {"resource", "principal", "resource_type"} & {*record}
    ):
        return True
    is_template = prefix.list_key == "users" and "name" in record
    return is_template and bool({"display_name", "profile", "status"} & {*record})


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user, with all that groups and roles give on the way."""
    payloads = [as_dict(payload) for document in documents for payload in document.payloads()]
    if any("users" in payload for payload in payloads):
        return _read_template(payloads)
    return _read_output(payloads, report)


def _collect_objects(payloads: Iterable[Row], key: str) -> list[Row]:
    return [item for payload in payloads for item in as_dicts(payload.get(key))]


# ---- the template --------------------------------------------------------------------------------


def _read_template(payloads: Sequence[Row]) -> Iterator[Row]:
    resources_by_name = {
        resource.get("name"): resource for resource in _collect_objects(payloads, "resources")
    }
    grants_by_principal: dict[str, list[str]] = {}
    for grant in _collect_objects(payloads, "grants"):
        grants_by_principal.setdefault(str(grant.get("principal")), []).append(
            str(grant.get("entitlement_id"))
        )
    for user in _collect_objects(payloads, "users"):
        yield _map_template_user(
            user,
            list(_reachable_entitlements(grants_by_principal, str(user.get("name")))),
            resources_by_name,
        )


def _reachable_entitlements(
    grants_by_principal: dict[str, list[str]], principal: str
) -> Iterator[tuple[str, str]]:
    """Every entitlement that someone holds, and the one through which, if through any."""
    seen: set[str] = set()
    queue = [(entitlement, "") for entitlement in grants_by_principal.get(principal, [])]
    while queue:
        entitlement, via = queue.pop(0)
        if entitlement not in seen:
            seen.add(entitlement)
            yield entitlement, via
            queue += [
                (inherited, entitlement) for inherited in grants_by_principal.get(entitlement, [])
            ]


def _map_template_user(
    user: Row, entitlements: Iterable[tuple[str, str]], resources_by_name: dict[Any, Row]
) -> Row:
    profile = as_dict(user.get("profile"))

    def display_name(entitlement: str) -> str:
        resource = entitlement.rpartition(":")[0] or entitlement
        return str(resources_by_name.get(resource, {}).get("display_name") or resource)

    roles = [
        make_role(
            display_name(entitlement),
            str(
                resources_by_name.get(entitlement.rpartition(":")[0], {}).get("resource_type") or ""
            ),
            id=entitlement,
            via=display_name(via) if via else "",
        )
        for entitlement, via in entitlements
    ]
    attributes = {key.replace("_", " ").capitalize(): value for key, value in profile.items()}
    attributes |= {
        "Email": user.get("email"),
        "Display name": user.get("display_name"),
        "Account type": user.get("type"),
        "Last login": user.get("last_login"),
    }
    status = str(user.get("status") or "").casefold()
    return make_account(
        profile.get("login") or user.get("name"),
        account_id=profile.get("userid") or user.get("name"),
        roles=roles,
        active=ACTIVE_BY_STATUS.get(status, user.get("status")),
        state="Deleted" if status == "deleted" else "Onboarded",
        state_source="inferred",
        attributes={
            key: value for key, value in attributes.items() if key not in ("Userid", "Login")
        },
    )


# ---- what the connector's command prints ---------------------------------------------------------


def _read_output(payloads: Sequence[Row], report: SourceReport) -> Iterator[Row]:
    grants = _collect_objects(payloads, "grants")
    roles_by_user: dict[str, list[Row]] = {}
    for entry in grants:
        grant = as_dict(entry.get("grant"))
        principal = as_dict(entry.get("principal")) or as_dict(grant.get("principal"))
        roles_by_user.setdefault(_resource_id(principal), []).append(_grant_role(entry, grant))
    resources = [(entry, _user_trait(entry)) for entry in _collect_objects(payloads, "resources")]
    users = [(entry, trait) for entry, trait in resources if trait]
    if not users:
        raise NotAListOfAccounts(
            "The Baton files list no users. Expected the output of baton resources -o json, beside "
            "that of baton grants -o json in one ZIP archive."
        )
    if not grants:
        report.remarks.append("Roles are not known: the output of baton grants is not among it.")
    for entry, trait in users:
        resource = as_dict(entry.get("resource"))
        yield _map_resource_user(resource, trait, roles_by_user.get(_resource_id(resource), []))


def _user_trait(entry: Row) -> Row:
    """What makes a resource a user."""
    for annotation in as_dicts(as_dict(entry.get("resource")).get("annotations")):
        if str(annotation.get("@type", "")).endswith("UserTrait"):
            return annotation
    return {}


def _grant_role(entry: Row, grant: Row) -> Row:
    entitlement = as_dict(entry.get("entitlement")) or as_dict(grant.get("entitlement"))
    resource = as_dict(entry.get("resource")) or as_dict(entitlement.get("resource"))
    name = entitlement.get("displayName") or entitlement.get("slug") or entitlement.get("id")
    resource_name = resource.get("displayName")
    kind = as_dict(entry.get("resourceType")).get("displayName") or as_dict(resource.get("id")).get(
        "resourceType"
    )
    label = f"{name} on {resource_name}" if resource_name and resource_name != name else name
    return make_role(label, kind or "", description=entitlement.get("description"))


def _resource_id(resource: Row) -> str:
    identifier = resource.get("id")
    return str(identifier.get("resource")) if isinstance(identifier, dict) else str(identifier)


def _map_resource_user(resource: Row, trait: Row, roles: list[Row]) -> Row:
    profile = as_dict(trait.get("profile"))
    emails = as_dicts(trait.get("emails"))
    email = next((e.get("address") for e in emails if e.get("isPrimary")), None) or (
        emails[0].get("address") if emails else None
    )
    status = as_dict(trait.get("status"))
    status_name = str(status.get("status") or "").removeprefix("STATUS_").casefold()
    login = trait.get("login") or profile.get("login")
    return make_account(
        login or email or resource.get("displayName"),
        account_id=_resource_id(resource),
        roles=roles,
        active=ACTIVE_BY_STATUS.get(status_name),
        state="Deleted" if status_name == "deleted" else "Onboarded",
        state_source="inferred",
        reason=status.get("details"),
        attributes={
            "Email": email,
            "Display name": resource.get("displayName") or join_names(profile.get("name")),
            "Account type": trait.get("accountType"),
            "Created": trait.get("createdAt"),
            "Last login": trait.get("lastLogin"),
            "Employee IDs": trait.get("employeeIds"),
        },
    )


BATON = Source("a Baton export", detect, read_accounts)
