"""The settings of the rules."""

from __future__ import annotations

import streamlit as st

from data.access.roles import Permission
from data.records.audit_log import Event
from data.records.exceptions import MAX_DAYS, RuleSettings, clean_patterns, save_rule_settings
from server.authorize import record_action, writable_store


def limits_form(limits: RuleSettings) -> None:
    """From where on rules find something: for everybody, from now on."""
    with st.expander("Limits of the rules", icon=":material/tune:", key="limits"):
        names = st.text_area(
            "Privileged roles, one pattern a line; * stands for any text, ? for one character",
            "\n".join(limits.privileged),
            key="limit_privileged",
            height=120,
        )
        columns = st.columns(len(DAY_LIMITS))
        days = {
            name: column.number_input(
                label, 0, MAX_DAYS, getattr(limits, name), key=f"limit_{name}"
            )
            for column, (name, label) in zip(columns, DAY_LIMITS.items(), strict=True)
        }
        if st.button("Save", key="limits_save"):
            new_limits = RuleSettings(clean_patterns(names.splitlines()), **days)
            save_rule_settings(writable_store(Permission.CHANGE_SETTINGS), new_limits)
            record_action(
                Event.SETTING_CHANGED, setting="Limits of the rules", **new_limits.to_dict()
            )
            st.toast("Saved: all rules look again.")
            st.rerun()


DAY_LIMITS = {
    "delete_awaiting_days": "Delete awaiting, at most (days)",
    "inactive_days": "Onboarded and not active, at most (days)",
    "unchanged_days": "Look back for updates that changed nothing (days)",
}
