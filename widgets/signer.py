"""Who signs a decision: asked once, remembered by the browser."""

from __future__ import annotations

import streamlit as st

from data.access.roles import LOCAL
from data.records.exceptions import LONGEST_NAME
from server.session import principal

NAME_KEY = "_reviewer"
"""Where the name is remembered that a person has typed last."""


def ask_name() -> str:
    """The name of who is signed in; without sign-in they say it."""
    who = principal()
    if who.name != LOCAL.name:
        st.text(f"In the name of {who.name}.")
        return who.name
    known = st.session_state.get(NAME_KEY, "")
    return st.text_input("Your name", known, key="said_by", max_chars=LONGEST_NAME) or ""


def remember_name(name: str) -> None:
    st.session_state[NAME_KEY] = name
