"""Who signs a decision: asked once, remembered by the browser."""

from __future__ import annotations

import streamlit as st

from data.access.roles import LOCAL
from data.records.decisions import MAX_NAME_LENGTH
from server.session import current_principal

REVIEWER_NAME_KEY = "_reviewer"
"""Where the name is remembered that a person has typed last."""


def name_input() -> str:
    """The name of who is signed in; without sign-in they say it."""
    user = current_principal()
    if user.name != LOCAL.name:
        st.text(f"In the name of {user.name}.")
        return user.name
    last_name = st.session_state.get(REVIEWER_NAME_KEY, "")
    return st.text_input("Your name", last_name, key="said_by", max_chars=MAX_NAME_LENGTH) or ""


def remember_name(name: str) -> None:
    st.session_state[REVIEWER_NAME_KEY] = name
