"""Cerby: the users of a workspace or of an integration, as its API lists them."""

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
)

IS_ACTIVE = {
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
    ids, total = set(), 0
    for page in read_pages(documents, "data"):
        count = as_dict(as_dict(page.envelope.get("meta")).get("page")).get("total")
        total = max(total, count if isinstance(count, int) else 0)
        single_record = as_dict(page.envelope.get("data"))
        for resource in as_dicts(single_record) if single_record else page.records:
            attributes = as_dict(as_dict(resource).get("attributes"))
            if single_record or not {"email", "status"} & {*attributes}:
                _reject_other(as_dict(resource), is_single=bool(single_record))
            ids.add(str(resource.get("id")))
            yield _map_account(resource, attributes)
    report.require_total(total, len(ids), "user", "Cerby", "meta.page.total")


def _reject_other(resource: Row, *, is_single: bool) -> None:
    kind = resource.get("type") or "resource"
    description = f"is about one {kind}" if is_single else f"lists {kind} resources"
    raise NotAListOfAccounts(
        f"The Cerby file {description}, not users. "
        "Expected answers to GET /api/v1/users, or the users of an integration."
    )


def _map_account(resource: Row, attributes: Row) -> Row:
    status = str(attributes.get("status") or "").casefold()
    is_deleted = status in DELETED_STATUSES
    return make_account(
        attributes.get("email"),
        account_id=resource.get("id"),
        name=join_names(attributes.get("firstName"), attributes.get("lastName")),
        email=attributes.get("email"),
        roles=[
            make_role(name, kind)
            for key, kind in (("role", "Role"), ("entitlements", "Entitlement"))
            for name in as_list(attributes.get(key))
        ],
        active=IS_ACTIVE.get(status, attributes.get("status")),
        state="Deleted" if is_deleted else "Onboarded",
        state_source="reported" if is_deleted else "inferred",
        last_updated=attributes.get("updatedAt"),
        attributes={
            "Guest": {True: "yes", False: "no"}.get(attributes.get("isGuest")),  # type: ignore[arg-type]
            "Created": attributes.get("createdAt"),
            "Last activity": attributes.get("lastActivity"),
        },
    )


CERBY = Source("Cerby users", detect, read_accounts)
