"""Matches the headings of a file to the columns of a snapshot.

Headings match in any case, and with or without spaces, underscores and dashes.
"""

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
    "last_updated": ("updatedat", "lastupdated(utc)"),
}
"""Column of a snapshot → further headings for it, as heading keys. The first one wins."""

CREDENTIAL_PATTERN = re.compile(
    r"password|passwd|token|secret|credential|(?:api|private)[\s_-]?key", re.IGNORECASE
)
"""Headings of columns that are never stored."""


def heading_key(heading: str) -> str:
    """A heading in lower case, without spaces, underscores and dashes."""
    return re.sub(r"[\s_\-]+", "", heading).casefold()


def match_columns(headings: Iterable[str]) -> dict[str, str]:
    """Snapshot column → its heading. A heading matches at most one column.

    `user_name`, written with a separator, is the person's name. `userName` is the name in the app,
    as in SCIM. This is the only pair with the same heading key.
    """
    remaining: dict[str, str] = {}
    for heading in headings:
        remaining.setdefault(_specific_key(heading), heading)
    matched: dict[str, str] = {}
    for own_names in (True, False):
        for name, aliases in HEADING_ALIASES.items():
            own_key = name if name == "user_name" else heading_key(name)
            for key in (own_key,) if own_names else aliases:
                if name not in matched and key in remaining:
                    matched[name] = remaining.pop(key)
    if "username_in_app" not in matched and "user_name" in matched and "user_text" in matched:
        matched["username_in_app"] = matched.pop("user_name")
    if "user_name" not in matched and "username" in remaining:
        matched["user_name"] = remaining.pop("username")
    return matched


def _specific_key(heading: str) -> str:
    key = heading_key(heading)
    has_separator = re.search(r"\w[\s_\-]+\w", heading.strip())
    return "user_name" if key == "username" and has_separator else key
