"""The settings of the rules."""

from __future__ import annotations

import streamlit as st

from data.access.roles import Act
from data.records.audit_log import Event
from data.records.exceptions import MOST_DAYS, Limits, patterns, set_limits
from server.authorize import changing, noted


def choose_limits(limits: Limits) -> None:
    """From where on rules find something: for everybody, from now on."""
    with st.expander("Limits of the rules", icon=":material/tune:", key="limits"):
        names = st.text_area(
            "Privileged roles, one pattern a line; * stands for any text, ? for one character",
            "\n".join(limits.privileged),
            key="limit_privileged",
            height=120,
        )
        columns = st.columns(len(DAYS))
        days = {
            name: column.number_input(
                label, 0, MOST_DAYS, getattr(limits, name), key=f"limit_{name}"
            )
            for column, (name, label) in zip(columns, DAYS.items(), strict=True)
        }
        if st.button("Save", key="limits_save"):
            chosen = Limits(patterns(names.splitlines()), **days)
            set_limits(changing(Act.SET), chosen)
            noted(Event.SET, setting="Limits of the rules", **chosen.facts())
            st.toast("Saved: all rules look again.")
            st.rerun()


DAYS = {
    "delete_awaiting_days": "Delete awaiting, at most (days)",
    "inactive_days": "Onboarded and not active, at most (days)",
    "unchanged_days": "Look back for updates that changed nothing (days)",
}
