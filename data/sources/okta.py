"""Okta: the users of an application, with what provisioning does to each; and Okta's own users.

An application's list is one JSON array a page, which says nothing of how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from data.sources.documents import Beginning, Part, pages
from data.sources.http import Web
from data.sources.settings import Pull
from data.sources.source import (
    How,
    Row,
    Said,
    Source,
    account,
    counted,
    joined,
    listed,
    mapping,
    role,
)
from data.states import UNRECOGNISED

ROLE_KEYS = frozenset(
    "role roles profile profiles groups salesforcegroups entitlements permissions permissionsets "
    "featurelicenses licenses userrole userroles usertype accesslevel".split()
)
"""Keys of an app's profile that say what the account may do, in any case; apps name them freely."""

NAMES = frozenset("email firstname lastname displayname name given_name family_name".split())
"""Keys of a profile that say who it is."""

FULL_PAGES = (50, 200, 500)
"""How many users Okta gives at most in one answer: by default, and where it is asked for more."""

NOT_YET = ("STAGED", "APPROVED")
THERE = ("ACTIVE", "PROVISIONED", "MATCHED", "IMPLICIT", "PENDING", "SUSPENDED", "INACTIVE")
OF_NOBODY = ("IMPORTED", "UNASSIGNED")
YES = ("ACTIVE", "PROVISIONED", "MATCHED", "IMPLICIT")
NO = ("INACTIVE", "SUSPENDED", "PENDING", "REVOKED", "DEPROVISIONED", *NOT_YET)

PHASES = {"SYNCING": "ongoing", "ERROR": "failed"}
UPDATES = {
    "SYNCHRONIZED": "Onboarded",
    "OUT_OF_SYNC": "Update awaiting",
    "SYNCING": "Update ongoing",
    "ERROR": "Update failed",
}


def knows(begins: Beginning) -> bool:
    """An assignment of a user to an application."""
    found = begins.first
    return "status" in found and ("syncState" in found or {"scope", "statusChanged"} <= {*found})


def accounts(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per assignment."""
    number, is_list = 0, False
    for page in pages(parts, "users"):
        is_list |= page.is_list
        for found in page.records:
            number += 1
            told = {key.strip('"'): value for key, value in mapping(found).items()}
            yield _account(told) if told else {}
    if number == 1 and not is_list:
        said.incomplete = "it holds a single user of an application, not the list of all"
    if len(parts) == 1 and number in FULL_PAGES:
        said.notes.append(
            f"It has {counted(number, 'user')}, as many as Okta puts into one answer: "
            "check that there was no further page."
        )


def _account(found: Row) -> Row:
    profile = mapping(found.get("profile"))
    user = mapping(mapping(mapping(found.get("_embedded")).get("user")).get("profile"))
    status = str(found.get("status") or "")
    is_somebody = status not in OF_NOBODY
    state, how = _state(found, status)
    own = user or profile
    name = (
        joined(own.get("firstName"), own.get("lastName"))
        or own.get("displayName")
        or own.get("name")
    )
    # Apps without a sign-in of their own, such as bookmarks, have no credentials.
    username = mapping(found.get("credentials")).get("userName") or user.get("login")
    more = {key: value for key, value in profile.items() if _is_shown(key, value)}
    more |= {
        "Okta status": status,
        "Sync state": found.get("syncState"),
        "Assigned by": found.get("scope"),
        "Login": user.get("login"),
        "External ID": found.get("externalId"),
        "Created": found.get("created"),
    }
    return account(
        username or profile.get("email"),
        # Not `externalId`, which comes only with the account: one assignment would be two accounts.
        account_id=found.get("id") or found.get("externalId"),
        name=name if is_somebody else None,
        email=(user.get("email") or profile.get("email")) if is_somebody else None,
        roles=[
            role(value.get("name") if isinstance(value, dict) else value, key)
            for key, values in profile.items()
            if _is_role(key, values)
            for value in listed(values)
        ],
        active=True if status in YES else False if status in NO else None,
        upstream_id=found.get("id") if is_somebody else None,
        state=state,
        how=how,
        last_updated=max(
            (
                str(found[key])
                for key in ("lastUpdated", "statusChanged", "lastSync")
                if found.get(key)
            ),
            default=None,
        ),
        more=more,
    )


def _state(found: Row, status: str) -> tuple[str, How]:
    """What `status` and `syncState` say together."""
    sync = str(found.get("syncState") or "")
    if status == "DEPROVISIONED":
        return "Deleted", "reported"
    if status == "REVOKED":
        return f"Delete {PHASES.get(sync, 'awaiting')}", "reported"
    if status in OF_NOBODY:
        return "Onboarded", "inferred"
    if status not in (*NOT_YET, *THERE):
        return status or UNRECOGNISED.name, "reported"
    if sync == "ERROR" and not found.get("externalId"):
        return "Provisioning failed", "reported"
    if status in NOT_YET and sync != "ERROR":
        return f"Provisioning {PHASES.get(sync, 'awaiting')}", "reported"
    if sync in UPDATES:
        return UPDATES[sync], "reported"
    return "Onboarded", "default"  # DISABLED: for signing in only, nothing is provisioned


def _is_role(key: str, value: Any) -> bool:
    is_address = isinstance(value, str) and value.startswith(("http://", "https://"))
    return key.casefold() in ROLE_KEYS and not is_address


def _is_shown(key: str, value: Any) -> bool:
    is_plain = not isinstance(value, list | dict)
    return is_plain and key.casefold() not in NAMES and not _is_role(key, value)


def knows_users(begins: Beginning) -> bool:
    """A person in Okta's own directory."""
    found = begins.first
    return "login" in mapping(found.get("profile")) and {"status", "created"} <= {*found}


def users(parts: Sequence[Part], said: Said) -> Iterator[Row | None]:
    """One row per person: with these, the accounts of apps are matched."""
    number = 0
    for page in pages(parts, "users"):
        for found in page.records:
            number += 1
            yield _user(mapping(found))
    if len(parts) == 1 and number == FULL_PAGES[1]:
        said.notes.append("It has 200 users, which is a full page: check that it is all.")


def _user(found: Row) -> Row:
    profile = mapping(found.get("profile"))
    status = str(found.get("status") or "")
    return account(
        profile.get("login"),
        account_id=found.get("id"),
        name=joined(profile.get("firstName"), profile.get("lastName")),
        email=profile.get("email"),
        active=None if not status else status not in ("SUSPENDED", "DEPROVISIONED", "STAGED"),
        upstream_id=found.get("id"),
        state="Deleted" if status == "DEPROVISIONED" else "Onboarded",
        how="inferred",
        last_updated=found.get("lastUpdated"),
        more={
            "Okta status": status,
            "Department": profile.get("department"),
            "Title": profile.get("title"),
            "Employee number": profile.get("employeeNumber"),
            "Last login": found.get("lastLogin"),
        },
    )


def pull(asked: Pull, web: Web) -> Iterator[Any]:
    """Every page of an application's users, with the person of each."""
    params = {"limit": FULL_PAGES[-1], "expand": "user"}
    yield from _pages(asked, web, f"api/v1/apps/{quote(asked['app'], safe='')}/users", params)


def pull_users(asked: Pull, web: Web) -> Iterator[Any]:
    """Every page of Okta's own users."""
    yield from _pages(asked, web, "api/v1/users", {"limit": 200})


def _pages(asked: Pull, web: Web, path: str, params: Row | None) -> Iterator[Any]:
    """The next page is in a header, its address whole."""
    web.let_in_by(f"SSWS {asked['token']}")
    while path:
        answer = web.get(path, params)
        yield answer.document
        path, params = answer.next_url, None


OKTA = Source("Okta application users", knows, accounts)
OKTA_USERS = Source("Okta users", knows_users, users)
