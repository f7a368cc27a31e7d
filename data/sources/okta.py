"""Okta: the users of an application, with what provisioning does to each; and Okta's own users.

An application's list is one JSON array a page, which says nothing of how many there are.
"""

from __future__ import annotations

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
    pluralize,
)
from data.states import UNRECOGNIZED

ROLE_KEYS = frozenset(
    "role roles profile profiles groups salesforcegroups entitlements permissions permissionsets "
    "featurelicenses licenses userrole userroles usertype accesslevel".split()
)
"""Keys of an app's profile that say what the account may do, in any case; apps name them freely."""

NAME_KEYS = frozenset("email firstname lastname displayname name given_name family_name".split())
"""Keys of a profile that say who it is."""

FULL_PAGE_SIZES = (50, 200, 500)
"""How many users Okta gives at most in one answer: by default, and where it is asked for more."""

STAGED_STATUSES = ("STAGED", "APPROVED")
PRESENT_STATUSES = (
    "ACTIVE",
    "PROVISIONED",
    "MATCHED",
    "IMPLICIT",
    "PENDING",
    "SUSPENDED",
    "INACTIVE",
)
UNASSIGNED_STATUSES = ("IMPORTED", "UNASSIGNED")
ACTIVE_STATUSES = ("ACTIVE", "PROVISIONED", "MATCHED", "IMPLICIT")
INACTIVE_STATUSES = (
    "INACTIVE",
    "SUSPENDED",
    "PENDING",
    "REVOKED",
    "DEPROVISIONED",
    *STAGED_STATUSES,
)

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
        report.incomplete_reason = "it holds a single user of an application, not the list of all"
    if len(documents) == 1 and user_count in FULL_PAGE_SIZES:
        report.warnings.append(
            f"It has {pluralize(user_count, 'user')}, as many as Okta puts into one answer: "
            "check that there was no further page."
        )


def _map_account(assignment: Row) -> Row:
    profile = as_dict(assignment.get("profile"))
    user = as_dict(as_dict(as_dict(assignment.get("_embedded")).get("user")).get("profile"))
    status = str(assignment.get("status") or "")
    has_person = status not in UNASSIGNED_STATUSES
    state, state_source = _derive_state(assignment, status)
    person = user or profile
    name = (
        join_names(person.get("firstName"), person.get("lastName"))
        or person.get("displayName")
        or person.get("name")
    )
    # Apps without a sign-in of their own, such as bookmarks, have no credentials.
    username = as_dict(assignment.get("credentials")).get("userName") or user.get("login")
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
        # Not `externalId`, which comes only with the account: one assignment would be two accounts.
        account_id=assignment.get("id") or assignment.get("externalId"),
        name=name if has_person else None,
        email=(user.get("email") or profile.get("email")) if has_person else None,
        roles=[
            make_role(value.get("name") if isinstance(value, dict) else value, key)
            for key, values in profile.items()
            if _is_role(key, values)
            for value in as_list(values)
        ],
        active=True
        if status in ACTIVE_STATUSES
        else False
        if status in INACTIVE_STATUSES
        else None,
        upstream_id=assignment.get("id") if has_person else None,
        state=state,
        state_source=state_source,
        last_updated=max(
            (
                str(assignment[key])
                for key in ("lastUpdated", "statusChanged", "lastSync")
                if assignment.get(key)
            ),
            default=None,
        ),
        attributes=attributes,
    )


def _derive_state(assignment: Row, status: str) -> tuple[str, StateSource]:
    """What `status` and `syncState` say together."""
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
    return "Onboarded", "default"  # DISABLED: for signing in only, nothing is provisioned


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
    """One row per person: with these, the accounts of apps are matched."""
    user_count = 0
    for page in read_pages(documents, "users"):
        for record in page.records:
            user_count += 1
            yield _map_user(as_dict(record))
    if len(documents) == 1 and user_count == FULL_PAGE_SIZES[1]:
        report.warnings.append("It has 200 users, which is a full page: check that it is all.")


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
    """Every page of an application's users, with the person of each."""
    params = {"limit": FULL_PAGE_SIZES[-1], "expand": "user"}
    yield from _get_pages(config, api, f"api/v1/apps/{quote(config['app'], safe='')}/users", params)


def pull_users(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """Every page of Okta's own users."""
    yield from _get_pages(config, api, "api/v1/users", {"limit": 200})


def _get_pages(config: PullConfig, api: ApiClient, path: str, params: Row | None) -> Iterator[Any]:
    """The next page is in a header, its address whole."""
    api.authorize(f"SSWS {config['token']}")
    while path:
        page = api.get(path, params)
        yield page.payload
        path, params = page.next_url, None


OKTA = Source("Okta application users", detect, read_accounts)
OKTA_USERS = Source("Okta users", detect_users, read_users)
