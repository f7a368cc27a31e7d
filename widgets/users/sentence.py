"""The chosen filters in a sentence, each removable, and the presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

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
"""Views that people open every day: what they ask for, and the order."""


def _screen_reader_text(text: str) -> str:
    """Words for those who hear a label; page.css hides what is small from the eye."""
    return f":small[{text}]"


def show_presets(filters: Filters) -> None:
    """The views of every day, one click each; the one that is shown is marked."""
    with st.container(horizontal=True, gap="small", key="presets"):
        for name, (preset, sort) in PRESETS.items():
            is_active = filters == replace(preset, as_of=filters.as_of)
            st.button(
                f"{_screen_reader_text('Shown:')} {name}" if is_active else name,
                key=f"preset_{name}",
                type="primary" if is_active else "tertiary",
                on_click=apply_filters,
                args=(replace(preset, as_of=filters.as_of),),
                kwargs={"sort": sort},
            )


def show_filter_summary(filters: Filters, count: int, total: int) -> None:
    """One sentence; each part of it is a button that removes it."""
    with st.container(horizontal=True, vertical_alignment="center", gap=None, key="sentence"):
        st.markdown(
            f"**{count:,}** accounts"
            if filters == filters.cleared()
            else f"**{count:,}** of {total:,} accounts",
            width="content",
        )
        for part in filter_phrases(filters):
            if part.conjunction not in ("", ","):  # the gap between two buttons is comma enough
                st.markdown(escape_label(part.conjunction), width="content")
            _show_remove_button(filters, part)
        if filters != filters.cleared():
            st.button(
                "Clear all",
                key="clear",
                type="tertiary",
                on_click=apply_filters,
                args=(filters.cleared(),),
            )


def _show_remove_button(filters: Filters, part: FilterPhrase) -> None:
    st.button(
        f"{_screen_reader_text('Remove filter:')} {escape_label(part.text)}",
        key=f"remove_{part.name}_{part.value}",
        on_click=apply_filters,
        args=(filters.without(part.name, part.value),),
    )


def suggest_fewer_filters(filters: Filters, counts: Sequence[tuple[FilterPhrase, int]]) -> None:
    """Where nothing is found: how many accounts there are without each part of what is asked."""
    with st.container(horizontal=True, gap="small", key="less"):
        for part, count in counts:
            noun = "account" if count == 1 else "accounts"
            st.button(
                f"Without {escape_label(part.text)}: {count:,} {noun}",
                key=f"less_{part.name}_{part.value}",
                on_click=apply_filters,
                args=(filters.without(part.name, part.value),),
            )
