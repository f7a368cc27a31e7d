"""What changed between two moments: in words, in counts, and which accounts."""

from dataclasses import replace
from pathlib import Path

import streamlit as st

from data.access.roles import Act
from queries.changes.diff import Listed
from queries.changes.summary import summary_of
from queries.changes.window import asked_between, compared_snapshots, usual_moments
from queries.users.accounts import integration_names
from server.authorize import reading
from widgets import status
from widgets.address import address
from widgets.changes import accounts, overview
from widgets.changes.sentences import in_words
from widgets.filters import choose_integrations, tell_ignored

CSS = Path(__file__).parent.parent / "widgets" / "look" / "changes.css"

st.title("Changes")

with reading(Act.CHANGES) as con:
    integrations = integration_names(con)
    if not integrations:
        status.no_snapshots()
        st.stop()
    picker, moments = st.columns([2, 3])
    with picker:
        chosen = choose_integrations(integrations)
    usual = usual_moments(con, chosen)
    if usual is None:
        status.no_snapshots()
        st.stop()
    between = replace(asked_between(address(), usual), integration=tuple(chosen))
    listed = Listed.from_params(address())
    with moments:
        overview.choose_moments(between, usual)
    compared = compared_snapshots(con, between)
    summary = summary_of(con, between)

overview.explain(between, usual, compared)
tell_ignored(overview.ignored(between, listed))
if not overview.is_comparable(compared):
    st.stop()

st.code(in_words(between, summary, compared), language=None, wrap_lines=True)
if summary.is_nothing:
    overview.sources(compared)
    st.stop()

st.html(CSS)
overview.tiles(between, summary, listed)
if listed:
    st.button(
        "All changes",
        key="all_changes",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=overview.ask,
        args=(between,),
    )
    accounts.accounts(between, listed, several_integrations=len(chosen or integrations) > 1)
else:
    overview.moves(between, summary)
    with st.grid(2, min_column_width=400, gap="small"):
        overview.roles(between, summary)
        overview.values(between, summary)
    overview.sources(compared)
