"""The permissions of each role, for pages, downloads and actions.

A role allows only what is listed for it. A person without a role may do nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Permission(StrEnum):
    """Something to do. The texts complete “You do not have permission to …”."""

    HEALTH = "see Health"
    USERS = "see Users"
    PEOPLE = "see People"
    CHANGES = "see Changes"
    REVIEW = "see Review"
    MATCH = "match accounts with people"
    SNAPSHOTS = "see Snapshots"
    AUDIT = "see the audit log"
    DOWNLOAD = "download lists"
    LOAD_FILES = "load or reject files"
    REMOVE_SNAPSHOTS = "remove snapshots"
    ADD_EXCEPTIONS = "add exceptions"
    REVIEW_ROUNDS = "take part in review rounds"
    EXPORT_EVIDENCE = "export evidence"
    WRITE_NOTES = "write notes"
    SAVE_VIEWS = "save views"
    SHARE_VIEWS = "save views for everybody"
    CHANGE_SETTINGS = "change settings"
    LETTERS = "see and test letters"


class PersonalData(StrEnum):
    """How personal data is shown."""

    SHOWN = "shown"
    PSEUDONYMS = "as pseudonyms"
    HIDDEN = "hidden"


class RolePermissions(NamedTuple):
    """What a role may do, and how it sees personal data."""

    permissions: frozenset[Permission]
    personal_data: PersonalData = PersonalData.SHOWN


OWNERS_ONLY = frozenset({Permission.AUDIT, Permission.LETTERS})

ROLES: dict[str, RolePermissions] = {
    "Owner": RolePermissions(frozenset(Permission)),
    "Super Admin": RolePermissions(frozenset(Permission) - OWNERS_ONLY),
    "Admin": RolePermissions(frozenset(Permission) - OWNERS_ONLY),
    "Analyst": RolePermissions(
        frozenset(
            {
                Permission.USERS,
                Permission.PEOPLE,
                Permission.CHANGES,
                Permission.DOWNLOAD,
                Permission.SAVE_VIEWS,
            }
        )
    ),
    "Manager": RolePermissions(
        frozenset({Permission.HEALTH, Permission.PEOPLE}), PersonalData.HIDDEN
    ),
}
"""Role → its permissions."""

PERMISSIONS_NEEDING_NAMES = frozenset(
    {
        Permission.ADD_EXCEPTIONS,
        Permission.AUDIT,
        Permission.EXPORT_EVIDENCE,
        Permission.LETTERS,
        Permission.LOAD_FILES,
        Permission.MATCH,
        Permission.REVIEW_ROUNDS,
        Permission.SAVE_VIEWS,
        Permission.SHARE_VIEWS,
        Permission.WRITE_NOTES,
    }
)
"""Permissions that a person who sees pseudonyms does not have.

Whoever loads a file with a guess would find the pseudonym of the guess in the lists. Errors of
files and servers quote names, and are for those who load files. Notes, review rounds, and the names
and addresses of views, are what people typed.
"""


class Visibility(NamedTuple):
    """The visible part of the store. People with the same visibility see the same."""

    integrations: tuple[str, ...] | None = None  # None: all
    personal_data: PersonalData = PersonalData.SHOWN


FULL_VISIBILITY = Visibility()


class NotAllowed(Exception):
    """The role does not allow the action, or the session has ended."""


@dataclass(frozen=True)
class Principal:
    """The person or program behind a request."""

    name: str  # as in the audit log: the email address where there is one
    roles: tuple[str, ...] = ()  # keys of ROLES
    integrations: tuple[str, ...] | None = None  # None: all
    uses_pseudonyms: bool = False  # instead of names

    @property
    def permissions(self) -> frozenset[Permission]:
        """The permissions of all roles together."""
        permissions = frozenset[Permission]().union(
            *(ROLES[role].permissions for role in self.roles)
        )
        return permissions - PERMISSIONS_NEEDING_NAMES if self.uses_pseudonyms else permissions

    def is_allowed(self, permission: Permission, integration: str | None = None) -> bool:
        """Whether a role allows the action, for the integration if one is given."""
        is_in_scope = integration is None or self.integrations is None
        return permission in self.permissions and (
            is_in_scope or integration in (self.integrations or ())
        )

    def is_allowed_everywhere(self, permission: Permission) -> bool:
        """Whether a role allows an action that affects every integration, such as a setting."""
        return self.integrations is None and self.is_allowed(permission)

    def limited_to(self, other: "Principal") -> "Principal":
        """The same person, with only what the other one may do and see, too."""
        lists = [p.integrations for p in (self, other) if p.integrations is not None]
        names = (
            (name for name in lists[0] if all(name in list_ for list_ in lists)) if lists else ()
        )
        return Principal(
            self.name,
            tuple(role for role in self.roles if role in other.roles),
            tuple(names) if lists else None,
            self.uses_pseudonyms or other.uses_pseudonyms,
        )

    @property
    def has_any_role(self) -> bool:
        """Whether the person may do anything."""
        return bool(self.roles)

    @property
    def visibility(self) -> Visibility:
        """The visible part of the store. The most trusted role decides about personal data."""
        is_shown = any(ROLES[role].personal_data is PersonalData.SHOWN for role in self.roles)
        personal_data = PersonalData.PSEUDONYMS if self.uses_pseudonyms else PersonalData.SHOWN
        return Visibility(self.integrations, personal_data if is_shown else PersonalData.HIDDEN)


ANONYMOUS = Principal("")
MONITOR = Principal("monitoring", ("Manager",))
"""A request with the token for /metrics. It sees no personal data."""
LOCAL = Principal("Local user", ("Owner",))
"""Without sign-in, Rollcall answers its own machine only, and the user there owns the data."""
