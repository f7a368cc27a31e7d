"""Pages that follow the store: what was loaded since is shown without a reload.

The browser asks beside Streamlit (live.js, a packaged component), and has the page drawn again only
where there is news. A fragment that reruns by itself would bring the page and the address along
that the browser had when it asked: where a click leads to another page in that moment, Streamlit
goes back for it, and leaves an empty page.
"""

from functools import cache

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from streamlit.components.v2 import component
from streamlit.components.v2.types import ComponentRenderer

from data.store.errors import StoreError
from server.authorize import last_change


def rerun_when_loaded() -> None:
    """Draw the page again as soon as a snapshot was loaded or removed, or the session has ended."""
    with st.container(key="live"):
        data = {"last_change": last_change()}
        _component()(key="last_change", data=data, on_news_change=lambda: None)


def send_last_change(_: Request) -> Response:
    """What a page compares with what it was drawn after; 503 where there is no store to read.

    Not async, as asking a database on another machine can take a while.
    """
    try:
        return PlainTextResponse(last_change())
    except StoreError:
        return PlainTextResponse(status_code=503)


@cache
def _component() -> ComponentRenderer:
    """Made at the first draw: only a running Streamlit knows where the packaged files are."""
    return component("rollcall.live", js="live.js")
