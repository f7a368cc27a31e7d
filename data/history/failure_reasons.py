"""Failure reasons: texts that differ only in names and numbers count as one reason."""

from functools import reduce
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, case, func, select

from data.states import NO_REASON
from data.store.dialect import regex_matches

PLACEHOLDER = "…"
"""Stands in a template for the parts that vary."""

DATE_PATTERN = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
TIME_PATTERN = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?"

PART_SEPARATOR = "\x1d"
"""Between the code and the template of a `failure_text`."""

SHORT_NUMBER = "^[0-9]{1,6}$"
"""Not taken for an ID: as in SCIM-409, it is the number of an error."""

SEPARATOR = "[^A-Za-z0-9_]"
"""What stands beside a word."""

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


def _own_names(rows: sa.FromClause) -> list[ColumnElement[Any]]:
    """The account's names and IDs, and the parts of its user name and of its email."""
    parts = [func.split_part(rows.c.user_name, " ", number) for number in (1, 2, 3)]
    email_name = func.split_part(rows.c.user_email, "@", 1)
    ids = (rows.c[name] for name in ("username_in_app", "account_id", "upstream_user_id"))
    return [
        *(rows.c.user_email, rows.c.user_name),
        *(case((~regex_matches(id_, SHORT_NUMBER), id_)) for id_ in ids),
        *(func.nullif(p, "") for p in (email_name, *parts)),
    ]


def without_names(text: ColumnElement[Any], rows: sa.FromClause) -> ColumnElement[Any]:
    """The text with a placeholder for the words that name the account, in any case.

    A pattern for each row takes long, so it is only for texts in which a name occurs.
    """
    names = _own_names(rows)
    occurs = (func.strpos(func.lower(text), func.lower(name)) > 0 for name in names)
    any_name = func.concat_ws("|", *map(_escape_regex, names))
    pattern = func.concat(
        f"(^|{SEPARATOR})(?:", any_name, f")(?:{SEPARATOR}+(?:", any_name, f"))*($|{SEPARATOR})"
    )
    replaced = func.regexp_replace(text, pattern, rf"\1{PLACEHOLDER}\2", "gi")
    return case((sa.or_(*occurs), replaced), else_=text)


def _escape_regex(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.regexp_replace(text, r"([\\.^$|?*+()\[\]{}])", r"\\\1", "g")


def with_failure_reason(rows: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    """Failed accounts with `failure_text`, their code and template, and `failure_reason`.

    Neither names the account itself, so that accounts share their texts, and the names of all
    others are sought in few. Computed while loading: it takes too long for a million accounts. Each
    step is a query of its own, because DuckDB repeats what occurs twice within a CASE.
    """
    template = reason_template(rows.c.state_reason).label("template")
    with_template = select(rows, template).subquery("with_template")
    code = without_names(with_template.c.failure_code, with_template)
    template = without_names(with_template.c.template, with_template)
    template = func.regexp_replace(template, *VARIABLE_PARTS[-1], "g")
    text = func.concat(code, PART_SEPARATOR, template).label("failure_text")
    columns = (with_template.c[column.name] for column in rows.c)
    with_text = select(*columns, text).subquery("with_text")
    parts = [func.split_part(with_text.c.failure_text, PART_SEPARATOR, n) for n in (1, 2)]
    reason = func.coalesce(*(func.nullif(part, "") for part in parts), NO_REASON)
    return select(with_text, reason.label("failure_reason"))
