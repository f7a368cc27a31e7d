"""The filters as widgets. Each is bound to the address, so that a view can be shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from data.states import FAILED, STATE_BY_NAME, STATES, UNRECOGNISED, WAITING
from queries.filters import LONGEST_SEARCH, Active, Filters, Match

KEYS = ("integration", "state", "role", "active", "match", "q")
WANTED = "_wanted_integrations"

PRESETS: dict[str, tuple[dict[str, Any], str]] = {
    "Failed": ({"state": list(FAILED)}, "last_updated"),
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
        placeholder="All",
        on_change=first_page,
    )


def open_users(wanted: Filters) -> NoReturn:
    """Show the accounts that the filters leave, on their page.

    Streamlit lets no page write a parameter that a widget of its own is bound to: the integrations
    are handed over in the session, and the widget there writes them into the address.
    """
    st.session_state[WANTED] = list(wanted.integration)
    params: dict[str, list[str]] = {}
    for name, value in wanted.params():
        params.setdefault(name, []).append(value)
    params.pop("integration", None)
    st.switch_page("users.py", query_params=params)


def choose_accounts(integrations: list[str], roles: list[str]) -> Filters:
    """Every filter of the Users page, in one bar."""
    if WANTED in st.session_state:
        st.session_state["integration"] = st.session_state.pop(WANTED)
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
            placeholder="User, email, username or upstream ID",
            icon=":material/search:",
            on_change=first_page,
        )
        with chosen:
            choose_integrations(integrations)
        state.multiselect(
            "Provisioning state",
            [s.name for s in (*STATES, UNRECOGNISED)],
            key="state",
            bind="query-params",
            placeholder="All",
            help="\n".join(f"- **{s.name}**: {s.definition}" for s in STATE_BY_NAME.values()),
            on_change=first_page,
        )
        role.multiselect(
            "Role",
            roles,
            key="role",
            bind="query-params",
            placeholder="All",
            on_change=first_page,
        )
        _one_of(active, "Active in app", "active", get_args(Active))
        _one_of(match, "User", "match", get_args(Match))
    return asked()


def _one_of(place: DeltaGenerator, label: str, key: str, options: Sequence[str]) -> None:
    """One value or any. What a widget shows is what its address carries: the values as they are."""
    place.selectbox(
        label,
        options,
        index=None,
        key=key,
        bind="query-params",
        placeholder="All",
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


def mark_past(filters: Filters) -> None:
    """Where the list is not of now, say so, with the way back."""
    if filters.as_of is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="past"):
        st.badge(
            f"As of {filters.as_of:%Y-%m-%d %H:%M} UTC", icon=":material/history:", color="violet"
        )
        st.button("Back to now", type="tertiary", key="now", on_click=_back_to_now)


def _back_to_now() -> None:
    del st.query_params["as_of"]
    first_page()
