"""The values of filters in addresses: how they are parsed and written."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from queries.scope import parse_texts

Parse = Callable[[Sequence[str]], Any]
"""Values in an address → the filter's value; values that are not valid are left out."""
Serialize = Callable[[Any], list[str]]
"""The filter's value → its values in an address; none where the filter is not set."""


def parse_day(values: Sequence[str]) -> date | None:
    """The day in `2026-11-23`."""
    try:
        return datetime.strptime(next(iter(values), ""), "%Y-%m-%d").date()
    except ValueError:
        return None


def serialize_optional(value: Any) -> list[str]:
    """The value as text, if there is one."""
    return [str(value)] if value else []


def one_of(allowed: Sequence[str]) -> tuple[Parse, Serialize]:
    """How to parse and write one of these values, in any case."""
    keys = {value.casefold(): value for value in allowed}
    return (
        lambda values: next((keys[v.casefold()] for v in values if v.casefold() in keys), None),
        serialize_optional,
    )


TEXTS = parse_texts, list[str]
DAY = parse_day, serialize_optional
