"""Failure reasons: texts that differ only in names and numbers count as one reason."""

from functools import reduce
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func

from data.states import FAILED_STATES, NO_REASON

PLACEHOLDER = "…"
"""Stands in a template for the parts that vary."""

DATE_PATTERN = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
TIME_PATTERN = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?"

VARIABLE_PARTS: tuple[tuple[str, str], ...] = (
    (r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+", PLACEHOLDER),  # URLs
    (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", PLACEHOLDER),  # email addresses
    ("\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|\u2018[^\u2019]*\u2019|«[^»]*»|`[^`]*`", PLACEHOLDER),
    (r"(^|[\s(:=,])'[^']*'", rf"\1{PLACEHOLDER}"),  # not an apostrophe
    (rf"{DATE_PATTERN}([T ]{TIME_PATTERN})?|{TIME_PATTERN}", PLACEHOLDER),
    (r"(\w[\w.+/-]*)?\d([\w.:,+/-]*\w)?", PLACEHOLDER),  # numbers, and words with a digit: IDs
    (rf"{PLACEHOLDER}([\s,;/]+{PLACEHOLDER})+", PLACEHOLDER),  # a list of placeholders
)  # fmt: skip
"""Pattern and replacement, in this order. The store keeps the result: after a change here, raise
SCHEMA_VERSION in data/store/engine.py."""


def reason_template(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text with a placeholder for each part that varies between accounts."""

    def replace_part(text: ColumnElement[Any], part: tuple[str, str]) -> ColumnElement[Any]:
        return func.regexp_replace(text, *part, "g")

    return func.trim(reduce(replace_part, VARIABLE_PARTS, text))


def failure_reason(rows: sa.FromClause) -> ColumnElement[Any]:
    """The failure code of a failed account, or the template of its reason; else NULL.

    Computed while loading: it takes too long for a million accounts at once.
    """
    c = rows.c
    reason = func.coalesce(c.failure_code, reason_template(c.state_reason), NO_REASON)
    return case((c.provisioning_state.in_(FAILED_STATES), reason))
