"""Decides which rows of a file are accounts, and which are one account.

Rows that are no account move to `stage_rejected`, with line and reason.
"""

from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, case, func, select

from data.files.errors import MangledIds
from data.files.other_rows import ALONE, GROUP, NOT_AN_ACCOUNT
from data.files.relation import RecordLocations
from data.files.text import is_mangled, visible_or_null
from data.history.repeats import (
    ROW_POSITION,
    Repeats,
    differing_rows,
    replace_repeats,
    separate_shared_ids,
    stage_repeats,
)
from data.history.stage import ReadResult, json_object
from data.schema import insert_rows
from data.staging import raw_columns, stage_rejected, stage_row
from data.values.column_reading import WITHOUT_OFFSET, column_reading

NO_USERNAME = "The row has no username in app."
EMPTY_ROW = "The row is empty."
NOT_AN_OBJECT = "The row is not a JSON object."
IS_GROUP = "The row is a group, not an account."

COUNTED_MARKS = (WITHOUT_OFFSET, GROUP, ALONE)

MAX_TEXT_LENGTH = 2_000
"""Characters of a rejected row that are kept."""


class Validated(NamedTuple):
    """Counts of rows of one file; accepted + rejected + merged = rows_read."""

    rows_read: int
    accepted: int  # accounts
    rejected: int
    without_offset: int  # rows with a time without a UTC offset, which is read as UTC
    marks: int  # of all rows, which decide how the texts are read: data.values.column_reading
    repeats: Repeats = Repeats()
    groups: int = 0  # rejected rows that are groups
    alone: int = 0  # rows with nothing but a username


def validate(workspace: Connection, read_result: ReadResult, name: str) -> Validated:
    """Leave one row per account in `stage_row`; move rows that are none to `stage_rejected`.

    Raises MangledIds, which calls the file by its name.
    """
    counts = count_staged_rows(workspace)
    if counts.mangled is not None:
        raise MangledIds(_mangled_message(workspace, read_result, name, counts.mangled))
    accounts, repeats = counts.accounts, Repeats()
    has_repeats = counts.with_account > accounts
    if has_repeats:
        shared_ids = separate_shared_ids(workspace)
        separator = column_reading(counts.marks).role_separator
        repeats = stage_repeats(workspace, separator)._replace(shared_ids=shared_ids)
        accounts = count_staged_rows(workspace).accounts
    no_accounts = counts.rows - counts.with_account + read_result.broken_count
    if no_accounts or repeats.conflicting or repeats.rejected:
        _stage_rejected(workspace, read_result.locate_records(workspace))
        workspace.execute(sa.delete(stage_row).where(stage_row.c.account_id.is_(None)))
    if has_repeats:
        replace_repeats(workspace)
    rows_read, rejected = counts.rows + read_result.broken_count, no_accounts + repeats.rejected
    others = counts.without_offset, counts.marks, repeats, counts.groups, counts.alone
    return Validated(rows_read, accounts, rejected, *others)


class StagedCounts(NamedTuple):
    """Counts of `stage_row`."""

    rows: int
    known: int  # rows
    with_account: int  # other rows, with an account ID
    accounts: int  # distinct IDs of these
    marks: int  # of all rows
    without_offset: int  # rows
    groups: int  # rows
    alone: int  # other rows with nothing but a username
    mangled: int | None  # the position of the first row with a mangled ID


def count_staged_rows(workspace: Connection) -> StagedCounts:
    """Count the rows of `stage_row` and their accounts."""
    return StagedCounts(*workspace.execute(_staged_counts()).one())


@cache
def _staged_counts() -> sa.Select[*tuple[Any, ...]]:
    account_id, upstream_id = stage_row.c.account_id, raw_columns()["upstream_user_id"]
    return select(
        func.count(),
        func.count().filter(stage_row.c.is_known),
        func.count(account_id),
        func.count(account_id.distinct()),
        func.coalesce(func.bit_or(stage_row.c.marks), 0),
        *(func.count().filter(stage_row.c.marks.bitwise_and(mark) > 0) for mark in COUNTED_MARKS),
        func.min(ROW_POSITION).filter(sa.or_(is_mangled(account_id), is_mangled(upstream_id))),
    ).select_from(stage_row)


def _mangled_message(
    workspace: Connection, read_result: ReadResult, name: str, position: int
) -> str:
    lines = read_result.locate_records(workspace).lines
    line = workspace.scalar(select(lines.c.line).where(lines.c.number == position)) or 0
    ids = stage_row.c.account_id, raw_columns()["upstream_user_id"]
    mangled = case((is_mangled(ids[0]), ids[0]), else_=ids[1])
    account_id = workspace.scalar(select(mangled).where(ROW_POSITION.in_([position])))
    place = f"{read_result.row_noun} {line}"
    return (
        f"{name} was saved by a spreadsheet that has rounded its IDs: {place} has "
        f"the ID {account_id}; nothing was loaded. Export the file again and load it without "
        "opening it in a spreadsheet, or format the column as text before the values go into it."
    )


def _stage_rejected(workspace: Connection, locations: RecordLocations) -> None:
    """Fill `stage_rejected` with the rows that are no account, or differ from the one kept."""
    lines, differing = locations.lines, differing_rows()
    text = func.coalesce(lines.c.text, json_object(raw_columns()))
    reason = case(
        (lines.c.text.is_not(None), NOT_AN_OBJECT),
        (differing.c.reason.is_not(None), differing.c.reason),
        (text == "{}", EMPTY_ROW),
        (stage_row.c.marks.bitwise_and(GROUP) > 0, IS_GROUP),
        (visible_or_null(raw_columns()["username_in_app"]).is_(None), NO_USERNAME),
        else_=NOT_AN_ACCOUNT,
    )
    located = stage_row.outerjoin(lines, lines.c.number == ROW_POSITION).outerjoin(
        differing, differing.c.position == ROW_POSITION
    )
    rows = (
        select(func.coalesce(lines.c.line, 0), func.left(text, MAX_TEXT_LENGTH), reason)
        .select_from(located)
        .where(sa.or_(stage_row.c.account_id.is_(None), differing.c.position.is_not(None)))
    )
    insert_rows(workspace, stage_rejected, rows)
    if locations.broken_records is not None:
        line, text, reason = locations.broken_records.c
        broken_rows = select(line, func.left(text, MAX_TEXT_LENGTH), reason)
        insert_rows(workspace, stage_rejected, broken_rows)
