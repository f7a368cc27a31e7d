"""Which heading of a file is which column, as a person says it: guessed, looked at, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from widgets.labels import escape_label

UNMAPPED_OPTION = "– not in the file –"
COLUMN_LABELS = {
    "username_in_app": "Username in app",
    "account_id": "Account ID",
    "user_text": "User (name and email in one)",
    "user_name": "User name",
    "user_email": "User email",
    "roles": "App access",
    "active_in_app": "Active in app",
    "upstream_user_id": "Upstream user ID",
    "provisioning_state": "Provisioning state",
    "state_reason": "Reason",
    "failure_code": "Failure code",
    "last_updated": "Last updated",
}
"""Column → what it is called on the page."""

STATE_EXAMPLE = "aktiv = Onboarded"


def choose_mapping(headings: Sequence[str], integration: str, key: str) -> ColumnMapping | None:
    """The mapping to look at the file with; None for what the headings say by themselves."""
    if not headings:
        return None
    saved, recognized = _saved_mapping(integration), NO_MAPPING.match_headings(headings)
    is_needed = "username_in_app" not in recognized and not saved
    suggested = (
        saved.match_headings(headings)
        if saved
        else guess_columns(headings)
        if is_needed
        else recognized
    )
    with st.expander("Which column is which", expanded=is_needed, key=f"mapping_{key}"):
        st.caption(
            f"What is saved here holds for every file of {escape_label(integration)}, also for "
            "those that come by themselves."
        )
        chosen = _choose_headings(headings, suggested, saved, key)
        unmapped = {name: () for name in recognized if name not in chosen}
        mapping = ColumnMapping(chosen | unmapped, *_choose_values(saved, key))
        if "username_in_app" not in chosen:
            st.text("Choose at least the column with the username in the app.")
            return saved
        if _is_equivalent(mapping, saved or NO_MAPPING, headings):
            return saved
        st.button(
            "Save this mapping",
            icon=":material/save:",
            key=f"save_mapping_{key}",
            on_click=_save_mapping,
            args=(integration, mapping),
        )
        st.text("Below is what it gives. Save it, then load the file.")
    return mapping


def _save_mapping(integration: str, mapping: ColumnMapping) -> None:
    authorize(Permission.LOAD_FILES, integration)
    save_mapping(current_home(), integration, mapping)
    record_action(Event.SETTING_CHANGED, setting="Which column is which", integration=integration)


def _is_equivalent(left: ColumnMapping, right: ColumnMapping, headings: Sequence[str]) -> bool:
    """Whether two mappings make the same of a file."""

    def effect(columns: ColumnMapping) -> tuple[object, ...]:
        roles = columns.columns.get("roles", ())
        several = (
            [h for h in columns.mapped_headings(headings) if h in roles] if len(roles) > 1 else ()
        )
        return columns.match_headings(headings), several, columns.states, columns.active

    return effect(left) == effect(right)


def _saved_mapping(integration: str) -> ColumnMapping | None:
    try:
        return read_mapping(current_home(), integration)
    except InvalidMapping as error:
        st.text(str(error))
        return None


def _choose_headings(
    headings: Sequence[str], suggested: Mapping[str, str], saved: ColumnMapping | None, key: str
) -> dict[str, tuple[str, ...]]:
    """Column → the headings that a person chose, to begin with the likely ones."""
    chosen: dict[str, tuple[str, ...]] = {}
    fields = [field for _ in range(0, len(MAPPABLE_COLUMNS), 3) for field in st.columns(3)]
    for name, field in zip(MAPPABLE_COLUMNS, fields, strict=False):
        if name == "roles":
            saved_roles = saved.columns.get("roles", ()) if saved else ()
            defaults = [h for h in headings if h in saved_roles or h == suggested.get("roles")]
            picked = field.multiselect(
                COLUMN_LABELS[name],
                headings,
                defaults,
                key=f"map_{name}_{key}",
                placeholder=UNMAPPED_OPTION,
            )
        else:
            options = [UNMAPPED_OPTION, *headings]
            index = options.index(suggested[name]) if name in suggested else 0
            picked = [field.selectbox(COLUMN_LABELS[name], options, index, key=f"map_{name}_{key}")]
        if picked and picked != [UNMAPPED_OPTION]:
            chosen[name] = tuple(picked)
    return chosen


def _choose_values(saved: ColumnMapping | None, key: str) -> tuple[dict[str, str], dict[str, str]]:
    """What the file's own words for states and for activity mean, a line each."""
    left, right = st.columns(2)
    states = left.text_area(
        "The file’s words for states",
        _format_lines(saved.states if saved else {}),
        key=f"map_states_{key}",
        placeholder=STATE_EXAMPLE,
        help=f"One a line, like “{STATE_EXAMPLE}”. The states: {', '.join(STATE_NAMES)}.",
        max_chars=4_000,
    )
    active = right.text_area(
        "The file’s words for active and not",
        _format_lines(saved.active if saved else {}),
        key=f"map_active_{key}",
        placeholder="ja = yes",
        help="One a line, like “ja = yes”, “gesperrt = no”.",
        max_chars=4_000,
    )
    states_by_name = {name.casefold(): name for name in STATE_NAMES}
    return (
        _parse_lines(left, states or "", states_by_name),
        _parse_lines(right, active or "", {word: word for word in ACTIVE_VALUES}),
    )


def _format_lines(values: object) -> str:
    return "\n".join(f"{text} = {value}" for text, value in dict(values or {}).items())  # type: ignore[call-overload]


def _parse_lines(container: object, text: str, accepted_values: dict[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        raw_text, is_pair, value = line.rpartition("=")
        normalized = accepted_values.get(value.strip().replace("_", " ").casefold())
        if is_pair and raw_text.strip() and normalized:
            values[raw_text.strip().casefold()] = normalized
        else:
            container.text(f"Not understood: {line[:80]}")  # type: ignore[attr-defined]
    return values
