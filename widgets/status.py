"""What a page says when there is nothing to show, and what to do about it."""

from __future__ import annotations

import streamlit as st

from data.access.roles import Act
from data.home import here
from data.service.current import Phase
from server.authorize import state, why_closed
from server.session import principal

TITLES: dict[Phase, str] = {
    "opening": "Opening the store",
    "in use": "Rollcall is open elsewhere",
    "rebuilding": "Rebuilding from the archive",
    "making the sample": "Welcome to Rollcall",
    "failed": "The store cannot be opened",
}


def announce() -> bool:
    """Say so where there is nothing to read now. False then: draw no page."""
    how = state()
    if how.is_open:
        if how.words and principal().may_for_all(Act.LOAD):  # it can name files, and people
            with st.container(border=True, key="amiss"):
                st.badge("Not as it should be", icon=":material/warning:", color="orange")
                st.text(how.words)
        return True
    st.title(TITLES[how.phase], anchor=False)
    _say(how.phase)
    return False


@st.fragment(run_every=1)
def _say(phase: Phase) -> None:
    """Follow it, and draw the page as soon as there is something to read."""
    how = state()
    if how.phase != phase:
        st.rerun()
    st.text(why_closed(how))
    if how.phase == "failed":
        st.caption("It is tried again every few seconds. The page shows as soon as it can.")
    if how.of:
        st.progress(min(1.0, how.done / how.of), text=f"{how.done:,} of {how.of:,} snapshots")
    if how.address and principal().may_for_all(Act.LOAD):
        st.link_button("Go to the other Rollcall", how.address, icon=":material/open_in_new:")


def no_snapshots() -> None:
    """Nothing was loaded yet."""
    with st.container(border=True, width=760, key="no_snapshots"):
        st.subheader("No snapshots yet", anchor=False)
        if not principal().may(Act.LOAD):
            st.text("As soon as one is loaded, it shows here.")
            return
        st.text("Drop a file that lists an integration’s accounts into the snapshots folder:")
        st.code(f"{here().inbox}/figma/2026-11-23T06-00-00Z.csv", language=None, wrap_lines=True)
        st.text("Or load it from the command line:")
        st.code(
            ".venv/bin/rollcall load export.csv --integration figma --taken-at 2026-11-23",
            language=None,
            wrap_lines=True,
        )
        st.caption("It shows here within seconds. The README tells which columns are understood.")
