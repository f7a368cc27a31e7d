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

CHART_PAGES = ("", "health")
PRELOAD = '<link rel="modulepreload" crossorigin fetchpriority="low" href="./static/js/{name}">'


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

    @cached_property
    def page_with_charts(self) -> bytes:
        """The same. The browser loads the script of charts, the largest, before the first chart."""
        scripts = Path(st.__file__).parent.glob("static/static/js/PlotlyChart.*.js")
        links = "".join(PRELOAD.format(name=path.name) for path in scripts).encode()
        return self.page.replace(b"</body>", links + b"</body>")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            name = scope["path"].rpartition("/")[2]
            if "." not in name:
                page = self.page_with_charts if name in CHART_PAGES else self.page
                send = self._with_page(page, scope, send)
        await self._app(scope, receive, send)

    def _with_page(self, page: bytes, scope: Scope, send: Send) -> Send:
        is_replaced = False

        async def send_page(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start":
                kind = Headers(scope=message).get("content-type", "")
                is_replaced = message["status"] == 200 and kind.startswith("text/html")
                if is_replaced:
                    headers = MutableHeaders(scope=message)
                    headers["content-length"] = str(len(page))
                    del headers["content-encoding"]  # Streamlit's own page can be compressed
            elif is_replaced:
                if message.get("more_body"):
                    return
                message["body"] = page if scope["method"] == "GET" else b""
            await send(message)

        return send_page
