"""What a page shows when there is nothing to read: why, and what to do."""

from pathlib import Path

import streamlit as st

from data.access.roles import Permission
from data.home import current_home
from data.service.active_store import StorePhase
from server.authorize import store_status, visible_reason
from server.session import current_principal
from widgets.sample_banner import show_restore_button

TITLES: dict[StorePhase, str] = {
    "opening": "Opening the store",
    "in use": "Another Rollcall is using this store",
    "rebuilding": "Rebuilding from the archive",
    "making the sample": "Welcome to Rollcall",
    "failed": "Cannot open the store",
}
RETRY = "Rollcall tries again every few seconds. This page appears as soon as the store is open."
NOTHING_YET = "This page shows data as soon as somebody uploads an account list."
OWN_DATA = Path(__file__).parent.parent / "docs" / "own-data.md"


def show_store_status() -> bool:
    """Whether pages can be drawn. If not, shows why; if so, shows what needs attention."""
    status = store_status()
    if not status.is_open:
        st.title(TITLES[status.phase], anchor=False)
        _follow_status(status.phase)
        return False
    if status.message and _sees_messages():
        with st.container(border=True, key="attention"):
            st.badge("Attention needed", icon=":material/warning:", color="orange")
            st.text(status.message)
    return True


def _sees_messages() -> bool:
    """Messages about the store can name files and people."""
    return current_principal().is_allowed_everywhere(Permission.LOAD_FILES)


@st.fragment(run_every=1)
def _follow_status(phase: StorePhase) -> None:
    """The reason and the progress; draws the page again when the phase changes."""
    status = store_status()
    if status.phase != phase:
        st.rerun()
    st.text(visible_reason(status.message))
    if status.phase == "failed":
        st.caption(RETRY)
    if status.total:
        share = min(1.0, status.done / status.total)
        st.progress(share, text=f"{status.done:,} of {status.total:,} snapshots")
    if status.address and _sees_messages():
        st.link_button("Go to the other Rollcall", status.address, icon=":material/open_in_new:")


def show_no_snapshots(*, on_upload_page: bool = False) -> None:
    """How to load the first snapshot."""
    principal = current_principal()
    with st.container(border=True, width=760, key="no_snapshots"):
        st.subheader("No snapshots yet", anchor=False)
        if not principal.is_allowed(Permission.LOAD_FILES):
            st.text(NOTHING_YET)
            return
        st.text("Upload your first account list.")
        can_upload = principal.is_allowed(Permission.SNAPSHOTS) and not on_upload_page
        with st.container(horizontal=True):
            if can_upload and st.button("Upload a list", type="primary"):
                st.switch_page("snapshots.py")
            show_restore_button()
        st.text("Or move it into the snapshots folder:")
        inbox = f"{current_home().inbox}/figma/2026-11-23T06-00-00Z.csv"
        st.code(inbox, language=None, wrap_lines=True)
        st.text("Or load it from the command line:")
        command = ".venv/bin/rollcall load export.csv --integration figma --taken-at 2026-11-23"
        st.code(command, language=None, wrap_lines=True)
        with st.expander("See supported columns"):
            st.markdown(supported_columns())


def supported_columns() -> str:
    """The table of columns, from docs/own-data.md."""
    section = OWN_DATA.read_text(encoding="utf-8").partition("\n## Columns\n\n")[2]
    return "\n\n".join(section.split("\n\n")[:2])
