"""The mark that the data is made up, and the way out."""

from __future__ import annotations

import streamlit as st

from data.current import remove_sample
from data.home import here
from widgets.store import now


def announce() -> None:
    """Say so where the sample is shown."""
    if not now().is_sample:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="sample"):
        st.badge(
            "Sample data",
            icon=":material/science:",
            color="orange",
            help="Made-up accounts. Your first snapshot replaces them.",
        )
        st.button("Remove sample data", type="tertiary", key="remove_sample", on_click=_remove)


def _remove() -> None:
    remove_sample(here())
