"""The gate's own pages, before and without a role, and the redirect after sign-in."""

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
"""The cookie with the address that somebody opened before they signed in."""


def path_of(scope: Scope) -> str:
    """The path of a request, without the base path of Rollcall."""
    return scope["path"].removeprefix(_base_path())


def _base_path() -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def redirect_after_sign_in(scope: Scope, headers: Headers) -> Response | None:
    """A redirect to the address opened before sign-in; Streamlit itself leads to the first page."""
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
    """The address if it is on this host, else an empty text."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_local and address.isprintable() and len(address) <= 3_000 else ""


# ---- pages ---------------------------------------------------------------------------------------

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
    """The page for people who are not signed in."""
    body = (
        "<p>Sign in to see who has access to what.</p>"
        f'<p><a class="button" href="{escape(_base_path() + SIGN_IN)}">Sign in</a></p>'
    )
    response = _page("Sign in", body, 401)
    target = _local_address(_request_address(scope))
    if target not in ("", "/"):
        response.set_cookie(NEXT_COOKIE, target, max_age=600, httponly=True, samesite="lax")
    return response


def no_role_page(principal: Principal, config: AuthConfig) -> Response:
    """The page for people who are signed in without a role."""
    contact = config.role_mapping.contact or "your administrator"
    body = (
        f"<p>You are signed in as <strong>{escape(principal.name or 'unknown')}</strong>. "
        f"To get a role, ask {escape(contact)}.</p>"
        f"{_sign_out_form()}"
    )
    return _page("You have no role yet", body, 403)


def sign_out_page() -> Response:
    """The question before a sign-out that did not come from a page of Rollcall."""
    return _page("Sign out", f"<p>Do you want to sign out?</p>{_sign_out_form()}", 200)


def signed_out_page() -> Response:
    """The page after a sign-out; it goes on to Streamlit's, which deletes the cookies.

    Not a redirect, as the browser would forbid a form that leads to the provider.
    """
    address = escape(_base_path() + SIGN_OUT)
    body = f'<p><a class="button" href="{address}">Continue</a></p>'
    response = _page("You are signed out", body, 200)
    response.headers["Refresh"] = f"0; url={_base_path()}{SIGN_OUT}"
    return response


def _sign_out_form() -> str:
    address = escape(_base_path() + SIGN_OUT)
    return f'<form method="post" action="{address}"><button class="button">Sign out</button></form>'
