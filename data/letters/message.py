"""A letter as it goes out, and why it may not have."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Message(NamedTuple):
    """A written letter. Its texts are plain, and nothing that they quote is markup."""

    subject: str
    text: str
    html: str
    lines: Sequence[Sequence[str]]
    """For a chat: [text, address that it opens or empty]."""
    data: Mapping[str, Any]
    """As the webhook sends it."""

    def to_json(self) -> str:
        """As the outbox keeps it."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> "Message":
        """From what `to_json` gave."""
        return cls(**json.loads(text))


class NotDelivered(Exception):
    """A try has failed; the message says why in words, without secrets or addresses."""

    def __init__(self, reason: str, *, may_have_arrived: bool = False) -> None:
        """`may_have_arrived`: the other side had everything, and its answer did not come."""
        super().__init__(reason)
        self.may_have_arrived = may_have_arrived
