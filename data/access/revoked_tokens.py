"""Tokens that count no more before they expire: by sign-out, or as somebody ended the sessions.

Without the list, a copied cookie could sign in again. It survives a restart, all processes of a
home read the same one, and it contains no names: tokens and people are hashes.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from data.access.claims import comparable
from data.home import Home
from data.tempfiles import write_atomically


class ProviderSession(NamedTuple):
    """What a provider ends: one session of a person, or all."""

    issuer: str
    subject: str | None
    session_id: str | None


class _End(NamedTuple):
    """What ends the tokens of one hash, in seconds since 1970."""

    issued_until: float
    """Tokens that were issued later are valid."""
    expires_at: float
    """From then on the tokens have expired anyway."""


class RevokedTokens:
    """The revoked tokens of one home."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, Lock()
        self._ends: dict[str, _End] = {}
        self._version: object = None
        self._read()

    def add(self, claims: Mapping[str, Any], expires_at: float) -> None:
        """Revoke the token. `expires_at` is the end of its session, in seconds since 1970."""
        self._save(token_id(claims), _End(expires_at, expires_at))

    def end_sessions(self, person: str, expires_at: float) -> None:
        """Revoke all tokens that the person, by the name in the audit log, has until now."""
        self._save(_person_id(person), _End(time.time(), expires_at))

    def end_provider_sessions(
        self, session: ProviderSession, *, issued_until: float, expires_at: float
    ) -> None:
        """Revoke the tokens of one session at the provider, or all of the person there.

        A provider that names the session may not have named it in the tokens; then they end, too.
        """
        end = _End(issued_until, expires_at)
        issuer, subject, session_id = session
        if session_id:
            self._save(_hash("session", issuer, session_id), end)
        if subject:
            kind = "unnamed session" if session_id else "subject"
            self._save(_hash(kind, issuer, subject), end)

    def is_revoked(self, claims: Mapping[str, Any], person: str, issued_at: float) -> bool:
        """Whether the token of the person counts no more."""
        self._read()
        ids = (token_id(claims), _person_id(person), *_provider_ids(claims)) if self._ends else ()
        ends = (self._ends.get(id_) for id_ in ids)
        return any(end is not None and issued_at <= end.issued_until for end in ends)

    def _save(self, id_: str, end: _End) -> None:
        with self._lock, Home(self._file.parent).exclusive_lock("signed-out"):
            self._read()
            ends = {k: e for k, e in {**self._ends, id_: end}.items() if e.expires_at > time.time()}
            lines = (f"{key} {e.issued_until:.3f} {e.expires_at:.0f}\n" for key, e in ends.items())
            with write_atomically(self._file) as partial:
                partial.write_text("".join(lines), encoding="ascii")
            self._read()

    def _read(self) -> None:
        """Read the list again if a process has changed it."""
        with suppress(OSError, ValueError):  # there is no list yet, or somebody has edited it
            status = self._file.stat()
            version = status.st_mtime_ns, status.st_ino, status.st_size
            if version == self._version:
                return
            ends: dict[str, _End] = {}
            for line in self._file.read_text(encoding="ascii").splitlines():
                id_, issued_until, expires_at = line.split()
                ends[id_] = _End(float(issued_until), float(expires_at))
            self._ends, self._version = ends, version


def token_id(claims: Mapping[str, Any]) -> str:
    """A hash that identifies a token."""
    return _hash(*(claims.get(name) for name in ("iss", "sub", "iat", "auth_time", "nonce")))


def _person_id(person: str) -> str:
    return hashlib.sha256(f"person:{comparable(person)}".encode()).hexdigest()


def _provider_ids(claims: Mapping[str, Any]) -> tuple[str, str]:
    """The hashes of the person, and of the session, at the provider."""
    issuer, subject, session = (claims.get(name) for name in ("iss", "sub", "sid"))
    named = ("session", issuer, session) if session else ("unnamed session", issuer, subject)
    return _hash("subject", issuer, subject), _hash(*named)


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
