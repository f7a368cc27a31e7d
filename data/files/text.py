"""SQL for text in cells: white space, invisible characters, IDs, times without a time zone."""

from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func
from sqlalchemy.dialects.postgresql import array

from data.store.dialect import nfc

WHITESPACE = " \t\r\n\u00a0"

INVISIBLE_RANGES = (
    (0x00, 0x1F), (0x7F, 0x7F), (0x85, 0x85), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C),
    (0x115F, 0x1160), (0x1680, 0x1680), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2000, 0x200F),
    (0x2028, 0x202F), (0x205F, 0x206F), (0x2800, 0x2800), (0x3000, 0x3000), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
)  # fmt: skip
INVISIBLE = WHITESPACE + "".join(
    map(chr, chain.from_iterable(range(first, last + 1) for first, last in INVISIBLE_RANGES))
)
"""All kinds of white space, and characters without a glyph. A name of these alone is no name."""

NO_ID_TEXTS = (
    "n/a", "#n/a", "na", "null", "(null)", "none", "(none)", "nil", "nan", "undefined", "unknown",
    "-", "--", "–", "—", ".", "?", "0",
)  # fmt: skip
"""Texts in a column of IDs that say that there is none, in lower case."""

GUID = "________-____-____-____-____________"
"""The shape of a GUID as a pattern of LIKE, which takes a seventh of a regular expression."""

MANGLED_NUMBER = r"\d(?:[.,]\d+)?[eE]\+\d{2,3}"
"""A long number as a spreadsheet shows it: `1.12345E+17`. Its last digits are lost."""

HAS_DATE = r"^(?:\d{4}[/-]\d\d?[/-]\d|\d{8}T\d{6}|[A-Z][a-z]{2,8} \d\d?, \d{4})"
HAS_OFFSET = r"(?:[Zz]|UTC|GMT|[A-Za-z]/[A-Za-z_/]+|[:T]\d[\d.,]* ?[+-]\d\d(?::?\d\d)?)\s*$"


def trim_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text without white space around it; NULL where nothing is left."""
    is_trimmed = and_(
        _starts_with_visible_ascii(text), func.array_extract(text, -1).between("!", "~")
    )
    return case((is_trimmed, text), else_=func.nullif(func.trim(text, WHITESPACE), ""))


def visible_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text as `trim_or_null` gives it; NULL also where no character is visible."""
    trimmed = trim_or_null(text)
    return case(
        (_starts_with_visible_ascii(trimmed), trimmed),
        (func.trim(trimmed, INVISIBLE) != "", trimmed),
    )


def _starts_with_visible_ascii(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """True for nearly all texts, and far cheaper than a trim."""
    return and_(text >= "!", text < "\x7f")


def username_key(username: ColumnElement[Any]) -> ColumnElement[Any]:
    """What two usernames have in common if they are the same: composed, in lower case."""
    return nfc(func.lower(username))


def id_key(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """What two IDs have in common if they are the same.

    Other systems write GUIDs in any case, with and without braces; other IDs are case-sensitive.
    """
    return case(
        (text.like(GUID), func.lower(text)),
        (text.like(f"{{{GUID}}}"), func.lower(func.substr(text, 2, len(GUID)))),
        else_=nfc(text),
    )


def id_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The ID in a cell as `id_key` gives it; NULL where the cell says that there is none."""
    visible = visible_or_null(text)
    longest = max(map(len, NO_ID_TEXTS))
    says_nothing = and_(
        func.length(visible) <= longest,
        func.list_contains(array(NO_ID_TEXTS), func.lower(visible)),
    )
    return case((says_nothing, sa.null()), else_=id_key(visible))


def is_mangled(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a spreadsheet has rounded the number that the text was."""
    return case(
        (func.contains(text, "+"), func.regexp_full_match(text, MANGLED_NUMBER)), else_=sa.false()
    )


def lacks_offset(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the text is a time with a date but without a time zone, which is read as UTC."""
    is_without_offset = and_(
        func.regexp_matches(text, HAS_DATE), ~func.regexp_matches(text, HAS_OFFSET)
    )
    return case(  # DuckDB evaluates CASE only as far as needed, but every part of AND
        (func.suffix(text, "Z"), sa.false()),  # the usual case, and the fastest
        else_=func.coalesce(is_without_offset, sa.false()),
    )
