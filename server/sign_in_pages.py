"""The gate's own pages, for who does not come through it; and where they are led when they do."""

from __future__ import annotations

from html import escape
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from data.access.roles import Principal
from server.session import AuthConfig

SIGN_IN = "/sign-in"
SIGN_OUT = "/auth/logout"

NEXT_COOKIE = "rollcall_next"
"""The cookie that remembers where somebody wanted to go before they signed in."""


def path_of(scope: Scope) -> str:
    """The path of a request, below the one that Rollcall is served under."""
    return scope["path"].removeprefix(_base_path())


def _base_path() -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def redirect_after_sign_in(scope: Scope, headers: Headers) -> Response | None:
    """After sign-in Streamlit leads to the first page; a link led elsewhere before."""
    cookies = cookie_parser(headers.get("cookie", ""))
    if NEXT_COOKIE not in cookies:
        return None
    target = _local_address(cookies[NEXT_COOKIE])
    is_reached = target in ("", _request_address(scope)) or path_of(scope) != "/"
    response = None if is_reached else RedirectResponse(target, 302)
    if response:
        response.delete_cookie(NEXT_COOKIE)
    return response


def _request_address(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return scope["path"] + (f"?{query}" if query else "")


def _local_address(address: str) -> str:
    """An address of our own, or none: never one of another host."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_local and address.isprintable() and len(address) <= 3_000 else ""


# ---- the two pages of the gate -------------------------------------------------------------------

PAGE_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} · Rollcall</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><style>{css}</style></head>
<body><main><p class="name">Rollcall</p><h1>{title}</h1>{body}</main></body></html>"""
CSS_FILE = Path(__file__).with_name("sign_in.css")


def _page(title: str, body: str, status: int) -> HTMLResponse:
    css = CSS_FILE.read_text(encoding="utf-8")
    return HTMLResponse(PAGE_TEMPLATE.format(title=escape(title), css=css, body=body), status)


def sign_in_page(scope: Scope) -> Response:
    """For who is not signed in."""
    body = (
        "<p>Who has an account in which app is shown to signed-in people only.</p>"
        f'<p><a class="button" href="{escape(_base_path() + SIGN_IN)}">Sign in</a></p>'
    )
    response = _page("Sign in", body, 401)
    target = _local_address(_request_address(scope))
    if target not in ("", "/"):
        response.set_cookie(NEXT_COOKIE, target, max_age=600, httponly=True, samesite="lax")
    return response


def no_role_page(principal: Principal, config: AuthConfig) -> Response:
    """For who is signed in and has no role."""
    contact = config.role_mapping.contact or "the people who run it"
    body = (
        f"<p>You are signed in as <strong>{escape(principal.name or 'somebody')}</strong>, and "
        "have no "
        f"role in Rollcall. To get one, ask {escape(contact)}.</p>"
        f'<p><a class="button" href="{escape(_base_path() + SIGN_OUT)}">Sign out</a></p>'
    )
    return _page("Nothing to see for you yet", body, 403)
