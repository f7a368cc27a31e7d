"""SQL for text in cells: white space, invisible characters, placeholders, IDs."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func

from data.store.dialect import nfc

WHITESPACE = " \t\r\n\u00a0\u200b\u200e\u200f\u2060\u3000\ufeff"
"""Some of it is invisible: it comes with texts that people copy from pages and messages."""

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

ZERO_GUID = "00000000-0000-0000-0000-000000000000"
PLACEHOLDERS = (
    *("n/a", "#n/a", "#na", "na", "n.a.", "n.a", "n. a.", "k.a.", "k. a.", "n/d"),
    *("null", "(null)", "<null>", "[null]", "none", "(none)", "<none>", "nil", "nan", "\\n"),
    *("undefined", "unknown", "not available", "not applicable", "(blank)", "(empty)"),
    *("#null!", "#ref!", "#value!", "#name?", "#div/0!", "#num!"),
    *("-", "--", "---", "–", "—", ".", "?", "??", "0", "[]", "{}", "''", '""'),
)
"""What exports write where they have no value, in lower case."""
NAMES_OF_PEOPLE = ("Null", "Nan", "Nil", "Na")
"""Placeholders in a spelling that only names of people have: an export writes NULL, NaN or nil."""

GUID = "________-____-____-____-____________"
"""The shape of a GUID as a pattern of LIKE, which takes a seventh of a regular expression."""

MANGLED_NUMBER = r"\d(?:[.,]\d+)?[eE]\+\d{2,3}"
"""A long number as a spreadsheet shows it: `1.12345E+17`. Its last digits are lost."""


def trim_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text without white space around it; NULL where nothing is left."""
    return case((_is_trimmed(text), text), else_=func.nullif(func.trim(text, WHITESPACE), ""))


def visible_or_null(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text as `trim_or_null` gives it; NULL also where no character is visible."""
    is_visible = func.trim(text, INVISIBLE) != ""
    return case((_is_trimmed(text), text), (is_visible, func.trim(text, WHITESPACE)))


def _is_trimmed(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the text begins and ends with visible ASCII: nearly always, and cheaper to see.

    What occurs often in a condition is repeated in the SQL: nested, it takes long to plan.
    """
    return and_(text >= "!", text < "\x7f", func.array_extract(text, -1).between("!", "~"))


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
    return case((_is_meaningful(visible), id_key(visible)))


def is_mangled(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a spreadsheet has rounded the number that the text was."""
    return case(
        (func.contains(text, "+"), func.regexp_full_match(text, MANGLED_NUMBER)), else_=sa.false()
    )


def meaningful_or_null(trimmed: ColumnElement[Any]) -> ColumnElement[Any]:
    """A text without white space around it; NULL for a placeholder such as N/A or NULL."""
    return case((_is_meaningful(trimmed), trimmed))


def _is_meaningful(trimmed: ColumnElement[Any]) -> ColumnElement[bool]:
    longest = max(len(word.encode()) for word in PLACEHOLDERS)
    return case(  # DuckDB evaluates CASE only as far as needed, and most texts are long
        (func.strlen(trimmed) > longest, trimmed != ZERO_GUID),
        else_=~is_word(func.lower(trimmed), PLACEHOLDERS),
    )


def person_or_null(trimmed: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same for the name of a person, who can be called Null."""
    return case((is_word(trimmed, NAMES_OF_PEOPLE), trimmed), else_=meaningful_or_null(trimmed))


def is_word(text: ColumnElement[Any], words: Iterable[str]) -> ColumnElement[bool]:
    """Like IN, which DuckDB turns into a join that takes far longer to plan."""
    return func.list_contains(text_list(words), text)


def text_list(texts: Iterable[str]) -> ColumnElement[Any]:
    """The texts as one list, and one parameter of SQL."""
    return sa.literal(list(texts), sa.ARRAY(sa.String))
