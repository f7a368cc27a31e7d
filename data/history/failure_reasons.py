"""Why an account fails, in a word for many: texts that differ in names and numbers only are one."""

from __future__ import annotations

from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, func

from data.states import FAILED_STATES, NO_REASON

PLACEHOLDER = "…"
"""What stands in a template where texts differ."""


DATE_PATTERN = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
TIME_PATTERN = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?"

VARIABLE_PARTS: tuple[tuple[str, str], ...] = (
    (r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+", PLACEHOLDER),  # addresses of pages
    (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", PLACEHOLDER),  # and of mail
    ("\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|\u2018[^\u2019]*\u2019|«[^»]*»|`[^`]*`", PLACEHOLDER),
    (r"(^|[\s(:=,])'[^']*'", rf"\1{PLACEHOLDER}"),  # not the apostrophe of a word
    (rf"{DATE_PATTERN}([T ]{TIME_PATTERN})?|{TIME_PATTERN}", PLACEHOLDER),
    (r"(\w[\w.+/-]*)?\d([\w.:,+/-]*\w)?", PLACEHOLDER),  # numbers, and words with a digit: ids
    (rf"{PLACEHOLDER}([\s,;/]+{PLACEHOLDER})+", PLACEHOLDER),  # several of them: a list
)  # fmt: skip
"""What is taken out of a reason, in this order, and what comes in its place. Stores keep what came
of it: after a change here, raise LAYOUT in data/store.py."""


def reason_template(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text without what differs between accounts; an ellipsis stands where something was."""

    def replace_part(
        remaining_text: ColumnElement[Any], part: tuple[str, str]
    ) -> ColumnElement[Any]:
        pattern, replacement = part
        return func.regexp_replace(remaining_text, pattern, replacement, "g")

    return func.trim(reduce(replace_part, VARIABLE_PARTS, text))


def failure_reason(rows: FromClause) -> ColumnElement[Any]:
    """Why an account fails: its failure code, or the template of its reason; NULL: it does not.

    Worked out of texts when they are loaded: it takes too long for a million accounts at once.
    """
    columns = rows.c
    reason = func.coalesce(columns.failure_code, reason_template(columns.state_reason), NO_REASON)
    return case((columns.provisioning_state.in_(FAILED_STATES), reason))
