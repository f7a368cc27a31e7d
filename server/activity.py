"""When people last used their sessions. A page that refreshes by itself is no use."""

import time
from threading import Lock

from google.protobuf.message import DecodeError
from streamlit.proto.BackMsg_pb2 import BackMsg

from data.access.claims import MAX_HOURS, Claims
from data.access.revoked_tokens import token_id

MAX_SESSIONS = 10_000
"""Sessions that are remembered before those that have ended for certain are forgotten."""


class Activity:
    """The last use of each session, in this process."""

    def __init__(self) -> None:
        self._last_use: dict[str, float] = {}
        self._lock = Lock()

    def note(self, claims: Claims) -> None:
        """The person uses the session now."""
        now = time.monotonic()
        with self._lock:
            if len(self._last_use) > MAX_SESSIONS:
                oldest = now - MAX_HOURS * 3600
                self._last_use = {k: t for k, t in self._last_use.items() if t > oldest}
            self._last_use[token_id(claims)] = now

    def is_idle(self, claims: Claims, hours: float) -> bool:
        """Whether the person has not used the session for so long. The first look is a use."""
        with self._lock:
            now = time.monotonic()
            return now - self._last_use.setdefault(token_id(claims), now) > hours * 3600


def message_of_page(frame: bytes | None) -> BackMsg | None:
    """The message in a frame of a WebSocket; None if no page sends such a frame."""
    try:
        message = BackMsg.FromString(frame or b"")
    except DecodeError:
        return None
    return message if message.WhichOneof("type") else None


def is_by_person(message: BackMsg) -> bool:
    """Whether a message of a page comes from its reader, and not from a refresh."""
    return message.HasField("rerun_script") and not message.rerun_script.is_auto_rerun
