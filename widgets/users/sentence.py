"""The filters as a sentence with removable parts, and the presets."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from data.formatting import count_of
from data.states import FAILED_STATES, OPEN_STATES
from queries.filters import FilterPhrase, Filters, filter_phrases
from widgets.filters import apply_filters
from widgets.labels import escape_label

PRESETS: dict[str, tuple[Filters, str]] = {
    "Failed": (Filters(state=FAILED_STATES), "last_updated"),
    "Longest open": (Filters(state=OPEN_STATES), "last_updated"),
    "Unmatched": (Filters(match="unmatched"), "username_in_app"),
    "Deleted but still active": (Filters(state=("Deleted",), active="yes"), "user"),
}
"""Everyday views: their filters and their order."""


def show_presets(filters: Filters) -> None:
    """One button per preset; the one that is shown is marked."""
    with st.container(horizontal=True, gap="small", key="presets"):
        for name, (preset, sort) in PRESETS.items():
            preset_filters = replace(preset, as_of=filters.as_of)
            is_active = filters == preset_filters
            st.button(
                f"{_screen_reader_text('Shown:')} {name}" if is_active else name,
                key=f"preset_{name}",
                type="primary" if is_active else "tertiary",
                on_click=apply_filters,
                args=(preset_filters,),
                kwargs={"sort": sort},
            )


def show_filter_summary(filters: Filters, count: int, total: int) -> None:
    """One sentence; each part of it is a button that removes it."""
    is_filtered = filters != filters.cleared()
    with st.container(horizontal=True, vertical_alignment="center", gap=None, key="sentence"):
        accounts = f"of {total:,} accounts" if is_filtered else "accounts"
        st.markdown(f"**{count:,}** {accounts}", width="content")
        for phrase in filter_phrases(filters):
            if phrase.conjunction not in ("", ","):  # the gap between buttons stands for a comma
                st.markdown(escape_label(phrase.conjunction), width="content")
            _show_remove_button(
                filters,
                phrase,
                f"{_screen_reader_text('Remove filter:')} {escape_label(phrase.text)}",
            )
        if is_filtered:
            st.button(
                "Clear all",
                key="clear",
                type="tertiary",
                on_click=apply_filters,
                args=(filters.cleared(),),
            )


def filter_facts(filters: Filters, count: int, total: int) -> list[str]:
    """What the list shows, in words, for paper."""
    sentence = ""
    for phrase in filter_phrases(filters):
        joint = phrase.conjunction if phrase.conjunction in ("", ",") else f" {phrase.conjunction}"
        sentence += f"{joint} {phrase.text}"
    is_filtered = filters != filters.cleared()
    accounts = f"{count:,} of {total:,} accounts" if is_filtered else f"{count:,} accounts"
    return [accounts, sentence.strip()]


def suggest_fewer_filters(filters: Filters, counts: Sequence[tuple[FilterPhrase, int]]) -> None:
    """For an empty list: how many accounts there are without each part of the sentence."""
    with st.container(horizontal=True, gap="small", key="suggestions"):
        for phrase, count in counts:
            label = f"Remove {escape_label(phrase.text)} ({count_of(count, 'account')})"
            _show_remove_button(filters, phrase, label, key="suggest")


def _show_remove_button(
    filters: Filters, phrase: FilterPhrase, label: str, *, key: str = "remove"
) -> None:
    st.button(
        label,
        key=f"{key}_{phrase.name}_{phrase.value}",
        on_click=apply_filters,
        args=(filters.without(phrase.name, phrase.value),),
    )


def _screen_reader_text(text: str) -> str:
    """Text for screen readers; page.css hides small text from the eye."""
    return f":small[{text}]"
