"""Sends a download: a file that is complete before its first byte leaves."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from anyio import from_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from data.tempfiles import TemporaryFile

CLIENT_CLOSED_REQUEST = 499


def send_file(name: str, media_type: str, write: Callable[[Path], None]) -> Response:
    """Write the file, then send it; a file that fails on the way is not sent at all."""
    file = TemporaryFile()
    try:
        write(file.path)
    except ClientDisconnect:
        return PlainTextResponse("The client closed the connection.", CLIENT_CLOSED_REQUEST)
    return _TemporaryFileResponse(file, name, media_type)


def stop_if_disconnected(request: Request) -> None:
    """Raise ClientDisconnect where nobody waits for the download any more."""
    if from_thread.run(request.is_disconnected):
        raise ClientDisconnect


class _TemporaryFileResponse(FileResponse):
    """Sends a temporary file, which lives as long as this response."""

    def __init__(self, file: TemporaryFile, name: str, media_type: str) -> None:
        super().__init__(file.path, media_type=media_type, headers=attachment_headers(name))
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole file: the next request gets another file, and parts of two do not fit."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


def attachment_headers(name: str) -> dict[str, str]:
    """Headers with the file's name: in ASCII for old programs, and in full as in RFC 6266."""
    ascii_name = "".join(c for c in name if c.isascii() and c.isprintable() and c not in '"\\')
    names = f"filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name)}"
    return {
        "Content-Disposition": f"attachment; {names}",
        "Content-Encoding": "identity",  # otherwise Streamlit compresses it at a tenth of the speed
        "Cache-Control": "no-store",
        "Accept-Ranges": "none",
    }
