"""Middleware in front of everything that the server answers: closed except for the paths below.

Streamlit itself gives sessions, uploads, media and metrics to anybody. The gate lets only people
with a role through; without sign-in, only requests from this machine.
"""

import asyncio
import json
import time
from contextlib import suppress
from hmac import compare_digest
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from data.access.claims import Claims
from data.access.roles import ANONYMOUS, MONITOR, Permission, Principal
from data.home import current_home
from data.records.audit_log import Event, record_denial, record_event
from server.activity import is_by_person, message_of_page
from server.assets import CompressedAssets
from server.back_channel import BACK_CHANNEL_PATH
from server.headers import with_headers
from server.session import (
    AuthConfig,
    activity,
    auth_config,
    is_loopback,
    is_signed_in,
    local_principal,
    principal_of,
    replace_session,
    request_principal,
    session_ends_at,
    sign_out,
)
from server.sign_in_pages import (
    SIGN_IN,
    SIGN_OUT,
    no_role_page,
    path_of,
    redirect_after_sign_in,
    sign_in_page,
    sign_out_page,
    signed_out_page,
)

PUBLIC_PATHS = ("/healthz", "/readyz")
"""Paths that anybody can request; they disclose no data."""

CALLBACK_PATH = "/oauth2callback"
SIGN_IN_PATHS = ("/auth/login", CALLBACK_PATH)
METRICS_PATH = "/metrics"
BLOCKED_PATHS = ("/_stcore/metrics", "/_stcore/agent/")
"""Streamlit's own metrics and its access without a browser: closed to everybody."""

REFRESHED_PATHS = ("/last-change", "/_stcore/health", "/_stcore/host-config", "/_stcore/stream")
"""Paths that an open page requests by itself."""

ASSET_PATHS = ("/static/",)
"""Streamlit's own files, which are public."""

PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers that a proxy adds: the request comes from another machine."""

RECORDED_PATHS = ("/export/",)
"""Paths whose requests the audit log records. A HEAD request would be recorded, too."""

POLL_SECONDS = 3.0
"""Seconds after which an open connection is closed at the latest once its session has ended."""

GRACE_SECONDS = 15
"""Seconds from the end of a session, which empties the page, to the end of its connection."""


class Gate:
    """The first ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._auth_config = app, auth_config()
        self._origin = self._auth_config.origin if self._auth_config else ""
        # Only the public files: in a compressed page, a stranger could guess secrets by its length.
        self._assets = CompressedAssets(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if not scope["path"].isascii():  # no page has such an address; headers cannot hold it
            await _reject_path(scope, receive, send)
            return
        headers = Headers(scope=scope)
        claims = claims_of(headers, self._auth_config) if self._auth_config else None
        principal = self._principal(scope, headers, claims)
        request_principal.set(principal)
        if scope["type"] == "websocket":
            receive = _only_messages(receive, claims)
            await self._connect(scope, receive, send, headers, principal, claims)
        else:
            is_asset = path_of(scope).startswith(ASSET_PATHS)
            send = with_headers(send, is_asset=is_asset, origin=self._origin)
            if self._auth_config and path_of(scope) == CALLBACK_PATH and scope["query_string"]:
                send = _with_sign_in_audit(send, self._auth_config, claims)
            response = self._gate_response(scope, headers, principal, claims)
            await (response or (self._assets if is_asset else self._app))(scope, receive, send)

    def _principal(self, scope: Scope, headers: Headers, claims: Claims | None) -> Principal:
        if not self._auth_config:
            return local_principal()
        if _is_monitor(scope, headers, self._auth_config):
            return MONITOR
        return principal_of(claims) if claims else ANONYMOUS

    # -- sessions

    async def _connect(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Headers,
        principal: Principal,
        claims: Claims | None,
    ) -> None:
        """Accept a session only from our own pages, and end it with the sign-in."""
        if (
            self._host_rejection(scope, headers)
            or not is_same_origin(headers, self._auth_config)
            or not principal.has_any_role
        ):
            await send({"type": "websocket.close", "code": 1008})
            return
        if claims is None:
            await self._app(scope, receive, send)
            return
        session = asyncio.ensure_future(self._app(scope, receive, send))
        watch = asyncio.ensure_future(_wait_for_session_end(claims))
        try:
            await asyncio.wait({session, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                with suppress(RuntimeError):  # already closed
                    await send({"type": "websocket.close", "code": 1008})
        finally:
            watch.cancel()
            session.cancel()
            with suppress(asyncio.CancelledError):
                await session

    # -- requests

    def _gate_response(
        self, scope: Scope, headers: Headers, principal: Principal, claims: Claims | None
    ) -> Response | None:
        """The gate's own response; None if the request can go through."""
        path = path_of(scope)
        if claims and principal.has_any_role and path not in REFRESHED_PATHS:
            activity.note(claims)
        if scope["method"] == "TRACE":
            return PlainTextResponse("No such method.", 405)
        if path in PUBLIC_PATHS or principal is MONITOR:
            return None
        if rejection := self._host_rejection(scope, headers):
            return rejection
        if path.startswith(BLOCKED_PATHS):
            return PlainTextResponse("Not found.", 404)
        if self._auth_config is None or path.startswith(ASSET_PATHS):
            return None
        if path == BACK_CHANNEL_PATH:
            return None if scope["method"] == "POST" else PlainTextResponse("Use POST.", 405)
        if path == SIGN_OUT:
            return self._sign_out_response(scope, headers, claims)
        is_read = scope["method"] in ("GET", "HEAD")
        if is_read:
            if path == SIGN_IN:
                return RedirectResponse(generate_login_redirect_url("default"), 302)
            if path in SIGN_IN_PATHS:
                return None
            if path.startswith(RECORDED_PATHS) and scope["method"] == "HEAD":
                return PlainTextResponse("Use GET.", 405)
        wants_page = is_read and "text/html" in headers.get("accept", "") and not _is_internal(path)
        is_upload = path.startswith("/_stcore/upload_file")
        if is_upload and not principal.is_allowed(Permission.LOAD_FILES):
            return PlainTextResponse("You do not have permission to load files.", 403)
        if principal.has_any_role:
            return redirect_after_sign_in(scope, headers) if wants_page else None
        if not wants_page:
            return PlainTextResponse("Sign in first.", 403 if _has_valid_token(claims) else 401)
        if claims and is_signed_in(claims):
            return no_role_page(principal, self._auth_config)
        return sign_in_page(scope)

    def _sign_out_response(
        self, scope: Scope, headers: Headers, claims: Claims | None
    ) -> Response | None:
        """Only a POST from our own page, with a valid session, signs out; a GET asks first.

        With a session that has ended, Streamlit deletes the cookies and nothing else changes.
        """
        if claims is None or not is_signed_in(claims):
            return None if scope["method"] == "GET" else signed_out_page()
        if scope["method"] != "POST":
            return sign_out_page()
        if not is_same_origin(headers, self._auth_config):
            return PlainTextResponse("Sign out on a page of Rollcall.", 403)
        sign_out(claims)
        return signed_out_page()

    def _host_rejection(self, scope: Scope, headers: Headers) -> Response | None:
        """The response to a request for another host, or without sign-in from another machine."""
        host = headers.get("host", "")
        if self._auth_config:
            if host == self._auth_config.host:
                return None
            return PlainTextResponse(f"Rollcall is at {self._auth_config.origin}.", 421)
        server = (scope.get("server") or ("", 0))[0]
        client = (scope.get("client") or ("", 0))[0]
        is_local = is_loopback(server) and is_loopback(client) and is_loopback(_host_name(host))
        if is_local and not any(name in headers for name in PROXY_HEADERS):
            return None
        return PlainTextResponse(
            "Sign-in is not set up, so Rollcall answers only requests from its own machine. To set "
            "it up, see .streamlit/secrets.toml.example.",
            403,
        )


def _is_monitor(scope: Scope, headers: Headers, config: AuthConfig) -> bool:
    """Whether the request is for the metrics and has their token."""
    token = config.role_mapping.metrics_token
    if not token or scope["type"] != "http" or path_of(scope) != METRICS_PATH:
        return False
    authorization = headers.get("authorization", "").encode()
    return compare_digest(authorization, f"Bearer {token}".encode())


def claims_of(headers: Headers, config: AuthConfig) -> Claims | None:
    """The claims in the cookie of a request; None if the cookie is not from this server."""
    cookies = cookie_parser(headers.get("cookie", ""))

    def read_signed_cookie(name: str) -> bytes | None:
        signer = URLSafeTimedSerializer(config.cookie_secret, salt=name)
        try:
            return signer.loads(cookies[name]).encode()
        except (KeyError, BadData, AttributeError):
            return None

    try:
        claims = json.loads(get_cookie_with_chunks(read_signed_cookie, USER_COOKIE_NAME) or b"null")
    except ValueError:
        return None
    is_own = isinstance(claims, dict) and claims.get("origin") == config.origin
    return claims if is_own else None


async def _reject_path(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await PlainTextResponse("Not found.", 404)(scope, receive, send)


def _only_messages(receive: Receive, claims: Claims | None) -> Receive:
    """End a connection that sends what no page sends: Streamlit would log an error for each frame.

    A message that its reader causes is a use of the session.
    """

    async def receive_message() -> Message:
        message = await receive()
        if message["type"] != "websocket.receive":
            return message
        sent = message_of_page(message.get("bytes"))
        if sent is None:
            return {"type": "websocket.disconnect", "code": 1003}
        if claims and is_by_person(sent) and is_signed_in(claims):
            activity.note(claims)
        return message

    return receive_message


async def _wait_for_session_end(claims: Claims) -> None:
    """Wait until the person has no access any more, and then until the page has shown it."""
    while principal_of(claims).has_any_role:
        await asyncio.sleep(min(POLL_SECONDS, max(0.1, session_ends_at(claims) - time.time())))
    await asyncio.sleep(GRACE_SECONDS)


def _with_sign_in_audit(send: Send, config: AuthConfig, before: Claims | None) -> Send:
    """Record a sign-in, or its denial, when Streamlit answers the provider's callback.

    `before`: of the session that the browser had.
    """

    async def audited_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookies = MutableHeaders(scope=message).getlist("set-cookie")
            cookie_header = "; ".join(cookie.split(";", 1)[0] for cookie in cookies)
            claims = claims_of(Headers({"cookie": cookie_header}), config)
            principal = principal_of(claims) if claims else ANONYMOUS
            name, roles = principal.name, list(principal.roles)
            if before and claims:
                replace_session(before, claims)
            if roles:
                record_event(current_home(), name, Event.SIGNED_IN, roles=roles)
            else:
                reason = "has no role" if _has_valid_token(claims) else "sent no valid token"
                record_denial(current_home(), name, f"{reason} at sign-in")
        await send(message)

    return audited_send


def _has_valid_token(claims: Claims | None) -> bool:
    return claims is not None and is_signed_in(claims)


def is_same_origin(headers: Headers, config: AuthConfig | None) -> bool:
    """Whether the request comes from our own page, by the browser's Origin header."""
    origin = headers.get("origin", "")
    return origin == config.origin if config else urlsplit(origin).netloc == headers.get("host", "")


def _is_internal(path: str) -> bool:
    """Whether only pages request the path, never a person."""
    return path.startswith(("/_stcore", "/media", "/component", "/app/", "/export/"))


def _host_name(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""
