"""Streamlit's own files, compressed: several times fewer bytes on the way."""

import anyio
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONDITIONS = ("range", "if-none-match", "if-modified-since")
"""Request headers that ask for less than a file."""


class CompressedAssets:
    """Compresses each file once, as a name stands for one content. All of them take a few MB.

    The first visit of a browser requests 5 MB of scripts, and to compress them takes as long as to
    draw the page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, compresslevel=6)
        self._responses: dict[str, list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        is_whole = scope["method"] == "GET" and not any(name in headers for name in CONDITIONS)
        if not is_whole or "gzip" not in headers.get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        response = self._responses.get(path) or await self._compress(scope)
        if response[0]["status"] == 200:
            self._responses[path] = response
        for message in response:
            await send(_copy(message))

    async def _compress(self, scope: Scope) -> list[Message]:
        """The whole response, also where its first reader has gone: the others get it, too."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(_copy(message))

        await self._app(scope, _never_leaves, keep)
        return messages


async def _never_leaves() -> Message:
    await anyio.sleep_forever()
    return {"type": "http.disconnect"}


def _copy(message: Message) -> Message:
    """A message whose headers can be changed."""
    return {**message, "headers": list(message["headers"])} if "headers" in message else message
