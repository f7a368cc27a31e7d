"""Files that are made while they are sent, and what the audit log says of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import anyio
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from queries.export.formats import Chunks
from queries.export.manifest import About


class Streamed(StreamingResponse):
    """A file that is made while it is sent; the work ends when nobody waits for it any more.

    An error on the way ends the connection, so that no short file is taken for a whole one.
    """

    def __init__(self, chunks: Chunks, media_type: str, opened: ExitStack, name: str) -> None:
        self._opened, self._chunks = opened, chunks
        self._sending = self._sent()
        super().__init__(self._sending, media_type=media_type, headers=named_so(name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._sending.aclose()
                await run_in_threadpool(self._close)

    async def _sent(self) -> AsyncGenerator[bytes]:
        async for chunk in iterate_in_threadpool(self._chunks):
            if chunk:
                yield chunk

    def _close(self) -> None:
        with self._opened:
            self._chunks.close()


def named_so(name: str) -> dict[str, str]:
    """Headers with the file's name: in ASCII for old programs, and in full, as RFC 6266 has it."""
    plain = name.encode("ascii", "ignore").decode()
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
        "Content-Encoding": "identity",  # or Streamlit's server packs it, at a tenth of the speed
        "Cache-Control": "no-store",
    }


def what_was_taken(found: About) -> dict[str, Any]:
    """Of a list of accounts, for the audit log."""
    return {
        "accounts": found.accounts,
        "filters": found.filters,
        "rows": found.rows,
        "snapshots": [source.facts() for source in found.snapshots],
    }
