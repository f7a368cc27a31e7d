"""The filters above the Users table. A new filter needs an entry in CONTROLS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

import streamlit as st

from data.access.roles import Permission
from data.formatting import count_of
from data.states import OPERATIONS, STATE_BY_NAME, Phase, state_names
from data.store.search_text import search_key
from data.values.durations import duration_text
from queries.during import EXCLUDED_BY_PERIOD
from queries.filters import FILTER_BY_NAME, MAX_SEARCH_LENGTH, Filter, Filters
from queries.sign_ins import parse_sign_ins, sign_in_day
from queries.users.facets import Choice, list_choices, reason_texts, snapshot_times
from server.authorize import authorize, store_connection
from server.session import current_principal
from widgets.filters import (
    LAST_FILTERS_KEY,
    apply_filters,
    choose_as_of,
    choose_day,
    choose_period,
)
from widgets.labels import escape_label, screen_reader_text
from widgets.people.address import page_of_person

PHASES: tuple[Phase, ...] = ("failed", "awaiting", "ongoing")
PERIOD_HINT = (
    "Everyone who met the filters at any time in it. A period has no one moment, so it excludes: "
    f"{', '.join(EXCLUDED_BY_PERIOD.values())}."
)
MAX_EMPTY_CHOICES = 3
"""More choices without an account fold into a button."""

SET_ELSEWHERE = ("marked", "of_person")
"""Filters that are not in the menu: the rows and the page of a person set them."""

ADDING_KEY = "adding_filter"
"""The filter that was chosen from the menu and has no value yet."""


def show_search(filters: Filters) -> None:
    """The search box. The list follows a quarter of a second after the last key.

    The box gets a text only if it says something else: a text that comes back from the server
    would replace letters that were typed in the meantime.
    """
    parse = FILTER_BY_NAME["q"].parse
    if parse([st.session_state.get("q", "")]) != filters.q:
        st.session_state["q"] = filters.q

    def apply_search() -> None:
        last: Filters = st.session_state.get(LAST_FILTERS_KEY, filters)
        apply_filters(replace(last, q=parse([st.session_state["q"]])))

    st.text_input(
        "Search",
        key="q",
        type="search",
        live="250ms",
        placeholder=(
            "A complete pseudonym" if current_principal().uses_pseudonyms else "Name, ID or role"
        ),
        icon=":material/search:",
        on_change=apply_search,
        label_visibility="collapsed",
        width=280,
    )


@st.fragment
def show_filter_bar(filters: Filters) -> None:
    """The menu of filters, and the set ones. A popover is drawn and counted when it opens."""
    authorize(Permission.USERS)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filters"):
        shown = [name for name, control in CONTROLS.items() if control.text(filters)]
        adding = st.session_state.get(ADDING_KEY)
        excluded = EXCLUDED_BY_PERIOD.keys() - {"as_of"} if filters.during else ()
        hidden = (*shown, *excluded, adding, *SET_ELSEWHERE)
        _show_menu([name for name in CONTROLS if name not in hidden])
        for name in CONTROLS:
            if name in shown or name == adding:
                _show_filter(name, filters)
        if filters != filters.cleared():
            st.button(
                "Clear all",
                key="clear",
                type="tertiary",
                on_click=apply_filters,
                args=(filters.cleared(),),
            )


def _show_menu(names: Sequence[str]) -> None:
    """The filters that are not set; the chosen one appears with its choices open."""
    labels = {CONTROLS[name].label: name for name in names}

    def add_filter() -> None:
        name = labels[st.session_state["add_filter"]]
        st.session_state[ADDING_KEY] = name
        st.session_state[f"filter_{name}"] = True

    st.menu_button(
        "Filter", list(labels), key="add_filter", icon=":material/add:", on_click=add_filter
    )


def _show_filter(name: str, filters: Filters) -> None:
    """One filter: a popover with its choices, and a button with its values that removes it."""
    control, key = CONTROLS[name], f"filter_{name}"
    text = control.text(filters)

    def forget_if_empty() -> None:
        if not st.session_state.get(key) and st.session_state.get(ADDING_KEY) == name:
            del st.session_state[ADDING_KEY]

    with st.container(horizontal=True, gap=None, key=f"chip_{name}", width="content"):
        popover = st.popover(control.label, key=key, on_change=forget_if_empty)
        if text:
            st.button(
                f"{screen_reader_text(f'Remove filter: {control.label}')} {escape_label(text)}",
                key=f"remove_{name}",
                on_click=_remove_filter,
                args=(name, filters),
            )
    if popover.open:
        with popover:
            control.show(filters, name)


def _remove_filter(name: str, filters: Filters) -> None:
    st.session_state.pop(ADDING_KEY, None)
    empty = Filters()
    fields = (name, *RANGES.get(name, ()))
    apply_filters(replace(filters, **{field: getattr(empty, field) for field in fields}))


# ---- the content of a popover --------------------------------------------------------------------


def _show_choices(filters: Filters, name: str) -> None:
    """The choices of a filter with their counts; with a search if there are too many."""
    filter_, key = FILTER_BY_NAME[name], f"find_{name}"
    search = str(st.session_state.get(key, ""))[:MAX_SEARCH_LENGTH]
    search_area = st.empty()
    with store_connection(Permission.USERS) as con:
        choices = list_choices(con, filters, name, search)
        texts = reason_texts(con, [c.value for c in choices.shown]) if name == "reason" else {}
    if choices.remaining or search:
        search_area.text_input(
            f"Search {filter_.label.lower()}s",
            key=key,
            type="search",
            live=True,
            icon=":material/search:",
            placeholder=f"Search {filter_.label.lower()}s",
            label_visibility="collapsed",
        )
    if search and not choices.remaining:
        _show_select_all(filters, filter_, choices.shown, search)
    shown = choices.shown if filter_.choices or search else _fold_empty(filters, filter_, choices)
    if shown:
        _show_pills(filters, filter_, shown, label=filter_.label, texts=texts)
    else:
        st.text("No matches." if search else "No options.")
    if choices.remaining:
        st.text(f"{choices.remaining:,} more – type to search")


def _show_select_all(
    filters: Filters, filter_: Filter, choices: Sequence[Choice], search: str
) -> None:
    """One press for all that the search has found and that some account has."""
    key = search_key(search)
    values = [c.value for c in choices if c.accounts and key in search_key(c.value)]
    before = filters.values(filter_.name)
    if len(set(values) - set(before)) > 1:
        wanted = filter_.parse([*dict.fromkeys([*before, *values])])
        st.button(
            f"Select all {len(values)} that match",
            key=f"select_{filter_.name}",
            type="tertiary",
            on_click=apply_filters,
            args=(replace(filters, **{filter_.name: wanted}),),
        )


def _fold_empty(filters: Filters, filter_: Filter, choices: Any) -> list[Choice]:
    """The choices that some account has, and a button for the others."""
    key, selected = f"all_{filter_.name}", filters.values(filter_.name)
    empty = [c for c in choices.shown if not c.accounts and c.value not in selected]
    if len(empty) <= MAX_EMPTY_CHOICES or st.session_state.get(key):
        return choices.shown

    def unfold() -> None:
        st.session_state[key] = True

    count = len(empty) + choices.remaining
    st.button(f"Show {count:,} without accounts", key=f"more_{key}", type="tertiary",
              on_click=unfold)  # fmt: skip
    return [choice for choice in choices.shown if choice not in empty]


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
    texts: dict[str, str] | None = None,
) -> None:
    """Choices, or one group of them, to switch on and off."""
    key, values = f"choose_{filter_.name}{group}", [choice.value for choice in choices]
    selected = [value for value in filters.values(filter_.name) if value in values]
    is_multiple = isinstance(getattr(filters, filter_.name), tuple)
    st.session_state[key] = selected if is_multiple else next(iter(selected), None)
    labels = _choice_labels(filter_, choices, texts or {})

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


def _choice_labels(
    filter_: Filter, choices: Sequence[Choice], texts: dict[str, str]
) -> dict[str, str]:
    """Each choice with the number of accounts that it would show; grey for none."""
    labels: dict[str, str] = {}
    for value, count in choices:
        text = escape_label(texts.get(value) or filter_.choice_text(value))
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
        choose_day(name, label, getattr(filters, name), apply_day, name)


def _show_sign_ins(filters: Filters, name: str) -> None:
    """Never, unknown, before a day, from a day: any of them."""
    _show_choices(filters, name)
    values = filters.values(name)

    def apply_day(kind: str) -> None:
        day = st.session_state[f"{name}_{kind}"]
        others = [value for value in values if not value.startswith(f"{kind}:")]
        wanted = parse_sign_ins([*others, *([f"{kind}:{day}"] if day else [])])
        apply_filters(replace(filters, last_sign_in=wanted))

    for kind, label in (("before", "Before (UTC day)"), ("from", "From (UTC day)")):
        choose_day(f"{name}_{kind}", label, sign_in_day(values, kind), apply_day, kind)


def _show_period(filters: Filters, _: str) -> None:
    st.caption(PERIOD_HINT)
    choose_period(filters.during, lambda during: apply_filters(filters.with_period(during)))


def _show_person(filters: Filters, _: str) -> None:
    """The way back to the person's page."""
    if filters.of_person:
        link = f'<a href="{escape(page_of_person(filters))}" target="_self">Page of the person</a>'
        st.html(link)


def _show_moments(filters: Filters, _: str) -> None:
    with store_connection(Permission.USERS) as con:
        moments = snapshot_times(con)
    choose_as_of(
        filters.as_of,
        moments,
        lambda moment: apply_filters(replace(filters, as_of=moment, during=None)),
    )


def _show_marked(filters: Filters, _: str) -> None:
    st.text(f"The link names {count_of(len(filters.marked), 'account')} that somebody marked.")


# ---- the filters ---------------------------------------------------------------------------------


def _values_text(name: str) -> Callable[[Filters], str]:
    """`Team admin, +1`: the first value and the number of the others."""

    def text(filters: Filters) -> str:
        values = [FILTER_BY_NAME[name].choice_text(value) for value in filters.values(name)]
        return f"{values[0]}, +{len(values) - 1}" if len(values) > 1 else "".join(values)

    return text


def _days_text(filters: Filters) -> str:
    ends = (("from", filters.updated_from), ("to", filters.updated_to))
    return " ".join(f"{word} {day}" for word, day in ends if day)


def _open_text(filters: Filters) -> str:
    upto = [f"up to {duration_text(value)}" for value in filters.values("waiting_upto")]
    return ", ".join([*map(duration_text, filters.values("waiting")), *upto])


RANGES = {"updated_from": ("updated_to",), "waiting": ("waiting_upto",)}
"""Filter → the other end of its range, which is shown and removed with it."""


class Control(NamedTuple):
    """The control of a filter."""

    label: str
    show: Callable[[Filters, str], None]
    """Draws the content of a popover; takes all filters and the name of its own."""
    text: Callable[[Filters], str]
    """The values that are set; empty without any."""


CONTROLS: dict[str, Control] = {
    "state": Control("Provisioning state", _show_states, _values_text("state")),
    "role": Control("Role", _show_choices, _values_text("role")),
    "integration": Control("Integration", _show_choices, _values_text("integration")),
    "active": Control("Active in app", _show_choices, _values_text("active")),
    "match": Control("User", _show_choices, _values_text("match")),
    "person": Control("Person", _show_choices, _values_text("person")),
    "of_person": Control("Accounts of", _show_person, _values_text("of_person")),
    "account": Control("Account", _show_choices, _values_text("account")),
    "updated_from": Control("Last updated", _show_days, _days_text),
    "waiting": Control("Open longer than", _show_choices, _open_text),
    **{
        name: Control(FILTER_BY_NAME[name].label, _show_choices, _values_text(name))
        for name in ("unsettled_for", "failing_for", "left_for")
    },
    "reason": Control("Failure reason", _show_choices, _values_text("reason")),
    "last_sign_in": Control("Last sign-in", _show_sign_ins, _values_text("last_sign_in")),
    "note": Control("Note", _show_choices, _values_text("note")),
    "empty": Control("Is empty", _show_choices, _values_text("empty")),
    "not_empty": Control("Is not empty", _show_choices, _values_text("not_empty")),
    "marked": Control("Marked", _show_marked, lambda f: f"{len(f.marked)}" if f.marked else ""),
    "during": Control("Period", _show_period, lambda f: f.during.text() if f.during else ""),
    "as_of": Control("As of", _show_moments, lambda _: ""),  # a banner shows it
}
"""Filter → its control, in the order of the menu."""
