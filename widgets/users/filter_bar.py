"""The filters above the Users table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import streamlit as st

from data.access.roles import Permission
from data.states import OPERATIONS, STATE_BY_NAME, state_names
from queries.filters import (
    FILTER_BY_NAME,
    FILTERS,
    MAX_SEARCH_LENGTH,
    Filter,
    Filters,
    duration_text,
)
from queries.users.facets import Choice, list_choices, snapshot_times
from server.authorize import authorize, store_connection
from server.session import current_principal
from widgets import timezone
from widgets.filters import FIRST_DAY, LAST_DAY, LAST_FILTERS_KEY, apply_filters
from widgets.labels import escape_label


@st.fragment
def show_filter_bar(filters: Filters) -> None:
    """Every filter, side by side. What a button opens is drawn, and counted, when it is opened."""
    authorize(Permission.USERS)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filters"):
        _show_search(filters)
        _show_fold_button()
        for filter_ in FILTERS:
            if filter_.name in CONTROLS:
                label, show_content = CONTROLS[filter_.name]
                _show_popover(label, filter_.name, show_content, filters, filter_)
        _show_popover("As of", "as_of", _show_moment, filters, None)


def _show_fold_button() -> None:
    """On a phone the other controls fold into this button; page.css shows it only there."""
    is_unfolded = st.session_state.setdefault("filters_unfolded", False)

    def toggle() -> None:
        st.session_state["filters_unfolded"] = not is_unfolded

    with st.container(key="unfolded" if is_unfolded else "folded", width="content"):
        st.button("Filters", key="fold", icon=":material/tune:", on_click=toggle)


def _show_popover(
    label: str, name: str, show_content: Any, filters: Filters, filter_: Filter | None
) -> None:
    names = ("updated_from", "updated_to") if name == "updated_from" else (name,)
    is_set = any(getattr(filters, field) for field in names)
    with st.container(key=f"{'asked' if is_set else 'open'}_{name}", width="content"):
        popover = st.popover(label, key=f"filter_{name}", on_change="rerun")
    if popover.open:
        with popover:
            show_content(filters, filter_)


def _show_search(filters: Filters) -> None:
    st.session_state["q"] = filters.q

    def apply_search() -> None:
        apply_filters(replace(filters, q=FILTER_BY_NAME["q"].parse([st.session_state["q"]])))

    st.text_input(
        "Search",
        key="q",
        type="search",
        max_chars=MAX_SEARCH_LENGTH,
        placeholder=(
            "A whole pseudonym"
            if current_principal().uses_pseudonyms
            else "User, email, username or upstream ID"
        ),
        icon=":material/search:",
        on_change=apply_search,
        label_visibility="collapsed",
        width=300,
    )


def _show_choices(filters: Filters, filter_: Filter) -> None:
    """The choices of a filter with their counts; where there are too many, with a search."""
    search = str(st.session_state.get(f"find_{filter_.name}", ""))
    search_area = st.empty()
    with store_connection(Permission.USERS) as con:
        result = list_choices(con, filters, filter_.name, search)
    if result.remaining or search:
        search_area.text_input(
            f"Search {filter_.label.lower()}s",
            key=f"find_{filter_.name}",
            type="search",
            live=True,
            max_chars=MAX_SEARCH_LENGTH,
            icon=":material/search:",
        )
    if result.shown:
        _show_pills(filters, filter_, result.shown, label=filter_.label)
    else:
        st.text("Nothing is called so." if search else "There are none.")
    if result.remaining:
        st.text(f"and {result.remaining:,} more; search to find them")


def _show_states(filters: Filters, filter_: Filter) -> None:
    """The states by operation, and each phase at one click."""
    with store_connection(Permission.USERS) as con:
        options = list_choices(con, filters, filter_.name).shown
    with st.container(horizontal=True, gap="small", key="phases"):
        for phase in ("failed", "awaiting", "ongoing"):
            phase_filters = replace(filters, state=state_names(phase=phase))
            st.button(
                f"All {phase}", key=f"all_{phase}", on_click=apply_filters, args=(phase_filters,)
            )
    for operation in (*OPERATIONS, None):
        group = [choice for choice in options if STATE_BY_NAME[choice.value].operation == operation]
        name = operation or "settled"
        _show_pills(
            filters,
            filter_,
            group,
            label=name.capitalize(),
            group=name,
            help="\n".join(
                f"- **{choice.value}**: {STATE_BY_NAME[choice.value].definition}"
                for choice in group
            ),
        )


def _show_pills(
    filters: Filters,
    filter_: Filter,
    options: Sequence[Choice],
    *,
    label: str,
    group: str = "",
    help: str | None = None,
) -> None:
    """Choices, or one group of them, to be switched on and off."""
    key, values = f"choose_{filter_.name}{group}", [choice.value for choice in options]
    chosen = [value for value in filters.values(filter_.name) if value in values]
    is_multiple = isinstance(getattr(filters, filter_.name), tuple)
    st.session_state[key] = chosen if is_multiple else next(iter(chosen), None)
    labels = _option_labels(filter_, options)

    def apply_choice() -> None:
        picked = st.session_state[key]
        picked = picked if is_multiple else [picked] if picked else []
        last: Filters = st.session_state.get(LAST_FILTERS_KEY, filters)
        before = last.values(filter_.name) if is_multiple else []
        kept = [value for value in before if value in picked or value not in values]
        apply_filters(replace(last, **{filter_.name: filter_.parse([*kept, *picked])}))

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


def _option_labels(filter_: Filter, options: Sequence[Choice]) -> dict[str, str]:
    """The words of each choice, and how many accounts it would show; quiet where none."""
    labels: dict[str, str] = {}
    for value, count in options:
        text = escape_label(CHOICE_FORMATTERS.get(filter_.name, str)(value))
        label = f"{text} :gray[{count:,}]" if count else f":gray[{text}] :gray[0]"
        while label in labels.values():  # Streamlit tells choices apart by their labels
            label += "\u200b"
        labels[value] = label
    return labels


def _show_days(filters: Filters, _: Filter) -> None:
    """The days of the last change: from, to, or both."""
    for name, label in (("updated_from", "From"), ("updated_to", "To")):
        day = getattr(filters, name)
        st.session_state[name] = day and min(max(day, FIRST_DAY), LAST_DAY)
        st.date_input(
            f"{label} (UTC day)",
            key=name,
            format="YYYY-MM-DD",
            min_value=FIRST_DAY,
            max_value=LAST_DAY,
            on_change=_choose_day,
            args=(filters, name),
        )


def _choose_day(filters: Filters, name: str) -> None:
    apply_filters(replace(filters, **{name: st.session_state[name]}))


def _show_moment(filters: Filters, _: None) -> None:
    """Any moment from the first to the newest snapshot; what people ask for most, at a click."""
    with store_connection(Permission.USERS) as con:
        *recent, first = snapshot_times(con)
    newest = recent[0]
    timezone.choose_moment(
        "Moment",
        "moment",
        filters.as_of,
        (first, newest),
        lambda moment: apply_filters(replace(filters, as_of=moment)),
    )
    shortcuts = {f"Snapshot of {timezone.format_moment(moment)}": moment for moment in recent}
    for label, days in (("A day before the newest", 1), ("A week before the newest", 7)):
        if newest - timedelta(days=days) >= first:
            shortcuts[label] = newest - timedelta(days=days)
    with st.container(gap=None, key="moments"):
        for label, moment in shortcuts.items():
            moment_filters = replace(filters, as_of=moment)
            st.button(
                label,
                key=f"as_of_{label}",
                type="tertiary",
                on_click=apply_filters,
                args=(moment_filters,),
            )
    timezone.choose_zone()


CONTROLS: dict[str, tuple[str, Any]] = {
    "state": (FILTER_BY_NAME["state"].label, _show_states),
    **{
        name: (FILTER_BY_NAME[name].label, _show_choices)
        for name in ("role", "integration", "active", "match", "waiting", "reason")
    },
    "updated_from": ("Last updated", _show_days),
}
"""What opens for a filter, and under which label; the search is there without."""


CHOICE_FORMATTERS = {
    "active": str.capitalize,
    "match": str.capitalize,
    "waiting": duration_text,
}
