"""Reads JSON, JSON lines and NDJSON files with DuckDB."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    FromClause,
    String,
    and_,
    case,
    cast,
    column,
    func,
    select,
    try_cast,
)

from data.files.encoding import Plain, head_of, part_of, tail_of
from data.files.errors import NotAListOfAccounts, UnreadableFile
from data.files.headers import CREDENTIAL
from data.files.relation import (
    LONGEST_LINE,
    MOST_HEADINGS,
    MOST_SHOWN,
    Places,
    Rows,
    abbreviate,
    duckdb_connection,
    escape_glob,
    register_relation,
    text_column,
)
from data.files.text import filled

LARGEST_ANSWER = 4 * 1024 * 1024  # bytes of a JSON object that are searched for what it is


A_LIST = "a list of accounts: [{…}, {…}]"


WRAPPED = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*("(?:[^"\\]|\\.)*")\s*:\s*(?=\[)')


LIST_OF_OBJECTS = re.compile(rb"\s*\[\s*\{")


WRAPPED_END = re.compile(rb"\](\s*\}\s*)$")


UNWRAPPED = "The file is a JSON object; the accounts are the list under “{key}”, its only key."


def read_json_array(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    """A list of objects, or an object with one such list in it."""
    start = _first_character(plain)
    if start == "{":
        plain = _list_in_object(plain)
    elif start != "[":
        raise UnreadableFile(f"{plain.name} is not JSON: it starts with {start!r}.")
    if not tail_of(plain.path).rstrip().endswith(b"]"):
        raise UnreadableFile(f"{plain.name} is cut off or damaged: its list does not end.")
    relation = duckdb_connection(con).read_json(
        escape_glob(plain.path),
        columns={"record": "JSON"},
        records="false",
        format="array",
        maximum_object_size=LONGEST_LINE,
    )
    records = (
        select(column("record", JSON))
        .select_from(register_relation(con, relation))
        .subquery("records")
    )
    text = _unless_object(records.c.record, cast(records.c.record, String))
    return plain, _records(con, plain, records, with_record_numbers(records, text))


def _first_character(plain: Plain) -> str:
    with plain.path.open(encoding="utf-8-sig") as text:
        while piece := text.read(LARGEST_ANSWER):
            if piece.strip():
                return piece.strip()[0]
    raise UnreadableFile(f"{plain.name} is empty; expected {A_LIST}.")


def _list_in_object(plain: Plain) -> Plain:
    """The list alone, of an object that holds nothing else.

    Another key may say that there is more, a next page for instance: such a file is refused.
    """
    size = plain.path.stat().st_size
    if size <= LARGEST_ANSWER:
        _refuse_unless_list_only(plain)
    begun = WRAPPED.match(head_of(plain.path, LARGEST_ANSWER))
    ended = WRAPPED_END.search(tail_of(plain.path))
    if not begun or not ended:
        raise NotAListOfAccounts(f"{plain.name} is one JSON object; expected {A_LIST}.")
    note = UNWRAPPED.format(key=abbreviate(json.loads(begun[1])))
    return part_of(plain, begun.end(), size - len(ended[1]), note)


def _refuse_unless_list_only(plain: Plain) -> None:
    text = plain.path.read_text(encoding="utf-8-sig").strip()
    try:
        found, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as fault:
        raise UnreadableFile(f"{plain.name} is JSON that is cut off or damaged.") from fault
    if text[end:].lstrip().startswith("{"):
        raise UnreadableFile(
            f"{plain.name} holds one JSON object after another, not a list. If each has a line of "
            "its own, the name should end in .ndjson."
        )
    if found.get("type") == "object" and isinstance(found.get("properties"), dict):
        raise NotAListOfAccounts(
            f"{plain.name} is a JSON Schema: it describes data, and holds none. Expected {A_LIST}."
        )
    lists = [key for key, value in found.items() if isinstance(value, list)]
    if len(found) == 1 and lists:
        return
    keys = ", ".join(map(abbreviate, list(found)[:MOST_SHOWN])) or "none"
    advice = (
        f" If “{abbreviate(lists[0])}” is all of it, deliver that alone." if len(lists) == 1 else ""
    )
    raise NotAListOfAccounts(
        f"{plain.name} is one JSON object; expected {A_LIST}. Its keys: {keys}.{advice}"
    )


def read_json_lines(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    """Line by line, so that a broken one costs no other; blank ones are none."""
    if LIST_OF_OBJECTS.match(head_of(plain.path).removeprefix(BOM_UTF8)):
        raise UnreadableFile(
            f"{plain.name} is one JSON list, not an object a line; its name should end in .json."
        )
    relation = duckdb_connection(con).read_csv(
        escape_glob(plain.path),
        columns={"line": "VARCHAR"},
        auto_detect=False,
        header=False,
        delimiter=NEVER,
        quotechar="",
        escapechar="",
        strict_mode=False,
        max_line_size=LONGEST_LINE,
        buffer_size=LONGEST_LINE,
    )
    view, text = register_relation(con, relation), filled(text_column("line"))
    record = try_cast(text, JSON)
    records = select(record.label("record")).select_from(view).where(text.is_not(None))
    every = select(func.row_number().over().label("line"), text.label("text")).select_from(view)
    line = every.subquery("line")
    lines = select(
        (func.row_number().over(order_by=line.c.line) - 1).label("number"),
        line.c.line,
        _unless_object(try_cast(line.c.text, JSON), line.c.text).label("text"),
    ).where(line.c.text.is_not(None))
    return plain, _records(con, plain, records.subquery("records"), lines.subquery("lines"))


def _records(con: Connection, plain: Plain, records: FromClause, lines: FromClause) -> Rows:
    """Records as JSON objects; every key that occurs anywhere is a heading."""
    record = records.c.record
    is_object = func.json_type(record) == "OBJECT"
    keys = select(func.unnest(func.json_keys(record)).label("key")).where(is_object)
    distinct = select(keys.subquery().c.key).distinct().limit(MOST_HEADINGS + 1)
    found = con.scalars(distinct).all()
    if not found and con.scalar(select(func.count()).select_from(records)):
        raise NotAListOfAccounts(
            f"{plain.name} lists no accounts: no record in it is an object with keys."
        )
    found = found or ["username_in_app"]  # an empty list, which is a list all the same
    cells: dict[str, ColumnElement[Any]] = {
        key: func.json_extract_string(record, _pointer(key)) for key in sorted(found)
    }
    return Rows(records, cells, lambda _: Places(lines))


def with_record_numbers(records: FromClause, text: ColumnElement[Any]) -> FromClause:
    """Where a record has no line of its own, its place in the list is its line."""
    number = func.row_number().over()
    numbers = select((number - 1).label("number"), number.label("line"), text.label("text"))
    return numbers.select_from(records).subquery("lines")


def _unless_object(record: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text of a record that is no JSON object, so no account; not where it tells secrets."""
    is_none = func.coalesce(func.json_type(record), "") != "OBJECT"
    tells = func.regexp_matches(text, CREDENTIAL.pattern, "i")
    return case((and_(is_none, tells), ""), (is_none, text))


NEVER = "\x1f"
"""A delimiter that no JSON text can hold."""


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")
