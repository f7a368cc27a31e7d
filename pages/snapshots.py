"""Loaded snapshots, files that need a decision, and uploads."""

from collections.abc import Sequence

import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from queries.snapshots import PAGE_SIZE, count_snapshots, load_report_at, page_of_snapshots
from queries.users.accounts import integration_names
from server.authorize import can_load, is_sample, store_connection
from widgets import status, timezone
from widgets.address import requested_page, show_pagination, update_address, write_address
from widgets.filters import choose_integrations, requested_moment, show_past_banner
from widgets.snapshots import letters, load_report, pulls, quarantine, upload

LOADING_NEEDS_NAMES = "You see pseudonyms. Only people who see names can load files."

sample = is_sample()
requested = load_report.requested_snapshot()
with store_connection(Permission.SNAPSHOTS) as con:
    integrations = integration_names(con)
    is_empty = not count_snapshots(con, ())
    report = load_report_at(con, *requested) if requested else None

st.title("Snapshots")


@st.fragment
def show_snapshots(chosen: Sequence[str]) -> None:
    """One page of the list, newest first."""
    until = requested_moment()
    with store_connection(Permission.SNAPSHOTS) as con:
        count = count_snapshots(con, chosen, until)
        page = requested_page(count, PAGE_SIZE)
        reports = page_of_snapshots(con, chosen, page, until)
    st.text(f"{count_of(count, 'snapshot')} · newest first{' · sample data' if sample else ''}")
    load_report.show_table(reports, key="snapshots")
    show_pagination(page, count, PAGE_SIZE)


if requested:
    if st.button("All snapshots", icon=":material/arrow_back:", type="tertiary", key="all"):
        write_address(timezone.with_zone({}))
        st.rerun()
    if not report:  # the list follows
        st.text("This snapshot does not exist or was removed.")
    else:
        load_report.show_actions(report, is_sample=sample)
        st.session_state.setdefault("snapshot", {"open": [load_report.row_id(report)]})
        load_report.show_table([report], key="snapshot")
        if not sample and can_load():
            with st.expander("Replace with another file", key="replace"):
                upload.show_uploads(integrations, replaced=(report.integration, report.taken_at))
            upload.show_progress()
        st.stop()
if can_load():
    quarantine.show_quarantine()
    upload.show_uploads(integrations)
    upload.show_progress()
    pulls.show_pulls()
    letters.show_letters()
else:
    st.info(LOADING_NEEDS_NAMES, icon=":material/visibility_off:")
if is_empty:
    status.show_no_snapshots(on_upload_page=True)
    st.stop()

st.subheader("Loaded", anchor=False)
left, right = st.columns([4, 1])
with left:
    chosen = choose_integrations(integrations)
with right:
    timezone.choose_zone(has_label=False)
show_past_banner(
    requested_moment(), lambda: update_address(as_of=None, page=None), "Snapshots taken by then."
)
show_snapshots(chosen)
if not sample:
    load_report.show_deletion_limits(chosen)
