"""ConductorOne's Baton: baton-file's template, and the output of `baton resources` and `grants`.

Neither has jobs, so states are inferred. The owner of an account follows from its email.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Document, Prefix
from data.sources.product import Proof
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    as_dict,
    as_dicts,
    join_names,
    make_account,
    make_resource_role,
    make_role,
)

IS_ACTIVE = {
    "enabled": True,
    "active": True,
    "disabled": False,
    "inactive": False,
    "deleted": False,
}


TEMPLATE = Proof(("display_name", "email", "status", "type", "profile.userid", "profile.login"))
RESOURCE = Proof(("resource.id.resourceType", "resource.displayName"))
GRANT = Proof(("grant", "entitlement", "principal"))


def detect(prefix: Prefix) -> str:
    """By the users of the template, or by resources or grants with an envelope of their own."""
    proofs = {"users": TEMPLATE, "resources": RESOURCE, "grants": GRANT}
    return proofs[prefix.list_key].find(prefix) if prefix.list_key in proofs else ""


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user, with direct and inherited roles. Raises NotAListOfAccounts."""
    payloads = [as_dict(payload) for document in documents for payload in document.payloads()]
    if any("users" in payload for payload in payloads):
        return _read_template(payloads)
    return _read_output(payloads, report)


def _collect(payloads: Iterable[Row], key: str) -> list[Row]:
    return [item for payload in payloads for item in as_dicts(payload.get(key))]


# ---- the template --------------------------------------------------------------------------------


def _read_template(payloads: Sequence[Row]) -> Iterator[Row]:
    resources = {str(item.get("name")): item for item in _collect(payloads, "resources")}
    grants: dict[str, list[str]] = {}
    for grant in _collect(payloads, "grants"):
        grants.setdefault(str(grant.get("principal")), []).append(str(grant.get("entitlement_id")))
    for user in _collect(payloads, "users"):
        roles = [
            _template_role(entitlement, via, resources)
            for entitlement, via in _reachable_entitlements(grants, str(user.get("name")))
        ]
        yield _map_template_user(user, roles)


def _reachable_entitlements(
    grants: dict[str, list[str]], principal: str
) -> Iterator[tuple[str, str]]:
    """Every entitlement that a principal holds, and the one that it is inherited from, if any."""
    seen: set[str] = set()
    queue = [(entitlement, "") for entitlement in grants.get(principal, [])]
    while queue:
        entitlement, via = queue.pop(0)
        if entitlement not in seen:
            seen.add(entitlement)
            yield entitlement, via
            queue += [(inherited, entitlement) for inherited in grants.get(entitlement, [])]


def _template_role(entitlement: str, via: str, resources: dict[str, Row]) -> Row:
    def display_name(entitlement_id: str) -> str:
        resource = entitlement_id.rpartition(":")[0] or entitlement_id
        return str(resources.get(resource, {}).get("display_name") or resource)

    kind = resources.get(entitlement.rpartition(":")[0], {}).get("resource_type")
    return make_role(
        display_name(entitlement),
        str(kind or ""),
        id=entitlement,
        via=display_name(via) if via else "",
    )


def _map_template_user(user: Row, roles: list[Row]) -> Row:
    profile = as_dict(user.get("profile"))
    status = str(user.get("status") or "").casefold()
    attributes = {
        key.replace("_", " ").capitalize(): value
        for key, value in profile.items()
        if key.casefold() not in ("userid", "login")
    }
    attributes |= {
        "Email": user.get("email"),
        "Display name": user.get("display_name"),
        "Account type": user.get("type"),
    }
    return make_account(
        profile.get("login") or user.get("name"),
        account_id=profile.get("userid") or user.get("name"),
        roles=roles,
        active=IS_ACTIVE.get(status, user.get("status")),
        state="Deleted" if status == "deleted" else "Onboarded",
        state_source="inferred",
        last_sign_in=user.get("last_login"),
        attributes=attributes,
    )


# ---- the output of the connector's command -------------------------------------------------------


def _read_output(payloads: Sequence[Row], report: SourceReport) -> Iterator[Row]:
    grants = _collect(payloads, "grants")
    roles_by_user: dict[str, list[Row]] = {}
    for entry in grants:
        grant = as_dict(entry.get("grant"))
        principal = as_dict(entry.get("principal")) or as_dict(grant.get("principal"))
        roles_by_user.setdefault(_resource_id(principal), []).append(_grant_role(entry, grant))
    resources = [as_dict(entry.get("resource")) for entry in _collect(payloads, "resources")]
    users = [(resource, trait) for resource in resources if (trait := _user_trait(resource))]
    if not users:
        raise NotAListOfAccounts(
            "The Baton files list no users. Expected the output of baton resources -o json and "
            "that of baton grants -o json in one ZIP archive."
        )
    if not grants:
        report.remarks.append("Roles are unknown: the output of baton grants is missing.")
    for resource, trait in users:
        yield _map_resource_user(resource, trait, roles_by_user.get(_resource_id(resource), []))


def _user_trait(resource: Row) -> Row:
    """The annotation that makes a resource a user; empty for others."""
    for annotation in as_dicts(resource.get("annotations")):
        if str(annotation.get("@type", "")).endswith("UserTrait"):
            return annotation
    return {}


def _grant_role(entry: Row, grant: Row) -> Row:
    entitlement = as_dict(entry.get("entitlement")) or as_dict(grant.get("entitlement"))
    resource = as_dict(entry.get("resource")) or as_dict(entitlement.get("resource"))
    kind = as_dict(entry.get("resourceType")).get("displayName")
    return make_resource_role(
        entitlement.get("displayName") or entitlement.get("slug") or entitlement.get("id"),
        resource.get("displayName"),
        kind or as_dict(resource.get("id")).get("resourceType") or "",
        entitlement.get("description"),
    )


def _resource_id(resource: Row) -> str:
    identifier = resource.get("id")
    return str(identifier.get("resource")) if isinstance(identifier, dict) else str(identifier)


def _map_resource_user(resource: Row, trait: Row, roles: list[Row]) -> Row:
    profile, status = as_dict(trait.get("profile")), as_dict(trait.get("status"))
    emails: list[dict[str, Any]] = as_dicts(trait.get("emails")) or [{}]
    primary = (e.get("address") for e in emails if e.get("isPrimary"))
    email = next(primary, None) or emails[0].get("address")
    status_name = str(status.get("status") or "").removeprefix("STATUS_").casefold()
    return make_account(
        trait.get("login") or profile.get("login") or email or resource.get("displayName"),
        account_id=_resource_id(resource),
        roles=roles,
        active=IS_ACTIVE.get(status_name),
        state="Deleted" if status_name == "deleted" else "Onboarded",
        state_source="inferred",
        reason=status.get("details"),
        last_sign_in=trait.get("lastLogin"),
        attributes={
            "Email": email,
            "Display name": resource.get("displayName") or join_names(profile.get("name")),
            "Account type": trait.get("accountType"),
            "Created": trait.get("createdAt"),
            "Employee IDs": trait.get("employeeIds"),
        },
    )


BATON = Source("baton", "a Baton export", detect, read_accounts)
