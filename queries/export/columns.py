"""The columns that a list of accounts can have, on the page and in a file."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func

from data.files.headers import heading_key
from data.files.json import json_pointer
from data.files.own_list import COMPUTED_HEADINGS, LIST_HEADINGS, attribute_heading
from data.history.normalize import REPORTED
from data.schema import is_unmatched
from data.states import OPEN_STATES
from data.store.output import iso_text
from queries.scope import parse_texts
from queries.sign_ins import NEVER, NEVER_TEXT

ATTRIBUTE_PREFIX = "attributes/"
"""Starts the name of an attribute's column, as an attribute can be named like a column."""


class ListingColumn(NamedTuple):
    """A column of the list."""

    name: str  # in a snapshot file
    heading: str  # on the page
    width: int = 20  # in a spreadsheet, in characters

    @property
    def attribute(self) -> str | None:
        """The attribute that the column holds; None for any other column."""
        return attribute_of(self.name)


WIDTHS = {
    "user_name": 24,
    "user_email": 30,
    "username_in_app": 24,
    "roles": 40,
    "active_in_app": 12,
    "upstream_user_id": 24,
    "provisioning_state": 22,
    "state_source": 14,
    "state_reason": 40,
    "failure_code": 14,
    "last_updated": 22,
    "last_sign_in": 22,
    "account_id": 24,
    "note": 40,
}
"""Column → characters in a spreadsheet, where they are not 20."""

LISTING_COLUMNS: dict[str, ListingColumn] = {
    name: ListingColumn(name, heading, WIDTHS.get(name, 20))
    for name, heading in LIST_HEADINGS.items()
    if name not in ("role_details", "flags")
}
"""All columns to choose from. `attributes` stands for every further column of the snapshots."""

ALL_COLUMNS = tuple(name for name in LISTING_COLUMNS if name not in COMPUTED_HEADINGS)
"""The columns of a list for which none are chosen: it loads as the same accounts."""

TIME_COLUMNS = ("last_updated", "last_sign_in", "state_since", "open_since")
"""The columns with times in UTC."""


class UnknownColumns(ValueError):
    """The request names a column that the list does not have."""


def attribute_of(name: str) -> str | None:
    """`attributes/Department` → `Department`; None for any other column."""
    return name.removeprefix(ATTRIBUTE_PREFIX) if name.startswith(ATTRIBUTE_PREFIX) else None


def column_of(name: str) -> ListingColumn:
    """The column of this name. Raises KeyError."""
    attribute = attribute_of(name)
    if attribute is None:
        return LISTING_COLUMNS[name]
    return ListingColumn(name, attribute_heading(attribute))


NAMES_BY_KEY = {
    heading_key(word): c.name for c in LISTING_COLUMNS.values() for word in (c.heading, c.name)
}


def split_columns(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """The names of the columns in texts such as `user_email,App access`, and what is no column.

    Accepts names and headings, ignoring case, spaces, underscores and dashes, in order, each once;
    attributes by their exact names, as `attributes/Department`. A name with a comma is in quotes.
    """
    names: dict[str, None] = {}
    unknown: list[str] = []
    for word in filter(None, (word.strip() for text in texts for word in _words(text))):
        name = word if attribute_of(word) else NAMES_BY_KEY.get(heading_key(word))
        names |= {name: None} if name else {}
        unknown += [] if name else [word]
    return list(names), unknown


def parse_columns(texts: Iterable[str]) -> tuple[str, ...]:
    """The names of the columns in texts. Raises UnknownColumns."""
    names, unknown = split_columns(texts)
    if unknown:
        raise UnknownColumns(
            f"No such column: {', '.join(unknown)}. Known: {', '.join(LISTING_COLUMNS)}, and "
            f"attributes as {ATTRIBUTE_PREFIX}NAME."
        )
    return tuple(names)


def columns_text(names: Iterable[str]) -> str:
    """The names as one text, from which `split_columns` gives the same names."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def _words(text: str) -> list[str]:
    try:
        return next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error:  # a line break outside of quotes, or a very long text
        return text.split(",")


# ---- values --------------------------------------------------------------------------------------

COMPUTED: dict[str, Callable[[sa.FromClause], ColumnElement[object]]] = {
    # the store keeps no source where it is the usual one
    "state_source": lambda rows: func.coalesce(rows.c.state_source, REPORTED),
    "state_since": lambda rows: sa.cast(rows.c.state_since, sa.DateTime),
    "open_since": lambda rows: case(
        (rows.c.provisioning_state.in_(OPEN_STATES), sa.cast(rows.c.attempt_since, sa.DateTime))
    ),
    # a column of times cannot hold `Never`
    "stretches": lambda rows: (
        rows.c.stretches if "stretches" in rows.c else sa.cast(sa.null(), sa.String)
    ),
    "last_sign_in": lambda rows: case(
        (rows.c.last_sign_in == NEVER, NEVER_TEXT), else_=iso_text(rows.c.last_sign_in)
    ),
    "role_count": lambda rows: func.coalesce(func.array_length(rows.c.roles, 1), 0),
}
"""Column → its value from a row of accounts, where that is no column of the row."""


EMPTIABLE_COLUMNS = (
    "user_name",
    "user_email",
    "roles",
    "active_in_app",
    "upstream_user_id",
    "last_updated",
    "open_since",
    "state_reason",
    "failure_code",
)
"""The columns that can be empty, beside one for each attribute."""


def parse_emptiable(values: Sequence[str]) -> tuple[str, ...]:
    """The columns of an address that can be empty; anything else is left out."""
    names, _ = split_columns(parse_texts(values))
    return tuple(name for name in names if name in EMPTIABLE_COLUMNS or attribute_of(name))


def serialize_columns(names: Sequence[str]) -> list[str]:
    """The same columns as values of an address."""
    return [columns_text([name]) for name in names]


def column_text(value: str) -> str:
    """A column as an address has it → its heading."""
    return " ".join(column_of(name).heading for name in split_columns([value])[0])


def has_empty_column(rows: sa.FromClause, names: Sequence[str]) -> ColumnElement[bool]:
    """Whether any of the columns is empty."""
    return sa.or_(*(is_empty(rows, name) for name in names))


def has_filled_column(rows: sa.FromClause, names: Sequence[str]) -> ColumnElement[bool]:
    """Whether any of the columns has a value."""
    return sa.or_(*(~is_empty(rows, name) for name in names))


def is_empty(rows: sa.FromClause, name: str) -> ColumnElement[bool]:
    """Whether the table shows nothing in a column; User is empty for an unmatched account."""
    if name == "user_name":
        return is_unmatched(rows)
    if name == "roles":
        return column_value(rows, "role_count") == 0
    return func.coalesce(sa.cast(column_value(rows, name), sa.String), "") == ""


def column_value(rows: sa.FromClause, name: str) -> ColumnElement[object]:
    """The value of a column for a row of accounts: times are naive UTC, roles lists of names."""
    if attribute := attribute_of(name):
        return func.json_extract_string(rows.c.attributes, json_pointer(attribute))
    return COMPUTED[name](rows) if name in COMPUTED else rows.c[name]
