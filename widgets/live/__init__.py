"""Draws a page again when the store has changed.

The browser polls outside of Streamlit (live.js, a packaged component) and triggers a rerun only
after a change. A fragment with `run_every` would send the page and the address of the moment of its
request: after a click that leads to another page, Streamlit would go back and show an empty page.
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
    """Draw the page again when a snapshot was loaded or removed, or the session has ended."""
    with st.container(key="live"):
        data = {"last_change": last_change()}
        _component()(key="last_change", data=data, on_news_change=lambda: None)


def send_last_change(_: Request) -> Response:
    """The last change, which a page compares with its own; 503 without a store to read.

    Not async, as a database on another machine can take a while.
    """
    try:
        return PlainTextResponse(last_change())
    except StoreError:
        return PlainTextResponse(status_code=503)


@cache
def _component() -> ComponentRenderer:
    """Created at the first draw: only a running Streamlit knows where the packaged files are."""
    return component("rollcall.live", js="live.js")
