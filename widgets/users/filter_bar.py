"""The filters above the Users table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import streamlit as st

from data.access.roles import Act
from data.states import OPERATIONS, STATE_BY_NAME, state_names
from queries.filters import FILTER_BY_NAME, FILTERS, LONGEST_SEARCH, Filter, Filters, span_words
from queries.users.facets import Choice, choices, moments
from server.authorize import allowed, reading
from server.session import principal
from widgets import timezone
from widgets.filters import FIRST_DAY, LAST, LAST_DAY, show
from widgets.labels import plain_label


@st.fragment
def filter_bar(filters: Filters) -> None:
    """Every filter, side by side. What a button opens is drawn, and counted, when it is opened."""
    allowed(Act.USERS)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filters"):
        _search(filters)
        _fold()
        for each in FILTERS:
            if each.name in CONTROLS:
                label, draw = CONTROLS[each.name]
                _opening(label, each.name, draw, filters, each)
        _opening("As of", "as_of", _moment, filters, None)


def _fold() -> None:
    """On a phone the other controls fold into this button; page.css shows it only there."""
    unfolded = st.session_state.setdefault("filters_unfolded", False)

    def turn() -> None:
        st.session_state["filters_unfolded"] = not unfolded

    with st.container(key="unfolded" if unfolded else "folded", width="content"):
        st.button("Filters", key="fold", icon=":material/tune:", on_click=turn)


def _opening(label: str, name: str, draw: Any, filters: Filters, each: Filter | None) -> None:
    names = ("updated_from", "updated_to") if name == "updated_from" else (name,)
    is_asked = any(getattr(filters, each) for each in names)
    with st.container(key=f"{'asked' if is_asked else 'open'}_{name}", width="content"):
        box = st.popover(label, key=f"filter_{name}", on_change="rerun")
    if box.open:
        with box:
            draw(filters, each)


def _search(filters: Filters) -> None:
    st.session_state["q"] = filters.q

    def search() -> None:
        show(replace(filters, q=FILTER_BY_NAME["q"].read([st.session_state["q"]])))

    st.text_input(
        "Search",
        key="q",
        type="search",
        max_chars=LONGEST_SEARCH,
        placeholder=(
            "A whole pseudonym"
            if principal().pseudonyms
            else "User, email, username or upstream ID"
        ),
        icon=":material/search:",
        on_change=search,
        label_visibility="collapsed",
        width=300,
    )


def _choices(filters: Filters, each: Filter) -> None:
    """The choices of a filter with their counts; where there are too many, with a search."""
    search = str(st.session_state.get(f"find_{each.name}", ""))
    place = st.empty()
    with reading(Act.USERS) as con:
        found = choices(con, filters, each.name, search)
    if found.more or search:
        place.text_input(
            f"Search {each.label.lower()}s",
            key=f"find_{each.name}",
            type="search",
            live=True,
            max_chars=LONGEST_SEARCH,
            icon=":material/search:",
        )
    if found.shown:
        _offer(filters, each, found.shown, label=each.label)
    else:
        st.text("Nothing is called so." if search else "There are none.")
    if found.more:
        st.text(f"and {found.more:,} more; search to find them")


def _states(filters: Filters, each: Filter) -> None:
    """The states by operation, and each phase at one click."""
    with reading(Act.USERS) as con:
        found = choices(con, filters, each.name).shown
    with st.container(horizontal=True, gap="small", key="phases"):
        for phase in ("failed", "waiting", "working"):
            wanted = replace(filters, state=state_names(phase=phase))
            st.button(f"All {phase}", key=f"all_{phase}", on_click=show, args=(wanted,))
    for operation in (*OPERATIONS, None):
        group = [choice for choice in found if STATE_BY_NAME[choice.value].operation == operation]
        name = operation or "settled"
        _offer(
            filters,
            each,
            group,
            label=name.capitalize(),
            within=name,
            help="\n".join(
                f"- **{choice.value}**: {STATE_BY_NAME[choice.value].definition}"
                for choice in group
            ),
        )


def _offer(
    filters: Filters,
    each: Filter,
    offered: Sequence[Choice],
    *,
    label: str,
    within: str = "",
    help: str | None = None,
) -> None:
    """Choices, or one group of them, to be switched on and off."""
    key, values = f"choose_{each.name}{within}", [choice.value for choice in offered]
    chosen = [value for value in filters.values(each.name) if value in values]
    several = isinstance(getattr(filters, each.name), tuple)
    st.session_state[key] = chosen if several else next(iter(chosen), None)
    labels = _labels(each, offered)

    def choose() -> None:
        picked = st.session_state[key]
        picked = picked if several else [picked] if picked else []
        last: Filters = st.session_state.get(LAST, filters)
        before = last.values(each.name) if several else []
        kept = [value for value in before if value in picked or value not in values]
        show(replace(last, **{each.name: each.read([*kept, *picked])}))

    pills: Any = st.pills  # its overloads want the mode spelled out
    pills(
        label,
        values,
        selection_mode="multi" if several else "single",
        format_func=lambda value: labels.get(value, value),
        key=key,
        help=help,
        label_visibility="visible" if within else "collapsed",
        on_change=choose,
    )


def _labels(each: Filter, offered: Sequence[Choice]) -> dict[str, str]:
    """The words of each choice, and how many accounts it would show; quiet where none."""
    labels: dict[str, str] = {}
    for value, count in offered:
        words = plain_label(CHOICE_WORDS.get(each.name, str)(value))
        label = f"{words} :gray[{count:,}]" if count else f":gray[{words}] :gray[0]"
        while label in labels.values():  # Streamlit tells choices apart by their labels
            label += "\u200b"
        labels[value] = label
    return labels


def _days(filters: Filters, _: Filter) -> None:
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
    show(replace(filters, **{name: st.session_state[name]}))


def _moment(filters: Filters, _: None) -> None:
    """Any moment from the first to the newest snapshot; what people ask for most, at a click."""
    with reading(Act.USERS) as con:
        *last, first = moments(con)
    newest = last[0]
    timezone.choose_moment(
        "Moment",
        "moment",
        filters.as_of,
        (first, newest),
        lambda moment: show(replace(filters, as_of=moment)),
    )
    quick = {f"Snapshot of {timezone.told(moment)}": moment for moment in last}
    for label, days in (("A day before the newest", 1), ("A week before the newest", 7)):
        if newest - timedelta(days=days) >= first:
            quick[label] = newest - timedelta(days=days)
    with st.container(gap=None, key="moments"):
        for label, moment in quick.items():
            wanted = replace(filters, as_of=moment)
            st.button(label, key=f"as_of_{label}", type="tertiary", on_click=show, args=(wanted,))
    timezone.choose_zone()


CONTROLS: dict[str, tuple[str, Any]] = {
    "state": (FILTER_BY_NAME["state"].label, _states),
    **{
        name: (FILTER_BY_NAME[name].label, _choices)
        for name in ("role", "integration", "active", "match", "waiting", "reason")
    },
    "updated_from": ("Last updated", _days),
}
"""What opens for a filter, and under which label; the search is there without."""


CHOICE_WORDS = {
    "active": str.capitalize,
    "match": str.capitalize,
    "waiting": span_words,
}
