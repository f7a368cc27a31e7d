"""Which tokens count no more, as their owners have signed out, though their time is not over.

A cookie that was copied would sign in again otherwise. The list outlives a restart, and holds no
name: a token is known by a hash of who has it and when it was made.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any


class SignedOut:
    """The tokens of one home that count no more."""

    def __init__(self, file: Path) -> None:
        self._file, self._changing = file, Lock()
        self._until: dict[str, float] = {}
        try:
            for line in file.read_text(encoding="ascii").splitlines():
                token, until = line.split()
                self._until[token] = float(until)
        except (OSError, ValueError):
            pass  # none yet, or the last line is cut off

    def add(self, claims: Mapping[str, Any], until: float) -> None:
        """From now on the token counts no more; `until`: when it would have ended by itself."""
        with self._changing:
            self._until[token_of(claims)] = until
            left = {token: end for token, end in self._until.items() if end > time.time()}
            self._until = left
            lines = "".join(f"{token} {end:.0f}\n" for token, end in left.items())
            partial = self._file.with_suffix(".part")
            partial.touch(mode=0o600)
            partial.write_text(lines, encoding="ascii")
            partial.replace(self._file)

    def __contains__(self, claims: Mapping[str, Any]) -> bool:
        return bool(self._until) and token_of(claims) in self._until


def token_of(claims: Mapping[str, Any]) -> str:
    """What tells one token from all others."""
    named = [claims.get(name) for name in ("iss", "sub", "iat", "auth_time", "nonce")]
    return hashlib.sha256(json.dumps(named, default=str).encode()).hexdigest()
