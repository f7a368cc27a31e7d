"""Text in cells: white space, blanks, dates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func

WHITESPACE = " \t\r\n\u00a0"


INVISIBLE = WHITESPACE + "".join(
    map(
        chr,
        (
            *range(32),
            0x7F,
            0x85,
            0xAD,
            0x34F,
            0x61C,
            0x115F,
            0x1160,
            0x1680,
            0x17B4,
            0x17B5,
            *range(0x180B, 0x1810),
            *range(0x2000, 0x2010),
            *range(0x2028, 0x2030),
            *range(0x205F, 0x2070),
            0x2800,
            0x3000,
            0x3164,
            *range(0xFE00, 0xFE10),
            0xFEFF,
            0xFFA0,
        ),
    )
)
"""White space of all kinds, and what takes no place: a name of these alone is none."""


HAS_DATE = r"^(?:\d{4}[/-]\d\d?[/-]\d|\d{8}T\d{6}|[A-Z][a-z]{2,8} \d\d?, \d{4})"


HAS_OFFSET = r"(?:[Zz]|UTC|GMT|[A-Za-z]/[A-Za-z_/]+|[:T]\d[\d.,]* ?[+-]\d\d(?::?\d\d)?)\s*$"


def trim_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text without the white space around it; NULL where nothing is left."""
    is_trimmed = and_(
        _starts_with_visible_ascii(text), func.array_extract(text, -1).between("!", "~")
    )
    return case((is_trimmed, text), else_=func.nullif(func.trim(text, WHITESPACE), ""))


def visible_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text as `filled` gives it; NULL also where nobody would see anything of it."""
    trimmed = trim_or_null(text)
    return case(
        (_starts_with_visible_ascii(trimmed), trimmed),
        (func.trim(trimmed, INVISIBLE) != "", trimmed),
    )


def _starts_with_visible_ascii(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """As nearly all texts do. To ask is far cheaper than a trim."""
    return and_(text >= "!", text < "\x7f")


def lacks_offset(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the text is a time with a date that is taken for UTC for want of an offset."""
    is_without_offset = and_(
        func.regexp_matches(text, HAS_DATE), ~func.regexp_matches(text, HAS_OFFSET)
    )
    return case(  # of which DuckDB works out but what it needs; of AND, each part for every row
        (func.suffix(text, "Z"), false()),  # the usual, and fastest
        else_=func.coalesce(is_without_offset, false()),
    )
