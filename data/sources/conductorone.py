"""ConductorOne's CSV files for apps without a connector: identities, and grants beside them."""

from collections.abc import Iterator, Mapping, Sequence

from data.files.errors import NotAListOfAccounts
from data.files.headers import heading_key
from data.formatting import count_of
from data.sources.documents import Document, Prefix
from data.sources.product import Proof
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    join_names,
    make_account,
    make_resource_role,
    make_role,
    split_names,
)

IDENTITIES = Proof(("User ID", "User Status", "Account Owner", "Email Address", "Manager ID"))
GRANTS = Proof(("Entitlement", "Entitlement Slug", "Resource Name", "Resource Type"))
OWNER_COLUMNS = ("userid", "username", "emailaddress")
"""Columns of a grant that can name its owner, the most reliable first. The published headings have
none of them."""

ATTRIBUTE_LABELS = {
    "usertype": "User type",
    "managerid": "Manager ID",
    "accountowner": "Account owner",
}

RolesByOwner = dict[tuple[str, str], list[Row]]
"""Owner column and value → roles."""


def detect(prefix: Prefix) -> str:
    """By the headings of either file."""
    return IDENTITIES.find(prefix) or GRANTS.find(prefix)


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per identity, with its grants. Raises NotAListOfAccounts without identities."""
    identities = [document for document in documents if IDENTITIES.find(document.prefix)]
    if not identities:
        raise NotAListOfAccounts(
            "The file lists grants, not accounts. Put ConductorOne’s identity file and its grant "
            "file into one ZIP archive."
        )
    grants = [document for document in documents if document not in identities]
    roles_by_owner = _group_roles(grants, report)
    previous_line = 0
    for document in identities:
        for line, row in _rows(document, IDENTITIES):
            if len(documents) == 1:  # the number of a row is its line in the file
                yield from [None] * (line - previous_line - 1)
            previous_line = line
            yield _map_account(row, roles_by_owner)


def _rows(document: Document, proof: Proof) -> Iterator[tuple[int, dict[str, str]]]:
    """The line of each row, and its cells by heading key."""
    return document.rows(proof.heading_row(document.prefix) or 0, heading_key)


def _map_account(row: Mapping[str, str], roles_by_owner: RolesByOwner) -> Row:
    roles = [make_role(name, "Role") for name in split_names(row.get("roles"), ";,")]
    roles += [make_role(name, "Group") for name in split_names(row.get("groups"), ";,")]
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
        last_sign_in=row.get("lastlogin"),
        attributes={label: row.get(column) for column, label in ATTRIBUTE_LABELS.items()},
    )


def _group_roles(grants: Sequence[Document], report: SourceReport) -> RolesByOwner:
    roles_by_owner: RolesByOwner = {}
    ownerless_count = 0
    for document in grants:
        for _, row in _rows(document, GRANTS):
            column = next((name for name in OWNER_COLUMNS if row.get(name)), "")
            ownerless_count += not column
            if column:
                role = make_resource_role(
                    row.get("entitlementdisplayname") or row.get("entitlement"),
                    row.get("resourcename"),
                    row.get("resourcetype", ""),
                    row.get("entitlementdescription"),
                )
                roles_by_owner.setdefault((column, row[column].casefold()), []).append(role)
    if ownerless_count:
        report.warnings.append(
            f"Left out {count_of(ownerless_count, 'grant')} without an owner. "
            "Expected a column User ID, Username or Email Address."
        )
    return roles_by_owner


CONDUCTORONE = Source("conductorone", "ConductorOne identities", detect, read_accounts, ("CSV",))
