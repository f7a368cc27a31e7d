"""Reruns a page when a snapshot was loaded, without a reload.

The browser asks outside of Streamlit (live.js, a packaged component) and reruns the page only after
a change. A fragment with `run_every` would send the page and address that the browser has at that
moment. If a click opens another page then, Streamlit returns to the old one and shows it empty.
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
    """Rerun the page when a snapshot was loaded or removed, or the session has ended."""
    with st.container(key="live"):
        data = {"last_change": last_change()}
        _component()(key="last_change", data=data, on_update_change=lambda: None)


def send_last_change(_: Request) -> Response:
    """The last change, which a page compares with its own; 503 if the store cannot be read.

    Not async, because a database on another machine can be slow.
    """
    try:
        return PlainTextResponse(last_change())
    except StoreError:
        return PlainTextResponse(status_code=503)


@cache
def _component() -> ComponentRenderer:
    """Made when first drawn: only a running Streamlit finds the packaged files."""
    return component("rollcall.live", js="live.js")
