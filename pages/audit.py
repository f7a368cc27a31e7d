"""What was done, and by whom."""

import streamlit as st

from widgets.audit import search_input, show_events
from widgets.filters import ignore_as_of

st.title("Audit")
ignore_as_of()
st.caption("Who came in, took what along and changed what. It is added to, and never changed.")
show_events(search_input())
