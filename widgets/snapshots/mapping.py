"""The mapping of a file's headings to columns: suggested, corrected by a person, saved."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from data.access.roles import Permission
from data.files.errors import InvalidMapping
from data.files.headers import column_title
from data.files.mapping import (
    ACTIVE_VALUES,
    JOINED_COLUMNS,
    MAPPABLE_COLUMNS,
    NO_MAPPING,
    ColumnMapping,
    read_mapping,
    save_mapping,
)
from data.files.proposal import Proposal
from data.home import current_home
from data.records.audit_log import Event
from data.states import STATE_NAMES
from server.authorize import authorize, record_action
from widgets.labels import escape_label

UNMAPPED_OPTION = "– not in the file –"
STATE_EXAMPLE = "aktiv = Onboarded"
STATE_HELP = f"One per line, like “{STATE_EXAMPLE}”. The states: {', '.join(STATE_NAMES)}."
ACTIVE_HELP = "One per line, like “ja = yes”, “gesperrt = no”."
USERNAME_NEEDED = "Choose at least the column with the username in the app."
NOT_SAVED_YET = "Preview below. Save the mapping to continue."


def choose_mapping(
    proposal: Proposal | None, saved: ColumnMapping, integration: str, key: str
) -> tuple[ColumnMapping, bool]:
    """The mapping to read the file with, and whether it is saved.

    As long as a person changes nothing, the file is read as proposed.
    """
    if not proposal:
        return saved, True
    proposed = proposal.mapping
    needs_mapping = not proposed.columns.get("username_in_app")
    with st.expander("Map columns", expanded=needs_mapping, key=f"mapping_{key}"):
        st.caption(f"Saved for all future {escape_label(integration)} files.")
        chosen = _choose_headings(proposal, key)
        unmapped = {name: () for name in proposed.columns if name not in chosen}
        states, active = _choose_values(proposed, key)
        mapping = replace(proposed, columns=chosen | unmapped, states=states, active=active)
        if "username_in_app" not in chosen:
            st.text(USERNAME_NEEDED)
            return saved, True
        if _effect(mapping) == _effect(proposed):
            return saved, True
        st.button(
            "Save mapping",
            icon=":material/save:",
            key=f"save_mapping_{key}",
            on_click=_save_mapping,
            args=(integration, mapping),
        )
        st.text(NOT_SAVED_YET)
    return mapping, False


def saved_mapping(integration: str) -> ColumnMapping:
    """The integration's mapping; shows why it cannot be read."""
    try:
        return read_mapping(current_home(), integration) or NO_MAPPING
    except InvalidMapping as error:
        st.text(str(error))
        return NO_MAPPING


def _save_mapping(integration: str, mapping: ColumnMapping) -> None:
    authorize(Permission.LOAD_FILES, integration)
    save_mapping(current_home(), integration, mapping)
    record_action(Event.SETTING_CHANGED, setting="Column mapping", integration=integration)


def _effect(mapping: ColumnMapping) -> tuple[object, ...]:
    """What two mappings have in common that read a file in the same way."""
    return mapping.columns_with_headings(), mapping.states, mapping.active


def _choose_headings(proposal: Proposal, key: str) -> dict[str, tuple[str, ...]]:
    """Column → the headings that a person chose; the proposed ones are chosen at first."""
    headings, proposed = proposal.headings, proposal.mapping.columns
    suggested = {name: guess.headings[:1] for name, guess in proposal.unsure.items()}
    suggested = (suggested if not proposed.get("username_in_app") else {}) | dict(proposed)
    chosen: dict[str, tuple[str, ...]] = {}
    areas = [area for _ in range(0, len(MAPPABLE_COLUMNS), 3) for area in st.columns(3)]
    for name, area in zip(MAPPABLE_COLUMNS, areas, strict=False):
        label, area_key, picked = column_title(name), f"map_{name}_{key}", suggested.get(name, ())
        if name in JOINED_COLUMNS:
            picked = area.multiselect(
                label, headings, list(picked), key=area_key, placeholder=UNMAPPED_OPTION
            )
        else:
            options = [UNMAPPED_OPTION, *headings]
            index = options.index(picked[0]) if picked else 0
            picked = [area.selectbox(label, options, index, key=area_key)]
        if picked and picked != [UNMAPPED_OPTION]:
            chosen[name] = tuple(picked)
    if proposal.mapping.ignores_ids:
        chosen.setdefault("account_id", ())
    return chosen


def _choose_values(proposed: ColumnMapping, key: str) -> tuple[dict[str, str], dict[str, str]]:
    """The state and the activity that each text in the file stands for, one per line."""
    left, right = st.columns(2)
    states = left.text_area(
        "State values",
        _format_lines(proposed.states),
        key=f"map_states_{key}",
        placeholder=STATE_EXAMPLE,
        help=STATE_HELP,
        max_chars=4_000,
    )
    active = right.text_area(
        "Active values",
        _format_lines(proposed.active),
        key=f"map_active_{key}",
        placeholder="ja = yes",
        help=ACTIVE_HELP,
        max_chars=4_000,
    )
    return (
        _parse_lines(left, states or "", STATE_NAMES),
        _parse_lines(right, active or "", ACTIVE_VALUES),
    )


def _format_lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{text} = {value}" for text, value in values.items())


def _parse_lines(area: Any, text: str, names: Sequence[str]) -> dict[str, str]:
    names_by_key = {name.casefold(): name for name in names}
    values: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        raw_text, _, value = line.rpartition("=")
        name = names_by_key.get(value.strip().replace("_", " ").casefold())
        if raw_text.strip() and name:
            values[raw_text.strip().casefold()] = name
        else:
            area.text(f"Could not read: {line[:80]}")
    return values
