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
    NoUsableHeader,
)
from data.files.headers import CREDENTIAL
from data.files.mapping import NO_MAPPING, Columns
from data.files.relation import (
    MOST_SHOWN,
    Places,
    Rows,
    abbreviate,
    check_heading_count,
)
from data.files.text import filled, names_no_offset, unless_blank
from data.schema import DELIVERED
from data.sources.delivery import Opened, telling_why
from data.sources.source import Said
from data.staging import load_row

MISSING = "Headings that the mapping of the integration names are not in the file: {}."


class Read(NamedTuple):
    """What a reader leaves beside `load_row`."""

    places: Callable[[Connection], Places]  # as in Rows
    broken: int  # records that could not be taken apart
    headings: tuple[str, ...]  # as in the file, repeated ones numbered
    notes: tuple[str, ...]  # what a person should know of how it was read: full sentences
    copies: tuple[object, ...]  # what was read in place of the file: is deleted after this
    said: Said  # what the file's source has to say, where it is another product's


def fill_load_row(
    con: Connection,
    file: Opened,
    columns: Columns = NO_MAPPING,
    known: FromClause | None = None,
) -> Read:
    """Fill `load_row` with one row per record of the file, whose headings mean what `columns` say.

    A record with a fingerprint of `known` keeps only that: to write texts takes longer than to read
    them, and nearly all are as the day before.
    Raises UnknownFormat, UnreadableFile, TooLarge, NoUsableHeader or NotAListOfAccounts.
    """
    path, said = file.path, file.said
    with telling_why(path):
        plain, rows = file.reader.read(con, file.plain)
        check_heading_count(path.name, len(rows.cells))
        if said.source:  # its headings are ours
            columns = NO_MAPPING
        found = columns.found_in(rows.cells)
        missing = columns.missing_from(rows.cells)
        if "username_in_app" not in found:
            raise NoUsableHeader(_no_username(path.name, rows, missing))
        notes = [*plain.notes, *said.notes]
        if missing:
            notes.append(MISSING.format(", ".join(map(abbreviate, missing[:MOST_SHOWN]))))
        con.execute(_into_load_row(rows, found, columns, known))
        broken = count_broken_records(con, rows)
        return Read(rows.places, broken, tuple(rows.cells), tuple(notes), plain.copies, said)


def _into_load_row(
    rows: Rows, found: dict[str, str], columns: Columns, known: FromClause | None
) -> Any:
    """The one statement that reads the whole file."""
    cell = {name: columns.cell(name, rows.cells) for name in found}
    taken = {*found.values(), *columns.headings_in(rows.cells)}
    rest = [h for h in rows.cells if h not in taken and not CREDENTIAL.search(h)]
    nothing = cast(literal(None), String)
    named = [cell.get(name, nothing).label(name) for name in DELIVERED if name != "attributes"]
    own_id = [cell["account_id"].label("own_id")] if "account_id" in cell else []
    more = [filled(rows.cells[heading]).label(f"more_{n}") for n, heading in enumerate(rest)]
    cells = select(*own_id, *named, *more).select_from(rows.records).subquery("cells")
    kept = _attributes({h: cells.c[f"more_{n}"] for n, h in enumerate(rest)}).label("attributes")
    texts = [kept if name == "attributes" else cells.c[name] for name in DELIVERED]
    ids = [cells.c.own_id] if own_id else []
    row = select(*ids, *texts).subquery("row")
    told = select(*row.c, _fingerprint(row).label("fingerprint")).subquery("told")
    return insert(load_row).from_select([c.name for c in load_row.c], _unless_known(told, known))


def _unless_known(told: FromClause, known: FromClause | None) -> Select[*tuple[Any, ...]]:
    """The rows with their account IDs; of known ones what their counts need."""
    without_offset = names_no_offset(told.c.last_updated).label("without_offset")
    if known is None:
        return select(_account_id(told), _texts(told), without_offset, told.c.fingerprint, false())
    # Asked for as a value, it is looked up row by row as the file is read. As a condition it would
    # be a join, for which DuckDB takes the file, of unknown length, into memory first.
    is_known = told.c.fingerprint.in_(select(known.c.fingerprint))
    seen = select(*told.c, without_offset, is_known.label("known")).subquery("seen")
    account_id, texts = (case((~seen.c.known, of(seen))) for of in (_account_id, _texts))
    return select(account_id, texts, seen.c.without_offset, seen.c.fingerprint, seen.c.known)


def _texts(row: FromClause) -> ColumnElement[Any]:
    return array([row.c[name] for name in DELIVERED])


def _account_id(row: FromClause) -> ColumnElement[Any]:
    """The row's own, else its username in lower case; NULL where it is no account."""
    username = unless_blank(row.c.username_in_app)
    if "own_id" not in row.c:
        return func.lower(username)
    own_id = func.coalesce(unless_blank(row.c.own_id), func.lower(username))
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
    pairs = [x for heading, text in cells.items() for x in (literal(heading), _unless_secret(text))]
    kept = func.json_merge_patch("{}", func.json_object(*pairs))
    return func.nullif(cast(kept, String), "{}")


def _unless_secret(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """NULL for a list or an object that holds a credential somewhere within."""
    within = rf'^[{{[].*"[^"]*(?:{CREDENTIAL.pattern})[^"]*"\s*:'
    return case((~func.regexp_matches(text, within, "is"), text))


# ---- CSV ----------------------------------------------------------------------------------------


# ---- JSON ---------------------------------------------------------------------------------------


# ---- Parquet ------------------------------------------------------------------------------------


# ---- which reader -------------------------------------------------------------------------------


# ---- small things -------------------------------------------------------------------------------


def _no_username(name: str, rows: Rows, missing: list[str]) -> str:
    headings = [*map(abbreviate, rows.cells)]
    more = ", …" if len(headings) > MOST_SHOWN else ""
    found = ", ".join(headings[:MOST_SHOWN]) + more
    if missing:
        return (
            f"{name} lacks “{abbreviate(missing[0])}”, which the mapping of its integration names. "
            f"Found: {found or 'none'}."
        )
    return (
        f"{name} has no column for the username in app. Found: {found or 'none'}. "
        "Expected a heading like “Username in app”, “userName” or “login”."
    )
