"""Okta: the users of an application, with the state of provisioning, and Okta's own users.

An application's list is a JSON array per page, without a count of all users.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from data.sources.documents import Document, Prefix, read_pages
from data.sources.http import ApiClient
from data.sources.settings import PullConfig
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    StateSource,
    as_dict,
    as_list,
    join_names,
    make_account,
    make_role,
)
from data.states import UNRECOGNIZED

ROLE_KEYS = frozenset(
    "role roles profile profiles groups salesforcegroups entitlements permissions permissionsets "
    "featurelicenses licenses userrole userroles usertype accesslevel".split()
)
"""Keys of an app's profile with roles, in lower case; apps choose the names."""

NAME_KEYS = frozenset("email firstname lastname displayname name given_name family_name".split())
"""Keys of a profile with the person's name or email."""

FULL_PAGE_SIZES = (50, 200, 500)
"""The most users in one answer: by default, and on request."""

STAGED_STATUSES = ("STAGED", "APPROVED")
ACTIVE_STATUSES = ("ACTIVE", "PROVISIONED", "MATCHED", "IMPLICIT")
PRESENT_STATUSES = (*ACTIVE_STATUSES, "PENDING", "SUSPENDED", "INACTIVE")
UNASSIGNED_STATUSES = ("IMPORTED", "UNASSIGNED")
INACTIVE_STATUSES = ("INACTIVE", "SUSPENDED", "PENDING", "REVOKED", "DEPROVISIONED")

PHASE_BY_SYNC_STATE = {"SYNCING": "ongoing", "ERROR": "failed"}
UPDATE_STATE_BY_SYNC_STATE = {
    "SYNCHRONIZED": "Onboarded",
    "OUT_OF_SYNC": "Update awaiting",
    "SYNCING": "Update ongoing",
    "ERROR": "Update failed",
}


def detect(prefix: Prefix) -> bool:
    """An assignment of a user to an application."""
    record = prefix.first_record
    return "status" in record and ("syncState" in record or {"scope", "statusChanged"} <= {*record})


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per assignment."""
    user_count, is_list = 0, False
    for page in read_pages(documents, "users"):
        is_list |= page.is_list
        for record in page.records:
            user_count += 1
            assignment = {key.strip('"'): value for key, value in as_dict(record).items()}
            yield _map_account(assignment) if assignment else {}
    if user_count == 1 and not is_list:
        report.incomplete_reason = "it has a single user of an application, not the list of all"
    report.warn_if_full(documents, user_count, *FULL_PAGE_SIZES)


def _map_account(assignment: Row) -> Row:
    profile = as_dict(assignment.get("profile"))
    user = as_dict(as_dict(as_dict(assignment.get("_embedded")).get("user")).get("profile"))
    status = str(assignment.get("status") or "")
    state, state_source = _derive_state(assignment, status)
    # Apps without a sign-in of their own, such as bookmarks, have no credentials.
    username = as_dict(assignment.get("credentials")).get("userName") or user.get("login")
    changes = [assignment.get(key) for key in ("lastUpdated", "statusChanged", "lastSync")]
    attributes = {key: value for key, value in profile.items() if _is_attribute(key, value)}
    attributes |= {
        "Okta status": status,
        "Sync state": assignment.get("syncState"),
        "Assigned by": assignment.get("scope"),
        "Login": user.get("login"),
        "External ID": assignment.get("externalId"),
        "Created": assignment.get("created"),
    }
    return make_account(
        username or profile.get("email"),
        # Not `externalId`, which is there only with the account: one assignment would become two.
        account_id=assignment.get("id") or assignment.get("externalId"),
        roles=_map_roles(profile),
        active=_is_active(status),
        state=state,
        state_source=state_source,
        last_updated=max(map(str, filter(None, changes)), default=None),
        attributes=attributes,
        **_map_person(assignment, user, profile) if status not in UNASSIGNED_STATUSES else {},
    )


def _map_person(assignment: Row, user: Row, profile: Row) -> Row:
    person = user or profile
    full_name = join_names(person.get("firstName"), person.get("lastName"))
    return {
        "name": full_name or person.get("displayName") or person.get("name"),
        "email": user.get("email") or profile.get("email"),
        "upstream_id": assignment.get("id"),
    }


def _map_roles(profile: Row) -> list[Row]:
    return [
        make_role(value.get("name") if isinstance(value, dict) else value, key)
        for key, values in profile.items()
        if _is_role(key, values)
        for value in as_list(values)
    ]


def _derive_state(assignment: Row, status: str) -> tuple[str, StateSource]:
    """The state that `status` and `syncState` mean together."""
    sync_state = str(assignment.get("syncState") or "")
    if status == "DEPROVISIONED":
        return "Deleted", "reported"
    if status == "REVOKED":
        return f"Delete {PHASE_BY_SYNC_STATE.get(sync_state, 'awaiting')}", "reported"
    if status in UNASSIGNED_STATUSES:
        return "Onboarded", "inferred"
    if status not in (*STAGED_STATUSES, *PRESENT_STATUSES):
        return status or UNRECOGNIZED.name, "reported"
    if sync_state == "ERROR" and not assignment.get("externalId"):
        return "Provisioning failed", "reported"
    if status in STAGED_STATUSES and sync_state != "ERROR":
        return f"Provisioning {PHASE_BY_SYNC_STATE.get(sync_state, 'awaiting')}", "reported"
    if sync_state in UPDATE_STATE_BY_SYNC_STATE:
        return UPDATE_STATE_BY_SYNC_STATE[sync_state], "reported"
    return "Onboarded", "default"  # DISABLED: the app is for sign-in only


def _is_active(status: str) -> bool | None:
    is_inactive = status in (*INACTIVE_STATUSES, *STAGED_STATUSES)
    return True if status in ACTIVE_STATUSES else False if is_inactive else None


def _is_role(key: str, value: Any) -> bool:
    is_url = isinstance(value, str) and value.startswith(("http://", "https://"))
    return key.casefold() in ROLE_KEYS and not is_url


def _is_attribute(key: str, value: Any) -> bool:
    is_scalar = not isinstance(value, list | dict)
    return is_scalar and key.casefold() not in NAME_KEYS and not _is_role(key, value)


def detect_users(prefix: Prefix) -> bool:
    """A person in Okta's own directory."""
    record = prefix.first_record
    return "login" in as_dict(record.get("profile")) and {"status", "created"} <= {*record}


def read_users(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per person. Accounts of apps are matched with them."""
    user_count = 0
    for page in read_pages(documents, "users"):
        for record in page.records:
            user_count += 1
            yield _map_user(as_dict(record))
    report.warn_if_full(documents, user_count, FULL_PAGE_SIZES[1])


def _map_user(user: Row) -> Row:
    profile = as_dict(user.get("profile"))
    status = str(user.get("status") or "")
    return make_account(
        profile.get("login"),
        account_id=user.get("id"),
        name=join_names(profile.get("firstName"), profile.get("lastName")),
        email=profile.get("email"),
        active=None if not status else status not in ("SUSPENDED", "DEPROVISIONED", "STAGED"),
        upstream_id=user.get("id"),
        state="Deleted" if status == "DEPROVISIONED" else "Onboarded",
        state_source="inferred",
        last_updated=user.get("lastUpdated"),
        attributes={
            "Okta status": status,
            "Department": profile.get("department"),
            "Title": profile.get("title"),
            "Employee number": profile.get("employeeNumber"),
            "Last login": user.get("lastLogin"),
        },
    )


def pull_accounts(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """The users of an application, with the person of each."""
    api.authorize(f"SSWS {config['token']}")
    params = {"limit": FULL_PAGE_SIZES[-1], "expand": "user"}
    yield from api.pages(f"api/v1/apps/{quote(config['app'], safe='')}/users", params)


def pull_users(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """Okta's own users."""
    api.authorize(f"SSWS {config['token']}")
    yield from api.pages("api/v1/users", {"limit": 200})


OKTA = Source("Okta application users", detect, read_accounts)
OKTA_USERS = Source("Okta users", detect_users, read_users)
