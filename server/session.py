"""Turns a session or a request into a principal.

The sign-in settings are read at the start. A later change of the file takes access away within a
minute, and gives nobody more while the server runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from cachetools import TTLCache, cached
from streamlit.runtime.scriptrunner import get_script_run_ctx

from data.access.claims import (
    MIN_SECRET_LENGTH,
    Claims,
    ConfigError,
    RoleMapping,
    are_valid_claims,
    is_pseudonymized,
    issued_at,
    session_end,
)
from data.access.revoked_tokens import RevokedTokens, token_id
from data.access.roles import ANONYMOUS, LOCAL, Principal
from data.home import current_home
from data.records.audit_log import Event, record_event
from data.secrets_file import read_secrets
from server.activity import Activity

log = logging.getLogger("rollcall")

REREAD_SECONDS = 30
"""How long a change of [access] can take to count."""

PROVIDER_KEYS = ("client_id", "client_secret", "server_metadata_url")


@dataclass(frozen=True)
class AuthConfig:
    """The sign-in settings: sections [auth] and [access] of secrets.toml."""

    origin: str  # the address of Rollcall: https://rollcall.example.com
    client_id: str
    cookie_secret: str
    role_mapping: RoleMapping
    metadata_url: str  # of the provider

    @property
    def host(self) -> str:
        return urlsplit(self.origin).netloc

    @classmethod
    def from_settings(cls, auth: Mapping[str, Any], access: Mapping[str, Any]) -> AuthConfig:
        """Validate both sections. Raises ConfigError."""
        required = ("redirect_uri", "cookie_secret", *PROVIDER_KEYS)
        settings = {name: str(auth.get(name) or "") for name in required}
        if missing := [name for name, value in settings.items() if not value]:
            raise ConfigError(f"[auth] has no {', '.join(missing)}.")
        if len(settings["cookie_secret"]) < MIN_SECRET_LENGTH:
            raise ConfigError(SHORT_SECRET_MESSAGE)
        address = settings["redirect_uri"].replace("{port}", str(st.get_option("server.port")))
        redirect = urlsplit(address)
        is_local = redirect.scheme == "http" and is_loopback(redirect.hostname or "")
        is_callback = redirect.path.rsplit("/", 1)[-1] == "oauth2callback"
        if not is_callback or not (redirect.scheme == "https" or is_local):
            raise ConfigError(REDIRECT_MESSAGE)
        origin = f"{redirect.scheme}://{redirect.netloc}"
        roles = RoleMapping.from_settings(access)
        return cls(
            origin,
            settings["client_id"],
            settings["cookie_secret"],
            roles,
            settings["server_metadata_url"],
        )


SHORT_SECRET_MESSAGE = (
    f"cookie_secret in [auth] has fewer than {MIN_SECRET_LENGTH} characters. To create one: "
    "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'."
)
REDIRECT_MESSAGE = (
    "redirect_uri in [auth] must be https://<address of Rollcall>/oauth2callback; plain http works "
    "only on this machine."
)


@cache
def auth_config() -> AuthConfig | None:
    """The sign-in settings; None if sign-in is not set up. Raises ConfigError."""
    files = _secrets_files()
    if not st.secrets.load_if_toml_exists():
        if files:
            raise ConfigError(f"{', '.join(map(str, files))} cannot be read.")
        return None
    settings = st.secrets.to_dict()
    if "auth" not in settings and "access" not in settings:
        return None
    if "auth" not in settings or "access" not in settings:
        raise ConfigError("Sign-in needs both sections, [auth] and [access], in secrets.toml.")
    return AuthConfig.from_settings(settings["auth"], settings["access"])


def _secrets_files() -> list[Path]:
    return [path for path in map(Path, st.get_option("secrets.files")) if path.exists()]


@cached(TTLCache(maxsize=1, ttl=REREAD_SECONDS), lock=Lock())
def current_role_mapping() -> RoleMapping | None:
    """Section [access] as the file has it now; None if it cannot be read or is wrong."""
    try:
        settings: dict[str, Any] = {}
        for path in _secrets_files():
            settings |= read_secrets(path)
        return RoleMapping.from_settings(settings["access"])
    except (KeyError, ConfigError) as error:
        log.warning("Cannot use [access] as it is now, so that of the start counts: %s", error)
        return None


activity = Activity()


@cache
def revoked_tokens() -> RevokedTokens:
    """The tokens that were revoked before they expire."""
    return RevokedTokens(current_home().root / "signed-out")


def is_loopback(host: str) -> bool:
    """Whether the address or name is that of this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def exposure_error(address: str | None) -> str:
    """Why the app cannot be served at the address; empty if it can. Raises ConfigError."""
    if auth_config() or (address and is_loopback(address)):
        return ""
    return (
        f"Rollcall does not serve {address or 'every address of this machine'} without sign-in: "
        "account lists would be open to the network. Set up sign-in (see "
        ".streamlit/secrets.toml.example), or leave server.address at 127.0.0.1."
    )


# ---- principals ----------------------------------------------------------------------------------

request_principal: ContextVar[Principal] = ContextVar("request_principal", default=ANONYMOUS)
"""The principal of the current request; the gate sets it."""


def current_principal() -> Principal:
    """The principal of the session or request; anonymous as soon as its token ends."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return request_principal.get()
    return principal_of(st.user.to_dict()) if auth_config() else local_principal()


def local_principal() -> Principal:
    """The user of this machine, where sign-in is not set up."""
    return replace(LOCAL, uses_pseudonyms=is_pseudonymized())


def principal_of(claims: Claims) -> Principal:
    """The principal of a token; without roles if the token is no longer valid."""
    config = auth_config()
    if not config:
        return ANONYMOUS
    principal = config.role_mapping.to_principal(claims)
    if current := current_role_mapping():
        principal = principal.limited_to(current.to_principal(claims))
    principal = replace(principal, uses_pseudonyms=principal.uses_pseudonyms or is_pseudonymized())
    return principal if is_signed_in(claims) else Principal(principal.name)


def is_signed_in(claims: Claims) -> bool:
    """Whether a token is valid and not revoked."""
    config = auth_config()
    if config is None or claims.get("is_logged_in") is not True:
        return False
    mapping, now = config.role_mapping, time.time()
    if not are_valid_claims(claims, client_id=config.client_id, hours=mapping.hours, now=now):
        return False
    person = mapping.to_principal(claims).name
    if revoked_tokens().is_revoked(claims, person, issued_at(claims)):
        return False
    is_idle = activity.is_idle(claims, mapping.idle_hours)
    if is_idle:  # for good, and in every process
        _revoke(claims)
    return not is_idle


def replace_session(old: Claims, new: Claims) -> None:
    """End the session that a new sign-in replaces, wherever a copy of its cookie is."""
    if token_id(old) != token_id(new):
        _revoke(old)


def sign_out(claims: Claims) -> None:
    """End the session of a token for good, wherever its cookie is."""
    record_event(current_home(), principal_of(claims).name, Event.SIGNED_OUT)
    _revoke(claims)


def _revoke(claims: Claims) -> None:
    try:
        revoked_tokens().add(claims, session_ends_at(claims))
    except OSError as error:
        log.error("Could not save the end of a session: %s", error.strerror)


def end_sessions(person: str) -> None:
    """End all sessions of a person, by the name in the audit log; a new sign-in is possible."""
    config = auth_config()
    if config:
        revoked_tokens().end_sessions(person, time.time() + config.role_mapping.hours * 3600)


def session_ends_at(claims: Claims) -> float:
    """The end of the session, in seconds since 1970."""
    config = auth_config()
    return session_end(claims, config.role_mapping.hours) if config else 0.0
