"""Who is asking: the one place that turns a session, or a request, into a principal.

How people sign in is read once, when the server starts: whatever becomes of the settings while it
runs, nobody gets more than they had.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from data.access.claims import (
    MIN_SECRET_LENGTH,
    Claims,
    ConfigError,
    RoleMapping,
    are_valid_claims,
    session_end,
)
from data.access.revoked_tokens import RevokedTokens
from data.access.roles import ANONYMOUS, LOCAL, Principal
from data.home import current_home

PROVIDER_KEYS = ("client_id", "client_secret", "server_metadata_url")


@dataclass(frozen=True)
class AuthConfig:
    """How people sign in: sections [auth] and [access] of secrets.toml."""

    origin: str  # where Rollcall is reached: https://rollcall.example.com
    client_id: str
    cookie_secret: str
    role_mapping: RoleMapping

    @property
    def host(self) -> str:
        return urlsplit(self.origin).netloc

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https://")

    @classmethod
    def from_settings(cls, auth: Mapping[str, Any], access: Mapping[str, Any]) -> AuthConfig:
        """As the settings tell it. Raises Misconfigured."""
        required = ("redirect_uri", "cookie_secret", *PROVIDER_KEYS)
        settings = {name: str(auth.get(name) or "") for name in required}
        if missing := [name for name, value in settings.items() if not value]:
            raise ConfigError(f"[auth] lacks {', '.join(missing)}.")
        if len(settings["cookie_secret"]) < MIN_SECRET_LENGTH:
            raise ConfigError(
                f"cookie_secret in [auth] has fewer than {MIN_SECRET_LENGTH} characters. This "
                "makes "
                "one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'."
            )
        redirect = urlsplit(
            settings["redirect_uri"].replace("{port}", str(st.get_option("server.port")))
        )
        is_local = is_loopback(redirect.hostname or "")
        if redirect.path.rsplit("/", 1)[-1] != "oauth2callback" or not (
            redirect.scheme == "https" or (redirect.scheme == "http" and is_local)
        ):
            raise ConfigError(
                "redirect_uri in [auth] must be https://<where Rollcall is reached>/oauth2callback;"
                " plain http only for this machine."
            )
        origin = f"{redirect.scheme}://{redirect.netloc}"
        return cls(
            origin,
            settings["client_id"],
            settings["cookie_secret"],
            RoleMapping.from_settings(access),
        )


@cache
def auth_config() -> AuthConfig | None:
    """How people sign in; None where that is not set up. Raises Misconfigured."""
    files = [path for path in st.get_option("secrets.files") if Path(path).exists()]
    if not st.secrets.load_if_toml_exists():
        if files:
            raise ConfigError(f"{', '.join(files)} cannot be read.")
        return None
    settings = st.secrets.to_dict()
    if "auth" not in settings and "access" not in settings:
        return None
    if "auth" not in settings or "access" not in settings:
        raise ConfigError("Sign-in needs both sections, [auth] and [access], in secrets.toml.")
    return AuthConfig.from_settings(settings["auth"], settings["access"])


@cache
def revoked_tokens() -> RevokedTokens:
    """The tokens that count no more."""
    return RevokedTokens(current_home().root / "signed-out")


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is this machine's own."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_pseudonymized() -> bool:
    """Whether everybody sees pseudonyms instead of names: ROLLCALL_PSEUDONYMS."""
    return os.environ.get("ROLLCALL_PSEUDONYMS", "") not in ("", "0")


def exposure_error(address: str | None) -> str:
    """Why the app may not be served there; empty where it may. Raises Misconfigured."""
    if auth_config() or (address and is_loopback(address)):
        return ""
    return (
        f"Rollcall does not serve {address or 'every address of this machine'} without sign-in: "
        "account lists would be open to the network. Set up sign-in, as "
        ".streamlit/secrets.toml.example explains, or leave server.address at 127.0.0.1."
    )


# ---- who -----------------------------------------------------------------------------------------

request_principal: ContextVar[Principal] = ContextVar("asking", default=ANONYMOUS)
"""Who sent the request that is being answered; the gate knows."""


def current_principal() -> Principal:
    """Who is asking now. A session's person is nobody as soon as their token has ended."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return request_principal.get()
    return principal_of(st.user.to_dict()) if auth_config() else local_principal()


def local_principal() -> Principal:
    """Who is at this machine, where nobody signs in."""
    return replace(LOCAL, uses_pseudonyms=is_pseudonymized())


def principal_of(claims: Claims) -> Principal:
    """Who has a token; nobody where it does not hold any more."""
    config = auth_config()
    if not config:
        return ANONYMOUS
    principal = config.role_mapping.to_principal(claims)
    principal = replace(principal, uses_pseudonyms=principal.uses_pseudonyms or is_pseudonymized())
    return principal if is_signed_in(claims) else Principal(principal.name)


def is_signed_in(claims: Claims) -> bool:
    """Whether a token still counts."""
    config = auth_config()
    return (
        config is not None
        and claims.get("is_logged_in") is True
        and are_valid_claims(
            claims, client_id=config.client_id, hours=config.role_mapping.hours, now=time.time()
        )
        and claims not in revoked_tokens()
    )


def session_ends_at(claims: Claims) -> float:
    """In seconds since 1970."""
    config = auth_config()
    return session_end(claims, config.role_mapping.hours) if config else 0.0
