"""Reads JSON and NDJSON files with DuckDB."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.files.encoding import InputFile, read_tail, unfinished_line
from data.files.errors import NotAListOfAccounts, UnreadableFile
from data.files.headers import CREDENTIAL_PATTERN
from data.files.relation import (
    MAX_HEADINGS,
    MAX_LINE_SIZE,
    FileRows,
    RecordLocations,
    duckdb_connection,
    escape_glob,
    register_view,
    text_column,
)
from data.files.text import trim_or_null

PROBE_SIZE = 4096  # characters

UNUSED_DELIMITER = "\x1f"
"""A delimiter that no JSON text can contain."""

CUT_OFF = "its last line is not valid JSON and has no line break"


def read_json_array(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """A list of objects."""
    first_character = _read_first_character(input_file)
    if first_character != "[":
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
        while chunk := text.read(PROBE_SIZE):
            if chunk.strip():
                return chunk.strip()[0]
    raise UnreadableFile(f"{input_file.name} is empty.")


def json_error_place(text: str, error: Exception) -> str:
    """Where JSON text stops being valid, e.g. `cut off after character 30`."""
    if not isinstance(error, json.JSONDecodeError):
        return "nested too deeply"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return f"cut off after character {len(text):,}"
    return f"error at character {error.pos + 1:,}"


def read_json_lines(con: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    """One object per line. Blank lines do not count, and a broken line affects no other."""
    if (line := unfinished_line(input_file.path)) and not _is_json(line):
        input_file = input_file._replace(incomplete_reason=CUT_OFF)
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


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


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
        key: func.json_extract_string(record, json_pointer(key)) for key in sorted(headings)
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


def json_pointer(key: str) -> str:
    """The JSON pointer to a key of an object."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
