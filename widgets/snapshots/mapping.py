"""The mapping of a file's headings to columns: suggested, corrected by a person, saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from data.access.roles import Permission
from data.files.errors import InvalidMapping
from data.files.mapping import (
    ACTIVE_VALUES,
    MAPPABLE_COLUMNS,
    NO_MAPPING,
    ColumnMapping,
    guess_columns,
    read_mapping,
    save_mapping,
)
from data.home import current_home
from data.records.audit_log import Event
from data.states import STATE_NAMES
from server.authorize import authorize, record_action
from widgets.labels import column_label, escape_label

UNMAPPED_OPTION = "– not in the file –"
STATE_EXAMPLE = "aktiv = Onboarded"
STATE_HELP = f"One per line, like “{STATE_EXAMPLE}”. The states: {', '.join(STATE_NAMES)}."
ACTIVE_HELP = "One per line, like “ja = yes”, “gesperrt = no”."
USERNAME_NEEDED = "Choose at least the column with the username in the app."
NOT_SAVED_YET = "Preview below. Save the mapping to continue."


def choose_mapping(
    headings: Sequence[str], integration: str, key: str
) -> tuple[ColumnMapping | None, bool]:
    """The mapping to read the file with, and whether it is saved.

    No mapping means that the headings speak for themselves.
    """
    saved = _saved_mapping(integration)
    if not headings:
        return saved, True
    recognized = NO_MAPPING.match_headings(headings)
    needs_mapping = "username_in_app" not in recognized and not saved
    suggested = guess_columns(headings) if needs_mapping else recognized
    if saved:
        suggested = saved.match_headings(headings)
    with st.expander("Map columns", expanded=needs_mapping, key=f"mapping_{key}"):
        st.caption(f"Saved for all future {escape_label(integration)} files.")
        chosen = _choose_headings(headings, suggested, saved, key)
        unmapped = {name: () for name in recognized if name not in chosen}
        mapping = ColumnMapping(chosen | unmapped, *_choose_values(saved, key))
        if "username_in_app" not in chosen:
            st.text(USERNAME_NEEDED)
            return saved, True
        if _is_equivalent(mapping, saved or NO_MAPPING, headings):
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


def _saved_mapping(integration: str) -> ColumnMapping | None:
    try:
        return read_mapping(current_home(), integration)
    except InvalidMapping as error:
        st.text(str(error))
        return None


def _save_mapping(integration: str, mapping: ColumnMapping) -> None:
    authorize(Permission.LOAD_FILES, integration)
    save_mapping(current_home(), integration, mapping)
    record_action(Event.SETTING_CHANGED, setting="Column mapping", integration=integration)


def _is_equivalent(left: ColumnMapping, right: ColumnMapping, headings: Sequence[str]) -> bool:
    """Whether both mappings read a file in the same way."""

    def effect(mapping: ColumnMapping) -> tuple[object, ...]:
        roles = mapping.columns.get("roles", ())
        mapped = mapping.mapped_headings(headings) if len(roles) > 1 else []
        role_headings = [heading for heading in mapped if heading in roles]
        return mapping.match_headings(headings), role_headings, mapping.states, mapping.active

    return effect(left) == effect(right)


def _choose_headings(
    headings: Sequence[str], suggested: Mapping[str, str], saved: ColumnMapping | None, key: str
) -> dict[str, tuple[str, ...]]:
    """Column → the headings that a person chose; the suggested ones are chosen at first."""
    chosen: dict[str, tuple[str, ...]] = {}
    areas = [area for _ in range(0, len(MAPPABLE_COLUMNS), 3) for area in st.columns(3)]
    for name, area in zip(MAPPABLE_COLUMNS, areas, strict=False):
        label, area_key = column_label(name), f"map_{name}_{key}"
        if name == "roles":
            saved_roles = saved.columns.get("roles", ()) if saved else ()
            default = [h for h in headings if h in saved_roles or h == suggested.get("roles")]
            picked = area.multiselect(
                label, headings, default, key=area_key, placeholder=UNMAPPED_OPTION
            )
        else:
            options = [UNMAPPED_OPTION, *headings]
            index = options.index(suggested[name]) if name in suggested else 0
            picked = [area.selectbox(label, options, index, key=area_key)]
        if picked and picked != [UNMAPPED_OPTION]:
            chosen[name] = tuple(picked)
    if saved and saved.ignores_ids:
        chosen.setdefault("account_id", ())
    return chosen


def _choose_values(saved: ColumnMapping | None, key: str) -> tuple[dict[str, str], dict[str, str]]:
    """The state and the activity that each text in the file stands for, one per line."""
    saved = saved or NO_MAPPING
    left, right = st.columns(2)
    states = left.text_area(
        "State values",
        _format_lines(saved.states),
        key=f"map_states_{key}",
        placeholder=STATE_EXAMPLE,
        help=STATE_HELP,
        max_chars=4_000,
    )
    active = right.text_area(
        "Active values",
        _format_lines(saved.active),
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
