"""Why an account fails, in a word for many: texts that differ in names and numbers only are one."""

from __future__ import annotations

from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, func

from data.states import FAILED, NO_REASON

GAP = "…"
"""What stands in a template where texts differ."""


DAY = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?"

DIFFER: tuple[tuple[str, str], ...] = (
    (r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+", GAP),  # addresses of pages
    (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", GAP),  # and of mail
    ("\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|\u2018[^\u2019]*\u2019|«[^»]*»|`[^`]*`", GAP),
    (r"(^|[\s(:=,])'[^']*'", rf"\1{GAP}"),  # not the apostrophe of a word
    (rf"{DAY}([T ]{CLOCK})?|{CLOCK}", GAP),
    (r"(\w[\w.+/-]*)?\d([\w.:,+/-]*\w)?", GAP),  # numbers, and words with a digit: ids
    (rf"{GAP}([\s,;/]+{GAP})+", GAP),  # several of them: a list
)  # fmt: skip
"""What is taken out of a reason, in this order, and what comes in its place. Stores keep what came
of it: after a change here, raise LAYOUT in data/store.py."""


def template(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text without what differs between accounts; an ellipsis stands where something was."""

    def without(left: ColumnElement[Any], differ: tuple[str, str]) -> ColumnElement[Any]:
        pattern, replacement = differ
        return func.regexp_replace(left, pattern, replacement, "g")

    return func.trim(reduce(without, DIFFER, text))


def reason_of(rows: FromClause) -> ColumnElement[Any]:
    """Why an account fails: its failure code, or the template of its reason; NULL: it does not.

    Worked out of texts when they are loaded: it takes too long for a million accounts at once.
    """
    c = rows.c
    why = func.coalesce(c.failure_code, template(c.state_reason), NO_REASON)
    return case((c.provisioning_state.in_(FAILED), why))
