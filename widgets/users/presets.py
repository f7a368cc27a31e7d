"""The presets, and the filters to remove from an empty list."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st
from sqlalchemy import Connection

from data.formatting import count_of
from data.states import FAILED_STATES, OPEN_STATES
from queries.filter_sentence import FilterPhrase, filter_sentence
from queries.filters import Filters
from queries.users.accounts import count_accounts
from widgets.account_row import DELETED_BUT_ACTIVE
from widgets.filters import apply_filters
from widgets.labels import escape_label, screen_reader_text

PRESETS: dict[str, tuple[Filters, str]] = {
    "Failed": (Filters(state=FAILED_STATES), "last_updated"),
    "Longest open": (Filters(state=OPEN_STATES), "last_updated"),
    "Unmatched": (Filters(match="unmatched"), "username_in_app"),
    DELETED_BUT_ACTIVE: (Filters(state=("Deleted",), active="yes"), "user"),
}
"""Everyday views: their filters and their order."""


def preset_counts(con: Connection, filters: Filters) -> dict[str, int]:
    """The accounts of each preset now, counted once after a load. The past has none: it is slow."""
    if filters.moment:
        return {}
    return {name: count_accounts(con, preset) for name, (preset, _) in PRESETS.items()}


def show_presets(filters: Filters, counts: Mapping[str, int]) -> None:
    """One button per preset with its count; the one that is shown is marked."""
    with st.container(horizontal=True, gap="small", key="presets"):
        for name, (preset, sort) in PRESETS.items():
            preset_filters = replace(preset, as_of=filters.as_of, during=filters.during)
            is_active = filters == preset_filters
            label = f"{name} **{counts[name]:,}**" if name in counts else name
            st.button(
                f"{screen_reader_text('Shown:')} {label}" if is_active else label,
                key=f"preset_{name}",
                type="primary" if is_active else "tertiary",
                on_click=apply_filters,
                args=(preset_filters,),
                kwargs={"sort": sort},
            )


def suggest_fewer_filters(filters: Filters, counts: Sequence[tuple[FilterPhrase, int]]) -> None:
    """For an empty list: how many accounts there are without each part of the filters."""
    with st.container(horizontal=True, gap="small", key="suggestions"):
        for phrase, count in counts:
            st.button(
                f"Remove {escape_label(phrase.text)} ({count_of(count, 'account')})",
                key=f"suggest_{phrase.name}_{phrase.value}",
                on_click=apply_filters,
                args=(filters.without(phrase.name, phrase.value),),
            )


def filter_facts(filters: Filters, count: int, total: int) -> list[str]:
    """What the list shows, in words, for paper."""
    is_filtered = filters != filters.cleared()
    accounts = f"{count:,} of {total:,} accounts" if is_filtered else f"{count:,} accounts"
    period = [f"At any time {filters.during.text()}"] if filters.during else []
    return [accounts, filter_sentence(filters), *period]
