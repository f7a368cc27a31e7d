"""The web app: `python app.py` serves it on http://127.0.0.1:8501 (PORT names another port).

The pages are drawn by pages/navigation.py. Around it, here: the downloads, a sign of life, and
the two threads that load what arrives.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Thread

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from data.current import prepare_sample
from data.home import here
from data.inbox import load_waiting, watch
from data.store import StoreInUse, close_stores, open_store
from widgets.downloads import send_users


@asynccontextmanager
async def loading(_: st.App) -> AsyncIterator[None]:
    """While the server runs, load what is or comes into the inbox, and once the sample data."""
    home, stop = here(), Event()
    store = open_store(home.database_url)

    def load_all() -> None:
        load_waiting(store, home)
        watch(store, home, stop)

    inbox = Thread(target=load_all, name="inbox")
    inbox.start()
    Thread(target=prepare_sample, args=(home,), name="sample", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        inbox.join()
        close_stores()


async def healthz(_: Request) -> Response:
    """Answers as long as the server runs."""
    return PlainTextResponse("ok")


async def health(request: Request) -> Response:
    """The first page, which to Streamlit has no address but `/`."""
    return RedirectResponse(f"./?{request.url.query}")


app = st.App(
    Path(__file__).parent / "pages" / "navigation.py",
    lifespan=loading,
    routes=[
        Route("/healthz", healthz),
        Route("/health", health),
        Route("/export/users.{form:path}", send_users),
    ],
)

if __name__ == "__main__":
    try:
        open_store(here().database_url)
    except StoreInUse as fault:
        sys.exit(f"{fault} One process serves one store; is Rollcall running already?")
    app.run(config={"server.port": int(os.environ.get("PORT") or 8501)})
