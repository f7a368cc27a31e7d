"""What delivered text means: one expression per column of an account's content.

All of it runs in the database, on the rows whose text is new. Text that cannot be understood
becomes *unknown* and is kept as a flag; it never costs the account. A change here changes what
stored versions would have said: run `rollcall rebuild` after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

from data.states import STATE_NAMES, UNRECOGNISED
from data.tables import CONTENT, DELIVERED

WHITE = " \t\r\n\u00a0"

YES = ("true", "yes", "1", "active", "y", "t")
NO = ("false", "no", "0", "inactive", "n", "f")
UNKNOWN = ("unknown", "null", "none", "n/a", "-")

LOOSE_TIME = r"^(\d{4})[/-](\d\d)[/-](\d\d)[T ]([\d:.]+) ?(Z|UTC|[+-]\d\d:?\d\d)?$"
"""Spellings close to ISO 8601 and as clear: `2014/09/08 18:17:23 -0700`."""
NO_SECONDS = r"^(\d{4}[/-]\d\d[/-]\d\d[T ]\d\d:\d\d)( ?(?:Z|UTC|[+-]\d\d:?\d\d))$"
"""ISO 8601 allows `2026-11-01T08:00Z`, DuckDB does not."""
DATED = r"\d{4}[/-]\d\d?[/-]\d|[A-Za-z]{3,} \d|\d [A-Za-z]{3}"
OFFSET = r"(?:[Zz]|UTC|GMT|:\d\d(?:\.\d+)? ?[+-]\d\d(?::?\d\d)?)\s*$"

NO_ROLES = cast(array([]), ARRAY(String))

Cells = Mapping[str, ColumnElement[Any]]


def understood(rows: FromClause) -> Select[*tuple[Any, ...]]:
    """One row per row of `rows`, the delivered columns of which become content; others stay."""
    others = [c.name for c in rows.c if c.name not in DELIVERED]
    tidy = select(
        *(rows.c[name] for name in others),
        *(filled(rows.c[name]).label(name) for name in DELIVERED if name != "attributes"),
        rows.c.attributes,
    ).subquery("tidy")
    looks_like_list = func.starts_with(tidy.c.roles, "[")
    read = select(
        tidy,
        case((looks_like_list, try_cast(tidy.c.roles, JSON))).label("role_list"),
        _after_bracket(tidy.c.user_text).label("after_bracket"),
        _state(tidy.c.provisioning_state).label("state"),
        _active(tidy.c.active_in_app).label("active"),
        _moment(tidy.c.last_updated).label("moment"),
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
        "roles": _roles(cell["roles"], cell["role_list"]),
        "role_details": _role_details(cell["role_list"]),
        "active_in_app": cell["active"],
        "upstream_user_id": cell["upstream_user_id"],
        "provisioning_state": cell["state"],
        "state_reason": cell["state_reason"],
        "failure_code": cell["failure_code"],
        "last_updated": cell["moment"],
        "attributes": cell["attributes"],
        "flags": _flags(cell),
    }


def filled(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text without the white space around it; NULL where nothing is left."""
    return func.nullif(func.trim(text, WHITE), "")


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
    name = case(
        (email.is_(None), both),
        (func.suffix(both, ">"), filled(func.left(both, func.len(both) - func.len(last) - 1))),
    )
    return func.coalesce(cell["user_name"], name), func.coalesce(cell["user_email"], email)


def _after_bracket(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((func.contains(text, "<"), func.list_extract(func.string_split(text, "<"), -1)))


def _roles(text: ColumnElement[Any], listed: ColumnElement[Any]) -> ColumnElement[Any]:
    """Role names, sorted, each once: from `;`-separated text, a JSON list, or a list of objects."""
    bare = func.trim(text, WHITE + ";")
    names = case(
        (_is_objects(listed), func.json_extract_string(listed, "$[*].name")),
        (listed.is_not(None), func.json_extract_string(listed, "$[*]")),
        (bare == "", NO_ROLES),
        (func.regexp_matches(bare, r";[\s;]|\s;"), func.string_split_regex(bare, r"\s*;[\s;]*")),
        else_=func.string_split(bare, ";"),
    )
    return func.coalesce(func.list_sort(func.list_distinct(names)), NO_ROLES)


def _role_details(listed: ColumnElement[Any]) -> ColumnElement[Any]:
    """The role objects as one JSON array, in an order of their own, so that only content counts."""
    objects = func.list_sort(func.json_extract(listed, "$[*]"))
    return case((_is_objects(listed), cast(func.to_json(objects), String)))


def _is_objects(listed: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(listed.is_not(None), func.json_type(listed, "$[0]") == "OBJECT")


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


def _moment(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Naive UTC. Without an offset the text is UTC already; a lone number is a Unix time."""
    zulu = case((func.suffix(text, "Z"), try_cast(text, DateTime)))  # the usual, and fastest
    iso = try_cast(text, TIMESTAMP(timezone=True))
    whole = func.regexp_replace(text, NO_SECONDS, r"\1:00\2")
    loose = try_cast(
        func.regexp_replace(whole, LOOSE_TIME, r"\1-\2-\3 \4\5"), TIMESTAMP(timezone=True)
    )
    seconds = case(
        (func.regexp_full_match(text, r"\d{10}(\.\d+)?"), func.to_timestamp(cast(text, Float))),
        (func.regexp_full_match(text, r"\d{13}"), func.to_timestamp(cast(text, Float) / 1000)),
    )
    return func.coalesce(
        zulu, cast(func.timezone("UTC", func.coalesce(iso, loose, seconds)), DateTime)
    )


def names_no_offset(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the text is a time with a date that is taken for UTC for want of an offset."""
    return and_(
        ~func.suffix(text, "Z"),  # the usual, and fastest
        func.regexp_matches(text, DATED),
        ~func.regexp_matches(text, OFFSET),
    )


def _flags(cell: Cells) -> ColumnElement[Any]:
    """Column → the text in it that was not understood, as a JSON object; NULL without any."""
    names = func.json_extract_string(cell["role_list"], "$[*].name")
    puzzling = {
        "provisioning_state": cell["state"] == UNRECOGNISED.name,
        "active_in_app": and_(
            cell["active"].is_(None), ~_is_one_of(UNKNOWN, func.lower(cell["active_in_app"]))
        ),
        "last_updated": cell["moment"].is_(None),
        "roles": and_(
            _is_objects(cell["role_list"]),
            func.json_array_length(cell["role_list"]) != func.len(names),
        ),
    }
    pairs = [
        part
        for name, is_puzzling in puzzling.items()
        for part in (literal(name), case((is_puzzling, cell[name])))
    ]
    kept = func.json_merge_patch("{}", func.json_object(*pairs))
    return case((or_(*puzzling.values()), func.nullif(cast(kept, String), "{}")))
