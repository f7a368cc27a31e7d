"""The page that Streamlit fills, with Rollcall's name, look and script in it from the start.

Without them it is white until Streamlit's scripts have arrived, and everything moves when the look
follows.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.headers import INPUT_SCRIPT

ROOT = '<div id="root"></div>'
STARTING = """<div id="root"><p style="color: CanvasText; font: 600 1.375rem system-ui, sans-serif;
margin: 18vh 0 0; text-align: center">Rollcall</p></div>
<style>:root { color-scheme: light dark; background: Canvas; }</style>"""
"""The name, which Streamlit replaces by the first page that it draws."""


class FirstPage:
    """Middleware that sends this page for Streamlit's own; its address has no file, as `/users`."""

    def __init__(self, app: ASGIApp, look: Sequence[Path]) -> None:
        self._app, self._look = app, look

    @cached_property
    def page(self) -> bytes:
        """Styles are at the end of the page: of equal rules, the last one counts."""
        file = Path(st.__file__).parent / "static" / "index.html"
        look = "".join(path.read_text(encoding="utf-8") for path in self._look)
        end = f"<style>{look}</style><script>{INPUT_SCRIPT}</script></body>"
        page = file.read_text(encoding="utf-8").replace("<title>Streamlit", "<title>Rollcall")
        return page.replace(ROOT, STARTING).replace("</body>", end).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        is_page = is_page and "." not in scope["path"].rpartition("/")[2]
        await self._app(scope, receive, self._with_page(scope, send) if is_page else send)

    def _with_page(self, scope: Scope, send: Send) -> Send:
        is_replaced = False

        async def send_page(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start":
                kind = Headers(scope=message).get("content-type", "")
                is_replaced = message["status"] == 200 and kind.startswith("text/html")
                if is_replaced:
                    headers = MutableHeaders(scope=message)
                    headers["content-length"] = str(len(self.page))
                    del headers["content-encoding"]  # Streamlit's own page can be compressed
            elif is_replaced:
                if message.get("more_body"):
                    return
                message["body"] = self.page if scope["method"] == "GET" else b""
            await send(message)

        return send_page
