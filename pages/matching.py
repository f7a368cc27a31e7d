"""Whose the accounts are that no integration matches: what speaks for whom, for a person to say."""

import streamlit as st

from data.access.roles import Permission
from data.records.matches import read_directories
from queries.matching import MATCH_KINDS, likely_people_lists, match_candidates
from queries.users.accounts import integration_names
from server.authorize import is_sample, store_connection
from widgets import matching as shown
from widgets import status
from widgets.filters import ignore_as_of

with store_connection(Permission.MATCH) as con:
    integrations = integration_names(con)
    lists, likely_lists = read_directories(con), likely_people_lists(con)

st.title("Matching")
ignore_as_of()
if not integrations:
    status.show_no_snapshots()
    st.stop()

if is_sample():
    st.text(
        "The sample lists no people. Beside a list of people, as Okta or Microsoft Entra give one, "
        "this page suggests whose the accounts without a user are, and keeps what you decide."
    )
    st.stop()
shown.choose_people_lists(integrations, lists, likely_lists)
if not lists:
    st.stop()

kind = shown.choose_kind(MATCH_KINDS)
with store_connection(Permission.MATCH) as con:
    result = match_candidates(con, kind)
shown.show_matches(result, kind)
