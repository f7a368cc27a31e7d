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
    MATCH = "match accounts with people"
    SNAPSHOTS = "see Snapshots"
    AUDIT = "see the audit log"
    DOWNLOAD = "download lists"
    LOAD = "load or refuse files"
    REMOVE = "remove snapshots"
    ACCEPT = "accept findings"
    PROVE = "take evidence along"
    SET = "change settings"


class Personal(StrEnum):
    """How much of what tells a person from others is shown."""

    SHOWN = "shown"
    PSEUDONYMS = "as pseudonyms"
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


NEED_NAMES = frozenset({Act.ACCEPT, Act.AUDIT, Act.MATCH, Act.PROVE})
"""What somebody cannot do who sees pseudonyms instead of names."""


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
    pseudonyms: bool = False  # instead of names

    @property
    def acts(self) -> frozenset[Act]:
        """All that one of the roles allows."""
        acts = frozenset[Act]().union(*(ROLES[role].acts for role in self.roles))
        return acts - NEED_NAMES if self.pseudonyms else acts

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
        personal = Personal.PSEUDONYMS if self.pseudonyms else Personal.SHOWN
        return Sight(self.integrations, personal if shown else Personal.HIDDEN)


NOBODY = Principal("")
MONITOR = Principal("monitoring", ("Manager",))
"""Who has the token for /metrics, and asks for nothing else: it is told of no person."""
LOCAL = Principal("who is at this machine", ("Owner",))
"""Without sign-in Rollcall answers its own machine only, and whoever is there owns the data."""
