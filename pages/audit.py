"""What was done, and by whom."""

import streamlit as st

from widgets.audit import events, search_events
from widgets.filters import now_only

st.title("Audit")
now_only()
st.caption("Who came in, took what along and changed what. It is added to, and never changed.")
events(search_events())
