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

from data.access.claims import Misconfigured
from data.access.roles import NotAllowed
from data.home import here
from data.service.current import state
from data.service.keeper import kept
from server.authorize import why_closed
from server.downloads import (
    send_audit,
    send_changes,
    send_findings,
    send_rejected,
    send_users,
    send_users_pack,
)
from server.gate import METRICS, Gate
from server.logs import set_up
from server.metrics import send_metrics
from server.options import from_environment
from server.session import refuse_to_be_reached
from widgets.live import send_last_change


@asynccontextmanager
async def keeping(_: st.App) -> AsyncIterator[None]:
    """While the server runs, the store is open, and what comes into the inbox is loaded.

    However it was started, it is not served to a network that nobody has to sign in for.
    """
    set_up()
    if refused := refuse_to_be_reached(st.get_option("server.address")):
        raise RuntimeError(refused)
    with kept(here(), f"http://{st.get_option('server.address')}:{st.get_option('server.port')}"):
        yield


async def healthz(_: Request) -> Response:
    """Answers as long as the server runs."""
    return PlainTextResponse("ok")


def readyz(_: Request) -> Response:
    """Whether pages can be drawn. Anybody may ask, so nobody is told why not: pages and log do.

    Not async, as asking a database on another machine can take a while.
    """
    is_open = state(here()).is_open
    return PlainTextResponse("ok" if is_open else "not ready", 200 if is_open else 503)


async def health(request: Request) -> Response:
    """The first page, which to Streamlit has no address but `/`."""
    return RedirectResponse(f"./?{request.url.query}")


def while_open(answer: Callable[[Request], Awaitable[Response]]) -> Callable:
    """Where there is no store to read, say so before the answer has begun."""

    async def answer_or_explain(request: Request) -> Response:
        how = await run_in_threadpool(state, here())
        return await answer(request) if how.is_open else PlainTextResponse(why_closed(how), 503)

    return answer_or_explain


async def not_allowed(_: Request, why: Exception) -> Response:
    """For who asks by hand; pages offer nobody what they may not do."""
    return PlainTextResponse(f"Your role may not {why}.", 403)


app = st.App(
    Path(__file__).parent / "pages" / "navigation.py",
    lifespan=keeping,
    routes=[
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route(METRICS, send_metrics),
        Route("/health", health),
        Route("/last-change", send_last_change),
        Route("/export/users.evidence.zip", while_open(send_users_pack)),
        Route("/export/users.{form:path}", while_open(send_users)),
        Route("/export/evidence.zip", while_open(send_findings)),
        Route("/export/rejected.csv", while_open(send_rejected)),
        Route("/export/changes.{form:path}", while_open(send_changes)),
        Route("/export/audit.ndjson", while_open(send_audit)),
    ],
    middleware=[Middleware(Gate)],
    exception_handlers={NotAllowed: not_allowed},
)


def refuse_to_start(why: str) -> NoReturn:
    """What a service manager need not try again; the unit in deploy/ knows this exit code."""
    logging.getLogger("rollcall").error(why)
    sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    set_up()
    try:
        here()
        options = from_environment()
        load_config_options(options)
        if refused := refuse_to_be_reached(st.get_option("server.address")):
            refuse_to_start(refused)
    except Misconfigured as fault:
        refuse_to_start(f"Rollcall is not set up right. {fault}")
    except OSError as fault:
        sys.exit(f"Rollcall keeps its data in ROLLCALL_HOME. {fault.filename}: {fault.strerror}.")
    app.run(config=options)
