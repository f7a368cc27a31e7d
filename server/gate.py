"""The gate in front of everything that the server answers: closed but for what is named here.

It stands before Streamlit, which by itself gives sessions, uploads, media and metrics to whoever
asks. Where sign-in is set up, only who has a role comes through; where it is not, only who is at
this machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
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
from data.access.roles import MONITOR, Act, Principal
from data.home import here
from data.records.audit_log import Event, note, note_refusal
from server.headers import with_headers
from server.session import (
    Door,
    asking,
    door,
    is_loopback,
    is_signed_in,
    local,
    person_of,
    session_ends_at,
    signed_out,
)
from server.sign_in_pages import SIGN_IN, SIGN_OUT, on_to, path_of, stranger, welcome

log = logging.getLogger("rollcall")

OPEN = ("/healthz", "/readyz")
"""Addresses that anybody may ask, and that tell nothing of the data."""

CALLBACK = "/oauth2callback"
SIGNING = ("/auth/login", CALLBACK)
METRICS = "/metrics"
UNUSED = ("/_stcore/metrics", "/_stcore/agent/")
"""Ways of Streamlit to ask about a server, and to use it without a browser: closed to everybody."""

ASSETS = ("/static/",)
"""Streamlit's own files, the same in every Streamlit."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers that a proxy adds: somebody from elsewhere asks."""

GRACE = 15
"""Seconds between the end of a session, which empties the page, and that of its connection."""


class Gate:
    """ASGI middleware, the first of all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._door = app, door()
        self._is_secure = self._door is not None and self._door.is_secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        claims = claims_of(headers, self._door) if self._door else None
        who = person_of(claims) if claims else Principal("") if self._door else local()
        if self._door and _is_monitor(scope, headers, self._door):
            who = MONITOR
        asking.set(who)
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send, headers, who, claims)
        else:
            send = with_headers(
                send, is_asset=path_of(scope).startswith(ASSETS), is_secure=self._is_secure
            )
            if self._door and path_of(scope) == CALLBACK and scope["query_string"]:
                send = _noting_who_comes(send, self._door)
            answer = self._answer(scope, headers, who, claims)
            await (answer or self._app)(scope, receive, send)

    # -- sessions

    async def _connect(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Headers,
        who: Principal,
        claims: Claims | None,
    ) -> None:
        """Only from a page of our own, and for no longer than the sign-in lasts."""
        if self._refused(scope, headers) or not _is_from(headers, self._door) or not who.is_anybody:
            await send({"type": "websocket.close", "code": 1008})
            return
        if claims is None:
            await self._app(scope, receive, send)
            return
        session = asyncio.ensure_future(self._app(scope, receive, send))
        watch = asyncio.ensure_future(_until_it_ends(claims))
        try:
            await asyncio.wait({session, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                with suppress(RuntimeError):  # it has closed by itself meanwhile
                    await send({"type": "websocket.close", "code": 1008})
        finally:
            watch.cancel()
            session.cancel()
            with suppress(asyncio.CancelledError):
                await session

    # -- requests

    def _answer(
        self, scope: Scope, headers: Headers, who: Principal, claims: Claims | None
    ) -> Response | None:
        """What the gate answers by itself; None where the request may go through."""
        path = path_of(scope)
        if path in OPEN or who is MONITOR:
            return None
        if refused := self._refused(scope, headers):
            return refused
        if path.startswith(UNUSED):
            return PlainTextResponse("There is nothing.", 404)
        if self._door is None or path.startswith(ASSETS):
            return None
        is_read = scope["method"] in ("GET", "HEAD")
        if is_read:
            if path == SIGN_IN:
                return RedirectResponse(generate_login_redirect_url("default"), 302)
            if path == SIGN_OUT and claims:
                _sign_out(claims)
            if path in (*SIGNING, SIGN_OUT):
                return None
        wants_page = is_read and "text/html" in headers.get("accept", "") and not _is_inner(path)
        if path.startswith("/_stcore/upload_file") and not who.may(Act.LOAD):
            return PlainTextResponse("Your role does not load files.", 403)
        if who.is_anybody:
            return on_to(scope, headers) if wants_page else None
        if not wants_page:
            return PlainTextResponse("Sign in first.", 403 if _is_signed_in(claims) else 401)
        if claims and is_signed_in(claims):
            return stranger(who, self._door)
        return welcome(scope)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """What comes by another name than ours, or without sign-in from another machine."""
        host = headers.get("host", "")
        if self._door:
            if host == self._door.host:
                return None
            return PlainTextResponse(f"Rollcall is at {self._door.origin}.", 421)
        server = (scope.get("server") or ("", 0))[0]
        client = (scope.get("client") or ("", 0))[0]
        is_near = is_loopback(server) and is_loopback(client) and is_loopback(_name_of(host))
        if is_near and not any(name in headers for name in FORWARDED):
            return None
        return PlainTextResponse(
            "Sign-in is not set up, so Rollcall answers only who is at its machine. "
            ".streamlit/secrets.toml.example explains how to set it up.",
            403,
        )


def _is_monitor(scope: Scope, headers: Headers, how: Door) -> bool:
    """Whether somebody asks for the metrics with their token, by whatever name of ours."""
    is_theirs = scope["type"] == "http" and path_of(scope) == METRICS
    token = how.rules.metrics_token
    sent = headers.get("authorization", "").encode()
    return is_theirs and bool(token) and compare_digest(sent, f"Bearer {token}".encode())


def claims_of(headers: Headers, how: Door) -> Claims | None:
    """What the cookie of a request says of who sent it; None where it was not made by us."""
    cookies = cookie_parser(headers.get("cookie", ""))

    def signed(name: str) -> bytes | None:
        signer = URLSafeTimedSerializer(how.cookie_secret, salt=name)
        try:
            return signer.loads(cookies[name]).encode()
        except (KeyError, BadData, AttributeError):
            return None

    try:
        claims = json.loads(get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"null")
    except ValueError:
        return None
    is_ours = isinstance(claims, dict) and claims.get("origin") == how.origin
    return claims if is_ours else None


async def _until_it_ends(claims: Claims) -> None:
    """Wait until a token counts no more, and for as long as the page takes to say so."""
    while is_signed_in(claims):
        await asyncio.sleep(min(3.0, max(0.1, session_ends_at(claims) - time.time())))
    await asyncio.sleep(GRACE)


def _noting_who_comes(send: Send, how: Door) -> Send:
    """What Streamlit answers a provider's word with; whom it lets in, or not, is an event."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookies = MutableHeaders(scope=message).getlist("set-cookie")
            made = "; ".join(cookie.split(";", 1)[0] for cookie in cookies)
            claims = claims_of(Headers({"cookie": made}), how)
            who = person_of(claims) if claims else Principal("")
            if who.is_anybody:
                note(here(), who.name, Event.SIGNED_IN, roles=list(who.roles))
            else:
                why = "has no role" if claims and is_signed_in(claims) else "brought no good token"
                note_refusal(here(), who.name, f"{why} at sign-in")
        await send(message)

    return sent


def _sign_out(claims: Claims) -> None:
    note(here(), person_of(claims).name, Event.SIGNED_OUT)
    try:
        signed_out().add(claims, session_ends_at(claims))
    except OSError as fault:
        log.error("Who has signed out could not be written down: %s", fault.strerror)


def _is_signed_in(claims: Claims | None) -> bool:
    return claims is not None and is_signed_in(claims)


def _is_from(headers: Headers, how: Door | None) -> bool:
    """Whether a page of our own asks: browsers say which page does."""
    origin = headers.get("origin", "")
    return origin == how.origin if how else urlsplit(origin).netloc == headers.get("host", "")


def _is_inner(path: str) -> bool:
    """What only pages ask for, never a person."""
    return path.startswith(("/_stcore", "/media", "/component", "/app/", "/export/"))


def _name_of(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""
