"""Snapshot files as rows of text: one reader per format, all set-based in DuckDB.

A reader answers with a view over the file and, for each heading, the expression that gives its
cells as text. Lists and objects are given as JSON text. Nothing is understood here yet.
"""

from __future__ import annotations

import csv
import glob
import json
import re
import zlib
from bisect import bisect_left
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow
from pyarrow import parquet
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    column,
    false,
    func,
    insert,
    literal,
    null,
    select,
    table,
    try_cast,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DropTable
from sqlalchemy.sql.expression import TableClause

from data.cleaning import WHITE, filled, names_no_offset, unless_blank
from data.headings import CREDENTIAL
from data.lines import starts_of_records
from data.mapping import NO_MAPPING, Columns
from data.refusals import (
    NotAListOfAccounts,
    NoUsableHeader,
    TooLarge,
    UnknownFormat,
    UnreadableFile,
)
from data.schema import DELIVERED
from data.sources import mapped
from data.sources.parts import Part
from data.sources.source import Said
from data.staging import load_row
from data.unpacking import (
    COMPRESSIONS,
    MEGABYTE,
    TOO_LARGE,
    Form,
    Plain,
    as_plain,
    head_of,
    most_unpacked,
    part_of,
    refuse_signature,
    tail_of,
)
from data.zipped import unzipped

VIEW = "snapshot_file"
LINES_VIEW = "snapshot_lines"
BROKEN_VIEW = "snapshot_broken"
DELIMITERS = ",;\t|"
LONGEST_LINE = 16 * 1024 * 1024  # bytes; above it a line is a fault, not an account
LARGEST_ANSWER = 4 * 1024 * 1024  # bytes of a JSON object that are searched for what it is
MOST_HEADINGS = 500
"""Above it a file has data where headings should be, like an object with a key per account."""
MOST_ROWS = 20_000_000
"""Of a Parquet file, where a value repeated a billion times takes no place. Twenty times the
longest list that Rollcall is made for."""
MOST_VALUES = 5 * MOST_ROWS
"""Of one of its columns, where lists have several a row."""
MOST_SHOWN = 20  # headings or keys in a sentence
LONGEST_SHOWN = 60  # characters of each
LONGEST_SAID = 300  # characters of what DuckDB says
PATH = re.compile(r"/\S+/[^\s\"']+")
"""As DuckDB names files: the server's own affair, and of copies nobody else's."""
MISSING = "Headings that the mapping of the integration names are not in the file: {}."
SEVERAL = (
    "{name} holds {files:,} files that are no pages of one source that Rollcall knows. Deliver a "
    "snapshot with Rollcall’s own columns as one file."
)
TOO_MANY_HEADINGS = (
    "{name} has more than {most:,} different headings: data, it seems, is where they should be. "
    "Expected a list of accounts, each with the same columns."
)
UNREADABLE = (
    duckdb.Error,
    DBAPIError,
    OSError,
    EOFError,
    zlib.error,
    csv.Error,
    UnicodeError,
    pyarrow.ArrowException,
)


class Places(NamedTuple):
    """Where in a file its records are."""

    lines: FromClause  # one row per row of `load_row`: number, from 0; line; text if not readable
    broken: FromClause | None = None  # one row per record not taken apart: line, text, reason


class Rows(NamedTuple):
    """A file as the database sees it."""

    records: FromClause  # one row per record, in the file's order
    cells: dict[str, ColumnElement[Any]]  # heading → its cell as text, or NULL
    places: Callable[[Connection], Places]  # asking for them reads the file once more
    notes_broken: bool = False  # whether DuckDB keeps out, and notes, what it cannot take apart


class Read(NamedTuple):
    """What a reader leaves beside `load_row`."""

    places: Callable[[Connection], Places]  # as in Rows
    broken: int  # records that could not be taken apart
    headings: tuple[str, ...]  # as in the file, repeated ones numbered
    notes: tuple[str, ...]  # what a person should know of how it was read: full sentences
    copies: tuple[object, ...]  # what was read in place of the file: is deleted after this
    said: Said  # what the file's source has to say, where it is another product's


class Opened(NamedTuple):
    """A file as its reader wants it; another product's as rows, and what there is to say."""

    path: Path
    plain: Plain
    reader: Reader
    said: Said


def opened(path: Path, integration: str = "") -> Opened:
    """Unpack a file, look through it, and make rows of it where it is another product's.

    Raises UnknownFormat, UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    reader_of(path)
    with _telling_why(path):
        return _opened(path, integration)


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
    with _telling_why(path):
        plain, rows = file.reader.read(con, file.plain)
        _refuse_too_many(path.name, len(rows.cells))
        if said.source:  # its headings are ours
            columns = NO_MAPPING
        found = columns.found_in(rows.cells)
        missing = columns.missing_from(rows.cells)
        if "username_in_app" not in found:
            raise NoUsableHeader(_no_username(path.name, rows, missing))
        notes = [*plain.notes, *said.notes]
        if missing:
            notes.append(MISSING.format(", ".join(map(_shown, missing[:MOST_SHOWN]))))
        con.execute(_into_load_row(rows, found, columns, known))
        broken = _count_broken(con, rows)
        return Read(rows.places, broken, tuple(rows.cells), tuple(notes), plain.copies, said)


@contextmanager
def _telling_why(path: Path) -> Iterator[None]:
    """Raises UnreadableFile for what readers raise."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise  # no fault of the file's
    except UNREADABLE as fault:
        raise UnreadableFile(_why_unreadable(path, fault)) from fault


def _refuse_too_many(name: str, headings: int) -> None:
    if headings > MOST_HEADINGS:
        raise NotAListOfAccounts(TOO_MANY_HEADINGS.format(name=name, most=MOST_HEADINGS))


def headings_of(con: Connection, path: Path) -> tuple[str, ...]:
    """The headings of a file of somebody's own; none where another product's file is recognised.

    Raises what `opened` does.
    """
    file = opened(path)
    if file.said.source:
        return ()
    with _telling_why(path):
        _, rows = file.reader.read(con, file.plain)
    return tuple(rows.cells)[:MOST_HEADINGS]


def _opened(path: Path, integration: str) -> Opened:
    delivered = unzipped(path) if path.suffix.lower() == ZIP else [Plain(path, path.name)]
    parts = [_part(plain) for plain in delivered]
    texts = [part for part in parts if isinstance(part, Part)]
    found = mapped(texts, path.name, integration) if len(texts) == len(parts) else None
    if found:
        return Opened(path, found.plain, JSON_LINES, found.said)
    if len(parts) > 1:
        raise NotAListOfAccounts(SEVERAL.format(name=path.name, files=len(parts)))
    plain = parts[0].plain if isinstance(parts[0], Part) else parts[0]
    return Opened(path, plain, reader_of(Path(plain.name)), Said())


def _part(plain: Plain) -> Part | Plain:
    """A file of text with its form; another one as it is."""
    reader = reader_of(Path(plain.name))
    if reader.form:
        return Part(as_plain(plain, reader.form), reader.form)
    return plain


def place_word(file_name: str) -> str:
    """What the line of a rejected row counts: lines, or records where those have no lines."""
    return "line" if reader_of(Path(file_name)).counts_lines else "record"


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


def _read_separated(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    """CSV and its relatives; the first record is the headings, the delimiter is what it uses."""
    first = _first_record(plain)
    _refuse_too_many(plain.name, len(first.headings))
    names = [f"c{i}" for i in range(len(first.headings))]
    _forget_broken(con)
    relation = _duckdb(con).read_csv(
        _exactly(plain.path),
        columns=dict.fromkeys(names, "VARCHAR"),
        auto_detect=False,
        header=True,
        delimiter=first.delimiter,
        quotechar='"',
        escapechar='"',
        skiprows=first.skipped,
        max_line_size=LONGEST_LINE,
        buffer_size=LONGEST_LINE,  # DuckDB would take 16 times as much, and longer
        store_rejects=True,
    )
    cells = dict(zip(_unique(first.headings), map(_text, names), strict=True))
    records: FromClause = _view(con, relation)
    if len(names) == 1:  # of several, DuckDB leaves out blank lines by itself
        records = select(records).where(column(names[0]).is_not(None)).subquery("records")
    places = partial(_places_in_csv, plain, first, tuple(cells))
    return plain, Rows(records, cells, places, notes_broken=True)


SAYS_DELIMITER = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line of some exports, for Excel."""


class _FirstRecord(NamedTuple):
    headings: list[str]
    delimiter: str
    skipped: int  # lines before the headings
    lines: int  # up to the end of the headings


def _first_record(plain: Plain) -> _FirstRecord:
    with plain.path.open(encoding="utf-8-sig", newline="") as text:
        lines, skipped, delimiter = iter(partial(text.readline, LONGEST_LINE), ""), 0, ""
        for line in lines:
            said = SAYS_DELIMITER.fullmatch(line.rstrip("\r\n"))
            if line.strip(WHITE) and not said:
                break
            delimiter = said[1] if said else delimiter
            skipped += 1
        else:
            raise NoUsableHeader(f"{plain.name} is empty; expected a line of headings.")
        delimiter = delimiter or max(DELIMITERS, key=re.sub(r'"[^"]*"?', "", line).count)
        reader = csv.reader(chain([line], lines), delimiter=delimiter)
        headings, upto = next(reader), skipped + reader.line_num
        following = next((row for row in reader if row), headings)
    return _FirstRecord(_as_wide_as(following, headings), delimiter, skipped, upto)


def _as_wide_as(row: list[str], headings: list[str]) -> list[str]:
    """The headings, with or without the empty one that a delimiter at the end makes: as `row`."""
    if len(row) == len(headings) - 1 and not headings[-1].strip(WHITE):
        return headings[:-1]
    if len(row) == len(headings) + 1 and not row[-1].strip(WHITE):
        return [*headings, ""]
    return headings


def _unique(headings: list[str]) -> list[str]:
    """Headings, the repeated ones numbered: `Team`, `Team (2)`; an empty one is `Column 3`."""
    names: dict[str, None] = {}
    for position, heading in enumerate(headings, start=1):
        name = heading.strip(WHITE) or f"Column {position}"
        numbered = (f"{name} ({n})" for n in count(2))
        names[name if name not in names else next(n for n in numbered if n not in names)] = None
    return list(names)


BROKEN = table("reject_errors", *map(column, ("line_byte_position", "csv_line", "error_type")))
UNQUOTED = "UNQUOTED VALUE"
WORDS = {
    "MISSING COLUMNS": "The line has fewer cells than there are headings.",
    "TOO MANY COLUMNS": "The line has more cells than there are headings.",
    UNQUOTED: "A quoted cell does not end.",
    "LINE SIZE OVER MAXIMUM": "The line is longer than 16 MiB.",
}
"""DuckDB's kinds of broken CSV lines, in a reader's words."""
OTHERWISE_BROKEN = "The line cannot be taken apart."
CUT_IN_QUOTES = (
    "{name} is cut off or damaged: the quoted cell in line {line:,} or after it does not end."
)


def _forget_broken(con: Connection) -> None:
    """DuckDB notes broken lines in tables of its own, which last as long as the connection."""
    for name in ("reject_errors", "reject_scans"):
        con.execute(DropTable(Table(name, MetaData()), if_exists=True))


def _count_broken(con: Connection, rows: Rows) -> int:
    """Raises UnreadableFile where the last record does not end: the file is cut off."""
    if not rows.notes_broken:
        return 0
    position, kind = BROKEN.c.line_byte_position, BROKEN.c.error_type
    records, unquoted = con.execute(
        select(func.count(position.distinct()), func.count().filter(kind == UNQUOTED))
    ).one()
    if unquoted:
        rows.places(con)
    return records


def _places_in_csv(
    plain: Plain, first: _FirstRecord, headings: tuple[str, ...], con: Connection
) -> Places:
    """Of its records DuckDB tells neither line nor number, so they are counted here.

    Raises UnreadableFile where the last record does not end: the file is cut off.
    """
    starts = starts_of_records(plain.path, first.delimiter, first.lines)
    if starts.is_open:
        raise UnreadableFile(CUT_IN_QUOTES.format(name=plain.name, line=starts.lines[-1]))
    position = BROKEN.c.line_byte_position
    broken = con.execute(
        select(
            position,
            func.min(BROKEN.c.csv_line).label("text"),
            func.min(BROKEN.c.error_type).label("kind"),
        ).group_by(position)
    ).all()
    at = [bisect_left(starts.offsets, each.line_byte_position - 1) for each in broken]
    taken, last = set(at), len(starts.lines) - 1
    lines = [line for index, line in enumerate(starts.lines) if index not in taken]
    # nobody knows where in a broken line the credentials are
    tells = any(map(CREDENTIAL.search, headings))
    return Places(
        _registered(
            con,
            LINES_VIEW,
            number=pyarrow.array(range(len(lines)), "int64"),
            line=pyarrow.array(lines, "int64"),
            text=pyarrow.nulls(len(lines), "string"),
        ),
        _registered(
            con,
            BROKEN_VIEW,
            line=pyarrow.array([starts.lines[min(index, last)] for index in at], "int64"),
            text=pyarrow.array(
                [None if tells else each.text.strip("\r\n") for each in broken], "string"
            ),
            reason=pyarrow.array(
                [WORDS.get(each.kind, OTHERWISE_BROKEN) for each in broken], "string"
            ),
        ),
    )


# ---- JSON ---------------------------------------------------------------------------------------

A_LIST = "a list of accounts: [{…}, {…}]"
WRAPPED = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*("(?:[^"\\]|\\.)*")\s*:\s*(?=\[)')
LIST_OF_OBJECTS = re.compile(rb"\s*\[\s*\{")
WRAPPED_END = re.compile(rb"\](\s*\}\s*)$")
UNWRAPPED = "The file is a JSON object; the accounts are the list under “{key}”, its only key."


def _read_json_array(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    start = _first_character(plain)
    if start == "{":
        plain = _list_in_object(plain)
    elif start != "[":
        raise UnreadableFile(f"{plain.name} is not JSON: it starts with {start!r}.")
    if not tail_of(plain.path).rstrip().endswith(b"]"):
        raise UnreadableFile(f"{plain.name} is cut off or damaged: its list does not end.")
    relation = _duckdb(con).read_json(
        _exactly(plain.path),
        columns={"record": "JSON"},
        records="false",
        format="array",
        maximum_object_size=LONGEST_LINE,
    )
    records = select(column("record", JSON)).select_from(_view(con, relation)).subquery("records")
    text = _unless_object(records.c.record, cast(records.c.record, String))
    return plain, _records(con, plain, records, _numbered(records, text))


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
    note = UNWRAPPED.format(key=_shown(json.loads(begun[1])))
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
    keys = ", ".join(map(_shown, list(found)[:MOST_SHOWN])) or "none"
    advice = (
        f" If “{_shown(lists[0])}” is all of it, deliver that alone." if len(lists) == 1 else ""
    )
    raise NotAListOfAccounts(
        f"{plain.name} is one JSON object; expected {A_LIST}. Its keys: {keys}.{advice}"
    )


def _read_json_lines(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    """Line by line, so that a broken one costs no other; blank ones are none."""
    if LIST_OF_OBJECTS.match(head_of(plain.path).removeprefix(BOM_UTF8)):
        raise UnreadableFile(
            f"{plain.name} is one JSON list, not an object a line; its name should end in .json."
        )
    relation = _duckdb(con).read_csv(
        _exactly(plain.path),
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
    view, text = _view(con, relation), filled(_text("line"))
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


def _numbered(records: FromClause, text: ColumnElement[Any]) -> FromClause:
    """Where a record has no line of its own, its place in the list is its line."""
    number = func.row_number().over()
    numbers = select((number - 1).label("number"), number.label("line"), text.label("text"))
    return numbers.select_from(records).subquery("lines")


def _unless_object(record: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
    """The text of a record that is no JSON object, so no account; not where it tells secrets."""
    is_none = func.coalesce(func.json_type(record), "") != "OBJECT"
    tells = func.regexp_matches(text, CREDENTIAL.pattern, "i")
    return case((and_(is_none, tells), ""), (is_none, text))


# ---- Parquet ------------------------------------------------------------------------------------


def _read_parquet(con: Connection, plain: Plain) -> tuple[Plain, Rows]:
    """Every type as the text that the other formats would hold."""
    if plain.path.suffix.lower() in COMPRESSIONS:
        raise UnknownFormat(
            f"{plain.name}: a Parquet file is compressed inside; deliver it as it is, as .parquet."
        )
    if not (head := head_of(plain.path)).startswith(b"PAR1"):
        refuse_signature(plain.name, head, "Parquet")
    _refuse_more_values_than_people(plain)
    relation = _duckdb(con).read_parquet(_exactly(plain.path))
    _refuse_too_many(plain.name, len(relation.columns))
    cells = {
        name: _without_nul(_as_text(name, str(kind)))
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }
    view = _view(con, relation)
    _refuse_more_text_than_unpacked(con, plain, view, cells)
    return plain, Rows(view, cells, lambda _: Places(_numbered(view, cast(null(), String))))


def _refuse_more_values_than_people(plain: Plain) -> None:
    about = parquet.read_metadata(plain.path)
    groups = [about.row_group(n) for n in range(about.num_row_groups)]
    in_columns = [sum(g.column(n).num_values for g in groups) for n in range(about.num_columns)]
    if about.num_rows > MOST_ROWS or max(in_columns, default=0) > MOST_VALUES:
        raise TooLarge(
            f"{plain.name} has {about.num_rows:,} rows and {max(in_columns, default=0):,} values "
            f"in a column; Rollcall reads up to {MOST_ROWS:,} rows and {MOST_VALUES:,} values."
        )


def _refuse_more_text_than_unpacked(
    con: Connection, plain: Plain, view: FromClause, cells: dict[str, ColumnElement[Any]]
) -> None:
    """A text that is repeated takes place only once, until it is copied out."""
    sizes = [func.coalesce(func.sum(func.strlen(cell)), 0) for cell in cells.values()]
    if sizes and sum(con.execute(select(*sizes).select_from(view)).one()) > most_unpacked():
        raise TooLarge(TOO_LARGE.format(name=plain.name, most=most_unpacked() // MEGABYTE))


def _as_text(name: str, kind: str) -> ColumnElement[Any]:
    """The cell as another format would hold it."""
    if kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]"):
        return cast(func.to_json(column(name)), String)
    if kind == "BLOB":  # texts of writers that do not say that they are texts
        return func.coalesce(func.try_(func.decode(column(name))), _text(name))
    if kind in ("DOUBLE", "FLOAT"):  # integers, where pandas met an empty cell among them
        whole = try_cast(column(name), BigInteger)
        return func.coalesce(case((whole == column(name), cast(whole, String))), _text(name))
    return _text(name)


def _without_nul(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """NUL, which no text has, as the sign for what is none; in JSON it is spelled out."""
    return func.replace(func.replace(text, "\0", "\ufffd"), "\\u0000", "\ufffd")


def _refuse_within(_: Connection, plain: Plain) -> tuple[Plain, Rows]:
    raise UnknownFormat(f"{plain.name}: a ZIP archive within a ZIP archive is not unpacked.")


# ---- which reader -------------------------------------------------------------------------------


class Reader(NamedTuple):
    """How files with a certain ending are read."""

    read: Callable[[Connection, Plain], tuple[Plain, Rows]]
    form: Form | None  # None: no text, to be read as it is
    counts_lines: bool = True


CSV = Reader(_read_separated, Form("CSV", escapes=False, ends_lines=True))
ZIP = ".zip"
JSON_LINES = Reader(_read_json_lines, Form("NDJSON", escapes=True, ends_lines=False))
READERS = {
    ".csv": CSV,
    ".tsv": CSV,
    ".json": Reader(
        _read_json_array, Form("JSON", escapes=True, ends_lines=False), counts_lines=False
    ),
    ".ndjson": JSON_LINES,
    ".jsonl": JSON_LINES,
    ".parquet": Reader(_read_parquet, None, counts_lines=False),
    ZIP: Reader(_refuse_within, None, counts_lines=False),
}
"""File name ending → reader. A new format is one function and one line here."""

NEVER = "\x1f"
"""A delimiter that no JSON text can hold."""


def reader_of(path: Path) -> Reader:
    """The reader for a file's name. Raises UnknownFormat."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    reader = READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        known = ", ".join(READERS)
        raise UnknownFormat(f"{path.name} has no known ending; expected one of {known}.")
    return reader


# ---- small things -------------------------------------------------------------------------------


def _exactly(path: Path) -> str:
    """The path as DuckDB wants it, which takes `*`, `?` and `[` in a name for a pattern."""
    return glob.escape(str(path))


def _duckdb(con: Connection) -> Any:
    """The DuckDB connection under SQLAlchemy's: only it can read files without SQL in strings."""
    return con.connection.driver_connection


def _view(con: Connection, relation: duckdb.DuckDBPyRelation) -> TableClause:
    _duckdb(con).register(VIEW, relation)
    return table(VIEW, *(Column(name) for name in relation.columns))


def _registered(con: Connection, name: str, **columns: Any) -> TableClause:
    """Arrow arrays as a table to select from."""
    _duckdb(con).register(name, pyarrow.table(columns))
    return table(name, *map(Column, columns))


def _text(name: str) -> ColumnElement[Any]:
    return cast(column(name), String)


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _shown(text: str, longest: int = LONGEST_SHOWN) -> str:
    """Text of the file, short enough for a sentence, of characters that can be seen."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else f"{line[:longest]}…"


def _why_unreadable(path: Path, fault: Exception) -> str:
    """DuckDB's first line says what is wrong; its path is the server's own affair."""
    cause = fault.orig if isinstance(fault, DBAPIError) else fault
    said = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    said = _shown(PATH.sub(path.name, said).split(": ", 1)[-1], LONGEST_SAID).rstrip(".")
    return f"{path.name} cannot be read; it may be cut off or damaged. The reader says: {said}."


def _no_username(name: str, rows: Rows, missing: list[str]) -> str:
    headings = [*map(_shown, rows.cells)]
    more = ", …" if len(headings) > MOST_SHOWN else ""
    found = ", ".join(headings[:MOST_SHOWN]) + more
    if missing:
        return (
            f"{name} lacks “{_shown(missing[0])}”, which the mapping of its integration names. "
            f"Found: {found or 'none'}."
        )
    return (
        f"{name} has no column for the username in app. Found: {found or 'none'}. "
        "Expected a heading like “Username in app”, “userName” or “login”."
    )
