"""The filters above the Users table. A new filter needs an entry in CONTROLS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from data.access.roles import Permission
from data.states import OPERATIONS, STATE_BY_NAME, Phase, state_names
from queries.filters import FILTER_BY_NAME, MAX_SEARCH_LENGTH, Filter, Filters
from queries.users.facets import Choice, list_choices, snapshot_times
from server.authorize import authorize, store_connection
from server.session import current_principal
from widgets.filters import FIRST_DAY, LAST_DAY, LAST_FILTERS_KEY, apply_filters, choose_as_of
from widgets.labels import escape_label

PHASES: tuple[Phase, ...] = ("failed", "awaiting", "ongoing")


@st.fragment
def show_filter_bar(filters: Filters) -> None:
    """All filters side by side. The content of a popover is drawn and counted when it opens."""
    authorize(Permission.USERS)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filters"):
        _show_search(filters)
        _show_fold_button()
        for name, (label, show_content) in CONTROLS.items():
            _show_popover(label, name, show_content, filters)


def _show_fold_button() -> None:
    """On a phone the other controls fold into this button; page.css shows it only there."""
    is_unfolded = st.session_state.setdefault("filters_unfolded", False)

    def toggle() -> None:
        st.session_state["filters_unfolded"] = not is_unfolded

    with st.container(key="unfolded" if is_unfolded else "folded", width="content"):
        st.button("Filters", key="fold", icon=":material/tune:", on_click=toggle)


def _show_popover(label: str, name: str, show_content: Content, filters: Filters) -> None:
    names = ("updated_from", "updated_to") if name == "updated_from" else (name,)
    is_set = any(getattr(filters, field) for field in names)
    with st.container(key=f"{'active' if is_set else 'inactive'}_{name}", width="content"):
        popover = st.popover(label, key=f"filter_{name}", on_change="rerun")
    if popover.open:
        with popover:
            show_content(filters, name)


def _show_search(filters: Filters) -> None:
    st.session_state["q"] = filters.q

    def apply_search() -> None:
        apply_filters(replace(filters, q=FILTER_BY_NAME["q"].parse([st.session_state["q"]])))

    st.text_input(
        "Search",
        key="q",
        type="search",
        placeholder=(
            "A complete pseudonym"
            if current_principal().uses_pseudonyms
            else "User, email, username or upstream ID"
        ),
        icon=":material/search:",
        on_change=apply_search,
        label_visibility="collapsed",
        width=300,
    )


def _show_choices(filters: Filters, name: str) -> None:
    """The choices of a filter with their counts; with a search if there are too many."""
    filter_, key = FILTER_BY_NAME[name], f"find_{name}"
    search = str(st.session_state.get(key, ""))
    search_area = st.empty()
    with store_connection(Permission.USERS) as con:
        choices = list_choices(con, filters, name, search)
    if choices.remaining or search:
        search_area.text_input(
            f"Search {filter_.label.lower()}s",
            key=key,
            type="search",
            live=True,
            max_chars=MAX_SEARCH_LENGTH,
            icon=":material/search:",
        )
    if choices.shown:
        _show_pills(filters, filter_, choices.shown, label=filter_.label)
    else:
        st.text("No matches." if search else "No options.")
    if choices.remaining:
        st.text(f"{choices.remaining:,} more – type to search")


def _show_states(filters: Filters, name: str) -> None:
    """The states by operation, and all states of a phase by one press."""
    with store_connection(Permission.USERS) as con:
        choices = list_choices(con, filters, name).shown
    with st.container(horizontal=True, gap="small", key="phases"):
        for phase in PHASES:
            phase_filters = replace(filters, state=state_names(phase=phase))
            st.button(
                f"All {phase}", key=f"all_{phase}", on_click=apply_filters, args=(phase_filters,)
            )
    for operation in (*OPERATIONS, None):
        group = [choice for choice in choices if STATE_BY_NAME[choice.value].operation == operation]
        group_name = operation or "settled"
        definitions = [(c.value, STATE_BY_NAME[c.value].definition) for c in group]
        _show_pills(
            filters,
            FILTER_BY_NAME[name],
            group,
            label=group_name.capitalize(),
            group=group_name,
            help="\n".join(f"- **{state}**: {definition}" for state, definition in definitions),
        )


def _show_pills(
    filters: Filters,
    filter_: Filter,
    choices: Sequence[Choice],
    *,
    label: str,
    group: str = "",
    help: str | None = None,
) -> None:
    """Choices, or one group of them, to switch on and off."""
    key, values = f"choose_{filter_.name}{group}", [choice.value for choice in choices]
    selected = [value for value in filters.values(filter_.name) if value in values]
    is_multiple = isinstance(getattr(filters, filter_.name), tuple)
    st.session_state[key] = selected if is_multiple else next(iter(selected), None)
    labels = _choice_labels(filter_, choices)

    def apply_choice() -> None:
        picked = st.session_state[key]
        picked = picked if is_multiple else [picked] if picked else []
        last: Filters = st.session_state.get(LAST_FILTERS_KEY, filters)
        before = last.values(filter_.name) if is_multiple else []
        others = [value for value in before if value in picked or value not in values]
        apply_filters(replace(last, **{filter_.name: filter_.parse([*others, *picked])}))

    pills: Any = st.pills  # its overloads want the mode spelled out
    pills(
        label,
        values,
        selection_mode="multi" if is_multiple else "single",
        format_func=lambda value: labels.get(value, value),
        key=key,
        help=help,
        label_visibility="visible" if group else "collapsed",
        on_change=apply_choice,
    )


def _choice_labels(filter_: Filter, choices: Sequence[Choice]) -> dict[str, str]:
    """Each choice with the number of accounts that it would show; grey for none."""
    labels: dict[str, str] = {}
    for value, count in choices:
        text = escape_label(filter_.choice_text(value))
        label = f"{text} :gray[{count:,}]" if count else f":gray[{text}] :gray[0]"
        while label in labels.values():  # Streamlit tells choices apart by their labels
            label += "\u200b"
        labels[value] = label
    return labels


def _show_days(filters: Filters, _: str) -> None:
    """The days of the last change: from, to, or both."""

    def apply_day(name: str) -> None:
        apply_filters(replace(filters, **{name: st.session_state[name]}))

    for name, label in (("updated_from", "From (UTC)"), ("updated_to", "To (UTC)")):
        day = getattr(filters, name)
        st.session_state[name] = day and min(max(day, FIRST_DAY), LAST_DAY)
        st.date_input(
            label,
            key=name,
            format="YYYY-MM-DD",
            min_value=FIRST_DAY,
            max_value=LAST_DAY,
            on_change=apply_day,
            args=(name,),
        )


def _show_moments(filters: Filters, _: str) -> None:
    with store_connection(Permission.USERS) as con:
        moments = snapshot_times(con)
    choose_as_of(
        filters.as_of, moments, lambda moment: apply_filters(replace(filters, as_of=moment))
    )


Content = Callable[[Filters, str], None]
"""Draws the content of a popover; takes all filters and the name of its own."""

CONTROLS: dict[str, tuple[str, Content]] = {
    "state": ("Provisioning state", _show_states),
    "role": ("Role", _show_choices),
    "integration": ("Integration", _show_choices),
    "active": ("Active in app", _show_choices),
    "match": ("User", _show_choices),
    "updated_from": ("Last updated", _show_days),
    "waiting": ("Open longer than", _show_choices),
    "reason": ("Failure reason", _show_choices),
    "as_of": ("As of", _show_moments),
}
"""Filter → the label of its popover and its content, in the order of the bar."""
