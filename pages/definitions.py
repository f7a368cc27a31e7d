"""What the numbers mean: docs/definitions.md, which is the one place that says it."""

from pathlib import Path

import streamlit as st

DEFINITIONS_FILE = Path(__file__).parent.parent / "docs" / "definitions.md"

st.title("Definitions")
with st.container(width=860, key="definitions"):
    st.markdown(DEFINITIONS_FILE.read_text(encoding="utf-8"))
