"""Lists of accounts that Rollcall wrote: their columns, and how they become accounts again.

A list for people has the texts of the page. What these leave out is in further columns, so that the
list loads as the same accounts. A file is such a list if it has all of its headings.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select
from sqlalchemy.dialects.postgresql import array

from data.files.errors import NotAListOfAccounts
from data.files.headers import heading_key
from data.files.relation import FileRows, shorten
from data.files.text import meaningful_or_null, trim_or_null
from data.states import UNRECOGNIZED
from data.store.dialect import LAMBDA_ITEM, sql_lambda

HEADINGS = {
    "integration": "Integration",
    "user_name": "User",
    "user_email": "Email",
    "username_in_app": "Username in app",
    "roles": "App access",
    "active_in_app": "Active in app",
    "upstream_user_id": "Upstream user ID",
    "provisioning_state": "Provisioning state",
    "state_source": "State source",
    "state_reason": "Reason",
    "failure_code": "Failure code",
    "last_updated": "Last updated",
    "last_sign_in": "Last sign-in",
    "account_id": "Account ID",
}
"""Column of a snapshot file → its heading in a list for people."""

FURTHER_HEADINGS = {
    "role_details": "Role details",
    "flags": "Unread values",
    "attributes": "Further columns",
}
"""Columns with JSON, where a list needs them: roles as objects, the texts of flagged values, and
attributes that have no column of their own."""

COMPUTED_HEADINGS = {
    "state_since": "State since",
    "open_since": "Open since",
    "role_count": "Number of roles",
    "stretches": "In the period",
    "note": "Note",
}
"""Columns that follow from the history or from other columns, or that people write: a list has them
where a person chose them, and a load leaves them out."""

APOSTROPHES_HEADING = "Apostrophes added"
"""Marks the rows of a CSV with apostrophes that keep text from running as a formula."""

FORMULA_PATTERN = r"'*[=+\-@\t\r\n" + "\uff1d\uff0b\uff0d\uff20]"
"""The start of a text that a spreadsheet runs as a formula, the last four characters full-width. A
text that has an apostrophe before it gets another one."""

ATTRIBUTE_SUFFIX = " (attribute)"
"""After the name of an attribute that is named like a column."""

UTC_SUFFIX = " (UTC)"
"""After the heading of a column with times in a spreadsheet, whose times have no zone."""

CUT_MARK = "… [cut]"
"""The end of a text that is too long for a cell of a spreadsheet."""

CHANGES_COLUMNS = {"was_provisioning_state", "Provisioning state, before"}
"""Columns of a list of changes, which has no accounts to load."""

SHOWN_AS = {
    "provisioning_state": UNRECOGNIZED.name,
    "state_source": "reported",
    "active_in_app": "",
    "last_updated": "",
}
"""Column → the text of a value in it that Rollcall could not read."""

LIST_HEADINGS = HEADINGS | FURTHER_HEADINGS | COMPUTED_HEADINGS
"""All columns that a list can have."""

RESERVED_KEYS = {
    *(heading_key(text) for pair in LIST_HEADINGS.items() for text in pair),
    *map(heading_key, ("user_text", APOSTROPHES_HEADING)),
}

Cells = dict[str, ColumnElement[Any]]


def attribute_heading(name: str) -> str:
    """The heading of an attribute's column: its name, or `Email (attribute)`."""
    is_reserved = heading_key(name) in RESERVED_KEYS or name.endswith(ATTRIBUTE_SUFFIX)
    return f"{name}{ATTRIBUTE_SUFFIX}" if is_reserved else name


def restore_own_list(con: Connection, name: str, rows: FileRows) -> FileRows:
    """The cells as a snapshot file has them, where Rollcall wrote the list; else `rows`.

    Raises NotAListOfAccounts for changes, for several integrations, and for texts that were cut.
    """
    if CHANGES_COLUMNS & set(rows.cells):
        raise NotAListOfAccounts(
            f"{name} is a list of changes, not of accounts. Download the list of Users instead."
        )
    cells = _without_apostrophes(rows.cells)
    plain = {heading.removesuffix(UTC_SUFFIX): heading for heading in cells}
    known = HEADINGS | FURTHER_HEADINGS
    spellings = (known, {n: n for n in known})
    complete = next((names for names in spellings if _is_complete(names, plain)), None)
    names = complete or next((names for names in spellings if _names_several(names, plain)), {})
    columns = {n: cells[plain[h]] for n, h in names.items() if h in plain}
    is_spreadsheet = any(heading.endswith(UTC_SUFFIX) for heading in plain.values())
    _reject_unloadable(con, name, rows.records, columns, is_spreadsheet=is_spreadsheet)
    if complete is None:
        return rows._replace(cells=cells)
    used = {plain.get(heading) for heading in complete.values()}
    cells = {heading: cell for heading, cell in cells.items() if heading not in used}
    columns.pop("integration", None)
    for name, heading in COMPUTED_HEADINGS.items():
        for key in (name, plain.get(heading, heading)):
            cells.pop(key, None)
    further, restored = columns.pop("attributes", None), _restored_columns(columns)
    return rows._replace(
        cells=restored | cells,
        attribute_names={h: h.removesuffix(ATTRIBUTE_SUFFIX) for h in cells},
        further_attributes=further,
    )


def _names_several(names: dict[str, str], headings: Collection[str]) -> bool:
    """Whether a list with some of the columns can be of several integrations."""
    return names["username_in_app"] in headings and names["integration"] in headings


def _is_complete(names: dict[str, str], headings: Iterable[str]) -> bool:
    """Whether all columns are there; the list of one integration need not name it."""
    return {names[n] for n in HEADINGS if n != "integration"} <= set(headings)


def _without_apostrophes(cells: Cells) -> Cells:
    if APOSTROPHES_HEADING not in cells:
        return cells
    has_apostrophes = cells[APOSTROPHES_HEADING] == "Yes"
    pattern = f"^'({FORMULA_PATTERN})"

    def restored(cell: ColumnElement[Any]) -> ColumnElement[Any]:
        return case((has_apostrophes, func.regexp_replace(cell, pattern, r"\1")), else_=cell)

    return {
        re.sub(pattern, r"\1", heading): restored(cell)
        for heading, cell in cells.items()
        if heading != APOSTROPHES_HEADING
    }


def _reject_unloadable(
    con: Connection, name: str, records: sa.FromClause, columns: Cells, *, is_spreadsheet: bool
) -> None:
    """Only lists that name integrations can hold several; only those of spreadsheets are cut."""
    if "integration" not in columns and not (columns and is_spreadsheet):
        return
    is_cut = sa.or_(*(func.suffix(cell, CUT_MARK) for cell in columns.values()))
    integration = columns.get("integration", sa.literal_column("CAST('' AS VARCHAR)"))
    any_cut = func.bool_or(is_cut)
    query = select(integration, any_cut).select_from(records).group_by(integration).limit(100)
    found = con.execute(query).all()
    if len(found) > 1:
        integrations = ", ".join(sorted(shorten(str(row[0])) for row in found[:5]))
        raise NotAListOfAccounts(
            f"{name} lists accounts of several integrations: {integrations}. Download the list of "
            "one integration."
        )
    if any(row[1] for row in found):
        raise NotAListOfAccounts(
            f"{name} has texts that were too long for a spreadsheet and end in “{CUT_MARK}”. "
            "Download the list as JSON instead."
        )


def _restored_columns(columns: Cells) -> Cells:
    """The columns with the texts of flagged values, and with the details of roles."""
    null_text, column_count = sa.cast(sa.null(), sa.String), len(columns)
    flags = columns.pop("flags", null_text)
    details = columns.pop("role_details", null_text)

    def flagged(name: str) -> ColumnElement[Any]:
        return func.json_extract_string(sa.try_cast(flags, sa.JSON), f"$.{name}")

    restored = {
        name: case((func.coalesce(columns[name], "") == shown, flagged(name)), else_=columns[name])
        for name, shown in SHOWN_AS.items()
    }
    if len(columns) < column_count:
        full, roles = func.coalesce(flagged("roles"), details), columns["roles"]
        was_unread = and_(func.coalesce(roles, "").in_(("", "[]")), flagged("roles").is_not(None))
        restored["roles"] = case((sa.or_(was_unread, _has_names(full, roles)), full), else_=roles)
    return columns | restored


def _has_names(details: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the names of a JSON list of roles are those of the text; a person can edit it."""
    items = func.json_extract(sa.try_cast(details, sa.JSON), "$[*]")
    name = case(
        (func.json_type(LAMBDA_ITEM) == "OBJECT", func.json_extract_string(LAMBDA_ITEM, "$.name")),
        (func.json_type(LAMBDA_ITEM) != "ARRAY", func.json_extract_string(LAMBDA_ITEM, "$")),
    )
    names = func.list_transform(items, sql_lambda(name))
    for cleaned in (trim_or_null, meaningful_or_null):  # as loading does: a role “0” is none
        names = func.list_transform(names, sql_lambda(cleaned(LAMBDA_ITEM)))
    names = func.list_sort(func.list_distinct(names))
    texts = array([join_roles(names), sa.cast(func.to_json(names), sa.String)])
    return func.list_contains(texts, func.coalesce(text, ""))


def join_roles(names: ColumnElement[Any]) -> ColumnElement[Any]:
    """The names with semicolons between them, or a JSON list where that would be ambiguous.

    It is ambiguous where a name holds a semicolon or a line break, starts or ends with white space,
    or is the only one and holds a comma or a bar. Splitting the text and comparing is simpler, but
    takes longer than the rest of a download.
    """
    joined = func.array_to_string(names, ";")
    semicolons = func.len(joined) - func.len(func.replace(joined, ";", ""))
    ambiguous = sa.or_(
        semicolons >= func.len(names),
        and_(semicolons == 0, func.regexp_matches(joined, "[,|]")),
        func.regexp_matches(joined, r"^[\[{\s;]|\s;|;[\s;]|[\s;]$|\n"),
    )
    return case(
        (func.len(names) == 0, ""),
        (ambiguous, sa.cast(func.to_json(names), sa.String)),
        else_=func.array_to_string(names, "; "),
    )
