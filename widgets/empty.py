"""What a page says when there is nothing to show, and what to do about it."""

import streamlit as st

from data.home import here


def no_snapshots() -> None:
    """Nothing was loaded yet."""
    with st.container(border=True, width=760, key="no_snapshots"):
        st.subheader("No snapshots yet", anchor=False)
        st.text("Drop a file that lists an integration’s accounts into the snapshots folder:")
        st.code(f"{here().inbox}/figma/2026-11-23T06-00-00Z.csv", language=None)
        st.text("Or load it from the command line:")
        st.code(
            ".venv/bin/rollcall load export.csv --integration figma --taken-at 2026-11-23",
            language=None,
            wrap_lines=True,
        )
        st.caption("It shows here within seconds. The README tells which columns are understood.")
