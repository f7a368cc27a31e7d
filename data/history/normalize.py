"""Normalizes raw text: one SQL expression per tracked column.

It runs in DuckDB, on changed rows only. Text that cannot be read becomes *unknown* and is kept as a
flag; the account is loaded all the same. After a change here, run `rollcall rebuild`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.dialects.postgresql import array

from data.files.text import WHITESPACE, trim_or_null
from data.history.stage import json_object
from data.schema import RAW_COLUMNS, TRACKED_COLUMNS
from data.states import STATE_NAMES, UNRECOGNIZED
from data.store.dialect import LAMBDA_ITEM, sql_lambda

TRUE_TEXTS = ("true", "yes", "1", "1.0", "active", "y", "t", "on", "enabled")
FALSE_TEXTS = ("false", "no", "0", "0.0", "inactive", "n", "f", "off", "disabled", "deactivated")
REPORTED, NOT_REPORTED = "reported", ("inferred", "default")
"""Where a state comes from: the source reports it, it is inferred, or it is the default."""
UNKNOWN_TEXTS = ("unknown", "undefined", "null", "none", "nan", "nat", "n/a", "-", "?")

EARLIEST, LATEST = datetime(1900, 1, 1), datetime(10000 - 1, 12, 31, 23, 59, 59, 999999)
"""Times outside stand for an unknown time: `0001-01-01`, infinity."""
YEAR_FIRST = r"^\d{4}\D"
OFFSET_PATTERN = r"Z|UTC|GMT|[+-]\d\d:?\d\d"
LOOSE_TIME = rf"^(\d{{4}})[/-](\d\d)[/-](\d\d)[T ]([\d:]+)(?:[.,](\d+))? ?({OFFSET_PATTERN})?$"
"""Close to ISO 8601 and unambiguous: `2014/09/08 18:17:23 -0700`."""
TIME_WITHOUT_SECONDS = rf"^(\d{{4}}[/-]\d\d[/-]\d\d[T ]\d\d:\d\d)( ?(?:{OFFSET_PATTERN}))$"
"""ISO 8601 allows `2026-11-01T08:00Z`; DuckDB does not."""
BASIC_TIME = rf"^(\d{{4}})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)({OFFSET_PATTERN})?$"
"""ISO 8601 without punctuation: `20261123T060000Z`."""
WEEKDAY_PREFIX = r"^[A-Z][a-z]{2}, "
NAMED_MONTH_FORMATS = ("%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p", "%b %d, %Y", "%B %d, %Y")
"""As spreadsheets and admin consoles export: `Nov 23, 2026, 6:00:00 AM`."""
MONTH_FIRST = r"^[A-Z][a-z]{2,8} \d"
DAY_FIRST = r"^\d\d? [A-Z][a-z]{2} \d"
MAIL_TIME_FORMAT = "%d %b %Y %H:%M:%S %z"
"""As in emails and HTTP, without the weekday: `23 Nov 2026 06:00:00 +0000`."""
UNIX_TIME_UNITS = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}
"""Digits before the point → units per second, for times from 2001 to 2286. A number of another
length is a date without punctuation, or zero, and is flagged."""

NO_ROLES = sa.cast(array([]), sa.ARRAY(sa.String))

Value = ColumnElement[Any]
Cells = Mapping[str, Value]


def normalize(rows: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
    """One row per row of `rows`: TRACKED_COLUMNS in place of RAW_COLUMNS; other columns stay.

    Expressions that are used twice get a name in a subquery, as long SQL takes long to plan.
    """
    other_columns = [c.name for c in rows.c if c.name not in RAW_COLUMNS]
    trimmed = select(
        *(rows.c[name] for name in other_columns),
        *(trim_or_null(rows.c[name]).label(name) for name in RAW_COLUMNS if name != "attributes"),
        rows.c.attributes,
    ).subquery("trimmed")
    split = select(
        trimmed,
        _role_list(trimmed.c.roles).label("role_list"),
        _strip_semicolons(trimmed.c.roles).label("stripped_roles"),
        _after_bracket(trimmed.c.user_text).label("after_bracket"),
        _moment(trimmed.c.last_updated).label("parsed_time"),
    ).subquery("split")
    parsed = select(
        split,
        _role_names(split.c.role_list).label("role_names"),
        _state(split.c.provisioning_state).label("state"),
        _active(split.c.active_in_app).label("active"),
        _null_if_out_of_range(split.c.parsed_time).label("moment"),
    ).subquery("parsed")
    values = _tracked_values(dict(parsed.c.items()))
    columns = (*other_columns, *TRACKED_COLUMNS)
    return select(*(values[name].label(name) for name in columns))


def _tracked_values(cell: dict[str, Value]) -> dict[str, Value]:
    name, email = _user_name_and_email(cell)
    return cell | {
        "user_name": name,
        "user_email": email,
        "roles": _roles(cell["roles"], cell["stripped_roles"], cell["role_names"]),
        "role_details": _role_details(cell["role_list"]),
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


def _role_list(text: Value) -> Value:
    """The text as a JSON list, if it is one; a single object becomes a list of one."""
    text_without_nul = func.replace(text, "\\u0000", "\\ufffd")  # PostgreSQL has no NUL in texts
    return case(
        (func.starts_with(text, "["), sa.try_cast(text_without_nul, sa.JSON)),
        (func.starts_with(text, "{"), sa.try_cast("[" + text_without_nul + "]", sa.JSON)),
    )


def _strip_semicolons(text: Value) -> Value:
    is_stripped = and_(~func.starts_with(text, ";"), ~func.suffix(text, ";"))
    return case((is_stripped, text), else_=func.trim(text, WHITESPACE + ";"))


def _roles(text: Value, stripped: Value, json_names: Value) -> Value:
    """Role names, sorted, each once.

    In a JSON list each item is a role, or an object with its name. In plain text `;` separates
    roles, or `,` if there is no `;`: `Admin, EMEA` are two roles, `Admin, EMEA;` is one.
    `stripped`: the text without semicolons at its ends.
    """
    is_comma_separated = and_(~func.contains(text, ";"), func.contains(text, ","))
    may_be_blank = sa.or_(stripped == "", func.starts_with(stripped, ","))
    without_commas = func.trim(stripped, WHITESPACE + ",")
    has_spaces = func.regexp_matches(stripped, r";[\s;]|\s;")
    names = case(
        (json_names.is_not(None), json_names),
        (and_(may_be_blank, without_commas == ""), NO_ROLES),
        (is_comma_separated, func.string_split_regex(without_commas, r"\s*,[\s,]*")),
        (has_spaces, func.string_split_regex(stripped, r"\s*;[\s;]*")),
        else_=func.string_split(stripped, ";"),
    )
    return func.coalesce(func.list_sort(func.list_distinct(names)), NO_ROLES)


def role_items(text: Value) -> Value:
    """The roles in a cell, each as JSON: as the item of its list, else as a name."""
    trimmed = trim_or_null(text)
    role_list = _role_list(trimmed)
    names = _roles(trimmed, _strip_semicolons(trimmed), _role_names(role_list))
    items = func.list_transform(names, sql_lambda(sa.cast(func.to_json(LAMBDA_ITEM), sa.JSON)))
    return case((role_list.is_not(None), _list_items(role_list)), else_=items)


def _list_items(role_list: Value) -> Value:
    return func.json_extract(role_list, "$[*]")


def _role_names(role_list: Value) -> Value:
    """One name per item; NULL for an object without a name, and for a list."""
    kind = func.json_type(LAMBDA_ITEM)
    name = case(
        (kind == "OBJECT", func.json_extract_string(LAMBDA_ITEM, "$.name")),
        (kind != "ARRAY", func.json_extract_string(LAMBDA_ITEM, "$")),
    )
    names = func.list_transform(_list_items(role_list), sql_lambda(name))
    return func.list_transform(names, sql_lambda(trim_or_null(LAMBDA_ITEM)))


def _role_details(role_list: Value) -> Value:
    """The roles as one sorted JSON array, so that their order in the file makes no difference."""
    items = func.list_sort(_list_items(role_list))
    has_objects = func.list_contains(func.json_type(role_list, "$[*]"), "OBJECT")
    return case(
        (and_(role_list.is_not(None), has_objects), sa.cast(func.to_json(items), sa.String))
    )


def _has_unnamed_items(role_list: Value, role_names: Value) -> Value:
    """Whether an item of the list is not null, but has no name."""
    kinds = func.json_type(role_list, "$[*]")
    items = func.list_filter(kinds, sql_lambda(LAMBDA_ITEM != "NULL"))
    return and_(role_list.is_not(None), func.len(items) > func.list_count(role_names))


def _active(text: Value) -> Value:
    lower = func.lower(text)
    return case(
        (_is_one_of(TRUE_TEXTS, lower), sa.true()), (_is_one_of(FALSE_TEXTS, lower), sa.false())
    )


def _is_one_of(choices: Iterable[str], text: Value) -> Value:
    """Like IN, which DuckDB turns into a join that takes far longer to plan."""
    return func.list_contains(array(choices), text)


def _state(text: Value) -> Value:
    """The state of that name, in any case and with any separator."""
    spaced_text = func.regexp_replace(func.lower(text), r"[\s_\-]+", " ", "g")
    spellings = array([name.lower() for name in STATE_NAMES])
    state_name = func.list_extract(array(STATE_NAMES), func.list_position(spellings, spaced_text))
    return func.coalesce(state_name, UNRECOGNIZED.name)


def _state_source(text: Value) -> Value:
    """`inferred` or `default`; NULL where the source reports the state."""
    lower_text = func.lower(text)
    return case((_is_one_of(NOT_REPORTED, lower_text), lower_text))


def _moment(text: Value) -> Value:
    """Naive UTC. A text without an offset is UTC; a lone number is a Unix time.

    A numeric date that does not start with the year is not read: `03/04/2026` is ambiguous.
    """
    utc_time = sa.try_cast(text, sa.DateTime)
    zoned_time = func.coalesce(_iso_time(text), _mail_time(text), _unix_time(text))
    spaced_text = func.replace(text, "\u202f", " ")
    has_named_month = func.regexp_matches(spaced_text, MONTH_FIRST)
    named_month = func.try_strptime(spaced_text, array(NAMED_MONTH_FORMATS))
    other_time = func.coalesce(
        sa.cast(func.timezone("UTC", zoned_time), sa.DateTime), case((has_named_month, named_month))
    )
    is_utc_time = and_(func.suffix(text, "Z"), utc_time.is_not(None))
    return case((is_utc_time, utc_time), else_=other_time)  # the usual case, and the fastest


def _null_if_out_of_range(moment: Value) -> Value:
    return case((moment.between(EARLIEST, LATEST), moment))


def _iso_time(text: Value) -> Value:
    with_seconds = func.regexp_replace(func.upper(text), TIME_WITHOUT_SECONDS, r"\1:00\2")
    loose = func.regexp_replace(with_seconds, LOOSE_TIME, r"\1-\2-\3 \4.\5\6")
    basic = func.regexp_replace(text, BASIC_TIME, r"\1-\2-\3 \4:\5:\6\7")
    zoned = sa.TIMESTAMP(timezone=True)
    return func.coalesce(
        *(
            case((func.regexp_matches(spelling, YEAR_FIRST), sa.try_cast(spelling, zoned)))
            for spelling in (text, loose, basic)
        )
    )


def _mail_time(text: Value) -> Value:
    without_weekday = func.regexp_replace(text, WEEKDAY_PREFIX, "")
    with_numeric_offset = func.regexp_replace(without_weekday, " (?:GMT|UTC|Z)$", " +0000")
    is_mail = func.regexp_matches(without_weekday, DAY_FIRST)
    return case((is_mail, func.try_strptime(with_numeric_offset, MAIL_TIME_FORMAT)))


def _unix_time(text: Value) -> Value:
    number = sa.cast(text, sa.Float)
    return case(
        *(
            (func.regexp_full_match(text, rf"\d{{{n}}}(\.\d+)?"), func.to_timestamp(number / units))
            for n, units in UNIX_TIME_UNITS.items()
        )
    )


def _is_unknown_text(text: Value) -> Value:
    return _is_one_of(UNKNOWN_TEXTS, func.lower(text))


def _flags(cell: Cells) -> Value:
    """Column → the text in it that could not be read, as a JSON object; NULL if there is none."""
    unrecognized = {
        "provisioning_state": cell["state"] == UNRECOGNIZED.name,
        "state_source": ~_is_one_of((REPORTED, *NOT_REPORTED), func.lower(cell["state_source"])),
        "active_in_app": and_(cell["active"].is_(None), ~_is_unknown_text(cell["active_in_app"])),
        "last_updated": and_(cell["moment"].is_(None), ~_is_unknown_text(cell["last_updated"])),
        "roles": _has_unnamed_items(cell["role_list"], cell["role_names"]),
    }
    texts = {name: case((is_unread, cell[name])) for name, is_unread in unrecognized.items()}
    return case((sa.or_(*unrecognized.values()), func.nullif(json_object(texts), "{}")))
