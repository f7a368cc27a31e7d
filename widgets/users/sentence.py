"""The chosen filters in a sentence, each removable, and the presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from data.states import FAILED, WAITING
from queries.filters import Filters, Part, in_words
from widgets.filters import show
from widgets.labels import plain_label

PRESETS: dict[str, tuple[Filters, str]] = {
    "Failed": (Filters(state=FAILED), "last_updated"),
    "Waiting longest": (Filters(state=WAITING), "last_updated"),
    "Unmatched": (Filters(match="unmatched"), "username_in_app"),
    "Active but deleted": (Filters(state=("Deleted",), active="yes"), "user"),
}
"""Views that people open every day: what they ask for, and the order."""


def _unseen(words: str) -> str:
    """Words for those who hear a label; page.css hides what is small from the eye."""
    return f":small[{words}]"


def offer_presets(filters: Filters) -> None:
    """The views of every day, one click each; the one that is shown is marked."""
    with st.container(horizontal=True, gap="small", key="presets"):
        for name, (wanted, sort) in PRESETS.items():
            shown = filters == replace(wanted, as_of=filters.as_of)
            st.button(
                f"{_unseen('Shown:')} {name}" if shown else name,
                key=f"preset_{name}",
                type="primary" if shown else "tertiary",
                on_click=show,
                args=(replace(wanted, as_of=filters.as_of),),
                kwargs={"sort": sort},
            )


def say_what_is_shown(filters: Filters, found: int, everything: int) -> None:
    """One sentence; each part of it is a button that removes it."""
    with st.container(horizontal=True, vertical_alignment="center", gap=None, key="sentence"):
        st.markdown(
            f"**{found:,}** accounts"
            if filters == filters.without_any()
            else f"**{found:,}** of {everything:,} accounts",
            width="content",
        )
        for part in in_words(filters):
            if part.lead not in ("", ","):  # the gap between two buttons is comma enough
                st.markdown(plain_label(part.lead), width="content")
            _removable(filters, part)
        if filters != filters.without_any():
            st.button(
                "Clear all",
                key="clear",
                type="tertiary",
                on_click=show,
                args=(filters.without_any(),),
            )


def _removable(filters: Filters, part: Part) -> None:
    st.button(
        f"{_unseen('Remove filter:')} {plain_label(part.words)}",
        key=f"remove_{part.name}_{part.value}",
        on_click=show,
        args=(filters.without(part.name, part.value),),
    )


def offer_less(filters: Filters, counts: Sequence[tuple[Part, int]]) -> None:
    """Where nothing is found: how many accounts there are without each part of what is asked."""
    with st.container(horizontal=True, gap="small", key="less"):
        for part, count in counts:
            noun = "account" if count == 1 else "accounts"
            st.button(
                f"Without {plain_label(part.words)}: {count:,} {noun}",
                key=f"less_{part.name}_{part.value}",
                on_click=show,
                args=(filters.without(part.name, part.value),),
            )
