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
from queries.export.manifest import ListManifest


class StreamedFile(StreamingResponse):
    """A file that is made while it is sent; the work ends when nobody waits for it any more.

    An error on the way ends the connection, so that no short file is taken for a whole one.
    """

    def __init__(self, chunks: Chunks, media_type: str, resources: ExitStack, name: str) -> None:
        self._resources, self._chunks = resources, chunks
        self._stream = self._iterate_chunks()
        super().__init__(self._stream, media_type=media_type, headers=attachment_headers(name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
                await run_in_threadpool(self._close)

    async def _iterate_chunks(self) -> AsyncGenerator[bytes]:
        async for chunk in iterate_in_threadpool(self._chunks):
            if chunk:
                yield chunk

    def _close(self) -> None:
        with self._resources:
            self._chunks.close()


def attachment_headers(name: str) -> dict[str, str]:
    """Headers with the file's name: in ASCII for old programs, and in full, as RFC 6266 has it."""
    ascii_name = name.encode("ascii", "ignore").decode()
    names = f"filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name)}"
    return {
        "Content-Disposition": f"attachment; {names}",
        "Content-Encoding": "identity",  # or Streamlit's server packs it, at a tenth of the speed
        "Cache-Control": "no-store",
    }


def download_details(manifest: ListManifest) -> dict[str, Any]:
    """Of a list of accounts, for the audit log."""
    return {
        "accounts": manifest.accounts,
        "filters": manifest.filters,
        "rows": manifest.rows,
        "snapshots": [source.as_dict() for source in manifest.snapshots],
    }
