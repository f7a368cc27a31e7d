"""Google Workspace: the answers of the Directory API's `users.list`.

They show who exists and who is suspended, but no jobs and no times of change.
"""

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
USER_KINDS = (f"{KIND_PREFIX}user", f"{KIND_PREFIX}users", None)
ADMIN_ROLES = {"isAdmin": "Super admin", "isDelegatedAdmin": "Delegated admin"}


def detect(prefix: Prefix) -> bool:
    """By its kind, or a list `users` with primary emails."""
    kinds = (prefix.keys.get("kind"), prefix.first_in_list.get("kind"))
    if any(str(kind).startswith(KIND_PREFIX) for kind in kinds):
        return True
    user_keys = {"primaryEmail", "isAdmin"} & {*prefix.first_in_list}
    return prefix.list_key == "users" and bool(user_keys)


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per user. Raises NotAListOfAccounts for another kind of list."""
    next_page, list_pages, user_count = None, 0, 0
    for page in read_pages(documents, "users"):
        if page.envelope.get("kind") not in USER_KINDS:
            raise NotAListOfAccounts(
                "The Google Workspace file lists no users. Expected answers of users.list."
            )
        next_page = page.envelope.get("nextPageToken")
        list_pages += page.is_list
        user_count += len(page.records)
        for user in page.records:
            yield _map_account(as_dict(user))
    report.require_last_page(next_page, "nextPageToken")
    if user_count == 1 and not list_pages:
        report.incomplete_reason = "it has a single user, not the list of all"


def _map_account(user: Row) -> Row:
    name = as_dict(user.get("name"))
    username = user.get("primaryEmail") or user.get("username")
    ids = (e.get("value") for e in as_dicts(user.get("externalIds")) if e.get("type") == "custom")
    is_inactive = bool(user.get("suspended")) or bool(user.get("archived"))
    has_active = "suspended" in user or "archived" in user
    deleted_at = user.get("deletionTime")
    return make_account(
        username,
        account_id=user.get("id"),
        name=name.get("fullName") or join_names(name.get("givenName"), name.get("familyName")),
        email=username,
        roles=[
            make_role(label, "Admin") for key, label in ADMIN_ROLES.items() if user.get(key) is True
        ],
        active=not is_inactive if has_active else None,
        upstream_id=next(ids, None),
        state="Deleted" if deleted_at else "Onboarded",
        state_source="reported" if deleted_at else "inferred",
        reason=user.get("suspensionReason"),
        attributes={
            "Organizational unit": user.get("orgUnitPath"),
            "Archived": "yes" if user.get("archived") else "",
            "Created": user.get("creationTime"),
            "Deleted at": deleted_at,
            "Last login": user.get("lastLoginTime"),
            "Aliases": user.get("aliases"),
        },
    )


GOOGLE = Source("Google Workspace users", detect, read_accounts)
