"""Redraws a page after a load, without a reload by the user.

The browser polls `/last-change` beside Streamlit (live.js, a packaged component) and asks for a
redraw only after a change. A fragment with `run_every` is not an option: if a click leads to
another page while it runs, Streamlit goes back to the old page and leaves it empty.
"""

from functools import cache

import streamlit as st
from streamlit.components.v2 import component
from streamlit.components.v2.types import ComponentRenderer

from server.authorize import last_change


def rerun_when_loaded() -> None:
    """Redraw the page when a snapshot is loaded or removed, or when the session ends."""
    with st.container(key="live"):
        data = {"last_change": last_change()}
        _component()(key="last_change", data=data, on_news_change=lambda: None)


@cache
def _component() -> ComponentRenderer:
    """Created at the first draw, as only a running Streamlit finds the packaged files."""
    return component("rollcall.live", js="live.js")
