"""What a file says of an account: the words that the world and the model share."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

OPERATIONS = {"Provisioning": "provision", "Update": "update", "Delete": "delete"}
LIFECYCLE = (
    "Provisioning awaiting", "Provisioning ongoing", "Provisioning failed", "Onboarded",
    "Update awaiting", "Update ongoing", "Update failed",
    "Delete awaiting", "Delete ongoing", "Delete failed", "Deleted",
)  # fmt: skip


class Facts(NamedTuple):
    """One account in one snapshot, as its file says."""

    username: str
    name: str | None = None
    email: str | None = None
    roles: tuple[str, ...] = ()  # sorted
    active: bool | None = None
    upstream: str | None = None
    state: str = "Onboarded"
    reason: str | None = None
    code: str | None = None
    updated: datetime | None = None

    @property
    def operation(self) -> str | None:
        """The operation of its job; None in a settled state."""
        word, _, phase = self.state.partition(" ")
        return OPERATIONS[word] if phase else None

    @property
    def phase(self) -> str:
        """awaiting, ongoing, failed or settled."""
        return self.state.partition(" ")[2] or "settled"

    @property
    def is_matched(self) -> bool:
        """Whether the account has a person."""
        return bool(self.name or self.email)

    @property
    def failure(self) -> str | None:
        """The code of the failure, if it failed; the texts have no words that differ."""
        return None if self.phase != "failed" else self.code or self.reason or "No reason given"


Key = tuple[str, str]  # integration, account ID
Accounts = dict[str, Facts]  # account ID → the account
