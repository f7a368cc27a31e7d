"""The filters of accounts as a sentence, and the parameters of an address that are none."""

from __future__ import annotations

from typing import NamedTuple

from queries.during import EXCLUDED_BY_PERIOD
from queries.filters import FILTERS, PARAMS, Filters
from queries.scope import Params


class FilterPhrase(NamedTuple):
    """One part of the sentence: a value of a filter, as the address has it, and its text."""

    conjunction: str
    name: str
    value: str
    text: str


def filter_phrases(filters: Filters) -> list[FilterPhrase]:
    """The filters as a sentence, part by part: “Update failed in Figma or Slack”."""
    phrases: list[FilterPhrase] = []
    for filter_ in FILTERS:
        starts_sentence = filter_.conjunction == "," and not phrases
        conjunction = "" if starts_sentence else filter_.conjunction
        for value in filters.values(filter_.name):
            text = filter_.value_text(value)
            phrases.append(FilterPhrase(conjunction, filter_.name, value, text))
            conjunction = "or"
    return phrases


def filter_sentence(filters: Filters) -> str:
    """The filters in words: `Update failed in figma or slack, active`; empty without any."""
    phrases = [
        f"{'' if phrase.conjunction == ',' else ' '}{phrase.conjunction} {phrase.text}"
        for phrase in filter_phrases(filters)
    ]
    return "".join(phrases).strip()


def ignored_params(params: Params, filters: Filters) -> list[tuple[str, str]]:
    """The parameters of an address that its filters leave out: (name, value)."""
    applied_params = {(name, value.casefold()) for name, value in filters.params()}

    def is_applied(name: str, value: str) -> bool:
        alone = Filters.from_params({name: [value]}).params()
        return bool(alone) and {(name, value.casefold()) for name, value in alone} <= applied_params

    return [
        (name, value)
        for name in PARAMS
        for value in params.get(name, ())
        if value.strip() and not is_applied(name, value)
        if not (filters.during and name in EXCLUDED_BY_PERIOD)
    ]


def excluded_params(params: Params, filters: Filters) -> list[str]:
    """The labels of the parameters of an address that its period excludes."""
    excluded = EXCLUDED_BY_PERIOD if filters.during else {}
    return [label for name, label in excluded.items() if any(params.get(name, ()))]
