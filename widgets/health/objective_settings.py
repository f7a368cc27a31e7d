"""The form that changes objectives, for all integrations or for one."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from data.access.roles import Permission
from data.objectives import (
    KINDS,
    Defined,
    InvalidObjective,
    Kind,
    Objective,
    Objectives,
    objective_value,
    parse_objective,
    save_objectives,
)
from data.records.audit_log import Event
from data.values.durations import duration_key
from server.authorize import record_decision, writable_store
from server.session import current_principal
from widgets.labels import escape_label

SETTINGS_KEY = "objective_settings"
ALL_LABEL = "All integrations"
SOURCES = {"default": "Default", "file": "From objectives.toml", "edited": "Edited here"}


def may_change_any() -> bool:
    """Whether the reader may change the objectives of any integration."""
    return current_principal().is_allowed(Permission.CHANGE_SETTINGS)


def may_change_all() -> bool:
    """Whether the reader may change those of all integrations."""
    return current_principal().is_allowed_everywhere(Permission.CHANGE_SETTINGS)


def settings_switch() -> None:
    """Shows the form below the block, to whoever may change something."""
    if may_change_any():
        st.toggle("Settings", key=SETTINGS_KEY)


def objective_settings(objectives: Objectives, integrations: Sequence[str]) -> None:
    """Change the objectives, for everybody and at once."""
    principal = current_principal()
    names = [n for n in integrations if principal.is_allowed(Permission.CHANGE_SETTINGS, n)]
    options = [*[""] * may_change_all(), *names]
    if not options:
        return
    with st.container(key="objective_form", gap="small"):
        chosen = st.selectbox(
            "Objectives of",
            options,
            key="objectives_of",
            format_func=lambda name: escape_label(name) if name else ALL_LABEL,
        )
        current = objectives.of(chosen)
        values = {kind: _row(kind, current.get(kind.name), chosen) for kind in KINDS}
        with st.container(horizontal=True, gap="small", key="objective_buttons"):
            if st.button("Save", key="objectives_save"):
                _save(objectives, chosen, values)
            if any(entry.integration == chosen for entry in objectives.edited) and st.button(
                "Reset to the file", key="objectives_reset", type="tertiary"
            ):
                _store(chosen, {})


def _row(kind: Kind, defined: Defined | None, integration: str) -> Any:
    """The inputs of one kind; returns its value as files have it."""
    objective = defined.objective if defined else None
    key = f"objective_{kind.name}_{integration}"
    switch, percent, within, source = st.columns([3, 2, 2, 3], vertical_alignment="bottom")
    is_on = switch.toggle(kind.title, objective is not None, key=key)
    value: dict[str, Any] = {}
    if "percent" in kind.parts:
        share = objective.percent if objective else None
        value["percent"] = percent.number_input(
            "Percent", 0.0, 100.0, share, format="%g", key=f"{key}_percent"
        )
    if "within" in kind.parts:
        duration = objective.within if objective else None
        value["within"] = within.text_input(
            "Within",
            duration_key(duration) if duration else "",
            key=f"{key}_within",
            placeholder="twice the usual" if kind.name == "snapshot" else "4h, 7d",
        )
    source.caption(SOURCES[defined.source] if defined else "Not set")
    if kind.name == "snapshot" and not value["within"]:
        value = {}
    return value if is_on else False


def _save(objectives: Objectives, integration: str, values: dict[Kind, Any]) -> None:
    """Store what differs from the file and from what applies to all."""
    others = Objectives(
        tuple(entry for entry in objectives.edited if entry.integration != integration),
        objectives.file,
    ).of(integration)
    edited: dict[str, Objective | None] = {}
    for kind, value in values.items():
        try:
            objective = parse_objective(kind.name, value)
        except InvalidObjective as error:
            st.error(escape_label(str(error), 300))
            return
        before = others.get(kind.name)
        if objective != (before.objective if before else None):
            edited[kind.name] = objective
    _store(integration, edited)


def _store(integration: str, edited: dict[str, Objective | None]) -> None:
    engine = writable_store(Permission.CHANGE_SETTINGS, integration or None)
    save_objectives(engine, integration, edited)
    record_decision(
        Event.SETTING_CHANGED,
        setting="Objectives",
        integration=integration or "all",
        objectives={kind: objective_value(value) for kind, value in edited.items()} or "reset",
    )
    st.toast("Saved.")
    st.rerun()
