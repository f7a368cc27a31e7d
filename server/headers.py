"""The security headers of every response."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


KEEP_COOKIE_SCRIPT = "document.cookie = document.getElementById('cookie-to-keep').dataset.cookie"
INPUT_SCRIPT = "".join(
    Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("input.js", "search.js")
)
"""Rollcall's own inline scripts. They never change, so the policy allows them by their hashes."""


@cache
def content_policy() -> str:
    """The Content-Security-Policy: nothing from other hosts, only known inline scripts."""
    page = Path(st.__file__).parent.joinpath("static", "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", page, re.DOTALL)
    allowed_scripts = [*scripts, KEEP_COOKIE_SCRIPT, INPUT_SCRIPT]
    hashes = (
        base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in allowed_scripts
    )
    sources = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'self'; script-src 'self' {sources}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
        "worker-src 'self' blob:; frame-src 'self'; frame-ancestors 'none'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'"
    )


def with_headers(send: Send, *, is_asset: bool, origin: str) -> Send:
    """Add the headers to each response. `origin` is the public address, where sign-in is set up."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Content-Security-Policy", content_policy())
            if not is_asset:
                headers["Cache-Control"] = "no-store"
            if origin and "Access-Control-Allow-Credentials" in headers:
                headers["Access-Control-Allow-Origin"] = origin  # Streamlit names localhost
            if origin.startswith("https://"):
                headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
                _make_cookies_secure(headers)
        await send(message)

    return send_with_headers


def _make_cookies_secure(headers: MutableHeaders) -> None:
    """Add the Secure attribute, which Streamlit leaves out."""
    cookies = headers.getlist("set-cookie")
    del headers["set-cookie"]
    for cookie in cookies:
        is_secure = re.search(r";\s*secure\b", cookie, re.IGNORECASE)
        headers.append("set-cookie", cookie if is_secure else f"{cookie}; Secure")
