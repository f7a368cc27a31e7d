"""Inputs of a decision: the name under which it is recorded, and its last day."""

from datetime import date

import streamlit as st

from data.access.roles import LOCAL
from data.formatting import utc_now
from data.records.decisions import MAX_NAME_LENGTH
from server.session import current_principal

REVIEWER_NAME_KEY = "_reviewer"
"""Session key of the name that the person typed last."""


def name_input() -> str:
    """The name of the signed-in person; without sign-in, an input for it."""
    user = current_principal()
    if user.name != LOCAL.name:
        st.text(f"Recorded as {user.name}.")
        return user.name
    last_name = st.session_state.get(REVIEWER_NAME_KEY, "")
    return st.text_input("Your name", last_name, key="said_by", max_chars=MAX_NAME_LENGTH) or ""


def known_name() -> str:
    """The name under which the person decides without being asked; empty if nobody knows it."""
    user = current_principal()
    return user.name if user.name != LOCAL.name else st.session_state.get(REVIEWER_NAME_KEY, "")


def typed_name() -> str:
    """The same name in a callback, which runs before the input is drawn again."""
    user = current_principal()
    return user.name if user.name != LOCAL.name else st.session_state.get("said_by", "")


def remember_name(name: str) -> None:
    """Offer this name for the next decision."""
    st.session_state[REVIEWER_NAME_KEY] = name


def last_day_input(label: str, key: str, help_text: str | None = None) -> date | None:
    """An input for the last day on which something holds (UTC), today or later; None if empty."""
    last_day = st.date_input(
        label,
        value=None,
        min_value=utc_now().date(),
        format="YYYY-MM-DD",
        help=help_text,
        key=key,
    )
    return last_day if isinstance(last_day, date) else None
