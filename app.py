"""The web app: `python app.py` serves it on http://127.0.0.1:8501 (PORT names another port).

The pages are drawn by pages/navigation.py. Around it, here: the downloads, a sign of life, and
the keeping of the store.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from streamlit.web.bootstrap import load_config_options

from data.access.claims import ConfigError
from data.access.roles import NotAllowed
from data.home import current_home
from data.service.active_store import store_status
from data.service.keeper import run_keeper
from server.authorize import closed_reason
from server.downloads import (
    send_audit,
    send_changes,
    send_findings,
    send_rejected,
    send_users,
    send_users_pack,
)
from server.gate import METRICS_PATH, Gate
from server.logs import configure_logging
from server.metrics import send_metrics
from server.options import options_from_environment
from server.session import exposure_error
from widgets.live import send_last_change


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """While the server runs, the store is open, and what comes into the inbox is loaded.

    However it was started, it is not served to a network that nobody has to sign in for.
    """
    configure_logging()
    if message := exposure_error(st.get_option("server.address")):
        raise RuntimeError(message)
    with run_keeper(
        current_home(), f"http://{st.get_option('server.address')}:{st.get_option('server.port')}"
    ):
        yield


async def healthz(_: Request) -> Response:
    """Answers as long as the server runs."""
    return PlainTextResponse("ok")


def readyz(_: Request) -> Response:
    """Whether pages can be drawn. Anybody may ask, so nobody is told why not: pages and log do.

    Not async, as asking a database on another machine can take a while.
    """
    is_open = store_status(current_home()).is_open
    return PlainTextResponse("ok" if is_open else "not ready", 200 if is_open else 503)


async def redirect_to_first_page(request: Request) -> Response:
    """The first page, which to Streamlit has no address but `/`."""
    return RedirectResponse(f"./?{request.url.query}")


def require_open_store(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable:
    """Where there is no store to read, say so before the answer has begun."""

    async def answer_if_open(request: Request) -> Response:
        how = await run_in_threadpool(store_status, current_home())
        return (
            await endpoint(request) if how.is_open else PlainTextResponse(closed_reason(how), 503)
        )

    return answer_if_open


async def answer_forbidden(_: Request, error: Exception) -> Response:
    """For who asks by hand; pages offer nobody what they may not do."""
    return PlainTextResponse(f"Your role may not {error}.", 403)


app = st.App(
    Path(__file__).parent / "pages" / "navigation.py",
    lifespan=lifespan,
    routes=[
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
    ],
    middleware=[Middleware(Gate)],
    exception_handlers={NotAllowed: answer_forbidden},
)


def exit_misconfigured(message: str) -> NoReturn:
    """What a service manager need not try again; the unit in deploy/ knows this exit code."""
    logging.getLogger("rollcall").error(message)
    sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    configure_logging()
    try:
        current_home()
        options = options_from_environment()
        load_config_options(options)
        if refused := exposure_error(st.get_option("server.address")):
            exit_misconfigured(refused)
    except ConfigError as fault:
        exit_misconfigured(f"Rollcall is not set up right. {fault}")
    except OSError as fault:
        sys.exit(f"Rollcall keeps its data in ROLLCALL_HOME. {fault.filename}: {fault.strerror}.")
    app.run(config=options)
