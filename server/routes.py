"""The routes beside Streamlit's own: health checks, metrics, last change, downloads, decisions."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from data.access.roles import NotAllowed
from data.home import current_home
from data.service.active_store import StoreUnavailable, store_status
from data.store.errors import StoreBusy, StoreError, StoreUnreachable
from server.authorize import denial_text, last_change, visible_reason
from server.back_channel import BACK_CHANNEL_PATH, receive_logout
from server.decisions import answer_decisions
from server.downloads import (
    send_audit,
    send_changes,
    send_findings,
    send_rejected,
    send_round,
    send_round_pack,
    send_users,
    send_users_pack,
)
from server.gate import METRICS_PATH, is_same_origin
from server.metrics import send_metrics
from server.queues import MAX_DOWNLOADS, RETRY_SECONDS, download_place
from server.search import send_search
from server.session import auth_config


async def healthz(_: Request) -> Response:
    """Answers as long as the server runs."""
    return PlainTextResponse("ok")


async def readyz(_: Request) -> Response:
    """Whether pages can be drawn. The reason stays in pages and log, as anybody can ask.

    Its threads are its own: it never waits for other requests.
    """
    status = await to_thread.run_sync(store_status, current_home(), limiter=_limiter("probe", 4))
    is_open = status.is_open
    return PlainTextResponse("ok" if is_open else "not ready", 200 if is_open else 503)


async def redirect_to_first_page(request: Request) -> Response:
    """Redirect to the first page, which has no address but `/` in Streamlit."""
    return RedirectResponse(f"./?{request.url.query}")


def send_last_change(_: Request) -> Response:
    """The revision that a page compares with its own; 503 while the store is closed.

    Not async, as asking a database on another machine can take a while.
    """
    try:
        return PlainTextResponse(last_change())
    except StoreError:
        return PlainTextResponse(status_code=503)


async def answer_forbidden(_: Request, error: Exception) -> Response:
    """Handles direct requests; pages never show an action the user may not take."""
    return PlainTextResponse(denial_text(error), 403)


async def answer_unavailable(_: Request, error: Exception) -> Response:
    """The sentence of a store that cannot be read, or is busy."""
    reason = str(error) if isinstance(error, StoreBusy) else visible_reason(str(error))
    return PlainTextResponse(reason, 503, headers={"Retry-After": str(RETRY_SECONDS)})


@cache
def _limiter(name: str, places: int) -> anyio.CapacityLimiter:
    """One for each purpose; whoever comes first is served first."""
    del name
    return anyio.CapacityLimiter(places)


MAX_BODY_BYTES = 2_000_000
"""Of a request with decisions: enough for some thousand accounts."""

Endpoint = Callable[[Request], Response]


def download(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Answer when it is the turn of the request, and with a sentence while the store is closed.

    The connection is free again before the first byte of the file leaves.
    """

    async def answer(request: Request) -> Response:
        try:
            async with download_place(_limiter("downloads", MAX_DOWNLOADS)):
                return await to_thread.run_sync(_answer_if_open, endpoint, request)
        except StoreError as error:
            return await answer_unavailable(request, error)

    return answer


async def receive_decisions(request: Request) -> Response:
    """One request at a time: of two decisions on one account, the one that came later counts."""
    if not is_same_origin(request.headers, auth_config()):
        return PlainTextResponse("Decide on a page of Rollcall.", 403)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return PlainTextResponse(f"More than {MAX_BODY_BYTES:,} bytes.", 413)

    def answer(_: Request) -> Response:
        return answer_decisions(body)

    return await to_thread.run_sync(
        _answer_if_open, answer, request, limiter=_limiter("decisions", 1)
    )


def _answer_if_open(endpoint: Endpoint, request: Request) -> Response:
    status = store_status(current_home())
    if not status.is_open:
        raise StoreUnavailable(status.message)
    try:
        return endpoint(request)
    except StoreUnreachable:  # a server that has restarted drops each connection that was open
        return endpoint(request)


ROUTES = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route(METRICS_PATH, send_metrics),
    Route("/health", redirect_to_first_page),
    Route(BACK_CHANNEL_PATH, receive_logout, methods=["POST"]),
    Route("/last-change", send_last_change),
    Route("/search", send_search),
    Route("/decide", receive_decisions, methods=["POST"]),
    Route("/export/users.evidence.zip", download(send_users_pack)),
    Route("/export/users.{form:path}", download(send_users)),
    Route("/export/evidence.zip", download(send_findings)),
    Route("/export/rejected.csv", download(send_rejected)),
    Route("/export/round.evidence.zip", download(send_round_pack)),
    Route("/export/round.{form:path}", download(send_round)),
    Route("/export/changes.{form:path}", download(send_changes)),
    Route("/export/audit.ndjson", download(send_audit)),
]

EXCEPTION_HANDLERS: dict[Any, Any] = {NotAllowed: answer_forbidden, StoreError: answer_unavailable}
"""What a route can raise → its answer."""
