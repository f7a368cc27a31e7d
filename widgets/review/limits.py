"""The settings of the rules."""

import streamlit as st

from data.access.roles import Permission
from data.records.audit_log import Event
from data.records.exceptions import MAX_DAYS, RuleSettings, clean_patterns, save_rule_settings
from server.authorize import record_decision, writable_store

PATTERNS_LABEL = "Privileged roles: one pattern per line; * is any text, ? is one character"
DAY_LABELS = {
    "delete_awaiting_days": "Delete awaiting, at most (days)",
    "inactive_days": "Onboarded but inactive, at most (days)",
    "unchanged_days": "Updates that changed nothing: look back (days)",
    "sign_in_days": "No sign-in, at most (days)",
    "grace_days": "Disabled counts as left after (days; empty: never)",
}
"""Field of RuleSettings → its label."""


def limits_form(limits: RuleSettings) -> None:
    """Change the settings, for everybody and at once."""
    with st.expander("Rule settings", icon=":material/tune:", key="limits"):
        patterns = st.text_area(
            PATTERNS_LABEL, "\n".join(limits.privileged), key="limit_privileged", height=120
        )
        days = {
            name: column.number_input(
                label, 0, MAX_DAYS, getattr(limits, name), key=f"limit_{name}"
            )
            for column, (name, label) in zip(
                st.columns(len(DAY_LABELS)), DAY_LABELS.items(), strict=True
            )
        }
        if st.button("Save", key="limits_save"):
            settings = RuleSettings(clean_patterns(patterns.splitlines()), **days)
            save_rule_settings(writable_store(Permission.CHANGE_SETTINGS), settings)
            record_decision(Event.SETTING_CHANGED, setting="Rule settings", **settings.to_dict())
            st.toast("Saved. All rules use the new settings.")
            st.rerun()
