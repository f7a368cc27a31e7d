"""Which column of a file is which: headings matched ignoring case, spaces, underscores, dashes."""

from __future__ import annotations

import re
from collections.abc import Iterable

ALIASES: dict[str, tuple[str, ...]] = {
    "username_in_app": ("username", "login"),
    "account_id": ("id",),
    "user_text": ("user",),
    "user_name": (),
    "user_email": ("email",),
    "roles": ("appaccess", "entitlements"),
    "active_in_app": ("active",),
    "upstream_user_id": ("externalid",),
    "provisioning_state": ("state", "status"),
    "state_source": (),
    "state_reason": ("reason", "error", "failurereason"),
    "failure_code": ("errorcode",),
    "last_updated": ("updatedat",),
}
"""Column of a snapshot → further headings that are taken for it, squashed. The first wins."""

CREDENTIAL = re.compile(
    r"password|passwd|token|secret|credential|(?:api|private)[\s_-]?key", re.IGNORECASE
)
"""Headings of columns whose values are never stored."""


def squash(heading: str) -> str:
    """A heading without what people vary in it."""
    return re.sub(r"[\s_\-]+", "", heading).casefold()


def columns_of(headings: Iterable[str]) -> dict[str, str]:
    """Snapshot column → the heading that delivers it; a heading delivers one column at most.

    `user_name` (written with a separator) is the person's name, `userName` the name in the app,
    as in SCIM: the one pair that squashing alone would confuse.
    """
    left = {}
    for heading in headings:
        left.setdefault(_key(heading), heading)
    found = {name: left.pop(_own(name)) for name in ALIASES if _own(name) in left}
    for name, aliases in ALIASES.items():
        for alias in aliases:
            if name not in found and alias in left:
                found[name] = left.pop(alias)
    if "username_in_app" not in found and "user_name" in found and "user_text" in found:
        found["username_in_app"] = found.pop("user_name")
    if "user_name" not in found and "username" in left:
        found["user_name"] = left.pop("username")
    return found


def _own(name: str) -> str:
    return name if name == "user_name" else squash(name)


def _key(heading: str) -> str:
    squashed = squash(heading)
    if squashed == "username" and re.search(r"\w[\s_\-]+\w", heading.strip()):
        return "user_name"
    return squashed
