"""Okta: the users of an application, with the state of provisioning.

An application's list is a JSON array per page, without a count of all users.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from data.sources.documents import Document
from data.sources.http import ApiClient
from data.sources.pages import read_pages
from data.sources.product import Proof
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

PAGE_SIZE = 500
"""The most users in one answer."""

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


PROOF = Proof(("id", "status", "statusChanged", "profile"), {"scope": "USER|GROUP"})
"""What an assignment of a user to an application has."""


def read_accounts(documents: Sequence[Document], report: SourceReport) -> Iterator[Row | None]:
    """One row per assignment."""
    for page in read_pages(documents, report):
        for record in page.records:
            assignment = {key.strip('"'): value for key, value in as_dict(record).items()}
            yield _map_account(assignment) if assignment else {}


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


def pull_accounts(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """The users of an application, with the person of each."""
    api.authorize(f"SSWS {config['token']}")
    params = {"limit": PAGE_SIZE, "expand": "user"}
    yield from api.pages(f"api/v1/apps/{quote(config['app'], safe='')}/users", params)


def pull_users(config: PullConfig, api: ApiClient) -> Iterator[Any]:
    """Okta's own users."""
    api.authorize(f"SSWS {config['token']}")
    yield from api.pages("api/v1/users", {"limit": 200})


OKTA = Source("okta", "Okta application users", PROOF.find, read_accounts)
