"""Normalizes raw text: one SQL expression per tracked column.

It runs in DuckDB, on changed rows only. Text that cannot be read becomes *unknown* and is kept as a
flag; the account is loaded all the same. After a change here, run `rollcall rebuild`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    TIMESTAMP,
    ColumnElement,
    DateTime,
    Float,
    FromClause,
    Select,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    true,
    try_cast,
)
from sqlalchemy.dialects.postgresql import array

from data.files.text import WHITESPACE, trim_or_null
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

NO_ROLES = cast(array([]), ARRAY(String))

Cells = Mapping[str, ColumnElement[Any]]


def normalize(rows: FromClause) -> Select[*tuple[Any, ...]]:
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
    normalized = _content_columns(dict(parsed.c.items()))
    columns: list[Any] = [
        *(parsed.c[n] for n in other_columns),
        *(normalized[n].label(n) for n in TRACKED_COLUMNS),
    ]
    return select(*columns)


def _content_columns(cell: Cells) -> dict[str, ColumnElement[Any]]:
    name, email = _user_name_and_email(cell)
    return {
        "username_in_app": cell["username_in_app"],
        "user_name": name,
        "user_email": email,
        "roles": _roles(cell["roles"], cell["stripped_roles"], cell["role_names"]),
        "role_details": _role_details(cell["role_list"]),
        "active_in_app": cell["active"],
        "upstream_user_id": cell["upstream_user_id"],
        "provisioning_state": cell["state"],
        "state_source": _state_source(cell["state_source"]),
        "state_reason": cell["state_reason"],
        "failure_code": cell["failure_code"],
        "last_updated": cell["moment"],
        "attributes": cell["attributes"],
        "flags": _flags(cell),
    }


def _user_name_and_email(cell: Cells) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """User name and email, from their own columns, else from one `User` column.

    That is `Ada Lovelace <ada@x.io>`, an email or a name; angle brackets around anything else
    belong to the name.
    """
    user_text = cell["user_text"]
    after_bracket = cell["after_bracket"]
    is_email = and_(func.contains(user_text, "@"), ~func.regexp_matches(user_text, r"\s"))
    email = case(
        (
            func.regexp_full_match(after_bracket, r"[^\s>]*@[^\s>]*>"),
            func.rtrim(after_bracket, ">"),
        ),
        (is_email, user_text),
    )
    before_bracket = func.rtrim(
        func.left(user_text, func.len(user_text) - func.len(after_bracket) - 1), WHITESPACE
    )
    name = case(
        (email.is_(None), user_text), (func.suffix(user_text, ">"), func.nullif(before_bracket, ""))
    )
    return func.coalesce(cell["user_name"], name), func.coalesce(cell["user_email"], email)


def _after_bracket(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((func.contains(text, "<"), func.list_extract(func.string_split(text, "<"), -1)))


def _role_list(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text as a JSON list, if it is one; a single object becomes a list of one."""
    text_without_nul = func.replace(text, "\\u0000", "\\ufffd")  # PostgreSQL has no NUL in texts
    return case(
        (func.starts_with(text, "["), try_cast(text_without_nul, JSON)),
        (func.starts_with(text, "{"), try_cast("[" + text_without_nul + "]", JSON)),
    )


def _strip_semicolons(text: ColumnElement[Any]) -> ColumnElement[Any]:
    is_stripped = and_(~func.starts_with(text, ";"), ~func.suffix(text, ";"))
    return case((is_stripped, text), else_=func.trim(text, WHITESPACE + ";"))


def _roles(
    text: ColumnElement[Any], stripped: ColumnElement[Any], json_names: ColumnElement[Any]
) -> ColumnElement[Any]:
    """Role names, sorted, each once.

    In a JSON list each item is a role, or an object with its name. In plain text `;` separates
    roles, or `,` if there is no `;`: `Admin, EMEA` are two roles, `Admin, EMEA;` is one.
    `stripped`: the text without semicolons at its ends.
    """
    is_comma_separated = and_(~func.contains(text, ";"), func.contains(text, ","))
    may_be_blank = or_(stripped == "", func.starts_with(stripped, ","))
    names = case(
        (json_names.is_not(None), json_names),
        (and_(may_be_blank, func.trim(stripped, WHITESPACE + ",") == ""), NO_ROLES),
        (
            is_comma_separated,
            func.string_split_regex(func.trim(stripped, WHITESPACE + ","), r"\s*,[\s,]*"),
        ),
        (
            func.regexp_matches(stripped, r";[\s;]|\s;"),
            func.string_split_regex(stripped, r"\s*;[\s;]*"),
        ),
        else_=func.string_split(stripped, ";"),
    )
    return func.coalesce(func.list_sort(func.list_distinct(names)), NO_ROLES)


def _list_items(role_list: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.json_extract(role_list, "$[*]")


def _role_names(role_list: ColumnElement[Any]) -> ColumnElement[Any]:
    """One name per item; NULL for an object without a name, and for a list."""
    kind = func.json_type(LAMBDA_ITEM)
    name = case(
        (kind == "OBJECT", func.json_extract_string(LAMBDA_ITEM, "$.name")),
        (kind != "ARRAY", func.json_extract_string(LAMBDA_ITEM, "$")),
    )
    names = func.list_transform(_list_items(role_list), sql_lambda(name))
    return func.list_transform(names, sql_lambda(trim_or_null(LAMBDA_ITEM)))


def _role_details(role_list: ColumnElement[Any]) -> ColumnElement[Any]:
    """The roles as one sorted JSON array, so that their order in the file makes no difference."""
    items = func.list_sort(_list_items(role_list))
    return case((_has_objects(role_list), cast(func.to_json(items), String)))


def _has_objects(role_list: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(
        role_list.is_not(None), func.list_contains(func.json_type(role_list, "$[*]"), "OBJECT")
    )


def _has_unnamed_items(
    role_list: ColumnElement[Any], role_names: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether an item of the list is not null, but has no name."""
    item_count = func.len(
        func.list_filter(func.json_type(role_list, "$[*]"), sql_lambda(LAMBDA_ITEM != "NULL"))
    )
    return and_(role_list.is_not(None), item_count > func.list_count(role_names))


def _active(text: ColumnElement[Any]) -> ColumnElement[Any]:
    lower_text = func.lower(text)
    return case(
        (_is_one_of(TRUE_TEXTS, lower_text), true()), (_is_one_of(FALSE_TEXTS, lower_text), false())
    )


def _is_one_of(choices: Iterable[str], text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Like IN, which DuckDB turns into a join that takes far longer to plan."""
    return func.list_contains(array(choices), text)


def _state(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The state of that name, in any case and with any separator."""
    spaced_text = func.regexp_replace(func.lower(text), r"[\s_\-]+", " ", "g")
    spellings = array([name.lower() for name in STATE_NAMES])
    state_name = func.list_extract(array(STATE_NAMES), func.list_position(spellings, spaced_text))
    return func.coalesce(state_name, UNRECOGNIZED.name)


def _state_source(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """`inferred` or `default`; NULL where the source reports the state."""
    lower_text = func.lower(text)
    return case((_is_one_of(NOT_REPORTED, lower_text), lower_text))


def _moment(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Naive UTC. A text without an offset is UTC; a lone number is a Unix time.

    A numeric date that does not start with the year is not read: `03/04/2026` is ambiguous.
    """
    utc_time = try_cast(text, DateTime)
    zoned_time = func.coalesce(_iso_time(text), _mail_time(text), _unix_time(text))
    spaced_text = func.replace(text, "\u202f", " ")
    has_named_month = func.regexp_matches(spaced_text, MONTH_FIRST)
    named_month_time = case(
        (has_named_month, func.try_strptime(spaced_text, array(NAMED_MONTH_FORMATS)))
    )
    other_time = func.coalesce(cast(func.timezone("UTC", zoned_time), DateTime), named_month_time)
    is_utc_time = and_(func.suffix(text, "Z"), utc_time.is_not(None))
    return case((is_utc_time, utc_time), else_=other_time)  # the usual case, and the fastest


def _null_if_out_of_range(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((moment.between(EARLIEST, LATEST), moment))


def _iso_time(text: ColumnElement[Any]) -> ColumnElement[Any]:
    with_seconds = func.regexp_replace(func.upper(text), TIME_WITHOUT_SECONDS, r"\1:00\2")
    loose = func.regexp_replace(with_seconds, LOOSE_TIME, r"\1-\2-\3 \4.\5\6")
    basic = func.regexp_replace(text, BASIC_TIME, r"\1-\2-\3 \4:\5:\6\7")
    spellings = [text, loose, basic]
    return func.coalesce(
        *(
            case(
                (
                    func.regexp_matches(spelling, YEAR_FIRST),
                    try_cast(spelling, TIMESTAMP(timezone=True)),
                )
            )
            for spelling in spellings
        )
    )


def _mail_time(text: ColumnElement[Any]) -> ColumnElement[Any]:
    without_weekday = func.regexp_replace(text, WEEKDAY_PREFIX, "")
    with_numeric_offset = func.regexp_replace(without_weekday, " (?:GMT|UTC|Z)$", " +0000")
    is_mail = func.regexp_matches(without_weekday, DAY_FIRST)
    return case((is_mail, func.try_strptime(with_numeric_offset, MAIL_TIME_FORMAT)))


def _unix_time(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case(
        *(
            (
                func.regexp_full_match(text, rf"\d{{{digits}}}(\.\d+)?"),
                func.to_timestamp(cast(text, Float) / units),
            )
            for digits, units in UNIX_TIME_UNITS.items()
        )
    )


def _is_unknown_text(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return _is_one_of(UNKNOWN_TEXTS, func.lower(text))


def _flags(cell: Cells) -> ColumnElement[Any]:
    """Column → the text in it that could not be read, as a JSON object; NULL if there is none."""
    unrecognized = {
        "provisioning_state": cell["state"] == UNRECOGNIZED.name,
        "state_source": ~_is_one_of((REPORTED, *NOT_REPORTED), func.lower(cell["state_source"])),
        "active_in_app": and_(cell["active"].is_(None), ~_is_unknown_text(cell["active_in_app"])),
        "last_updated": and_(cell["moment"].is_(None), ~_is_unknown_text(cell["last_updated"])),
        "roles": _has_unnamed_items(cell["role_list"], cell["role_names"]),
    }
    pairs = [
        part
        for name, is_unrecognized in unrecognized.items()
        for part in (literal(name), case((is_unrecognized, cell[name])))
    ]
    flag_object = func.json_merge_patch("{}", func.json_object(*pairs))
    return case((or_(*unrecognized.values()), func.nullif(cast(flag_object, String), "{}")))
