"""The mark that the data is made up, and the way out."""

from __future__ import annotations

import time

import streamlit as st

from data.current import remove_sample
from data.home import here
from widgets.store import now


def announce() -> bool:
    """Say so where the sample is shown. False while it is still being made: draw no page then."""
    shown = now()
    if not shown.is_sample:
        return True
    if shown.ready < 1:
        _wait(shown.ready)
        return False
    with st.container(horizontal=True, vertical_alignment="center", key="sample"):
        st.badge(
            "Sample data",
            icon=":material/science:",
            color="orange",
            help="Made-up accounts. Your first snapshot replaces them.",
        )
        st.button("Remove sample data", type="tertiary", key="remove_sample", on_click=_remove)
    return True


def _remove() -> None:
    remove_sample(here())


def _wait(ready: float) -> None:
    """A newcomer's first seconds."""
    st.title("Welcome to Rollcall")
    st.progress(ready, text="Making up 90 days of sample data, once …")
    time.sleep(0.5)
    st.rerun()
