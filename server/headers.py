"""What every answer tells the browser: what a page may load, and that nobody else keeps it."""

from __future__ import annotations

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


KEEP_COOKIE = "document.cookie = document.getElementById('cookie-to-keep').dataset.cookie"
INPUT = Path(__file__).with_name("input.js").read_text(encoding="utf-8")
"""The scripts in a page that are ours, known by their hashes: each is always the same."""


@cache
def content_policy() -> str:
    """What a page may load: nothing from elsewhere, and of scripts in it Streamlit's and ours."""
    page = Path(st.__file__).parent.joinpath("static", "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", page, re.DOTALL)
    known = [*scripts, KEEP_COOKIE, INPUT]
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in known)
    own = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'self'; script-src 'self' {own}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
        "worker-src 'self' blob:; frame-src 'self'; frame-ancestors 'none'; object-src 'none'; "
        "base-uri 'self'; form-action 'self'"
    )


def with_headers(send: Send, *, is_asset: bool, is_secure: bool) -> Send:
    """What is sent, with what browsers should know about it."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Content-Security-Policy", content_policy())
            if not is_asset:
                headers["Cache-Control"] = "no-store"
            if is_secure:
                headers["Strict-Transport-Security"] = "max-age=31536000"
                _make_cookies_secure(headers)
        await send(message)

    return sent


def _make_cookies_secure(headers: MutableHeaders) -> None:
    """Streamlit leaves it out."""
    cookies = headers.getlist("set-cookie")
    del headers["set-cookie"]
    for cookie in cookies:
        is_secure = re.search(r";\s*secure\b", cookie, re.IGNORECASE)
        headers.append("set-cookie", cookie if is_secure else f"{cookie}; Secure")
