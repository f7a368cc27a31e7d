"""Which column of a file is which: headings matched ignoring case, spaces, underscores, dashes."""

from __future__ import annotations

import re
from collections.abc import Iterable

HEADING_ALIASES: dict[str, tuple[str, ...]] = {
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

CREDENTIAL_PATTERN = re.compile(
    r"password|passwd|token|secret|credential|(?:api|private)[\s_-]?key", re.IGNORECASE
)
"""Headings of columns whose values are never stored."""


def heading_key(heading: str) -> str:
    """A heading without what people vary in it."""
    return re.sub(r"[\s_\-]+", "", heading).casefold()


def match_columns(headings: Iterable[str]) -> dict[str, str]:
    """Snapshot column → the heading that delivers it; a heading delivers one column at most.

    `user_name` (written with a separator) is the person's name, `userName` the name in the app,
    as in SCIM: the one pair that squashing alone would confuse.
    """
    remaining = {}
    for heading in headings:
        remaining.setdefault(_specific_heading_key(heading), heading)
    matched = {
        name: remaining.pop(_column_key(name))
        for name in HEADING_ALIASES
        if _column_key(name) in remaining
    }
    for name, aliases in HEADING_ALIASES.items():
        for alias in aliases:
            if name not in matched and alias in remaining:
                matched[name] = remaining.pop(alias)
    if "username_in_app" not in matched and "user_name" in matched and "user_text" in matched:
        matched["username_in_app"] = matched.pop("user_name")
    if "user_name" not in matched and "username" in remaining:
        matched["user_name"] = remaining.pop("username")
    return matched


def _column_key(name: str) -> str:
    return name if name == "user_name" else heading_key(name)


def _specific_heading_key(heading: str) -> str:
    squashed = heading_key(heading)
    if squashed == "username" and re.search(r"\w[\s_\-]+\w", heading.strip()):
        return "user_name"
    return squashed
