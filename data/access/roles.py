"""Who may do what: the one table that pages, downloads and actions ask. Closed by default.

What is not listed for a role is not allowed; who has no role may do nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Permission(StrEnum):
    """Something to do. The texts complete “You do not have permission to …”."""

    HEALTH = "see Health"
    USERS = "see Users"
    CHANGES = "see Changes"
    REVIEW = "see Review"
    MATCH = "match accounts with people"
    SNAPSHOTS = "see Snapshots"
    AUDIT = "see the audit log"
    DOWNLOAD = "download lists"
    LOAD_FILES = "load or refuse files"
    REMOVE_SNAPSHOTS = "remove snapshots"
    ADD_EXCEPTIONS = "accept findings"
    EXPORT_EVIDENCE = "take evidence along"
    CHANGE_SETTINGS = "change settings"


class PersonalData(StrEnum):
    """How much of what tells a person from others is shown."""

    SHOWN = "shown"
    PSEUDONYMS = "as pseudonyms"
    HIDDEN = "hidden"


class RolePermissions(NamedTuple):
    """What a role may do, and how much of persons it sees."""

    permissions: frozenset[Permission]
    personal_data: PersonalData = PersonalData.SHOWN


ROLES: dict[str, RolePermissions] = {
    "Owner": RolePermissions(frozenset(Permission)),
    "Super Admin": RolePermissions(frozenset(Permission) - {Permission.AUDIT}),
    "Admin": RolePermissions(frozenset(Permission) - {Permission.AUDIT}),
    "Analyst": RolePermissions(
        frozenset({Permission.USERS, Permission.CHANGES, Permission.DOWNLOAD})
    ),
    "Manager": RolePermissions(frozenset({Permission.HEALTH}), PersonalData.HIDDEN),
}
"""The table."""


PERMISSIONS_NEEDING_NAMES = frozenset(
    {Permission.ADD_EXCEPTIONS, Permission.AUDIT, Permission.MATCH, Permission.EXPORT_EVIDENCE}
)
"""What somebody cannot do who sees pseudonyms instead of names."""


class Visibility(NamedTuple):
    """What of the store somebody sees. Two people with the same sight see the same."""

    integrations: tuple[str, ...] | None = None  # None: all
    personal_data: PersonalData = PersonalData.SHOWN


FULL_VISIBILITY = Visibility()


class NotAllowed(Exception):
    """Somebody asked for what their role may not do, or whose session has ended."""


@dataclass(frozen=True)
class Principal:
    """Who is asking."""

    name: str  # as the audit log has it: an e-mail address where there is one
    roles: tuple[str, ...] = ()  # of ROLES
    integrations: tuple[str, ...] | None = None  # None: all
    uses_pseudonyms: bool = False  # instead of names

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that one of the roles allows."""
        permissions = frozenset[Permission]().union(
            *(ROLES[role].permissions for role in self.roles)
        )
        return permissions - PERMISSIONS_NEEDING_NAMES if self.uses_pseudonyms else permissions

    def is_allowed(self, permission: Permission, integration: str | None = None) -> bool:
        """Whether one of the roles allows it, for this integration where one is named."""
        is_in_scope = integration is None or self.integrations is None
        return permission in self.permissions and (
            is_in_scope or integration in (self.integrations or ())
        )

    def is_allowed_everywhere(self, permission: Permission) -> bool:
        """Whether a role allows it for what concerns every integration, as settings do."""
        return self.integrations is None and self.is_allowed(permission)

    @property
    def has_any_role(self) -> bool:
        """Whether there is anything at all that they may do."""
        return bool(self.roles)

    @property
    def visibility(self) -> Visibility:
        """What they see of the store: as much of persons as the most trusted of their roles."""
        is_shown = any(ROLES[role].personal_data is PersonalData.SHOWN for role in self.roles)
        personal_data = PersonalData.PSEUDONYMS if self.uses_pseudonyms else PersonalData.SHOWN
        return Visibility(self.integrations, personal_data if is_shown else PersonalData.HIDDEN)


ANONYMOUS = Principal("")
MONITOR = Principal("monitoring", ("Manager",))
"""Who has the token for /metrics, and asks for nothing else: it is told of no person."""
LOCAL = Principal("who is at this machine", ("Owner",))
"""Without sign-in Rollcall answers its own machine only, and whoever is there owns the data."""
