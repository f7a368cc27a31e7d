"""ConductorOne's CSV files for apps without a connector: identities, and grants beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from data.files.errors import NotAListOfAccounts
from data.files.headers import heading_key
from data.sources.documents import Document, Prefix
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    join_names,
    make_account,
    make_role,
    pluralize,
)

IDENTITY_HEADINGS = {"userid", "userstatus", "emailaddress"}
GRANT_HEADINGS = {"entitlement", "entitlementslug"}
OWNER_COLUMNS = ("userid", "username", "emailaddress")
"""By what a grant says whose it is, the surest first; the published headings have none of them."""

ATTRIBUTE_LABELS = {
    "usertype": "User type",
    "managerid": "Manager ID",
    "accountowner": "Account owner",
    "lastlogin": "Last login",
}


def detect(prefix: Prefix) -> bool:
    """By the headings of either file."""
    headings = set(map(heading_key, prefix.headings))
    return headings >= IDENTITY_HEADINGS or headings >= GRANT_HEADINGS | {"resourcename"}


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per identity, with the grants that name it. Raises NotAListOfAccounts."""
    identities = [
        p for p in documents if set(map(heading_key, p.prefix.headings)) >= IDENTITY_HEADINGS
    ]
    if not identities:
        raise NotAListOfAccounts(
            "The file lists grants, not the accounts that have them. Put ConductorOne’s identity "
            "file and its grant file into one ZIP archive."
        )
    roles_by_owner, ownerless_count = _group_roles_by_owner(
        [document for document in documents if document not in identities]
    )
    if ownerless_count:
        report.warnings.append(
            f"{pluralize(ownerless_count, 'grant')} left out: nothing in the row says whose it "
            "is (expected "
            "a column User ID, Username or Email Address)."
        )
    last_line = 0  # the last that was told: a row keeps the line that it is on
    for document in identities:
        for row_line, cells in document.rows():
            yield from (None for _ in range(last_line, row_line - 1)) if len(documents) == 1 else ()
            last_line = row_line
            yield _map_account(
                {heading_key(heading): text for heading, text in cells.items()}, roles_by_owner
            )


def _map_account(
    row: Mapping[str, str], roles_by_owner: Mapping[tuple[str, str], list[Row]]
) -> Row:
    roles = [make_role(name, "Role") for name in _split_names(row.get("roles", ""))]
    roles += [make_role(name, "Group") for name in _split_names(row.get("groups", ""))]
    for column in OWNER_COLUMNS:
        roles += roles_by_owner.get((column, row.get(column, "").casefold()), [])
    return make_account(
        row.get("username") or row.get("emailaddress"),
        account_id=row.get("userid"),
        name=row.get("fullname") or join_names(row.get("firstname"), row.get("lastname")),
        email=row.get("emailaddress"),
        roles=roles,
        active=row.get("userstatus"),
        state_source="inferred",
        attributes={label: row.get(column) for column, label in ATTRIBUTE_LABELS.items()},
    )


def _group_roles_by_owner(
    documents: Sequence[Document],
) -> tuple[dict[tuple[str, str], list[Row]], int]:
    """Whose → the roles; and how many grants are nobody's."""
    roles_by_owner: dict[tuple[str, str], list[Row]] = {}
    ownerless_count = 0
    for document in documents:
        for _, cells in document.rows():
            row = {heading_key(heading): text for heading, text in cells.items()}
            column = next((name for name in OWNER_COLUMNS if row.get(name)), "")
            ownerless_count += not column
            if column:
                roles_by_owner.setdefault((column, row[column].casefold()), []).append(
                    _grant_role(row)
                )
    return roles_by_owner, ownerless_count


def _grant_role(row: Mapping[str, str]) -> Row:
    name = row.get("entitlementdisplayname") or row.get("entitlement")
    resource_name = row.get("resourcename")
    label = f"{name} on {resource_name}" if resource_name and resource_name != name else name
    return make_role(
        label, row.get("resourcetype", ""), description=row.get("entitlementdescription")
    )


def _split_names(text: str) -> list[str]:
    return [name.strip() for name in text.replace(",", ";").split(";") if name.strip()]


CONDUCTORONE = Source("ConductorOne identities", detect, read_accounts)
