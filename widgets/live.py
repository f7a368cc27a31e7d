"""Pages that follow the store: what was loaded since is shown without a reload."""

from __future__ import annotations

import streamlit as st

from queries.snapshots import newest_load
from widgets.store import reading

LOOK_EVERY = 3
"""Seconds between two looks at whether something was loaded."""


def rerun_when_loaded() -> None:
    """Draw the page again as soon as a snapshot was loaded or removed."""
    with st.container(key="live"):
        _look()


@st.fragment(run_every=LOOK_EVERY)
def _look() -> None:
    with reading() as con:
        newest = newest_load(con)
    if newest != st.session_state.setdefault("_newest_load", newest):
        st.session_state["_newest_load"] = newest
        st.rerun()
