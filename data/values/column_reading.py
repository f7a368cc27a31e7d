"""Decisions that need a whole column: what separates roles, and whether the day comes first.

While a file is read, each row leaves a few bits, its marks. Their union over the file decides, so
neither the order of the rows nor their number matters.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func

from data.files.text import WHITESPACE
from data.values import times
from data.values.roles import BRACKETS, TEXT_LIST

SEPARATORS = (";", "\n", "|", ",")
"""The strongest first: a semicolon or a line break is hardly ever a part of a role's name."""
UNUSED_SEPARATORS = ("+", " / ", " ")
"""They join names as often as they separate them, so they are never taken for separators."""

SPACED_NAMES = r"\w*_\w*(?: \w*_\w*)+"
"""Names that hold no spaces themselves: `system_user system_admin`."""

LIST = rf"(?s)\s*(?:{TEXT_LIST}|\[\s*[\"'{{\[].*|\{{.*\}})\s*"

WITHOUT_OFFSET, DAY_LEADS, MONTH_LEADS, UNCLEAR_DATE = 1, 2, 4, 8
FIRST_SEPARATOR_MARK = 16
SEPARATOR_MARKS = {
    separator: FIRST_SEPARATOR_MARK << number
    for number, separator in enumerate((*SEPARATORS, *UNUSED_SEPARATORS))
}


class ColumnReading(NamedTuple):
    """How the texts of one file are read."""

    role_separator: str
    day_first: bool | None  # in 03/04/2026; None where no date of the column decides


def column_reading(marks: int) -> ColumnReading:
    """What the union of a file's marks decides."""
    separator = next((s for s in SEPARATORS if marks & SEPARATOR_MARKS[s]), SEPARATORS[-1])
    leads = marks & (DAY_LEADS | MONTH_LEADS)
    return ColumnReading(separator, {DAY_LEADS: True, MONTH_LEADS: False}.get(leads))


def reading_remarks(marks: int) -> list[str]:
    """Sentences on the decisions that a person could have taken in another way."""
    separator, day_first = column_reading(marks)
    others = [
        f"“{other.strip()}”".replace("“”", "spaces")
        for other, mark in SEPARATOR_MARKS.items()
        if marks & mark and other not in (separator, "\n")
    ]
    remarks = []
    if others:
        used = "line breaks" if separator == "\n" else f"“{separator}”"
        remarks.append(f"Roles are separated by {used}. Part of a name: {', '.join(others)}.")
    if marks & UNCLEAR_DATE and day_first is not None:
        first = "day" if day_first else "month"
        remarks.append(f"Dates such as 03/04/2026 start with the {first}, as other dates show.")
    return remarks


def row_marks(roles: ColumnElement[Any], last_updated: ColumnElement[Any]) -> ColumnElement[int]:
    """The marks of one row, from two of its texts."""
    return role_marks(roles) + time_marks(last_updated)


def role_marks(text: ColumnElement[Any]) -> ColumnElement[int]:
    """The mark of the strongest separator in a text, outside of lists and brackets."""
    has_brackets = sa.or_(*(func.contains(text, bracket) for bracket in ")]}"))
    return case(  # DuckDB evaluates CASE only as far as needed
        (text.is_(None), 0),
        (~has_brackets, _strongest_separator(text)),
        (func.regexp_full_match(text, LIST), 0),
        else_=_strongest_separator(func.regexp_replace(text, BRACKETS, "", "g")),
    )


def _strongest_separator(text: ColumnElement[Any]) -> ColumnElement[int]:
    trimmed = func.trim(text, WHITESPACE)  # a line break at the end separates nothing
    *signs, (space, space_mark) = SEPARATOR_MARKS.items()
    has_spaces = case((func.regexp_full_match(trimmed, SPACED_NAMES), space_mark), else_=0)
    return case(
        *(
            (func.contains(trimmed if separator == "\n" else text, separator), mark)
            for separator, mark in signs
        ),
        (func.contains(text, space), has_spaces),
        else_=0,
    )


def time_marks(text: ColumnElement[Any]) -> ColumnElement[int]:
    """The marks of a text that is a time: its order of day and month, and a missing offset."""
    trimmed = func.trim(text, WHITESPACE)
    order = case(
        (func.regexp_matches(trimmed, times.DAY_LEADS), DAY_LEADS),
        (func.regexp_matches(trimmed, times.MONTH_LEADS), MONTH_LEADS),
        (func.regexp_matches(trimmed, times.UNCLEAR_DATE), UNCLEAR_DATE),
        else_=0,
    )
    return case(
        (text.is_(None), 0),
        (func.suffix(text, "Z"), 0),  # the usual case, and the fastest
        else_=order + case((times.lacks_offset(trimmed), WITHOUT_OFFSET), else_=0),
    )
