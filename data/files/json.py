"""Reads JSON and NDJSON files with DuckDB."""

import json
import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.files.encoding import InputFile, copy_range, read_head, read_tail
from data.files.errors import NotAListOfAccounts, UnreadableFile
from data.files.headers import CREDENTIAL_PATTERN
from data.files.relation import (
    MAX_HEADINGS,
    MAX_HEADINGS_SHOWN,
    MAX_LINE_SIZE,
    FileRows,
    RecordLocations,
    duckdb_connection,
    escape_glob,
    register_view,
    shorten,
    text_column,
)
from data.files.text import trim_or_null

MAX_JSON_PROBE = 4 * 1024 * 1024
"""Bytes at the start of a JSON object that are searched for its list."""

EXPECTED_LIST = "a list of accounts: [{…}, {…}]"
UNWRAPPED_NOTE = "The file is a JSON object; the accounts are the list under “{key}”, its only key."

OBJECT_START = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*("(?:[^"\\]|\\.)*")\s*:\s*(?=\[)')
OBJECT_END = re.compile(rb"\](\s*\}\s*)$")

UNUSED_DELIMITER = "\x1f"
"""A delimiter that no JSON text can contain."""


def read_json_array(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """A list of objects, or an object with nothing but such a list."""
    first_character = _read_first_character(input_file)
    if first_character == "{":
        input_file = _extract_list(input_file)
    elif first_character != "[":
        raise UnreadableFile(f"{input_file.name} is not JSON: it starts with {first_character!r}.")
    if not read_tail(input_file.path).rstrip().endswith(b"]"):
        raise UnreadableFile(
            f"{input_file.name} is not valid JSON: its list does not end. It may be cut off."
        )
    relation = duckdb_connection(con).read_json(
        escape_glob(input_file.path),
        columns={"record": "JSON"},
        records="false",
        format="array",
        maximum_object_size=MAX_LINE_SIZE,
    )
    records = (
        select(sa.column("record", sa.JSON))
        .select_from(register_view(con, relation))
        .subquery("records")
    )
    text = _rejected_text(records.c.record, sa.cast(records.c.record, sa.String))
    return input_file, _json_rows(con, input_file, records, number_records(records, text))


def _read_first_character(input_file: InputFile) -> str:
    with input_file.path.open(encoding="utf-8-sig") as text:
        while chunk := text.read(MAX_JSON_PROBE):
            if chunk.strip():
                return chunk.strip()[0]
    raise UnreadableFile(f"{input_file.name} is empty.")


def _extract_list(input_file: InputFile) -> InputFile:
    """The list of an object that has no other key.

    Another key can mean that the list goes on, e.g. on a next page; such a file is rejected.
    """
    size = input_file.path.stat().st_size
    if size <= MAX_JSON_PROBE:
        _reject_unless_list_only(input_file)
    start = OBJECT_START.match(read_head(input_file.path, MAX_JSON_PROBE))
    end = OBJECT_END.search(read_tail(input_file.path))
    if not start or not end:
        raise NotAListOfAccounts(f"{input_file.name} is one JSON object; expected {EXPECTED_LIST}.")
    note = UNWRAPPED_NOTE.format(key=shorten(json.loads(start[1])))
    return copy_range(input_file, start.end(), size - len(end[1]), note)


def _reject_unless_list_only(input_file: InputFile) -> None:
    name = input_file.name
    text = input_file.path.read_text(encoding="utf-8-sig").strip()
    try:
        document, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        message = f"{name} is not valid JSON ({json_error_place(text, error)})."
        raise UnreadableFile(message) from error
    if text[end:].lstrip().startswith("{"):
        raise UnreadableFile(
            f"{name} has one JSON object after another, not a list. "
            "If each has a line of its own, end its name in .ndjson."
        )
    if document.get("type") == "object" and isinstance(document.get("properties"), dict):
        raise NotAListOfAccounts(
            f"{name} is a JSON Schema, which describes data. Expected {EXPECTED_LIST}."
        )
    list_keys = [key for key, value in document.items() if isinstance(value, list)]
    if len(document) == 1 and list_keys:
        return
    keys = ", ".join(map(shorten, list(document)[:MAX_HEADINGS_SHOWN])) or "none"
    advice = ""
    if len(list_keys) == 1:
        advice = f" If “{shorten(list_keys[0])}” is the complete list, deliver that list alone."
    raise NotAListOfAccounts(
        f"{name} is one JSON object; expected {EXPECTED_LIST}. Its keys: {keys}.{advice}"
    )


def json_error_place(text: str, error: Exception) -> str:
    """Where JSON text stops being valid, e.g. `cut off after character 30`."""
    if not isinstance(error, json.JSONDecodeError):
        return "nested too deeply"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return f"cut off after character {len(text):,}"
    return f"error at character {error.pos + 1:,}"


def read_json_lines(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """One object per line. Blank lines do not count, and a broken line affects no other."""
    relation = duckdb_connection(con).read_csv(
        escape_glob(input_file.path),
        columns={"line": "VARCHAR"},
        auto_detect=False,
        header=False,
        delimiter=UNUSED_DELIMITER,
        quotechar="",
        escapechar="",
        strict_mode=False,
        max_line_size=MAX_LINE_SIZE,
        buffer_size=MAX_LINE_SIZE,
    )
    view, text = register_view(con, relation), trim_or_null(text_column("line"))
    record = sa.try_cast(text, sa.JSON).label("record")
    records = select(record).select_from(view).where(text.is_not(None)).subquery("records")
    number = func.row_number().over()
    line = select(number.label("line"), text.label("text")).select_from(view).subquery("line")
    lines = select(
        (func.row_number().over(order_by=line.c.line) - 1).label("number"),
        line.c.line,
        _rejected_text(sa.try_cast(line.c.text, sa.JSON), line.c.text).label("text"),
    ).where(line.c.text.is_not(None))
    return input_file, _json_rows(con, input_file, records, lines.subquery("lines"))


def _json_rows(
    con: Connection, input_file: InputFile, records: sa.FromClause, lines: sa.FromClause
) -> FileRows:
    """Records that are JSON objects. Each key of any object is a heading."""
    record = records.c.record
    is_object = func.json_type(record) == "OBJECT"
    keys = select(func.unnest(func.json_keys(record)).label("key")).where(is_object).subquery()
    headings = con.scalars(select(keys.c.key).distinct().limit(MAX_HEADINGS + 1)).all()
    if not headings and con.scalar(select(func.count()).select_from(records)):
        raise NotAListOfAccounts(
            f"{input_file.name} lists no accounts: none of its records is an object with keys."
        )
    headings = headings or ["username_in_app"]  # an empty list is valid
    cells: dict[str, ColumnElement[Any]] = {
        key: func.json_extract_string(record, _json_pointer(key)) for key in sorted(headings)
    }
    return FileRows(records, cells, lambda _: RecordLocations(lines))


def number_records(records: sa.FromClause, text: ColumnElement[Any]) -> sa.FromClause:
    """Lines of a format without lines: the place of a record in the list, from 1."""
    number = func.row_number().over()
    numbers = select((number - 1).label("number"), number.label("line"), text.label("text"))
    return numbers.select_from(records).subquery("lines")


def _rejected_text(record: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text of a record that is not a JSON object; empty where it contains credentials."""
    is_not_object = func.coalesce(func.json_type(record), "") != "OBJECT"
    has_credentials = func.regexp_matches(text, CREDENTIAL_PATTERN.pattern, "i")
    return case((and_(is_not_object, has_credentials), ""), (is_not_object, text))


def _json_pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")
