"""Snapshot files as rows of text: one reader per format, all set-based in DuckDB.

A reader answers with a view over the file and, for each heading, the expression that gives its
cells as text. Lists and objects are given as JSON text. Nothing is understood here yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import array

from data.files.csv import count_broken_records
from data.files.errors import (
    NoUsernameColumn,
)
from data.files.headers import CREDENTIAL_PATTERN
from data.files.mapping import NO_MAPPING, ColumnMapping
from data.files.relation import (
    MAX_HEADINGS_SHOWN,
    FileRows,
    RecordLocations,
    reject_too_many_headings,
    shorten,
)
from data.files.text import lacks_offset, trim_or_null, visible_or_null
from data.schema import RAW_COLUMNS
from data.sources.delivery import OpenedFile, wrap_read_errors
from data.sources.source import SourceReport
from data.staging import stage_row

MISSING_HEADINGS = "Headings that the mapping of the integration names are not in the file: {}."


class ReadResult(NamedTuple):
    """What a reader leaves beside `stage_row`."""

    locate_records: Callable[[Connection], RecordLocations]  # as in Rows
    broken_count: int  # records that could not be taken apart
    headings: tuple[str, ...]  # as in the file, repeated ones numbered
    notes: tuple[str, ...]  # what a person should know of how it was read: full sentences
    copies: tuple[object, ...]  # what was read in place of the file: is deleted after this
    source_info: SourceReport  # what the file's source has to say, where it is another product's


def stage_rows(
    con: Connection,
    file: OpenedFile,
    mapping: ColumnMapping = NO_MAPPING,
    known_fingerprints: FromClause | None = None,
) -> ReadResult:
    """Fill `stage_row` with one row per record of the file, whose headings mean what `columns` say.

    A record with a fingerprint of `known` keeps only that: to write texts takes longer than to read
    them, and nearly all are as the day before.
    Raises UnknownFormat, UnreadableFile, TooLarge, NoUsableHeader or NotAListOfAccounts.
    """
    name, source_info = file.name, file.source_info
    with wrap_read_errors(name):
        input_file, rows = file.reader.read(con, file.input_file)
        reject_too_many_headings(name, len(rows.cells))
        if source_info.source:  # its headings are ours
            mapping = NO_MAPPING
        column_headings = mapping.match_headings(rows.cells)
        missing_headings = mapping.missing_headings(rows.cells)
        if "username_in_app" not in column_headings:
            raise NoUsernameColumn(_no_username_message(name, rows, missing_headings))
        notes = [*input_file.notes, *source_info.warnings]
        if missing_headings:
            notes.append(
                MISSING_HEADINGS.format(
                    ", ".join(map(shorten, missing_headings[:MAX_HEADINGS_SHOWN]))
                )
            )
        con.execute(_stage_rows_statement(rows, column_headings, mapping, known_fingerprints))
        broken_count = count_broken_records(con, rows)
        return ReadResult(
            rows.locate_records,
            broken_count,
            tuple(rows.cells),
            tuple(notes),
            input_file.copies,
            source_info,
        )


def _stage_rows_statement(
    rows: FileRows,
    column_headings: dict[str, str],
    mapping: ColumnMapping,
    known_fingerprints: FromClause | None,
) -> Any:
    """The one statement that reads the whole file."""
    mapped_cells = {name: mapping.cell(name, rows.cells) for name in column_headings}
    used_headings = {*column_headings.values(), *mapping.mapped_headings(rows.cells)}
    other_headings = [
        h for h in rows.cells if h not in used_headings and not CREDENTIAL_PATTERN.search(h)
    ]
    null_text = cast(literal(None), String)
    raw_cells = [
        mapped_cells.get(name, null_text).label(name)
        for name in RAW_COLUMNS
        if name != "attributes"
    ]
    own_id = [mapped_cells["account_id"].label("own_id")] if "account_id" in mapped_cells else []
    other_cells = [
        trim_or_null(rows.cells[heading]).label(f"more_{n}")
        for n, heading in enumerate(other_headings)
    ]
    cells = select(*own_id, *raw_cells, *other_cells).select_from(rows.records).subquery("cells")
    attributes = _attributes({h: cells.c[f"more_{n}"] for n, h in enumerate(other_headings)}).label(
        "attributes"
    )
    texts = [attributes if name == "attributes" else cells.c[name] for name in RAW_COLUMNS]
    ids = [cells.c.own_id] if own_id else []
    row = select(*ids, *texts).subquery("row")
    fingerprinted = select(*row.c, _fingerprint(row).label("fingerprint")).subquery("told")
    return insert(stage_row).from_select(
        [c.name for c in stage_row.c], _without_known_texts(fingerprinted, known_fingerprints)
    )


def _without_known_texts(
    rows: FromClause, known_fingerprints: FromClause | None
) -> Select[*tuple[Any, ...]]:
    """The rows with their account IDs; of known ones what their counts need."""
    without_offset = lacks_offset(rows.c.last_updated).label("without_offset")
    if known_fingerprints is None:
        return select(_account_id(rows), _texts(rows), without_offset, rows.c.fingerprint, false())
    # Asked for as a value, it is looked up row by row as the file is read. As a condition it would
    # be a join, for which DuckDB takes the file, of unknown length, into memory first.
    is_known = rows.c.fingerprint.in_(select(known_fingerprints.c.fingerprint))
    checked = select(*rows.c, without_offset, is_known.label("known")).subquery("seen")
    account_id, texts = (
        case((~checked.c.known, expression(checked))) for expression in (_account_id, _texts)
    )
    return select(
        account_id, texts, checked.c.without_offset, checked.c.fingerprint, checked.c.known
    )


def _texts(row: FromClause) -> ColumnElement[Any]:
    return array([row.c[name] for name in RAW_COLUMNS])


def _account_id(row: FromClause) -> ColumnElement[Any]:
    """The row's own, else its username in lower case; NULL where it is no account."""
    username = visible_or_null(row.c.username_in_app)
    if "own_id" not in row.c:
        return func.lower(username)
    own_id = func.coalesce(visible_or_null(row.c.own_id), func.lower(username))
    return func.if_(username.is_(None), None, own_id)


def _fingerprint(row: FromClause) -> ColumnElement[int]:
    """63 bits that differ where the texts do: to compare them is a third of comparing the texts."""
    return cast(func.hash(*row.c).op(">>")(1), BigInteger)


def _attributes(cells: dict[str, ColumnElement[Any]]) -> ColumnElement[Any]:
    """The columns that Rollcall has no name for, as one JSON object without the empty ones.

    Of what occurs twice in a statement DuckDB makes one, which takes it minutes for a thousand
    columns: so a cell is filled before, and named once here.
    """
    if not cells:
        return cast(literal(None), String)
    pairs = [
        part
        for heading, text in cells.items()
        for part in (literal(heading), _null_if_secret(text))
    ]
    nonnull = func.json_merge_patch("{}", func.json_object(*pairs))
    return func.nullif(cast(nonnull, String), "{}")


def _null_if_secret(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """NULL for a list or an object that holds a credential somewhere within."""
    secret_key_pattern = rf'^[{{[].*"[^"]*(?:{CREDENTIAL_PATTERN.pattern})[^"]*"\s*:'
    return case((~func.regexp_matches(text, secret_key_pattern, "is"), text))


# ---- CSV ----------------------------------------------------------------------------------------


# ---- JSON ---------------------------------------------------------------------------------------


# ---- Parquet ------------------------------------------------------------------------------------


# ---- which reader -------------------------------------------------------------------------------


# ---- small things -------------------------------------------------------------------------------


def _no_username_message(name: str, rows: FileRows, missing_headings: list[str]) -> str:
    headings = [*map(shorten, rows.cells)]
    ellipsis = ", …" if len(headings) > MAX_HEADINGS_SHOWN else ""
    heading_list = ", ".join(headings[:MAX_HEADINGS_SHOWN]) + ellipsis
    if missing_headings:
        return (
            f"{name} lacks “{shorten(missing_headings[0])}”, which the mapping of its "
            "integration names. "
            f"Found: {heading_list or 'none'}."
        )
    return (
        f"{name} has no column for the username in app. Found: {heading_list or 'none'}. "
        "Expected a heading like “Username in app”, “userName” or “login”."
    )
