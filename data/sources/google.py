"""Google Workspace: the answers of the Directory API's `users.list`.

It tells who is there and who is suspended, but no jobs and no time of change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data.files.errors import NotAListOfAccounts
from data.sources.documents import Beginning, Part, pages
from data.sources.source import Row, Said, Source, account, joined, mapping, objects, role

KIND = "admin#directory#"
ADMINS = {"isAdmin": "Super admin", "isDelegatedAdmin": "Delegated admin"}


def knows(begins: Beginning) -> bool:
    """By its kind, or a list `users` with primary emails."""
    kinds = (begins.keys.get("kind"), begins.record.get("kind"))
    if any(str(kind).startswith(KIND) for kind in kinds):
        return True
    return begins.listed_under == "users" and bool({"primaryEmail", "isAdmin"} & {*begins.record})


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per user."""
    followed, lists, number = False, 0, 0
    for page in pages(parts, "users"):
        if str(page.envelope.get("kind", KIND + "user")).removeprefix(KIND) not in (
            "user",
            "users",
        ):
            raise NotAListOfAccounts(
                "The Google Workspace file lists no users. Expected users.list."
            )
        followed = bool(page.envelope.get("nextPageToken"))
        lists += page.is_list
        for found in page.records:
            number += 1
            yield _account(mapping(found))
    if followed:
        said.incomplete = "the last page names another one (nextPageToken), which is not here"
    if number == 1 and not lists:
        said.incomplete = "it holds a single user, not the list of all"


def _account(found: Row) -> Row:
    name = mapping(found.get("name"))
    username = found.get("primaryEmail") or found.get("username")
    custom = (
        e.get("value") for e in objects(found.get("externalIds")) if e.get("type") == "custom"
    )
    is_out = bool(found.get("suspended")) or bool(found.get("archived"))
    knows_active = "suspended" in found or "archived" in found
    return account(
        username,
        account_id=found.get("id"),
        name=name.get("fullName") or joined(name.get("givenName"), name.get("familyName")),
        email=username,
        roles=[role(label, "Admin") for key, label in ADMINS.items() if found.get(key) is True],
        active=not is_out if knows_active else None,
        upstream_id=next(custom, None),
        state="Deleted" if found.get("deletionTime") else "Onboarded",
        how="reported" if found.get("deletionTime") else "inferred",
        reason=found.get("suspensionReason"),
        more={
            "Organizational unit": found.get("orgUnitPath"),
            "Archived": "yes" if found.get("archived") else "",
            "Created": found.get("creationTime"),
            "Deleted at": found.get("deletionTime"),
            "Last login": found.get("lastLoginTime"),
            "Aliases": found.get("aliases"),
        },
    )


GOOGLE = Source("Google Workspace users", knows, accounts)
