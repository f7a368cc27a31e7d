"""What a page says when there is nothing to show, and what to do about it."""

from __future__ import annotations

import streamlit as st

from data.access.roles import Permission
from data.home import current_home
from data.service.active_store import StorePhase
from server.authorize import closed_reason, store_status
from server.session import current_principal

TITLES: dict[StorePhase, str] = {
    "opening": "Opening the store",
    "in use": "Rollcall is open elsewhere",
    "rebuilding": "Rebuilding from the archive",
    "making the sample": "Welcome to Rollcall",
    "failed": "The store cannot be opened",
}


def show_store_status() -> bool:
    """Say so where there is nothing to read now. False then: draw no page."""
    status = store_status()
    if status.is_open:
        if status.message and current_principal().is_allowed_everywhere(
            Permission.LOAD_FILES
        ):  # it can name files, and people
            with st.container(border=True, key="amiss"):
                st.badge("Not as it should be", icon=":material/warning:", color="orange")
                st.text(status.message)
        return True
    st.title(TITLES[status.phase], anchor=False)
    _follow_status(status.phase)
    return False


@st.fragment(run_every=1)
def _follow_status(phase: StorePhase) -> None:
    """Follow it, and draw the page as soon as there is something to read."""
    status = store_status()
    if status.phase != phase:
        st.rerun()
    st.text(closed_reason(status))
    if status.phase == "failed":
        st.caption("It is tried again every few seconds. The page shows as soon as it can.")
    if status.total:
        st.progress(
            min(1.0, status.done / status.total),
            text=f"{status.done:,} of {status.total:,} snapshots",
        )
    if status.address and current_principal().is_allowed_everywhere(Permission.LOAD_FILES):
        st.link_button("Go to the other Rollcall", status.address, icon=":material/open_in_new:")


def show_no_snapshots() -> None:
    """Nothing was loaded yet."""
    with st.container(border=True, width=760, key="no_snapshots"):
        st.subheader("No snapshots yet", anchor=False)
        if not current_principal().is_allowed(Permission.LOAD_FILES):
            st.text("As soon as one is loaded, it shows here.")
            return
        st.text("Drop a file that lists an integration’s accounts into the snapshots folder:")
        st.code(
            f"{current_home().inbox}/figma/2026-11-23T06-00-00Z.csv", language=None, wrap_lines=True
        )
        st.text("Or load it from the command line:")
        st.code(
            ".venv/bin/rollcall load export.csv --integration figma --taken-at 2026-11-23",
            language=None,
            wrap_lines=True,
        )
        st.caption("It shows here within seconds. The README tells which columns are understood.")
