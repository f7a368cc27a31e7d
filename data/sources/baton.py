"""ConductorOne's Baton: the template of baton-file, and what `baton resources` and `grants` print.

Neither knows jobs, so states are inferred; and whose an account is follows from its email.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Beginning, Part
from data.sources.source import Row, Said, Source, account, joined, mapping, objects, role

STATUSES = {"enabled": True, "active": True, "disabled": False, "inactive": False, "deleted": False}


def knows(begins: Beginning) -> bool:
    """By the lists that stand beside the users, or by resources that wrap themselves."""
    found = begins.record
    if begins.listed_under in ("resources", "grants") and (
        {"resource", "principal", "resource_type"} & {*found}
    ):
        return True
    is_template = begins.listed_under == "users" and "name" in found
    return is_template and bool({"display_name", "profile", "status"} & {*found})


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per user, with all that groups and roles give on the way."""
    documents = [mapping(document) for part in parts for document in part.documents()]
    if any("users" in each for each in documents):
        return _of_template(documents)
    return _of_output(documents, said)


def _all(documents: Iterable[Row], key: str) -> list[Row]:
    return [each for document in documents for each in objects(document.get(key))]


# ---- the template --------------------------------------------------------------------------------


def _of_template(documents: Sequence[Row]) -> Iterator[Row]:
    named = {each.get("name"): each for each in _all(documents, "resources")}
    given: dict[str, list[str]] = {}
    for grant in _all(documents, "grants"):
        given.setdefault(str(grant.get("principal")), []).append(str(grant.get("entitlement_id")))
    for user in _all(documents, "users"):
        yield _template_user(user, list(_reached(given, str(user.get("name")))), named)


def _reached(given: dict[str, list[str]], who: str) -> Iterator[tuple[str, str]]:
    """Every entitlement that someone holds, and the one through which, if through any."""
    seen: set[str] = set()
    open_ = [(entitlement, "") for entitlement in given.get(who, [])]
    while open_:
        entitlement, via = open_.pop(0)
        if entitlement not in seen:
            seen.add(entitlement)
            yield entitlement, via
            open_ += [(further, entitlement) for further in given.get(entitlement, [])]


def _template_user(user: Row, held: Iterable[tuple[str, str]], named: dict[Any, Row]) -> Row:
    profile = mapping(user.get("profile"))

    def shown(entitlement: str) -> str:
        resource = entitlement.rpartition(":")[0] or entitlement
        return str(named.get(resource, {}).get("display_name") or resource)

    roles = [
        role(
            shown(entitlement),
            str(named.get(entitlement.rpartition(":")[0], {}).get("resource_type") or ""),
            id=entitlement,
            via=shown(via) if via else "",
        )
        for entitlement, via in held
    ]
    more = {key.replace("_", " ").capitalize(): text for key, text in profile.items()}
    more |= {
        "Email": user.get("email"),
        "Display name": user.get("display_name"),
        "Account type": user.get("type"),
        "Last login": user.get("last_login"),
    }
    status = str(user.get("status") or "").casefold()
    return account(
        profile.get("login") or user.get("name"),
        account_id=profile.get("userid") or user.get("name"),
        roles=roles,
        active=STATUSES.get(status, user.get("status")),
        state="Deleted" if status == "deleted" else "Onboarded",
        how="inferred",
        more={key: text for key, text in more.items() if key not in ("Userid", "Login")},
    )


# ---- what the connector's command prints ---------------------------------------------------------


def _of_output(documents: Sequence[Row], said: Said) -> Iterator[Row]:
    grants = _all(documents, "grants")
    held: dict[str, list[Row]] = {}
    for each in grants:
        grant = mapping(each.get("grant"))
        principal = mapping(each.get("principal")) or mapping(grant.get("principal"))
        held.setdefault(_id(principal), []).append(_granted(each, grant))
    found = [(each, _trait(each)) for each in _all(documents, "resources")]
    users = [(each, trait) for each, trait in found if trait]
    if not users:
        raise NotAListOfAccounts(
            "The Baton files list no users. Expected the output of baton resources -o json, beside "
            "that of baton grants -o json in one ZIP archive."
        )
    if not grants:
        said.remarks.append("Roles are not known: the output of baton grants is not among it.")
    for each, trait in users:
        resource = mapping(each.get("resource"))
        yield _resource_user(resource, trait, held.get(_id(resource), []))


def _trait(each: Row) -> Row:
    """What makes a resource a user."""
    for found in objects(mapping(each.get("resource")).get("annotations")):
        if str(found.get("@type", "")).endswith("UserTrait"):
            return found
    return {}


def _granted(each: Row, grant: Row) -> Row:
    entitlement = mapping(each.get("entitlement")) or mapping(grant.get("entitlement"))
    resource = mapping(each.get("resource")) or mapping(entitlement.get("resource"))
    name = entitlement.get("displayName") or entitlement.get("slug") or entitlement.get("id")
    on = resource.get("displayName")
    kind = mapping(each.get("resourceType")).get("displayName") or mapping(resource.get("id")).get(
        "resourceType"
    )
    shown = f"{name} on {on}" if on and on != name else name
    return role(shown, kind or "", description=entitlement.get("description"))


def _id(resource: Row) -> str:
    own = resource.get("id")
    return str(own.get("resource")) if isinstance(own, dict) else str(own)


def _resource_user(resource: Row, trait: Row, roles: list[Row]) -> Row:
    profile = mapping(trait.get("profile"))
    emails = objects(trait.get("emails"))
    email = next((e.get("address") for e in emails if e.get("isPrimary")), None) or (
        emails[0].get("address") if emails else None
    )
    status = mapping(trait.get("status"))
    word = str(status.get("status") or "").removeprefix("STATUS_").casefold()
    login = trait.get("login") or profile.get("login")
    return account(
        login or email or resource.get("displayName"),
        account_id=_id(resource),
        roles=roles,
        active=STATUSES.get(word),
        state="Deleted" if word == "deleted" else "Onboarded",
        how="inferred",
        reason=status.get("details"),
        more={
            "Email": email,
            "Display name": resource.get("displayName") or joined(profile.get("name")),
            "Account type": trait.get("accountType"),
            "Created": trait.get("createdAt"),
            "Last login": trait.get("lastLogin"),
            "Employee IDs": trait.get("employeeIds"),
        },
    )


BATON = Source("a Baton export", knows, accounts)
