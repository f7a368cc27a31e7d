"""Whose the accounts are that no integration matches: what speaks for whom, for a person to say."""

import streamlit as st

from data.access.roles import Act
from data.records.matches import people_lists
from queries.matching import KINDS, likely_people, matching
from queries.users.accounts import integration_names
from server.authorize import is_sample, reading
from widgets import matching as shown
from widgets import status
from widgets.filters import now_only

with reading(Act.MATCH) as con:
    integrations = integration_names(con)
    lists, likely = people_lists(con), likely_people(con)

st.title("Matching")
now_only()
if not integrations:
    status.no_snapshots()
    st.stop()

if is_sample():
    st.text(
        "The sample lists no people. Beside a list of people, as Okta or Microsoft Entra give one, "
        "this page suggests whose the accounts without a user are, and keeps what you decide."
    )
    st.stop()
shown.choose_people(integrations, lists, likely)
if not lists:
    st.stop()

kind = shown.choose_kind(KINDS)
with reading(Act.MATCH) as con:
    found = matching(con, kind)
shown.listed(found, kind)
