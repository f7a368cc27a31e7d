"""OpenID Connect Back-Channel Logout 1.0: the provider ends sessions, without a browser.

https://openid.net/specs/openid-connect-backchannel-1_0.html
"""

import logging
import time
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import httpx2
from anyio import to_thread
from cachetools import TTLCache, cached
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from data.access.claims import CLOCK_LEEWAY_SECONDS
from data.access.revoked_tokens import ProviderSession
from data.home import current_home
from data.records.audit_log import Event, record_event
from server.session import AuthConfig, auth_config, revoked_tokens

log = logging.getLogger("rollcall")

BACK_CHANNEL_PATH = "/auth/back-channel-logout"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

ALGORITHMS = [f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)]
"""Signatures that only the provider can make."""

MAX_BODY_BYTES = 65_536
MAX_AGE_SECONDS = 300
"""How old a logout token can be."""

KEYS_FOR_SECONDS = 60
"""How long the keys of the provider are kept: strangers can cause one request to it a minute."""


class LogoutRejected(Exception):
    """The logout token is not valid. The message is for the provider’s administrators."""


class Provider(NamedTuple):
    """What a logout token is checked against."""

    issuer: str
    keys: Any  # a KeySet of joserfc, which takes 40 ms to import and only a logout needs


async def receive_logout(request: Request) -> Response:
    """End the sessions that the provider’s logout token names."""
    config = auth_config()
    if config is None:
        return PlainTextResponse("Not found.", 404)
    try:
        token = await _logout_token(request)
        await to_thread.run_sync(_end_sessions, token, config)
    except LogoutRejected as error:
        log.warning("Rejected a back-channel logout: %s", error)
        return PlainTextResponse(str(error), 400)
    return PlainTextResponse("", 200)


async def _logout_token(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise LogoutRejected(f"The request has more than {MAX_BODY_BYTES:,} bytes.")
    tokens = parse_qs(body.decode("ascii", "replace")).get("logout_token", [])
    if len(tokens) != 1:
        raise LogoutRejected("Expected a form with one logout_token.")
    return tokens[0]


def _end_sessions(token: str, config: AuthConfig) -> None:
    claims = _valid_claims(token, config)
    sub = claims.get("sub")
    revoked_tokens().end_provider_sessions(
        ProviderSession(claims["iss"], sub, claims.get("sid")),
        issued_until=claims["iat"],
        expires_at=time.time() + config.role_mapping.hours * 3600,
    )
    record_event(current_home(), "identity provider", Event.SESSIONS_ENDED, subject=sub)


def _valid_claims(token: str, config: AuthConfig) -> dict[str, Any]:
    """The claims of a logout token, checked as section 2.6 of the specification asks."""
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        provider = read_provider(config.metadata_url)
        claims = jwt.decode(token, provider.keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_LEEWAY_SECONDS,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": config.client_id},
            iat={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError) as error:
        raise LogoutRejected(f"The logout token is not valid: {error}.") from error
    except httpx2.HTTPError as error:
        raise LogoutRejected("The keys of the provider cannot be read.") from error
    events = claims.get("events")
    if "nonce" in claims or not isinstance(events, dict) or LOGOUT_EVENT not in events:
        raise LogoutRejected("The token is no logout token.")
    names = [claims[name] for name in ("sub", "sid") if claims.get(name)]
    if not names or not all(isinstance(name, str) for name in names):
        raise LogoutRejected("The logout token names neither a person nor a session.")
    if claims["iat"] < time.time() - MAX_AGE_SECONDS:
        raise LogoutRejected("The logout token is too old.")
    return claims


@cached(TTLCache(maxsize=1, ttl=KEYS_FOR_SECONDS), lock=Lock())
def read_provider(metadata_url: str) -> Provider:
    """Raises httpx2.HTTPError and ValueError."""
    from joserfc.jwk import KeySet

    with httpx2.Client(timeout=10, follow_redirects=False) as client:
        metadata = client.get(metadata_url).raise_for_status().json()
        keys = client.get(metadata["jwks_uri"]).raise_for_status().json()
    return Provider(metadata["issuer"], KeySet.import_key_set(keys))
