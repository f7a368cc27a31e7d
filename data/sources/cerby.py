"""Cerby: the users that its API lists, of a workspace or of an integration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Beginning, Part, pages
from data.sources.source import (
    Row,
    Said,
    Source,
    account,
    counted,
    joined,
    listed,
    mapping,
    objects,
    role,
)

ACTIVE = {"live": True, "active": True, "inactive": False, "suspended": False, "disabled": False}
DELETED = ("deleted", "removed")


def knows(begins: Beginning) -> bool:
    """JSON:API: `data` with typed resources and their attributes."""
    found = begins.record if begins.listed_under == "data" else mapping(begins.keys.get("data"))
    return {"type", "attributes"} <= {*found}


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per user. Raises NotAListOfAccounts for jobs and entitlements."""
    ids, total, others = set(), 0, 0
    for page in pages(parts, "data"):
        total = max(total, _total(page.envelope))
        single = mapping(page.envelope.get("data"))
        for found in objects(single) if single else page.records:
            attributes = mapping(mapping(found).get("attributes"))
            if ("email" not in attributes and "status" not in attributes) or single:
                others += 1
                _refuse_other(found, is_single=bool(single))
            ids.add(str(found.get("id")))
            yield _account(found, attributes)
    if len(ids) < total:
        said.incomplete = (
            f"Cerby counts {counted(total, 'user')} (meta.page.total), and {len(ids):,} are here; "
            "pages are missing"
        )


def _total(envelope: Row) -> int:
    total = mapping(mapping(envelope.get("meta")).get("page")).get("total")
    return total if isinstance(total, int) else 0


def _refuse_other(found: Row, *, is_single: bool) -> None:
    kind = str(mapping(found).get("type") or "resource")
    what = f"is about one {kind}" if is_single else f"lists {kind} resources"
    raise NotAListOfAccounts(
        f"The Cerby file {what}, not users. Expected the answers to GET /api/v1/users or to an "
        "integration’s users."
    )


def _account(found: Row, about: Row) -> Row:
    status = str(about.get("status") or "").casefold()
    roles = [role(each, "Role") for each in listed(about.get("role"))]
    roles += [role(each, "Entitlement") for each in listed(about.get("entitlements"))]
    return account(
        about.get("email"),
        account_id=found.get("id"),
        name=joined(about.get("firstName"), about.get("lastName")),
        email=about.get("email"),
        roles=roles,
        active=ACTIVE.get(status, about.get("status")),
        state="Deleted" if status in DELETED else "Onboarded",
        how="reported" if status in DELETED else "inferred",
        last_updated=about.get("updatedAt"),
        more={
            "Guest": {True: "yes", False: "no"}.get(about.get("isGuest")),  # type: ignore[arg-type]
            "Created": about.get("createdAt"),
            "Last activity": about.get("lastActivity"),
        },
    )


CERBY = Source("Cerby users", knows, accounts)
