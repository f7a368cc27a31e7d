"""The routes beside Streamlit's own: health checks, metrics, the last change and the downloads."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from data.home import current_home
from data.service.active_store import store_status
from data.store.errors import StoreError
from server.authorize import closed_reason, denial_text, last_change
from server.downloads import (
    send_audit,
    send_changes,
    send_findings,
    send_rejected,
    send_users,
    send_users_pack,
)
from server.gate import METRICS_PATH
from server.metrics import send_metrics


async def healthz(_: Request) -> Response:
    """Answers as long as the server runs."""
    return PlainTextResponse("ok")


def readyz(_: Request) -> Response:
    """Whether pages can be drawn. The reason stays in pages and log, as anybody can ask.

    Not async, as asking a database on another machine can take a while.
    """
    is_open = store_status(current_home()).is_open
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


def require_open_store(endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Answer 503 with the reason while the store is closed."""

    def answer_if_open(request: Request) -> Response:
        status = store_status(current_home())
        if status.is_open:
            return endpoint(request)
        return PlainTextResponse(closed_reason(status), 503)

    return answer_if_open


ROUTES = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route(METRICS_PATH, send_metrics),
    Route("/health", redirect_to_first_page),
    Route("/last-change", send_last_change),
    Route("/export/users.evidence.zip", require_open_store(send_users_pack)),
    Route("/export/users.{form:path}", require_open_store(send_users)),
    Route("/export/evidence.zip", require_open_store(send_findings)),
    Route("/export/rejected.csv", require_open_store(send_rejected)),
    Route("/export/changes.{form:path}", require_open_store(send_changes)),
    Route("/export/audit.ndjson", require_open_store(send_audit)),
]
