"""Suggested owners for unmatched accounts; a person decides."""

import streamlit as st

from data.access.roles import Permission
from data.people.directories import directory_names
from queries.matching import MATCH_KINDS, match_candidates
from queries.users.accounts import integration_names
from server.authorize import store_connection
from widgets import matching, status
from widgets.filters import ignore_as_of

with store_connection(Permission.MATCH) as con:
    integrations = integration_names(con)
    directories = directory_names(con)

st.title("Matching")
ignore_as_of()
if not integrations:
    status.show_no_snapshots()
    st.stop()

matching.choose_directories(integrations, directories)
if not directories:
    st.stop()

kind = matching.choose_kind(MATCH_KINDS)
with store_connection(Permission.MATCH) as con:
    result = match_candidates(con, kind)
matching.show_matches(result, kind)
