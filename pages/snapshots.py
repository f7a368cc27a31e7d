"""What was loaded and how good it was; what waits for a person; and how more gets in."""

from collections.abc import Sequence

import streamlit as st

from data.access.roles import Permission
from queries.rejected_rows import rejected_rows
from queries.snapshots import (
    PAGE_SIZE,
    count_snapshots,
    deletion_limits,
    load_report_at,
    page_of_snapshots,
)
from queries.users.accounts import integration_names
from server.authorize import is_sample, store_connection
from widgets import status, timezone
from widgets.address import requested_page, show_pagination, update_address, write_address
from widgets.filters import choose_integrations, requested_moment, show_past_banner
from widgets.snapshots import load_report, pulls, quarantine, upload
from widgets.users_table import Block, users_table

sample = is_sample()
requested = load_report.requested_snapshot()
with store_connection(Permission.SNAPSHOTS) as con:
    integrations = integration_names(con)
    is_empty = not count_snapshots(con, ())
    report = load_report_at(con, *requested) if requested else None

st.title("Snapshots")


def show_table(reports: Sequence, *, key: str) -> None:
    """A row per snapshot; each opens its passport."""

    def panels(ids: Sequence[str]) -> dict[str, list[Block]]:
        open_reports = [p for p in reports if load_report.row_id(p) in ids]
        with store_connection(Permission.SNAPSHOTS) as con:
            return {
                load_report.row_id(p): load_report.panel(
                    p,
                    rejected_rows(
                        con, p.integration, p.taken_at, limit=load_report.MAX_REJECTED_SHOWN
                    ),
                )
                for p in open_reports
            }

    users_table(
        [load_report.table_row(p) for p in reports],
        columns=load_report.table_columns(),
        sort="",
        descending=False,
        details=panels,
        on_sort=lambda _: None,
        caption="Snapshots",
        empty="No snapshots of these integrations.",
        key=key,
    )


@st.fragment
def show_snapshots(chosen: Sequence[str]) -> None:
    """The newest first, a page at a time."""
    until = requested_moment()
    with store_connection(Permission.SNAPSHOTS) as con:
        count = count_snapshots(con, chosen, until)
        page = requested_page(count, PAGE_SIZE)
        reports = page_of_snapshots(con, chosen, page, until)
    noun = "snapshot" if count == 1 else "snapshots"
    st.text(f"{count:,} {noun}, the newest first" + (" · sample data" if sample else ""))
    show_table(reports, key="snapshots")
    show_pagination(page, count, PAGE_SIZE)


if requested:
    if st.button("All snapshots", icon=":material/arrow_back:", type="tertiary", key="all"):
        write_address(timezone.with_zone({}))
        st.rerun()
    if report:
        load_report.show_actions(report, is_sample=sample)
        st.session_state.setdefault("snapshot", {"open": [load_report.row_id(report)]})
        show_table([report], key="snapshot")
        if not sample:
            with st.expander("Replace it by another file", key="replace"):
                upload.show_uploads(integrations, replaced=(report.integration, report.taken_at))
            upload.show_progress()
    else:
        st.text("There is no such snapshot, or not any more.")
    st.stop()

quarantine.show_quarantine()
upload.show_uploads(integrations)
upload.show_progress()
pulls.show_pulls()
if is_empty:
    status.show_no_snapshots()
    st.stop()

st.subheader("Loaded", anchor=False)
left, right = st.columns([4, 1])
with left:
    chosen = choose_integrations(integrations)
with right:
    timezone.choose_zone()
show_past_banner(
    requested_moment(), lambda: update_address(as_of=None, page=None), "Snapshots taken by then."
)
show_snapshots(chosen)
if not sample:
    with store_connection(Permission.SNAPSHOTS) as con:
        load_report.show_deletion_limits(deletion_limits(con), chosen)
