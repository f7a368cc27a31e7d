"""The mark that the data is made up, and the way out."""

from __future__ import annotations

import streamlit as st

from data.access.roles import Act
from data.home import here
from data.records.audit_log import Event
from data.service.current import remove_sample
from server.authorize import changing, is_sample, noted
from server.session import principal


def announce() -> None:
    """Say so where the sample is shown."""
    if not is_sample():
        return
    with st.container(horizontal=True, vertical_alignment="center", key="sample"):
        st.badge(
            "Sample data",
            icon=":material/science:",
            color="orange",
            help="Made-up accounts. Your first snapshot replaces them.",
        )
        if principal().may_for_all(Act.REMOVE):
            st.button("Remove sample data", type="tertiary", key="remove_sample", on_click=_remove)


def _remove() -> None:
    changing(Act.REMOVE)
    remove_sample(here())
    noted(Event.REMOVED, data="the sample")
