"""Profiles the columns of a file: what kinds of values a sample of its rows has."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.util import ClauseAdapter

from data.files.headers import heading_key, names_a_fact
from data.files.other_rows import GROUP_WORDS, KIND_WORDS
from data.files.relation import FileRows
from data.files.text import PLACEHOLDERS, trim_or_null
from data.states import STATE_NAMES
from data.values.times import MONTH_NUMBERS, NEVER_SIGNED_IN
from data.values.words import NO, YES, without_accents, word_meaning

SAMPLE_ROWS = 1_000
SAMPLE_CELLS = 50_000
MAX_WORDS = 100
MAX_TEXT = 200  # characters of a cell that are looked at

EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")
GUID = re.compile(r"\{?[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\}?", re.IGNORECASE)
MONTHS = "|".join(MONTH_NUMBERS)
TIME = re.compile(
    r"\d{4}[-/.]\d\d?[-/.]\d\d?(?!\d).*|\d\d?[-/.]\d\d?[-/.]\d{2}(?:\d\d)?(?!\d).*"
    rf"|(?:[a-z]+,? )?(?:{MONTHS})\.? \d.*"
    rf"|(?:[a-z]+,? )?\d\d?(?:er|º|\.)?[ -](?:de )?(?:{MONTHS})\b.*\d.*"
    r"|\d{8}T\d{6}.*|\d{14}\.0Z|/Date\(.*|\d{4}年.*",
    re.IGNORECASE | re.DOTALL,
)
"""Dates and times in any spelling, without accents."""
DIGITS = re.compile(r"1\d{9}(?:\d{3}){0,3}(?:\.\d+)?|20\d{12}|13\d{16}")
"""Times without punctuation: Unix times from 2001 on, `20261120081405`, and those of Windows. IDs
can look so, too."""
LOGIN = re.compile(r"[a-z]{2,}(?:[._-][a-z]+)*\d{0,2}|[A-Z]{3,}\d{0,2}")
"""A short name as people sign in with: `mira.solberg`, `TBRANDT2`; no ID that a computer makes."""
NEVER = re.compile(NEVER_SIGNED_IN)
NUMBER = re.compile(r"[-+]?[$€£¥]? ?\d[\d.,]*(?: ?[%$€£¥])?")
LIST = re.compile(r".*[;\n].*|\[.*\]|\{.*\}|[^,]+(?:,[^,]+){2,}", re.DOTALL)

TRUTH_WORDS = frozenset(
    "true false yes no y n t f on off wahr falsch ja nein vrai faux oui non verdadero falso sí si"
    " verdadeiro sim não nao はい いいえ x ✓ ✔ ✗ ✘ ×".split()
)
"""Yes and no. Digits are not among them, as an ID can be 1, too."""
MARKS = TRUTH_WORDS | {*YES, *NO}
"""Texts that say whether a row has what the heading names."""
BLANK = {*PLACEHOLDERS, "nat"} - {"0"}
"""Texts that stand for nothing; 0 can be a no."""


def is_time(text: str) -> object:
    """Whether the text is a date or a time."""
    return TIME.fullmatch(without_accents(text))


STATE_KEYS = frozenset(map(heading_key, STATE_NAMES))

KINDS: dict[str, Callable[[str], object]] = {
    "email": EMAIL.fullmatch,
    "guid": GUID.fullmatch,
    "time": is_time,
    "digits": DIGITS.fullmatch,
    "number": NUMBER.fullmatch,
    "signed in": lambda text: (
        is_time(text) or DIGITS.fullmatch(text) or NEVER.fullmatch(text.lower())
    ),
    "login": LOGIN.fullmatch,
    "object": lambda text: text.startswith(('{"', "[{", '["')),
    "list": lambda text: LIST.fullmatch(text) and not GUID.fullmatch(text),  # `{0b1d5c1e-…}`
    "truth": lambda text: text.casefold() in TRUTH_WORDS,
    "mark": lambda text: text.casefold() in MARKS,
    "state": lambda text: heading_key(text) in STATE_KEYS,
    "status": lambda text: word_meaning("active_in_app", text) != "",
    "heading": names_a_fact,  # of a table on its side
    "group": lambda text: text.casefold().replace(" ", "_") in GROUP_WORDS,
    "kind": lambda text: text.casefold().replace(" ", "_") in KIND_WORDS,
    "spaced": lambda text: " " in text,
}
"""Kind → whether a text is of it. A text can be of several."""

LABELS = {
    "email": "email addresses",
    "guid": "GUIDs",
    "time": "dates or times",
    "state": "provisioning states",
    "mark": "yes and no",
    "status": "words for an account’s status",
    "number": "numbers",
    "list": "lists",
    "heading": "names of columns",
}
"""Kind → what a person reads; the first that most values are of."""


@dataclass(frozen=True)
class Profile:
    """The values of one column in the sample. Placeholders such as N/A count as blank."""

    rows: int
    filled: int
    distinct: int  # ignoring case
    kinds: Mapping[str, int]  # kind → filled cells

    def share(self, *kinds: str) -> float:
        """The largest share of filled cells that are of one of the kinds."""
        return max(self.kinds[kind] for kind in kinds) / self.filled if self.filled else 0.0

    def describe(self) -> str:
        """What a person reads: `email addresses, all different`."""
        if not self.filled:
            return "no values"
        kind = next((label for kind, label in LABELS.items() if self.share(kind) >= 0.8), "text")
        if self.distinct == self.filled > 1 and self.share("status", "state", "time") < 0.8:
            return f"{kind}, all different"
        return kind


def profile_columns(con: Connection, rows: FileRows) -> dict[str, Profile]:
    """Heading → profile, from one query over a sample that depends on no order.

    The sample has the rows with the lowest hashes; it is the whole file where that is small.
    """
    headings = sorted(rows.cells)
    records = select(rows.records).order_by(_row_hash(rows, headings))
    limit = min(SAMPLE_ROWS, max(50, SAMPLE_CELLS // max(1, len(headings))))
    sample = records.limit(limit).subquery("sample")
    adapt = ClauseAdapter(sample).traverse
    texts = [func.left(trim_or_null(adapt(rows.cells[h])), MAX_TEXT) for h in headings]
    cell = select(
        func.unnest(func.range(len(texts))).label("column"), func.unnest(array(texts)).label("text")
    )
    cell = cell.select_from(sample).subquery("cell")
    counts: list[Counter[str]] = [Counter() for _ in headings]
    row_count = 0
    counted = select(cell.c.column, cell.c.text, func.count()).group_by(*cell.c)
    for column, text, count in con.execute(counted):
        row_count += count if column == 0 else 0
        if text is not None and text.casefold() not in BLANK:
            counts[column][text] += count
    return {h: profile_of(texts, row_count) for h, texts in zip(headings, counts, strict=True)}


def profile_of(texts: Mapping[str, int], rows: int) -> Profile:
    """The profile of a column with these texts, each so many times."""
    kinds = {
        kind: sum(count for text, count in texts.items() if is_of_kind(text))
        for kind, is_of_kind in KINDS.items()
    }
    return Profile(rows, sum(texts.values()), len({text.casefold() for text in texts}), kinds)


def _row_hash(rows: FileRows, headings: list[str]) -> ColumnElement[Any]:
    """The same for a row wherever it and its columns are; JSON records are one column."""
    columns = [*rows.records.c]
    parts = columns if len(columns) == 1 else [rows.cells[h] for h in headings]
    return func.hash(*parts)


def count_words(con: Connection, rows: FileRows, heading: str) -> dict[str, int]:
    """Text → rows of the whole file, the most frequent first; at most MAX_WORDS."""
    text = trim_or_null(rows.cells[heading]).label("text")
    cell = select(text).select_from(rows.records).subquery("cell")
    counts = select(cell.c.text, func.count()).where(cell.c.text.is_not(None))
    ordered = counts.group_by(cell.c.text).order_by(func.count().desc(), cell.c.text)
    return {row[0]: row[1] for row in con.execute(ordered.limit(MAX_WORDS))}
