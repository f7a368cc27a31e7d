"""Tokens revoked by sign-out before they expire.

Without the list, a copied cookie could sign in again. The list survives a restart and contains no
names: a token is identified by a hash.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from data.tempfiles import write_atomically


class RevokedTokens:
    """The revoked tokens of one home."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, Lock()
        self._expiry_by_token: dict[str, float] = {}
        try:
            for line in file.read_text(encoding="ascii").splitlines():
                token, expires_at = line.split()
                self._expiry_by_token[token] = float(expires_at)
        except (OSError, ValueError):
            pass  # there is no list yet, or its last line is incomplete

    def add(self, claims: Mapping[str, Any], expires_at: float) -> None:
        """Revoke the token. `expires_at` is the end of its session, in seconds since 1970."""
        with self._lock:
            self._expiry_by_token[token_id(claims)] = expires_at
            unexpired = {
                token: expiry
                for token, expiry in self._expiry_by_token.items()
                if expiry > time.time()
            }
            self._expiry_by_token = unexpired
            lines = "".join(f"{token} {expiry:.0f}\n" for token, expiry in unexpired.items())
            with write_atomically(self._file) as partial:
                partial.write_text(lines, encoding="ascii")

    def __contains__(self, claims: Mapping[str, Any]) -> bool:
        return bool(self._expiry_by_token) and token_id(claims) in self._expiry_by_token


def token_id(claims: Mapping[str, Any]) -> str:
    """A hash that identifies a token."""
    identifying_claims = [claims.get(name) for name in ("iss", "sub", "iat", "auth_time", "nonce")]
    return hashlib.sha256(json.dumps(identifying_claims, default=str).encode()).hexdigest()
