"""Normalizes raw text: one SQL expression per tracked column.

It runs in DuckDB, on changed rows only. Text that cannot be read becomes *unknown* and is kept as a
flag; the account is loaded all the same. After a change here, run `rollcall rebuild`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.dialects.postgresql import array

from data.files.text import WHITESPACE, is_word, meaningful_or_null, person_or_null, trim_or_null
from data.history.stage import json_object
from data.schema import RAW_COLUMNS, TRACKED_COLUMNS
from data.states import STATE_NAMES, UNRECOGNIZED
from data.values.column_reading import ColumnReading
from data.values.roles import role_details, with_roles
from data.values.times import NEVER, with_moment
from data.values.words import activity, is_known_to_be_unknown

REPORTED, NOT_REPORTED = "reported", ("inferred", "default")
"""Where a state comes from: the source reports it, it is inferred, or it is the default."""
Value = ColumnElement[Any]
Cells = Mapping[str, Value]


def normalize(rows: sa.FromClause, reading: ColumnReading) -> sa.Select[*tuple[Any, ...]]:
    """One row per row of `rows`: TRACKED_COLUMNS in place of RAW_COLUMNS; other columns stay.

    Expressions that are used twice get a name in a subquery, as long SQL takes long to plan.
    """
    other_columns = [c.name for c in rows.c if c.name not in RAW_COLUMNS]
    texts = [name for name in RAW_COLUMNS if name != "attributes"]
    others = [*other_columns, "attributes"]
    trimmed = select(
        *(rows.c[name] for name in others), *(trim_or_null(rows.c[n]).label(n) for n in texts)
    ).subquery("trimmed")
    meaningful = select(
        *(trimmed.c[name] for name in others),
        *(_meaningful(name)(trimmed.c[name]).label(name) for name in texts),
    ).subquery("meaningful")
    timed = with_moment(meaningful, "last_updated", day_first=reading.day_first)
    split = with_roles(timed, reading.role_separator)
    parsed = select(
        split,
        _after_bracket(split.c.user_text).label("after_bracket"),
        _state(split.c.provisioning_state).label("state"),
        activity(split.c.active_in_app).label("active"),
    ).subquery("parsed")
    values = _tracked_values(dict(parsed.c.items()))
    columns = (*other_columns, *TRACKED_COLUMNS)
    return select(*(values[name].label(name) for name in columns))


def _meaningful(name: str) -> Callable[[Value], Value]:
    """How placeholders such as N/A are removed from a column."""
    if name in ("username_in_app", "active_in_app"):  # an account can be called none, and 0 is no
        return lambda text: text
    return person_or_null if name in ("user_text", "user_name") else meaningful_or_null


def _tracked_values(cell: dict[str, Value]) -> dict[str, Value]:
    name, email = _user_name_and_email(cell)
    return cell | {
        "user_name": name,
        "user_email": email,
        "roles": cell["role_names"],
        "role_details": role_details(cell["role_list"]),
        "active_in_app": cell["active"],
        "provisioning_state": cell["state"],
        "state_source": _state_source(cell["state_source"]),
        "last_updated": cell["moment"],
        "flags": _flags(cell),
    }


def _user_name_and_email(cell: Cells) -> tuple[Value, Value]:
    """User name and email, from their own columns, else from one `User` column.

    That is `Ada Lovelace <ada@x.io>`, an email or a name; angle brackets around anything else
    belong to the name.
    """
    text, after = cell["user_text"], cell["after_bracket"]
    is_email = and_(func.contains(text, "@"), ~func.regexp_matches(text, r"\s"))
    has_email_in_brackets = func.regexp_full_match(after, r"[^\s>]*@[^\s>]*>")
    email = case((has_email_in_brackets, func.rtrim(after, ">")), (is_email, text))
    before = func.left(text, func.len(text) - func.len(after) - 1)
    before = func.nullif(func.rtrim(before, WHITESPACE), "")
    name = case((email.is_(None), text), (func.suffix(text, ">"), before))
    return func.coalesce(cell["user_name"], name), func.coalesce(cell["user_email"], email)


def _after_bracket(text: Value) -> Value:
    return case((func.contains(text, "<"), func.list_extract(func.string_split(text, "<"), -1)))


def _state(text: Value) -> Value:
    """The state of that name, in any case and with any separator."""
    spaced_text = func.regexp_replace(func.lower(text), r"[\s_\-]+", " ", "g")
    spellings = array([name.lower() for name in STATE_NAMES])
    state_name = func.list_extract(array(STATE_NAMES), func.list_position(spellings, spaced_text))
    return func.coalesce(state_name, UNRECOGNIZED.name)


def _state_source(text: Value) -> Value:
    """`inferred` or `default`; NULL where the source reports the state."""
    lower_text = func.lower(text)
    return case((is_word(lower_text, NOT_REPORTED), lower_text))


def _flags(cell: Cells) -> Value:
    """Column → the text in it that could not be read, as a JSON object; NULL if there is none."""
    no_activity = ~is_known_to_be_unknown(cell["active_in_app"])
    no_moment = ~func.regexp_full_match(func.lower(cell["last_updated"]), NEVER)
    unrecognized = {  # DuckDB evaluates CASE only as far as needed, but every part of AND
        "provisioning_state": cell["state"] == UNRECOGNIZED.name,
        "state_source": ~is_word(func.lower(cell["state_source"]), (REPORTED, *NOT_REPORTED)),
        "active_in_app": case((cell["active"].is_(None), no_activity)),
        "last_updated": case((cell["moment"].is_(None), no_moment)),
        "roles": cell["has_unread_roles"],
    }
    texts = {name: case((is_unread, cell[name])) for name, is_unread in unrecognized.items()}
    return case((sa.or_(*unrecognized.values()), func.nullif(json_object(texts), "{}")))
