"""What delivered text means: one expression per column of an account's content.

All of it runs in the database, on the rows whose text is new. Text that cannot be understood
becomes *unknown* and is kept as a flag; it never costs the account. A change here changes what
stored versions would have said: run `rollcall rebuild` after it.
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

from data.files.text import WHITE, filled
from data.schema import CONTENT, DELIVERED
from data.states import STATE_NAMES, UNRECOGNISED
from data.store.dialect import ROLE, of_each

YES = ("true", "yes", "1", "1.0", "active", "y", "t", "on", "enabled")
NO = ("false", "no", "0", "0.0", "inactive", "n", "f", "off", "disabled", "deactivated")
REPORTED, NOT_REPORTED = "reported", ("inferred", "default")
"""How a state is known: the source says it, or it follows from other facts, or is the usual."""
UNKNOWN = ("unknown", "undefined", "null", "none", "nan", "nat", "n/a", "-", "?")

EARLIEST, END = datetime(1900, 1, 1), datetime(10000 - 1, 12, 31, 23, 59, 59, 999999)
"""Times outside say that nobody knew: `0001-01-01`, infinity."""
YEAR_FIRST = r"^\d{4}\D"
OFFSET = r"Z|UTC|GMT|[+-]\d\d:?\d\d"
LOOSE_TIME = rf"^(\d{{4}})[/-](\d\d)[/-](\d\d)[T ]([\d:]+)(?:[.,](\d+))? ?({OFFSET})?$"
"""Spellings close to ISO 8601 and as clear: `2014/09/08 18:17:23 -0700`."""
NO_SECONDS = rf"^(\d{{4}}[/-]\d\d[/-]\d\d[T ]\d\d:\d\d)( ?(?:{OFFSET}))$"
"""ISO 8601 allows `2026-11-01T08:00Z`, DuckDB does not."""
BASIC_TIME = rf"^(\d{{4}})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)({OFFSET})?$"
"""ISO 8601 without punctuation: `20261123T060000Z`."""
WEEKDAY = r"^[A-Z][a-z]{2}, "
NAMED_MONTH = ("%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p", "%b %d, %Y", "%B %d, %Y")
"""As spreadsheets and consoles export: `Nov 23, 2026, 6:00:00 AM`."""
MONTH_FIRST = r"^[A-Z][a-z]{2,8} \d"
DAY_FIRST = r"^\d\d? [A-Z][a-z]{2} \d"
MAIL_TIME = "%d %b %Y %H:%M:%S %z"
"""As in mails and HTTP, without the weekday: `23 Nov 2026 06:00:00 +0000`."""
UNIX_TIMES = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}
"""Digits before the point → units a second. They tell a time from 2001 to 2286; a number with
other digits is a date without punctuation, or a zero, and is flagged."""


NO_ROLES = cast(array([]), ARRAY(String))

Cells = Mapping[str, ColumnElement[Any]]


def understood(rows: FromClause) -> Select[*tuple[Any, ...]]:
    """One row per row of `rows`, the delivered columns of which become content; others stay.

    In steps: what is asked for twice is named once, as planning takes as long as the words are.
    """
    others = [c.name for c in rows.c if c.name not in DELIVERED]
    tidy = select(
        *(rows.c[name] for name in others),
        *(filled(rows.c[name]).label(name) for name in DELIVERED if name != "attributes"),
        rows.c.attributes,
    ).subquery("tidy")
    taken = select(
        tidy,
        _role_list(tidy.c.roles).label("role_list"),
        _without_semicolons(tidy.c.roles).label("bare_roles"),
        _after_bracket(tidy.c.user_text).label("after_bracket"),
        _moment(tidy.c.last_updated).label("any_moment"),
    ).subquery("taken")
    read = select(
        taken,
        _role_names(taken.c.role_list).label("role_names"),
        _state(taken.c.provisioning_state).label("state"),
        _active(taken.c.active_in_app).label("active"),
        _unless_nobody_knew(taken.c.any_moment).label("moment"),
    ).subquery("read")
    meaning = _content(dict(read.c.items()))
    columns: list[Any] = [*(read.c[n] for n in others), *(meaning[n].label(n) for n in CONTENT)]
    return select(*columns)


def _content(cell: Cells) -> dict[str, ColumnElement[Any]]:
    name, email = _person(cell)
    return {
        "username_in_app": cell["username_in_app"],
        "user_name": name,
        "user_email": email,
        "roles": _roles(cell["roles"], cell["bare_roles"], cell["role_names"]),
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


def _person(cell: Cells) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """User name and email: their own columns first, then what one `User` column says of both.

    That is `Ada Lovelace <ada@x.io>`, or an email, or a name; angle brackets around something
    else belong to the name.
    """
    both = cell["user_text"]
    last = cell["after_bracket"]
    is_email = and_(func.contains(both, "@"), ~func.regexp_matches(both, r"\s"))
    email = case(
        (func.regexp_full_match(last, r"[^\s>]*@[^\s>]*>"), func.rtrim(last, ">")),
        (is_email, both),
    )
    before = func.rtrim(func.left(both, func.len(both) - func.len(last) - 1), WHITE)
    name = case((email.is_(None), both), (func.suffix(both, ">"), func.nullif(before, "")))
    return func.coalesce(cell["user_name"], name), func.coalesce(cell["user_email"], email)


def _after_bracket(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((func.contains(text, "<"), func.list_extract(func.string_split(text, "<"), -1)))


def _role_list(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The JSON list that the text is; one object is a list of one."""
    visible = func.replace(text, "\\u0000", "\\ufffd")  # NUL is no text
    return case(
        (func.starts_with(text, "["), try_cast(visible, JSON)),
        (func.starts_with(text, "{"), try_cast("[" + visible + "]", JSON)),
    )


def _without_semicolons(text: ColumnElement[Any]) -> ColumnElement[Any]:
    is_so = and_(~func.starts_with(text, ";"), ~func.suffix(text, ";"))
    return case((is_so, text), else_=func.trim(text, WHITE + ";"))


def _roles(
    text: ColumnElement[Any], bare: ColumnElement[Any], named: ColumnElement[Any]
) -> ColumnElement[Any]:
    """Role names, sorted, each once.

    In a JSON list each item is a role, or an object with its name. In plain text `;` parts them;
    only where there is none, `,` does: `Admin, EMEA` are two roles, `Admin, EMEA;` is one. `bare`:
    the text without those at its ends. `named`: the names in a JSON list, where it is one.
    """
    by_comma = and_(~func.contains(text, ";"), func.contains(text, ","))
    may_be_empty = or_(bare == "", func.starts_with(bare, ","))
    names = case(
        (named.is_not(None), named),
        (and_(may_be_empty, func.trim(bare, WHITE + ",") == ""), NO_ROLES),
        (by_comma, func.string_split_regex(func.trim(bare, WHITE + ","), r"\s*,[\s,]*")),
        (func.regexp_matches(bare, r";[\s;]|\s;"), func.string_split_regex(bare, r"\s*;[\s;]*")),
        else_=func.string_split(bare, ";"),
    )
    return func.coalesce(func.list_sort(func.list_distinct(names)), NO_ROLES)


def _items(listed: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.json_extract(listed, "$[*]")


def _role_names(listed: ColumnElement[Any]) -> ColumnElement[Any]:
    """One for each item; NULL where an item has none, as an object without a name, or a list."""
    kind = func.json_type(ROLE)
    name = case(
        (kind == "OBJECT", func.json_extract_string(ROLE, "$.name")),
        (kind != "ARRAY", func.json_extract_string(ROLE, "$")),
    )
    names = func.list_transform(_items(listed), of_each(name))
    return func.list_transform(names, of_each(filled(ROLE)))


def _role_details(listed: ColumnElement[Any]) -> ColumnElement[Any]:
    """The roles as one JSON array, in an order of their own, so that only content counts."""
    items = func.list_sort(_items(listed))
    return case((_has_objects(listed), cast(func.to_json(items), String)))


def _has_objects(listed: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(listed.is_not(None), func.list_contains(func.json_type(listed, "$[*]"), "OBJECT"))


def _has_nameless(listed: ColumnElement[Any], named: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether an item of the list is something, but has no name."""
    items = func.len(func.list_filter(func.json_type(listed, "$[*]"), of_each(ROLE != "NULL")))
    return and_(listed.is_not(None), items > func.list_count(named))


def _active(text: ColumnElement[Any]) -> ColumnElement[Any]:
    word = func.lower(text)
    return case((_is_one_of(YES, word), true()), (_is_one_of(NO, word), false()))


def _is_one_of(words: Iterable[str], word: ColumnElement[Any]) -> ColumnElement[Any]:
    """DuckDB plans this in a fraction of the time of IN, which it turns into a join."""
    return func.list_contains(array(words), word)


def _state(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The state that the text names, in any case and with any separator."""
    spoken = func.regexp_replace(func.lower(text), r"[\s_\-]+", " ", "g")
    spellings = array([name.lower() for name in STATE_NAMES])
    known = func.list_extract(array(STATE_NAMES), func.list_position(spellings, spoken))
    return func.coalesce(known, UNRECOGNISED.name)


def _state_source(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """How the state is known; NULL where the source reports it, which is the usual."""
    word = func.lower(text)
    return case((_is_one_of(NOT_REPORTED, word), word))


def _moment(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Naive UTC. Without an offset the text is UTC already; a lone number is a Unix time.

    A date whose first number is no year is not understood: in `03/04/2026` nobody can tell day
    from month, and `23/04/2026` comes in the same files.
    """
    zulu = try_cast(text, DateTime)
    with_zone = func.coalesce(_iso(text), _mail_time(text), _unix_time(text))
    spoken = func.replace(text, "\u202f", " ")
    is_named = func.regexp_matches(spoken, MONTH_FIRST)
    named = case((is_named, func.try_strptime(spoken, array(NAMED_MONTH))))
    others = func.coalesce(cast(func.timezone("UTC", with_zone), DateTime), named)
    is_zulu = and_(func.suffix(text, "Z"), zulu.is_not(None))
    return case((is_zulu, zulu), else_=others)  # the usual, and fastest


def _unless_nobody_knew(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((moment.between(EARLIEST, END), moment))


def _iso(text: ColumnElement[Any]) -> ColumnElement[Any]:
    whole = func.regexp_replace(func.upper(text), NO_SECONDS, r"\1:00\2")
    loose = func.regexp_replace(whole, LOOSE_TIME, r"\1-\2-\3 \4.\5\6")
    basic = func.regexp_replace(text, BASIC_TIME, r"\1-\2-\3 \4:\5:\6\7")
    spellings = [text, loose, basic]
    return func.coalesce(
        *(
            case((func.regexp_matches(each, YEAR_FIRST), try_cast(each, TIMESTAMP(timezone=True))))
            for each in spellings
        )
    )


def _mail_time(text: ColumnElement[Any]) -> ColumnElement[Any]:
    without_day = func.regexp_replace(text, WEEKDAY, "")
    numeric = func.regexp_replace(without_day, " (?:GMT|UTC|Z)$", " +0000")
    is_mail = func.regexp_matches(without_day, DAY_FIRST)
    return case((is_mail, func.try_strptime(numeric, MAIL_TIME)))


def _unix_time(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case(
        *(
            (
                func.regexp_full_match(text, rf"\d{{{digits}}}(\.\d+)?"),
                func.to_timestamp(cast(text, Float) / units),
            )
            for digits, units in UNIX_TIMES.items()
        )
    )


def _says_unknown(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return _is_one_of(UNKNOWN, func.lower(text))


def _flags(cell: Cells) -> ColumnElement[Any]:
    """Column → the text in it that was not understood, as a JSON object; NULL without any."""
    puzzling = {
        "provisioning_state": cell["state"] == UNRECOGNISED.name,
        "state_source": ~_is_one_of((REPORTED, *NOT_REPORTED), func.lower(cell["state_source"])),
        "active_in_app": and_(cell["active"].is_(None), ~_says_unknown(cell["active_in_app"])),
        "last_updated": and_(cell["moment"].is_(None), ~_says_unknown(cell["last_updated"])),
        "roles": _has_nameless(cell["role_list"], cell["role_names"]),
    }
    pairs = [
        part
        for name, is_puzzling in puzzling.items()
        for part in (literal(name), case((is_puzzling, cell[name])))
    ]
    kept = func.json_merge_patch("{}", func.json_object(*pairs))
    return case((or_(*puzzling.values()), func.nullif(cast(kept, String), "{}")))
