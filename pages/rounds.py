"""Review rounds: what people decide, and what the snapshots prove of it."""

import streamlit as st

from data.access.roles import Permission
from queries.rounds.items import count_by_round
from queries.rounds.lists import find_round, read_rounds
from queries.users.accounts import integration_names
from server.authorize import store_connection
from widgets import status, timezone
from widgets.address import write_address
from widgets.report import print_header, report_button
from widgets.rounds import decide, start, summary
from widgets.rounds.overview import show_rounds
from widgets.rounds.worksheet import show_worksheet

UNKNOWN = "This link names no review round that you can see."

requested = st.query_params.get("round", "")
with store_connection(Permission.REVIEW_ROUNDS) as con:
    is_empty = not integration_names(con)
    round_ = find_round(con, requested) if requested else None
    rounds = [] if requested else read_rounds(con)
    by_round = count_by_round(con, [round_] if round_ else rounds)
    counts = by_round[round_.round_id] if round_ else {}

if is_empty:
    st.title(summary.title_of(None), anchor=False)
    status.show_no_snapshots()
    st.stop()
if start.NEW in st.query_params:
    start.show_form()
    st.stop()

with st.container(horizontal=True, vertical_alignment="center"):
    if requested and st.button(
        "All rounds", icon=":material/arrow_back:", type="tertiary", key="all_rounds"
    ):
        write_address(timezone.with_zone({}))
        st.rerun()
    st.title(summary.title_of(round_), anchor=False)
    if round_ and counts:
        summary.show_downloads(round_, counts)
        if st.button("Worksheet", icon=":material/table_view:", key="worksheet"):
            show_worksheet(round_)
        if decide.can_close(round_) and st.button("Close round", key="close"):
            decide.ask_to_close(round_, counts["undecided"])
        if start.has_rest(round_, counts) and st.button("Start round for the rest", key="rest"):
            start.go_to_rest(round_)
        report_button()

if not requested:
    show_rounds(rounds, by_round)
    st.stop()
if not round_:
    st.text(UNKNOWN)
    st.stop()

print_header(round_.name, [round_.population, timezone.format_with_zone(round_.frozen_at)])
summary.show_summary(round_, counts)
summary.show_course(round_, counts)
shown = decide.outcome_picker(counts)
decide.show_items(round_, shown, sum(counts[name] for name in shown or counts))
summary.show_snapshots(round_)
