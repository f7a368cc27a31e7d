"""Sign-ins, downloads and changes."""

import streamlit as st

from widgets.audit import search_input, show_end_sessions, show_events
from widgets.filters import ignore_as_of

st.title("Audit")
ignore_as_of()
st.caption("Sign-ins, downloads and changes. Append-only.")
show_end_sessions()
show_events(search_input())
