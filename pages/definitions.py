"""How every number is calculated, and the glossary: docs/definitions.md and docs/glossary.md."""

from pathlib import Path

import streamlit as st

DOCS = Path(__file__).parent.parent / "docs"

st.title("Definitions")
with st.container(width=860, key="definitions"):
    st.markdown((DOCS / "definitions.md").read_text(encoding="utf-8"))
    st.header("Glossary", anchor="glossary")
    st.markdown((DOCS / "glossary.md").read_text(encoding="utf-8"))
