"""How a table is read: which heading is which column, and what the file's own words mean."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import streamlit as st

from data.files.headers import column_title
from data.files.mapping import ACTIVE_VALUES, JOINED_COLUMNS, MAPPABLE_COLUMNS, ColumnMapping
from data.files.proposal import Proposal
from data.files.relation import shorten
from data.formatting import count_of
from data.states import STATE_NAMES
from data.values.words import word_meaning
from widgets.labels import escape_label

NOT_IN_FILE = "Not in the file"
NOT_RECOGNIZED = "Not recognized"
POSSIBLE = "{column} could be {guess}. Check it before you load the file."
USERNAME_NEEDED = "Choose the column with the username in the app."
MORE_WORDS = "{count} with fewer rows not listed."
MAX_WORDS = 24

WORD_CHOICES = {"provisioning_state": STATE_NAMES, "active_in_app": ACTIVE_VALUES}
"""Column with words of the file's own → what they can mean."""

Words = Mapping[str, Mapping[str, int]]


def choose_mapping(
    proposal: Proposal, key: str, words_of: Callable[[ColumnMapping], Words]
) -> ColumnMapping | None:
    """The mapping to read the file with; None as long as it has no username.

    As long as a person changes nothing, the file is read as proposed. `words_of` counts the words
    in the columns that a person has chosen.
    """
    proposed, words = proposal.mapping, proposal.words
    is_unsure = bool(proposal.unsure or proposal.events)
    is_unsure = is_unsure or not proposed.columns.get("username_in_app")
    with st.expander("Map columns", expanded=is_unsure, key=f"mapping_{key}"):
        for name, guess in proposal.unsure.items():
            st.text(POSSIBLE.format(column=column_title(name), guess=guess.sentence()))
        chosen = _choose_headings(proposal, key)
    if "username_in_app" not in chosen:
        st.text(USERNAME_NEEDED)
        return None
    unmapped = {n: () for n in (*proposed.columns, *proposal.unsure) if n not in chosen}
    mapping = replace(proposed, columns=chosen | unmapped)
    if mapping.columns_with_headings() != proposed.columns_with_headings():
        words = words_of(mapping)
    states, active = _choose_meanings(mapping, words, key)
    return replace(mapping, states=states, active=active)


def is_same_reading(one: ColumnMapping, other: ColumnMapping) -> bool:
    """Whether two mappings read a file in the same way."""
    first, second = (
        (m.columns_with_headings(), m.ignores_ids, m.states, m.active, m.read_as, m.sheet)
        for m in (one, other)
    )
    return first == second


def _choose_headings(proposal: Proposal, key: str) -> dict[str, tuple[str, ...]]:
    """Column → the headings that a person chose; the proposed ones are chosen at first."""
    headings, proposed = proposal.headings, proposal.mapping.columns
    is_unreadable = not proposed.get("username_in_app")
    likely = {n: g.headings[:1] for n, g in proposal.unsure.items() if g.is_likely or is_unreadable}
    suggested = {**likely, **proposed}
    chosen: dict[str, tuple[str, ...]] = {}
    areas = [area for _ in range(0, len(MAPPABLE_COLUMNS), 3) for area in st.columns(3)]
    for name, area in zip(MAPPABLE_COLUMNS, areas, strict=False):
        label, area_key, picked = column_title(name), f"map_{name}_{key}", suggested.get(name, ())
        if name in JOINED_COLUMNS:
            picked = area.multiselect(
                label, headings, list(picked), key=area_key, placeholder=NOT_IN_FILE
            )
        else:
            options = [NOT_IN_FILE, *headings]
            index = options.index(picked[0]) if picked else 0
            picked = [area.selectbox(label, options, index, key=area_key)]
        if picked and picked != [NOT_IN_FILE]:
            chosen[name] = tuple(picked)
    if proposal.mapping.ignores_ids:
        chosen.setdefault("account_id", ())
    return chosen


def _choose_meanings(
    mapping: ColumnMapping, words: Words, key: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The state, and the activity, of each word that does not mean it by itself."""
    meanings = {"provisioning_state": dict(mapping.states), "active_in_app": dict(mapping.active)}
    listed = {name: words[name] for name in WORD_CHOICES if words.get(name)}
    is_open = any(
        not _meaning(name, word, meanings[name])
        for name, counts in listed.items()
        for word in counts
    )
    if listed:
        with st.expander("Values", expanded=is_open, key=f"values_{key}"):
            for name, counts in listed.items():
                _choose_words(name, counts, meanings[name], key)
    return meanings["provisioning_state"], meanings["active_in_app"]


def _choose_words(name: str, counts: Mapping[str, int], meanings: dict[str, str], key: str) -> None:
    """One choice per word, those first that are not recognized; changes `meanings`."""
    st.caption(column_title(name))
    words = sorted(counts, key=lambda word: bool(_meaning(name, word, meanings)))[:MAX_WORDS]
    areas = [area for _ in range(0, len(words), 3) for area in st.columns(3)]
    options: list[str] = [NOT_RECOGNIZED, *WORD_CHOICES[name]]
    for number, (word, area) in enumerate(zip(words, areas, strict=False)):
        meaning = _meaning(name, word, meanings)
        label = f"{escape_label(shorten(word))} · {count_of(counts[word], 'row')}"
        first = options.index(meaning or NOT_RECOGNIZED)
        choice = area.selectbox(label, options, index=first, key=f"word_{name}_{number}_{key}")
        if choice == NOT_RECOGNIZED:
            meanings.pop(word.casefold(), None)
        elif choice != meaning:
            meanings[word.casefold()] = choice
    if len(counts) > len(words):
        st.caption(MORE_WORDS.format(count=count_of(len(counts) - len(words), "value")))


def _meaning(name: str, word: str, meanings: Mapping[str, str]) -> str:
    return meanings.get(word.casefold()) or word_meaning(name, word)
