"""What the numbers mean: docs/definitions.md, which is the one place that says it."""

from pathlib import Path

import streamlit as st

WORDS = Path(__file__).parent.parent / "docs" / "definitions.md"

st.title("Definitions")
with st.container(width=860, key="definitions"):
    st.markdown(WORDS.read_text(encoding="utf-8"))
