"""The banner over sample data."""

import streamlit as st

from data.access.roles import Permission
from data.home import current_home
from data.records.audit_log import Event
from data.service.active_store import remove_sample
from server.authorize import is_sample, record_action, writable_store
from server.session import current_principal


def show_sample_banner() -> None:
    """The banner, where the store is the sample's, and the button that removes the sample."""
    if not is_sample():
        return
    with st.container(horizontal=True, vertical_alignment="center", key="sample"):
        st.badge(
            "Sample data",
            icon=":material/science:",
            color="orange",
            help="Generated accounts. Your first snapshot replaces them.",
        )
        if current_principal().is_allowed_everywhere(Permission.REMOVE_SNAPSHOTS):
            st.button(
                "Remove sample data", type="tertiary", key="remove_sample", on_click=_remove_sample
            )


def _remove_sample() -> None:
    writable_store(Permission.REMOVE_SNAPSHOTS)
    remove_sample(current_home())
    record_action(Event.REMOVED, data="the sample")
