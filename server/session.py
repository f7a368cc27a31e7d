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

from data.access.claims import SHORTEST_SECRET, Claims, Misconfigured, Rules, ends_at, hold
from data.access.revoked_tokens import SignedOut
from data.access.roles import LOCAL, NOBODY, Principal
from data.home import here

PROVIDER_KEYS = ("client_id", "client_secret", "server_metadata_url")


@dataclass(frozen=True)
class Door:
    """How people sign in: sections [auth] and [access] of secrets.toml."""

    origin: str  # where Rollcall is reached: https://rollcall.example.com
    client_id: str
    cookie_secret: str
    rules: Rules

    @property
    def host(self) -> str:
        return urlsplit(self.origin).netloc

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https://")

    @classmethod
    def of(cls, auth: Mapping[str, Any], access: Mapping[str, Any]) -> Door:
        """As the settings tell it. Raises Misconfigured."""
        wanted = ("redirect_uri", "cookie_secret", *PROVIDER_KEYS)
        told = {name: str(auth.get(name) or "") for name in wanted}
        if missing := [name for name, value in told.items() if not value]:
            raise Misconfigured(f"[auth] lacks {', '.join(missing)}.")
        if len(told["cookie_secret"]) < SHORTEST_SECRET:
            raise Misconfigured(
                f"cookie_secret in [auth] has fewer than {SHORTEST_SECRET} characters. This makes "
                "one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'."
            )
        at = urlsplit(told["redirect_uri"].replace("{port}", str(st.get_option("server.port"))))
        is_near = is_loopback(at.hostname or "")
        if at.path.rsplit("/", 1)[-1] != "oauth2callback" or not (
            at.scheme == "https" or (at.scheme == "http" and is_near)
        ):
            raise Misconfigured(
                "redirect_uri in [auth] must be https://<where Rollcall is reached>/oauth2callback;"
                " plain http only for this machine."
            )
        origin = f"{at.scheme}://{at.netloc}"
        return cls(origin, told["client_id"], told["cookie_secret"], Rules.of(access))


@cache
def door() -> Door | None:
    """How people sign in; None where that is not set up. Raises Misconfigured."""
    files = [path for path in st.get_option("secrets.files") if Path(path).exists()]
    if not st.secrets.load_if_toml_exists():
        if files:
            raise Misconfigured(f"{', '.join(files)} cannot be read.")
        return None
    told = st.secrets.to_dict()
    if "auth" not in told and "access" not in told:
        return None
    if "auth" not in told or "access" not in told:
        raise Misconfigured("Sign-in needs both sections, [auth] and [access], in secrets.toml.")
    return Door.of(told["auth"], told["access"])


@cache
def signed_out() -> SignedOut:
    """The tokens that count no more."""
    return SignedOut(here().root / "signed-out")


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is this machine's own."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def wants_pseudonyms() -> bool:
    """Whether everybody sees pseudonyms instead of names: ROLLCALL_PSEUDONYMS."""
    return os.environ.get("ROLLCALL_PSEUDONYMS", "") not in ("", "0")


def refuse_to_be_reached(address: str | None) -> str:
    """Why the app may not be served there; empty where it may. Raises Misconfigured."""
    if door() or (address and is_loopback(address)):
        return ""
    return (
        f"Rollcall does not serve {address or 'every address of this machine'} without sign-in: "
        "account lists would be open to the network. Set up sign-in, as "
        ".streamlit/secrets.toml.example explains, or leave server.address at 127.0.0.1."
    )


# ---- who -----------------------------------------------------------------------------------------

asking: ContextVar[Principal] = ContextVar("asking", default=NOBODY)
"""Who sent the request that is being answered; the gate knows."""


def principal() -> Principal:
    """Who is asking now. A session's person is nobody as soon as their token has ended."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return asking.get()
    return person_of(st.user.to_dict()) if door() else local()


def local() -> Principal:
    """Who is at this machine, where nobody signs in."""
    return replace(LOCAL, pseudonyms=wants_pseudonyms())


def person_of(claims: Claims) -> Principal:
    """Who has a token; nobody where it does not hold any more."""
    how = door()
    if not how:
        return NOBODY
    known = how.rules.principal(claims)
    known = replace(known, pseudonyms=known.pseudonyms or wants_pseudonyms())
    return known if is_signed_in(claims) else Principal(known.name)


def is_signed_in(claims: Claims) -> bool:
    """Whether a token still counts."""
    how = door()
    return (
        how is not None
        and claims.get("is_logged_in") is True
        and hold(claims, client_id=how.client_id, hours=how.rules.hours, now=time.time())
        and claims not in signed_out()
    )


def session_ends_at(claims: Claims) -> float:
    """In seconds since 1970."""
    how = door()
    return ends_at(claims, how.rules.hours) if how else 0.0
