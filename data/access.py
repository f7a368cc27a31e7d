"""Who may do what: the one table that pages, downloads and actions ask. Closed by default.

What is not listed for a role is not allowed; who has no role may do nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Act(StrEnum):
    """Something that a person may want to do. The words complete “Your role may not …”."""

    HEALTH = "see Health"
    USERS = "see Users"
    CHANGES = "see Changes"
    REVIEW = "see Review"
    SNAPSHOTS = "see Snapshots"
    AUDIT = "see the audit log"
    DOWNLOAD = "download lists"
    LOAD = "load or refuse files"
    REMOVE = "remove snapshots"
    ACCEPT = "accept findings"
    SET = "change settings"


class Personal(StrEnum):
    """How much of what tells a person from others is shown."""

    SHOWN = "shown"
    HIDDEN = "hidden"


class Allowed(NamedTuple):
    """What a role may do, and how much of persons it sees."""

    acts: frozenset[Act]
    personal: Personal = Personal.SHOWN


ROLES: dict[str, Allowed] = {
    "Owner": Allowed(frozenset(Act)),
    "Super Admin": Allowed(frozenset(Act) - {Act.AUDIT}),
    "Admin": Allowed(frozenset(Act) - {Act.AUDIT}),
    "Analyst": Allowed(frozenset({Act.USERS, Act.CHANGES, Act.DOWNLOAD})),
    "Manager": Allowed(frozenset({Act.HEALTH}), Personal.HIDDEN),
}
"""The table."""


class Sight(NamedTuple):
    """What of the store somebody sees. Two people with the same sight see the same."""

    integrations: tuple[str, ...] | None = None  # None: all
    personal: Personal = Personal.SHOWN


EVERYTHING = Sight()


class NotAllowed(Exception):
    """Somebody asked for what their role may not do, or whose session has ended."""


@dataclass(frozen=True)
class Principal:
    """Who is asking."""

    name: str  # as the audit log has it: an e-mail address where there is one
    roles: tuple[str, ...] = ()  # of ROLES
    integrations: tuple[str, ...] | None = None  # None: all

    @property
    def acts(self) -> frozenset[Act]:
        """All that one of the roles allows."""
        return frozenset[Act]().union(*(ROLES[role].acts for role in self.roles))

    def may(self, act: Act, integration: str | None = None) -> bool:
        """Whether one of the roles allows it, for this integration where one is named."""
        within = integration is None or self.integrations is None
        return act in self.acts and (within or integration in (self.integrations or ()))

    def may_for_all(self, act: Act) -> bool:
        """Whether a role allows it for what concerns every integration, as settings do."""
        return self.integrations is None and self.may(act)

    @property
    def is_anybody(self) -> bool:
        """Whether there is anything at all that they may do."""
        return bool(self.roles)

    @property
    def sight(self) -> Sight:
        """What they see of the store: as much of persons as the most trusted of their roles."""
        shown = any(ROLES[role].personal is Personal.SHOWN for role in self.roles)
        return Sight(self.integrations, Personal.SHOWN if shown else Personal.HIDDEN)


NOBODY = Principal("")
LOCAL = Principal("who is at this machine", ("Owner",))
"""Without sign-in Rollcall answers its own machine only, and whoever is there owns the data."""
