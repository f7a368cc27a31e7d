"""Which heading of a file is which column, as a person says it: guessed, looked at, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from data.access.roles import Act
from data.files.errors import NotMapped
from data.files.mapping import ACTIVE, COLUMNS, NO_MAPPING, Columns, guess, mapping_of, save_mapping
from data.home import here
from data.records.audit_log import Event
from data.states import STATE_NAMES
from server.authorize import allowed, noted
from widgets.labels import plain_label

NOWHERE = "– not in the file –"
SHOWN = {
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

EXAMPLE = "aktiv = Onboarded"


def ask_for_columns(headings: Sequence[str], integration: str, key: str) -> Columns | None:
    """The mapping to look at the file with; None for what the headings say by themselves."""
    if not headings:
        return None
    saved, own = _saved(integration), NO_MAPPING.found_in(headings)
    is_needed = "username_in_app" not in own and not saved
    likely = saved.found_in(headings) if saved else guess(headings) if is_needed else own
    with st.expander("Which column is which", expanded=is_needed, key=f"mapping_{key}"):
        st.caption(
            f"What is saved here holds for every file of {plain_label(integration)}, also for "
            "those that come by themselves."
        )
        chosen = _choices(headings, likely, saved, key)
        left_out = {name: () for name in own if name not in chosen}
        told = Columns(chosen | left_out, *_words(saved, key))
        if "username_in_app" not in chosen:
            st.text("Choose at least the column with the username in the app.")
            return saved
        if _reads_alike(told, saved or NO_MAPPING, headings):
            return saved
        st.button(
            "Save this mapping",
            icon=":material/save:",
            key=f"save_mapping_{key}",
            on_click=_save,
            args=(integration, told),
        )
        st.text("Below is what it gives. Save it, then load the file.")
    return told


def _save(integration: str, told: Columns) -> None:
    allowed(Act.LOAD, integration)
    save_mapping(here(), integration, told)
    noted(Event.SET, setting="Which column is which", integration=integration)


def _reads_alike(one: Columns, other: Columns, headings: Sequence[str]) -> bool:
    """Whether two mappings make the same of a file."""

    def reading(columns: Columns) -> tuple[object, ...]:
        roles = columns.columns.get("roles", ())
        several = [h for h in columns.headings_in(headings) if h in roles] if len(roles) > 1 else ()
        return columns.found_in(headings), several, columns.states, columns.active

    return reading(one) == reading(other)


def _saved(integration: str) -> Columns | None:
    try:
        return mapping_of(here(), integration)
    except NotMapped as fault:
        st.text(str(fault))
        return None


def _choices(
    headings: Sequence[str], likely: Mapping[str, str], saved: Columns | None, key: str
) -> dict[str, tuple[str, ...]]:
    """Column → the headings that a person chose, to begin with the likely ones."""
    chosen: dict[str, tuple[str, ...]] = {}
    fields = [field for _ in range(0, len(COLUMNS), 3) for field in st.columns(3)]
    for name, field in zip(COLUMNS, fields, strict=False):
        if name == "roles":
            several = saved.columns.get("roles", ()) if saved else ()
            there = [h for h in headings if h in several or h == likely.get("roles")]
            picked = field.multiselect(
                SHOWN[name], headings, there, key=f"map_{name}_{key}", placeholder=NOWHERE
            )
        else:
            options = [NOWHERE, *headings]
            at = options.index(likely[name]) if name in likely else 0
            picked = [field.selectbox(SHOWN[name], options, at, key=f"map_{name}_{key}")]
        if picked and picked != [NOWHERE]:
            chosen[name] = tuple(picked)
    return chosen


def _words(saved: Columns | None, key: str) -> tuple[dict[str, str], dict[str, str]]:
    """What the file's own words for states and for activity mean, a line each."""
    left, right = st.columns(2)
    states = left.text_area(
        "The file’s words for states",
        _as_lines(saved.states if saved else {}),
        key=f"map_states_{key}",
        placeholder=EXAMPLE,
        help=f"One a line, like “{EXAMPLE}”. The states: {', '.join(STATE_NAMES)}.",
        max_chars=4_000,
    )
    active = right.text_area(
        "The file’s words for active and not",
        _as_lines(saved.active if saved else {}),
        key=f"map_active_{key}",
        placeholder="ja = yes",
        help="One a line, like “ja = yes”, “gesperrt = no”.",
        max_chars=4_000,
    )
    known = {name.casefold(): name for name in STATE_NAMES}
    return (
        _from_lines(left, states or "", known),
        _from_lines(right, active or "", {word: word for word in ACTIVE}),
    )


def _as_lines(words: object) -> str:
    return "\n".join(f"{text} = {word}" for text, word in dict(words or {}).items())  # type: ignore[call-overload]


def _from_lines(place: object, text: str, known: dict[str, str]) -> dict[str, str]:
    words: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        said, is_pair, word = line.rpartition("=")
        meant = known.get(word.strip().replace("_", " ").casefold())
        if is_pair and said.strip() and meant:
            words[said.strip().casefold()] = meant
        else:
            place.text(f"Not understood: {line[:80]}")  # type: ignore[attr-defined]
    return words
