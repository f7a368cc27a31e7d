"""Reads the names of roles: a list in JSON, Python or PostgreSQL, or text with a separator."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.dialects.postgresql import array

from data.files.text import is_word, meaningful_or_null, trim_or_null
from data.store.dialect import LAMBDA_ITEM, sql_lambda
from data.values.words import NO, YES

Value = ColumnElement[Any]

QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
UNQUOTED = r"(?:[^,'\"\[\]{}=:]|:[^\s,'\"\[\]{}=:])+"
LIST_ITEM = rf"\s*(?:{QUOTED}|{UNQUOTED})\s*"
TEXT_LIST = rf"\[{LIST_ITEM}(?:,{LIST_ITEM})*\]|\{{{LIST_ITEM}(?:,{LIST_ITEM})*\}}"
"""As Python, Java and PostgreSQL write lists: `['Admin', 'Editor']`, `{Admin,"Power user"}`."""
BROKEN_LIST = r"(?s)(?:\[\s*[\"'{]|\{\s*[\"']).*|@?\{.*\}"
"""A list that is cut off, or an object that is not JSON."""
TYPE_NAME = (
    r"\[object Object\].*|"
    r"(?:System|Microsoft)\.[\w.]+(?:\[\]|`\d.*|Collection|ArrayList|Hashtable)"
)
"""What JavaScript and PowerShell write in place of a list."""

NAME_PART = r"(?:\\.|[^,\\\n])+"
DISTINGUISHED_NAME = (
    rf"(?i:cn|ou|uid)={NAME_PART}(?:, ?(?i:cn|ou|dc|uid|o|l|st|c|street)={NAME_PART})+"
)
BRACKETS = r"\((?:[^()]|\([^()]*\))*\)|\[[^\[\]]*\]|\{[^{}]*\}"
NEEDS_TOKENS = r"[(\[{\n=]"

UNCLEAR_MARKS = ("×", "✕", "✖", "*", "+")
"""Marks in an access matrix that mean yes to some people and no to others; no names of roles."""

NAME_KEYS = ("name", "displayName", "display", "label", "value", "role")
"""Where an object has the name of its role: the first of these. SCIM writes display and value."""

NO_ROLES = sa.cast(array([]), sa.ARRAY(sa.String))
NAME: Value = sa.column(LAMBDA_ITEM.name, sa.String)
OTHER_NAME: Value = sa.column("other_name", sa.String)


def with_roles(rows: sa.FromClause, separator: str) -> sa.FromClause:
    """The rows with what the text in `roles` says, in steps: long SQL takes long to plan.

    `role_list`: the text as a JSON list, if it is one. `role_names`: sorted, each once.
    `has_unread_roles`: whether a part of the text is no name.
    """
    listed = select(rows, _json_list(rows.c.roles).label("role_list")).subquery("with_role_list")
    text = case((listed.c.role_list.is_(None), listed.c.roles))
    named = select(
        listed,
        text.label("role_text"),
        _item_names(listed.c.role_list).label("item_names"),
        _names_in_text(text, separator).label("text_names"),
    ).subquery("with_names")
    names = func.coalesce(named.c.item_names, named.c.text_names)
    present = select(named, _meaningful_names(names).label("names")).subquery("with_meaning")
    return select(
        *(present.c[column.name] for column in rows.c),
        present.c.role_list,
        func.coalesce(_sorted_names(present.c.names), NO_ROLES).label("role_names"),
        sa.or_(
            _has_unnamed_items(present.c.role_list, present.c.item_names),
            and_(present.c.role_text.is_not(None), present.c.text_names.is_(None)),
        ).label("has_unread_roles"),
    ).subquery("with_roles")


def role_items(text: Value, separator: str) -> Value:
    """The roles in a cell, each as JSON: an item of its list, or a name. NULL if unreadable."""
    role_list = _json_list(text)
    is_text = role_list.is_(None)
    names = _names_in_text(case((is_text, text)), separator)
    return case(
        (is_text, func.list_transform(names, sql_lambda(sa.cast(func.to_json(NAME), sa.JSON)))),
        else_=list_items(role_list),
    )


def marked_role(heading: str, text: Value, items: Value, *, digits: bool) -> Value:
    """The roles in a cell of a column that is named like a role.

    The heading where the cell says yes, none where it says no, else `items`. `digits`: whether 1
    and 0 say so, too.
    """
    is_yes, is_no = (
        is_word(func.lower(text), [word for word in words if digits or not word[0].isdigit()])
        for words in (YES, NO)
    )
    role = array([sa.cast(func.to_json(heading), sa.JSON)])
    return case((is_yes, role), (is_no, sa.cast(array([]), sa.ARRAY(sa.JSON))), else_=items)


def roles_on(items: Value, resource: Value) -> Value:
    """The roles with what they are on: `Admin on Billing`. Items are JSON, as in `role_items`."""
    name = func.coalesce(_object_name(LAMBDA_ITEM), func.json_extract_string(LAMBDA_ITEM, "$"))
    item = sa.cast(func.to_json(func.concat(name, " on ", resource)), sa.JSON)
    on_resource = func.list_transform(items, sql_lambda(item))
    return case((resource.is_(None), items), else_=on_resource)


def has_only_marks(text: Value) -> Value:
    """Whether all texts of a column say yes or no."""
    return func.coalesce(func.bool_and(is_word(func.lower(text), (*YES, *NO))), sa.false())


def role_details(role_list: Value) -> Value:
    """The roles as one sorted JSON array, so that their order in the file makes no difference.

    Each object has a `name`, whatever its file calls it.
    """
    name = _object_name(LAMBDA_ITEM)
    has_other_key = and_(
        func.json_extract_string(LAMBDA_ITEM, "$.name").is_(None), name.is_not(None)
    )
    with_name = func.json_merge_patch(LAMBDA_ITEM, func.json_object("name", name))
    named = case((has_other_key, with_name), else_=LAMBDA_ITEM)
    items = func.list_sort(func.list_transform(list_items(role_list), sql_lambda(named)))
    has_objects = func.list_contains(func.json_type(role_list, "$[*]"), "OBJECT")
    return case(
        (and_(role_list.is_not(None), has_objects), sa.cast(func.to_json(items), sa.String))
    )


def list_items(role_list: Value) -> Value:
    """The items of a JSON list."""
    return func.json_extract(role_list, "$[*]")


# ---- lists in JSON -------------------------------------------------------------------------------


def _json_list(text: Value) -> Value:
    """The text as a JSON list, if it is one; a single object becomes a list of one."""
    text_without_nul = func.replace(text, "\\u0000", "\\ufffd")  # PostgreSQL has no NUL in texts
    return case(
        (func.starts_with(text, "["), sa.try_cast(text_without_nul, sa.JSON)),
        (func.starts_with(text, "{"), sa.try_cast("[" + text_without_nul + "]", sa.JSON)),
    )


def _item_names(role_list: Value) -> Value:
    """One name per item; NULL for an object without a name, and for a list."""
    kind = func.json_type(LAMBDA_ITEM)
    name = case(
        (kind == "OBJECT", _object_name(LAMBDA_ITEM)),
        (kind != "ARRAY", func.json_extract_string(LAMBDA_ITEM, "$")),
    )
    return func.list_transform(list_items(role_list), sql_lambda(name))


def _object_name(item: Value) -> Value:
    return func.coalesce(*(func.json_extract_string(item, f"$.{key}") for key in NAME_KEYS))


def _has_unnamed_items(role_list: Value, names: Value) -> Value:
    """Whether an item of the list is not null, but has no name."""
    kinds = func.json_type(role_list, "$[*]")
    items = func.list_filter(kinds, sql_lambda(LAMBDA_ITEM != "NULL"))
    return and_(role_list.is_not(None), func.len(items) > func.list_count(names))


# ---- names in text -------------------------------------------------------------------------------


def _names_in_text(text: Value, separator: str) -> Value:
    """The parts of a text; NULL where it is a broken list, or an unclear mark.

    A line break always separates names. Within brackets and distinguished names, nothing does.
    """
    part = rf"(?:{BRACKETS}|[^{separator}\n])+"
    token = rf"{DISTINGUISHED_NAME}|{part}" if separator == "," else part
    is_bracketed = func.regexp_matches(text, r"^@?[\[{]|^System\.|^Microsoft\.")
    return case(
        (is_word(text, UNCLEAR_MARKS), None),
        (and_(is_bracketed, func.regexp_full_match(text, TYPE_NAME)), None),
        (and_(is_bracketed, func.regexp_full_match(text, TEXT_LIST)), _list_names(text)),
        (and_(is_bracketed, func.regexp_full_match(text, BROKEN_LIST)), None),
        (func.regexp_matches(text, NEEDS_TOKENS), func.regexp_extract_all(text, token)),
        else_=func.string_split(text, separator),
    )


def _list_names(text: Value) -> Value:
    """The items between the brackets, without their quotes."""
    inner = func.substr(text, 2, func.len(text) - 2)
    unquoted = func.regexp_replace(func.trim(NAME), r"(?s)^(['\"])(.*)['\"]$", r"\2")
    name = func.regexp_replace(unquoted, r"\\(.)", r"\1", "g")
    items = func.regexp_extract_all(inner, f"{QUOTED}|{UNQUOTED}")
    return func.list_transform(items, sql_lambda(name, NAME))


def _meaningful_names(names: Value) -> Value:
    trimmed = func.list_transform(names, sql_lambda(trim_or_null(NAME), NAME))
    meaningful = func.list_transform(trimmed, sql_lambda(meaningful_or_null(NAME), NAME))
    return func.list_filter(meaningful, sql_lambda(NAME.is_not(None), NAME))


def _sorted_names(names: Value) -> Value:
    """The names in order, each once: in mixed case, where spellings differ only in case."""
    folded = func.list_distinct(func.list_transform(names, sql_lambda(func.lower(NAME), NAME)))
    lower = func.lower(OTHER_NAME)
    is_same = lower == func.lower(NAME)
    is_mixed = and_(is_same, OTHER_NAME.not_in([lower, func.upper(OTHER_NAME)]))
    spelling = func.coalesce(
        *(
            func.list_min(func.list_filter(names, sql_lambda(condition, OTHER_NAME)))
            for condition in (is_mixed, is_same)
        )
    )
    has_other_case = func.len(folded) < func.len(func.list_distinct(names))
    one_spelling = func.list_transform(names, sql_lambda(spelling, NAME))
    return func.list_sort(func.list_distinct(case((has_other_case, one_spelling), else_=names)))
