"""The filters as widgets. Each is bound to the address, so that a view can be shared."""

from __future__ import annotations

from typing import Any

import streamlit as st

from data.states import STATE_BY_NAME, STATES, UNRECOGNISED, state_names
from queries.filters import LONGEST_SEARCH, Filters

ACTIVE = {"yes": "Active", "no": "Not active", "unknown": "Activity unknown"}
MATCH = {"matched": "Matched", "unmatched": "Unmatched"}
KEYS = ("integration", "state", "role", "active", "match", "q")
WAITING = (*state_names(phase="waiting"), *state_names(phase="working"))

PRESETS: dict[str, tuple[dict[str, Any], str]] = {
    "Failed": ({"state": list(state_names(phase="failed"))}, "last_updated"),
    "Waiting longest": ({"state": list(WAITING)}, "last_updated"),
    "Unmatched": ({"match": "unmatched"}, "username_in_app"),
    "Active but deleted": ({"state": ["Deleted"], "active": "yes"}, "user"),
}
"""Views that people open every day: what they ask for, and the order."""


def choose_integrations(names: list[str]) -> list[str]:
    """Some integrations; none chosen means all."""
    return st.multiselect(
        "Integration",
        names,
        key="integration",
        bind="query-params",
        placeholder="All integrations",
        label_visibility="collapsed",
        on_change=first_page,
    )


def choose_accounts(integrations: list[str], roles: list[str]) -> Filters:
    """Every filter of the Users page, in one bar."""
    with st.container(key="filters"):
        search, chosen, state, role, active, match = st.columns(
            [2.4, 1.3, 1.3, 1.2, 1.1, 1.2], gap="small", vertical_alignment="bottom"
        )
        search.text_input(
            "Search",
            key="q",
            bind="query-params",
            type="search",
            max_chars=LONGEST_SEARCH,
            placeholder="Search user, email, username or ID",
            icon=":material/search:",
            label_visibility="collapsed",
            on_change=first_page,
        )
        with chosen:
            choose_integrations(integrations)
        state.multiselect(
            "Provisioning state",
            [s.name for s in (*STATES, UNRECOGNISED)],
            key="state",
            bind="query-params",
            placeholder="All states",
            help="\n".join(f"- **{s.name}**: {s.definition}" for s in STATE_BY_NAME.values()),
            label_visibility="collapsed",
            on_change=first_page,
        )
        role.multiselect(
            "Role",
            roles,
            key="role",
            bind="query-params",
            placeholder="All roles",
            label_visibility="collapsed",
            on_change=first_page,
        )
        _one_of(active, "Active in app", "active", ACTIVE, "Active or not")
        _one_of(match, "Matched with a user", "match", MATCH, "Matched or not")
    return asked()


def _one_of(place: Any, label: str, key: str, options: dict[str, str], everything: str) -> None:
    place.selectbox(
        label,
        list(options),
        index=None,
        format_func=options.__getitem__,
        key=key,
        bind="query-params",
        placeholder=everything,
        label_visibility="collapsed",
        on_change=first_page,
    )


def asked() -> Filters:
    """The filters as the widgets, and the address for what has no widget, name them."""
    chosen = {key: st.session_state.get(key) for key in KEYS}
    listed = {
        key: value if isinstance(value, list) else [value] for key, value in chosen.items() if value
    }
    return Filters.from_params({**listed, "as_of": st.query_params.get_all("as_of")})


def offer_presets() -> None:
    """The views of every day, one click each."""
    with st.container(horizontal=True, gap="small", key="presets"):
        for name in PRESETS:
            st.button(name, key=f"preset_{name}", type="tertiary", on_click=_apply, args=(name,))
        if asked() != asked().without_any():
            st.button(
                "Clear all", key="clear", type="tertiary", icon=":material/close:", on_click=clear
            )


def _apply(name: str) -> None:
    clear()
    wanted, sort = PRESETS[name]
    for key, value in wanted.items():
        st.session_state[key] = value
    st.query_params["sort"] = sort


def clear() -> None:
    """Ask for everything again."""
    for key in KEYS:
        st.session_state[key] = {"q": "", "active": None, "match": None}.get(key, [])
    first_page()


def first_page() -> None:
    """After a change of the filters the old place in the list means nothing."""
    st.session_state["page"] = 1
