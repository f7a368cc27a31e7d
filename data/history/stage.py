"""Reads a snapshot file into `stage_row`, as text, with one DuckDB statement.

The reader of the file's format gives a view over the file and, for each heading, the expression
for its cells as text; lists and objects are JSON text. Nothing is interpreted here.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select
from sqlalchemy.dialects.postgresql import array

from data.files.csv import count_broken_records
from data.files.encoding import InputFile
from data.files.errors import NotAListOfAccounts, NoUsernameColumn
from data.files.headers import CREDENTIAL_PATTERN, heading_key, is_credential, ranks_of
from data.files.mapping import NO_MAPPING, ColumnMapping
from data.files.other_rows import is_account, marks_of_row
from data.files.own_list import restore_own_list
from data.files.profile import EMAIL
from data.files.proposal import Proposal
from data.files.propose import propose_mapping
from data.files.relation import (
    MAX_HEADINGS_SHOWN,
    FileRows,
    RecordLocations,
    reject_too_many_headings,
    shorten,
)
from data.files.text import id_or_null, trim_or_null, username_key, visible_or_null
from data.schema import RAW_COLUMNS, insert_rows
from data.sources.delivery import OpenedFile, wrap_read_errors
from data.sources.source import SourceReport
from data.staging import stage_row
from data.values.column_reading import column_reading, role_marks, row_marks
from data.values.roles import has_only_marks, marked_role, role_items, roles_on

USUAL_COLUMNS = (
    "username_in_app",
    "user_email",
    "roles",
    "user_text",
    "user_name",
    "active_in_app",
)
"""Columns with a text in nearly every row, if the file has them."""

MAX_OTHERS = 6
"""Further columns in which a text shows that a row is an account, before all are looked at."""

INFERRED_STATE = {"provisioning_state": "Onboarded", "state_source": "inferred"}
"""A file without states lists the accounts that exist, and no jobs."""

WAY_ON = (
    "Choose the column under “Map columns” when you upload the file on the Snapshots page, or give "
    "a mapping: rollcall load --mapping."
)
LOG_OF_EVENTS = (
    "{name} looks like a log or a history, not a list of accounts: {reason}. Export the list of "
    "users instead. If a row is a role of an account, or the time is when the account was last "
    "used or changed, choose the column under “Map columns” when you upload the file on the "
    "Snapshots page, or give a mapping: rollcall load --mapping."
)
NO_HEADINGS = (
    "{name} has no line of headings: its first line has the value “{value}”. Add a line above it "
    "with the name of each column, such as Username, Name, Email, Role and Status."
)
MISSING_HEADINGS = "The mapping names headings that the file does not have: {}."


Cells = dict[str, ColumnElement[Any]]
"""Column of a snapshot → its cell."""


class ReadResult(NamedTuple):
    """The facts about a file that `stage_row` does not hold."""

    locate_records: Callable[[Connection], RecordLocations]  # as in FileRows
    broken_count: int  # records that could not be parsed
    outside_lines: tuple[tuple[int, str | None, str], ...]  # as in FileRows
    headings: tuple[str, ...]  # as in the file, repeated ones numbered
    columns: tuple[str, ...]  # the columns of a snapshot that the file has
    notes: tuple[str, ...]  # full sentences on how it was read, for a person to check
    remarks: tuple[str, ...]  # full sentences that are worth knowing
    unsure: dict[str, str]  # column that is not read → what could be it
    copies: tuple[object, ...]  # temporary files that stand in for the file; deleted with this
    source_info: SourceReport  # on how it was read; on the source, if it is another product
    row_noun: str  # what the number of a rejected row counts


def stage_rows(
    workspace: Connection,
    file: OpenedFile,
    mapping: ColumnMapping = NO_MAPPING,
    known_fingerprints: sa.FromClause | None = None,
    *,
    key: str,
    was_loaded: bool,
) -> ReadResult:
    """Fill `stage_row` with one row per record of the file.

    A record with a known fingerprint keeps only that: writing texts takes longer than reading
    them, and nearly all rows are as before. `key`: of the store. `was_loaded`: events load, too.
    Raises UnknownFormat, UnreadableFile, TooLarge, NoUsernameColumn or NotAListOfAccounts.
    """
    name, source_info = file.name, file.source_info
    if source_info.source:  # it writes Rollcall's own headings
        mapping = NO_MAPPING.ignoring_ids() if mapping.ignores_ids else NO_MAPPING
    with wrap_read_errors(name):
        input_file, rows = _read_rows(workspace, file)
        missing_headings = mapping.missing_headings(rows.cells)
        proposal = propose_mapping(workspace, rows, mapping)
        notes = (*input_file.notes, *source_info.warnings, *_missing_sentences(missing_headings))
        notes += _note_on_events(name, proposal.events, was_loaded=was_loaded)
        _require_usernames(name, rows, proposal, missing_headings)
        row = _row(rows, proposal, _parted_roles(workspace, rows, proposal.mapping), key)
        insert_rows(workspace, stage_row, _without_known_values(row, known_fingerprints))
        return ReadResult(
            rows.locate_records,
            count_broken_records(workspace, rows),
            rows.outside_lines,
            tuple(rows.cells),
            tuple(proposal.mapping.columns_with_headings()),
            (*notes, *proposal.unsure_sentences().values(), *proposal.warnings()),
            (*source_info.remarks, *rows.remarks, *proposal.remarks()),
            proposal.unsure_sentences(),
            input_file.copies,
            source_info,
            file.reader.row_noun,
        )


def _note_on_events(name: str, reason: str, *, was_loaded: bool) -> tuple[str, ...]:
    message = LOG_OF_EVENTS.format(name=name, reason=reason)
    if reason and not was_loaded:
        raise NotAListOfAccounts(message)
    return (message,) if reason else ()


def _missing_sentences(headings: list[str]) -> list[str]:
    """On the headings of the mapping that the file lacks."""
    shown = ", ".join(map(shorten, headings[:MAX_HEADINGS_SHOWN]))
    return [MISSING_HEADINGS.format(shown)] if headings else []


def _read_rows(workspace: Connection, file: OpenedFile) -> tuple[InputFile, FileRows]:
    input_file, rows = file.reader.read(workspace, file.input_file)
    reject_too_many_headings(file.name, len(rows.cells))
    info = file.source_info
    info.incomplete_reason = info.incomplete_reason or input_file.incomplete_reason
    is_table = not info.source
    return input_file, restore_own_list(workspace, file.name, rows) if is_table else rows


def _parted_roles(workspace: Connection, rows: FileRows, mapping: ColumnMapping) -> Cells:
    """Roles of several columns as one JSON list: each column has a separator of its own.

    A column of an access matrix is one, too: it is named like a role, and says who has it. Where a
    column says what a role is on, the name of the role does, too.
    """
    headings = mapping.columns.get("roles", ())
    resources = mapping.columns.get("role_resource", ())
    can_be_matrix = any("roles" not in ranks_of(heading) for heading in headings)
    if len(headings) < 2 and not can_be_matrix and not (headings and resources):
        return {}
    cells = [trim_or_null(rows.cells[heading]) for heading in headings]
    facts = (f(cell) for f in (_separator_marks, has_only_marks) for cell in cells)
    found = workspace.execute(select(*facts).select_from(rows.records)).one()
    lists = []
    for heading, cell, marks, is_matrix in zip(
        headings, cells, found[: len(cells)], found[len(cells) :], strict=True
    ):
        items = role_items(cell, column_reading(marks).role_separator)
        is_role_list = "roles" in ranks_of(heading)
        lists.append(items if is_role_list else marked_role(heading, cell, items, digits=is_matrix))
    unreadable = (case((items.is_(None), c)) for c, items in zip(cells, lists, strict=True))
    items = func.flatten(array(lists))
    if resources:
        items = roles_on(items, trim_or_null(rows.cells[resources[0]]))
    united = sa.cast(func.to_json(items), sa.String)
    return {"roles": func.coalesce(*unreadable, united)}


def _separator_marks(cell: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.bit_or(role_marks(cell)), 0)


def _row(rows: FileRows, proposal: Proposal, parted_roles: Cells, key: str) -> sa.FromClause:
    """One row per record: own_id if the file has IDs, *RAW_COLUMNS, last_sign_in, and facts on it.

    The last sign-in changes daily. It is not in the fingerprint, so it does not change the account.
    """
    mapping = proposal.mapping
    columns = mapping.columns_with_headings()
    mapped_cells = {name: mapping.cell(name, rows.cells) for name in columns} | parted_roles
    mapped_cells["username_in_app"] = _null_if_headings(rows, mapping, mapped_cells)
    used_headings = {heading for headings in columns.values() for heading in headings}
    other_headings = [h for h in rows.cells if h not in used_headings and not is_credential(h)]
    others = [trim_or_null(rows.cells[h]).label(f"other_{n}") for n, h in enumerate(other_headings)]
    null_text = sa.cast(sa.literal(None), sa.String)
    names = [name for name in RAW_COLUMNS if name != "attributes"]
    known = [mapped_cells.get(name, null_text).label(name) for name in names]
    own_id = [mapped_cells["account_id"].label("own_id")] if "account_id" in mapped_cells else []
    further = [] if rows.further_attributes is None else [rows.further_attributes.label("further")]
    sign_in = mapped_cells.get("last_sign_in", null_text).label("last_sign_in")
    marks = _marks_of_row(rows, proposal, mapped_cells).label("marks")
    cells = select(*own_id, *known, *others, *further, sign_in, marks).select_from(rows.records)
    cells = cells.subquery("cells")
    attribute_names = [rows.attribute_names.get(heading, heading) for heading in other_headings]
    attributes = _attributes(
        {name: cells.c[f"other_{n}"] for n, name in enumerate(attribute_names)},
        cells.c.further if further else None,
    )
    values = {column.name: column for column in cells.c} | {"attributes": attributes}
    if "provisioning_state" not in columns:
        is_listed = _is_account(cells)
        values |= {name: case((is_listed, text)) for name, text in INFERRED_STATE.items()}
    tracked = [
        *(c for c in cells.c if c.name == "own_id"),
        *(values[n].label(n) for n in RAW_COLUMNS),
    ]
    row = select(*tracked, cells.c.last_sign_in, cells.c.marks).subquery("row")
    fingerprint = _fingerprint(key, *(row.c[column.name] for column in tracked))
    return select(*row.c, fingerprint.label("fingerprint")).subquery("fingerprinted")


def _marks_of_row(rows: FileRows, proposal: Proposal, mapped_cells: Cells) -> ColumnElement[int]:
    columns = proposal.mapping.columns
    ids = columns.get("account_id", ())
    cells = [cell for heading, cell in rows.cells.items() if heading not in ids]
    others = [h for h in rows.cells if not any(h in found for found in columns.values())]
    usual = [mapped_cells[name] for name in USUAL_COLUMNS if name in mapped_cells]
    usual += [rows.cells[heading] for heading in others[:MAX_OTHERS]]
    kinds = [rows.cells[heading] for heading, is_sure in proposal.kinds.items() if is_sure]
    return marks_of_row(cells, usual, mapped_cells.get("account_id"), kinds)


def _null_if_headings(
    rows: FileRows, mapping: ColumnMapping, mapped_cells: Mapping[str, ColumnElement[Any]]
) -> ColumnElement[Any]:
    """The username; NULL in a row that repeats the headings, as joined files have one."""
    username, heading = mapped_cells["username_in_app"], mapping.columns["username_in_app"][0]
    other = next((other for other in rows.cells if other != heading), None)
    if other is None:
        return username
    other_text = rows.cells[other]  # only looked at where the username is its heading
    is_first = func.lower(func.left(username, 1)) == heading.strip()[:1].lower()
    is_heading = case((is_first, _heading_key(username) == heading_key(heading)), else_=sa.false())
    is_other = func.coalesce(_heading_key(other_text) == heading_key(other), sa.false())
    return case((is_heading, case((~is_other, username))), else_=username)


def _heading_key(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """As `heading_key`: some products write the headings twice, the second time for people."""
    return func.lower(func.regexp_replace(text, r"[\s_\-]+", "", "g"))


def _without_known_values(
    rows: sa.FromClause, known_fingerprints: sa.FromClause | None
) -> sa.Select[*tuple[Any, ...]]:
    """The rows of `stage_row`; those with a known fingerprint have no account ID and no values."""
    if known_fingerprints is None:
        values = _account_id(rows), _raw_values(rows), _marks(rows)
        return select(*values, rows.c.fingerprint, sa.false(), rows.c.last_sign_in)
    # As a value, it is looked up row by row while the file is read. As a condition it would be a
    # join, for which DuckDB first reads the file, of unknown length, into memory.
    is_known = rows.c.fingerprint.in_(select(known_fingerprints.c.fingerprint))
    row = select(*rows.c, is_known.label("is_known")).subquery("checked")
    account_id, values = (
        case((~row.c.is_known, value(row))) for value in (_account_id, _raw_values)
    )
    marks = case((~row.c.is_known, _marks(row)), else_=0)
    others = [row.c[name] for name in ("fingerprint", "is_known", "last_sign_in")]
    return select(account_id, values, marks, *others)


def _marks(row: sa.FromClause) -> ColumnElement[int]:
    return row_marks(row.c.roles, row.c.last_updated) + row.c.marks


def _raw_values(row: sa.FromClause) -> ColumnElement[Any]:
    return array([row.c[name] for name in RAW_COLUMNS])


def _account_id(row: sa.FromClause) -> ColumnElement[Any]:
    """The row's own ID, else its username in lower case; NULL if the row is no account."""
    account_id = username_key(visible_or_null(row.c.username_in_app))
    if "own_id" in row.c:
        account_id = func.coalesce(id_or_null(row.c.own_id), account_id)
    return case((_is_account(row), account_id))


def _is_account(row: sa.FromClause) -> ColumnElement[bool]:
    """Whether the row has a username, and is not a line about the list."""
    username = visible_or_null(row.c.username_in_app)
    return case((is_account(row.c.marks), username.is_not(None)), else_=sa.false())


def _fingerprint(key: str, *texts: ColumnElement[Any]) -> ColumnElement[int]:
    """63 bits that differ where the texts do; comparing them takes a third of the time.

    Nobody without the key can make two texts with one fingerprint. The lengths keep apart what
    stands in neighboring columns.
    """
    lengths = func.hash(*(func.strlen(text) for text in texts))
    digest = func.md5(func.concat(key, lengths, *texts))
    return sa.cast(func.hash(digest).op(">>")(1), sa.BigInteger)


def _attributes(
    cells: dict[str, ColumnElement[Any]], further: ColumnElement[Any] | None
) -> ColumnElement[Any]:
    """The cells of unmapped headings that have a value, and further ones, as one JSON object.

    Each cell is a column of a subquery, named once here: DuckDB looks for repeated expressions,
    which takes minutes for a thousand columns.
    """
    if not cells and further is None:
        return sa.cast(sa.literal(None), sa.String)
    attributes = json_object({h: _null_if_secret(text) for h, text in cells.items()})
    if further is not None:
        is_object = func.starts_with(_null_if_secret(further), "{")
        further_object = case((is_object, sa.try_cast(further, sa.JSON)), else_="{}")
        merged = func.json_merge_patch(further_object, sa.cast(attributes, sa.JSON))
        attributes = sa.cast(merged, sa.String)
    return func.nullif(attributes, "{}")


def json_object(values: Mapping[str, ColumnElement[Any]]) -> ColumnElement[str]:
    """The values that are not NULL, as the text of a JSON object."""
    pairs = [part for name, value in values.items() for part in (sa.literal(name), value)]
    return sa.cast(func.json_merge_patch("{}", func.json_object(*pairs)), sa.String)


def _null_if_secret(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """NULL for a list or an object that contains a credential."""
    secret_key_pattern = rf'^[{{[].*"[^"]*(?:{CREDENTIAL_PATTERN.pattern})[^"]*"\s*:'
    return case((~func.regexp_matches(text, secret_key_pattern, "is"), text))


def _require_usernames(
    name: str, rows: FileRows, proposal: Proposal, missing_headings: list[str]
) -> None:
    if value := next(filter(EMAIL.fullmatch, rows.cells), ""):
        raise NoUsernameColumn(NO_HEADINGS.format(name=name, value=shorten(value)))
    if proposal.mapping.columns.get("username_in_app"):
        return
    shown = [*map(shorten, rows.cells)]
    found = ", ".join(shown[:MAX_HEADINGS_SHOWN]) + ", …" * (len(shown) > MAX_HEADINGS_SHOWN)
    if missing_headings:
        raise NoUsernameColumn(
            f"{name} has no column “{shorten(missing_headings[0])}”, which the mapping of its "
            f"integration names. Found: {found or 'none'}. {WAY_ON}"
        )
    guess = proposal.unsure.get("username_in_app")
    hint = f" It could be {guess.sentence()}." if guess else ""
    raise NoUsernameColumn(
        f"{name} has no column for the username in app. Found: {found or 'none'}.{hint} "
        f"Expected a heading like “Username in app”, “userName” or “login”. {WAY_ON}"
    )
