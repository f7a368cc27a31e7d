"""Google Workspace: the answers of the Directory API's `users.list`.

It tells who is there and who is suspended, but no jobs and no time of change.
"""

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
    join_names,
    make_account,
    make_role,
)

KIND_PREFIX = "admin#directory#"
ADMIN_ROLES = {"isAdmin": "Super admin", "isDelegatedAdmin": "Delegated admin"}


def detect(prefix: Prefix) -> bool:
    """By its kind, or a list `users` with primary emails."""
    kinds = (prefix.keys.get("kind"), prefix.first_in_list.get("kind"))
    if any(str(kind).startswith(KIND_PREFIX) for kind in kinds):
        return True
    return prefix.list_key == "users" and bool(
        {"primaryEmail", "isAdmin"} & {*prefix.first_in_list}
    )


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user."""
    has_next_page, list_pages, user_count = False, 0, 0
    for page in read_pages(documents, "users"):
        if str(page.envelope.get("kind", KIND_PREFIX + "user")).removeprefix(KIND_PREFIX) not in (
            "user",
            "users",
        ):
            raise NotAListOfAccounts(
                "The Google Workspace file lists no users. Expected users.list."
            )
        has_next_page = bool(page.envelope.get("nextPageToken"))
        list_pages += page.is_list
        for user in page.records:
            user_count += 1
            yield _map_account(as_dict(user))
    if has_next_page:
        report.incomplete_reason = (
            "the last page names another one (nextPageToken), which is not here"
        )
    if user_count == 1 and not list_pages:
        report.incomplete_reason = "it holds a single user, not the list of all"


def _map_account(user: Row) -> Row:
    name = as_dict(user.get("name"))
    username = user.get("primaryEmail") or user.get("username")
    custom_ids = (
        e.get("value") for e in as_dicts(user.get("externalIds")) if e.get("type") == "custom"
    )
    is_inactive = bool(user.get("suspended")) or bool(user.get("archived"))
    has_active = "suspended" in user or "archived" in user
    return make_account(
        username,
        account_id=user.get("id"),
        name=name.get("fullName") or join_names(name.get("givenName"), name.get("familyName")),
        email=username,
        roles=[
            make_role(label, "Admin") for key, label in ADMIN_ROLES.items() if user.get(key) is True
        ],
        active=not is_inactive if has_active else None,
        upstream_id=next(custom_ids, None),
        state="Deleted" if user.get("deletionTime") else "Onboarded",
        state_source="reported" if user.get("deletionTime") else "inferred",
        reason=user.get("suspensionReason"),
        attributes={
            "Organizational unit": user.get("orgUnitPath"),
            "Archived": "yes" if user.get("archived") else "",
            "Created": user.get("creationTime"),
            "Deleted at": user.get("deletionTime"),
            "Last login": user.get("lastLoginTime"),
            "Aliases": user.get("aliases"),
        },
    )


GOOGLE = Source("Google Workspace users", detect, read_accounts)
