"""What changed between two moments: as text, as counts, and the accounts."""

from dataclasses import replace

import streamlit as st

from data.access.roles import Permission
from queries.changes.diff import ChangeFilter
from queries.changes.summary import summarize_changes
from queries.changes.window import compared_snapshots, snapshot_moments, window_from_params
from queries.users.accounts import integration_names
from server.authorize import store_connection
from widgets import status
from widgets.address import address_params
from widgets.changes import accounts, overview, window_bar
from widgets.changes.sentences import window_text
from widgets.filters import choose_integrations, show_ignored_params
from widgets.report import print_header, report_button

with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Changes")
    report_button()

with store_connection(Permission.CHANGES) as con:
    integrations = integration_names(con)
    if not integrations:
        status.show_no_snapshots()
        st.stop()
    integration_area, moment_area = st.columns([2, 3])
    with integration_area:
        chosen = choose_integrations(integrations, is_labeled=True)
    defaults = snapshot_moments(con, chosen)
    if defaults is None:
        status.show_no_snapshots()
        st.stop()
    window = replace(window_from_params(address_params(), defaults), integration=tuple(chosen))
    selection = ChangeFilter.from_params(address_params())
    with moment_area:
        window_bar.window_picker(window, defaults)
    snapshots = compared_snapshots(con, window)
    summary = summarize_changes(con, window)

window_bar.window_notes(window, defaults, snapshots)
show_ignored_params(window_bar.ignored_params(window, selection))
if not window_bar.is_comparable(snapshots):
    st.stop()

print_header("Changes", [window_text(window, snapshots)])
overview.show_summary(window, summary, snapshots)
if summary.is_empty:
    overview.snapshots_expander(snapshots)
    st.stop()

overview.change_tiles(window, summary, selection)
if selection:
    st.button(
        "All changes",
        key="all_changes",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=window_bar.open_changes,
        args=(window,),
    )
    accounts.changed_accounts_table(
        window, selection, several_integrations=len(chosen or integrations) > 1
    )
else:
    overview.transitions_card(window, summary)
    with st.grid(2, min_column_width=400, gap="small"):
        overview.roles_card(window, summary)
        overview.values_card(window, summary)
    overview.snapshots_expander(snapshots)
