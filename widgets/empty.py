"""What a page says when there is nothing to show, and what to do about it."""

import streamlit as st

from data.home import here


def no_snapshots() -> None:
    """Nothing was loaded yet."""
    st.subheader("No snapshots yet")
    st.text("Drop a file with an integration’s accounts into the snapshots folder, named after")
    st.code(f"{here().inbox}/figma/2026-11-23T06-00-00Z.csv", language=None)
    st.text("or load it from the command line. It shows here within seconds.")
    st.code("rollcall load export.csv --integration figma --taken-at 2026-11-23", language="sh")
