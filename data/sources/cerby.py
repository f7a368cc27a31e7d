"""Cerby: the users that its API lists, of a workspace or of an integration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Document, Prefix, read_pages
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    as_dict,
    as_dicts,
    as_list,
    join_names,
    make_account,
    make_role,
    pluralize,
)

ACTIVE_BY_STATUS = {
    "live": True,
    "active": True,
    "inactive": False,
    "suspended": False,
    "disabled": False,
}
DELETED_STATUSES = ("deleted", "removed")


def detect(prefix: Prefix) -> bool:
    """JSON:API: `data` with typed resources and their attributes."""
    record = prefix.first_in_list if prefix.list_key == "data" else as_dict(prefix.keys.get("data"))
    return {"type", "attributes"} <= {*record}


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user. Raises NotAListOfAccounts for jobs and entitlements."""
    ids, total, other_count = set(), 0, 0
    for page in read_pages(documents, "data"):
        total = max(total, _expected_total(page.envelope))
        single_record = as_dict(page.envelope.get("data"))
        for resource in as_dicts(single_record) if single_record else page.records:
            attributes = as_dict(as_dict(resource).get("attributes"))
            if ("email" not in attributes and "status" not in attributes) or single_record:
                other_count += 1
                _reject_other(resource, is_single=bool(single_record))
            ids.add(str(resource.get("id")))
            yield _map_account(resource, attributes)
    if len(ids) < total:
        report.incomplete_reason = (
            f"Cerby counts {pluralize(total, 'user')} (meta.page.total), and {len(ids):,} are "
            "here; "
            "pages are missing"
        )


def _expected_total(envelope: Row) -> int:
    total = as_dict(as_dict(envelope.get("meta")).get("page")).get("total")
    return total if isinstance(total, int) else 0


def _reject_other(resource: Row, *, is_single: bool) -> None:
    kind = str(as_dict(resource).get("type") or "resource")
    description = f"is about one {kind}" if is_single else f"lists {kind} resources"
    raise NotAListOfAccounts(
        f"The Cerby file {description}, not users. Expected the answers to GET /api/v1/users "
        "or to an "
        "integration’s users."
    )


def _map_account(resource: Row, attributes: Row) -> Row:
    status = str(attributes.get("status") or "").casefold()
    roles = [make_role(role_name, "Role") for role_name in as_list(attributes.get("role"))]
    roles += [
        make_role(role_name, "Entitlement") for role_name in as_list(attributes.get("entitlements"))
    ]
    return make_account(
        attributes.get("email"),
        account_id=resource.get("id"),
        name=join_names(attributes.get("firstName"), attributes.get("lastName")),
        email=attributes.get("email"),
        roles=roles,
        active=ACTIVE_BY_STATUS.get(status, attributes.get("status")),
        state="Deleted" if status in DELETED_STATUSES else "Onboarded",
        state_source="reported" if status in DELETED_STATUSES else "inferred",
        last_updated=attributes.get("updatedAt"),
        attributes={
            "Guest": {True: "yes", False: "no"}.get(attributes.get("isGuest")),  # type: ignore[arg-type]
            "Created": attributes.get("createdAt"),
            "Last activity": attributes.get("lastActivity"),
        },
    )


CERBY = Source("Cerby users", detect, read_accounts)
