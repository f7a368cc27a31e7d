"""Pages that follow the store: what was loaded since is shown without a reload."""

from __future__ import annotations

import streamlit as st

from widgets.store import last_change

LOOK_EVERY = 3
"""Seconds between two looks at whether something was loaded, or the session has ended."""


def rerun_when_loaded() -> None:
    """Draw the page again as soon as a snapshot was loaded or removed."""
    with st.container(key="live"):
        _look()


@st.fragment(run_every=LOOK_EVERY)
def _look() -> None:
    newest = last_change()
    if newest != st.session_state.setdefault("_newest_load", newest):
        st.session_state["_newest_load"] = newest
        st.rerun()
