"""Moves the rows of a file that are not accounts to `stage_rejected`, with line and reason."""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from data.files.relation import RecordLocations
from data.history.stage import ReadResult, json_object
from data.schema import insert_rows
from data.staging import raw_columns, stage_rejected, stage_row
from data.values.column_reading import WITHOUT_OFFSET

NO_USERNAME = "The row has no username in app."
EMPTY_ROW = "The row is empty."
NOT_AN_OBJECT = "The row is not a JSON object."
DUPLICATE = "An earlier row has the same account ID: "

MAX_TEXT_LENGTH = 2_000
"""Characters of a rejected row that are kept."""

ROW_POSITION = sa.column("rowid", sa.BigInteger)
"""DuckDB numbers the rows of a table from 0, in the order of the file."""


class Validated(NamedTuple):
    """Counts of rows of one file; accepted + rejected = rows_read."""

    rows_read: int
    accepted: int
    rejected: int  # including exact duplicates, which are counted but not kept
    duplicates: int  # rejected rows with an account of an earlier row
    exact_duplicates: int  # duplicates that equal an earlier row in all columns
    without_offset: int  # rows with a time without a UTC offset, which is read as UTC
    marks: int  # of all rows, which decide how the texts are read: data.values.column_reading


def validate(workspace: Connection, read_result: ReadResult) -> Validated:
    """Leave one row per account in `stage_row`; move the others to `stage_rejected`."""
    rows, _, with_account, accounts, without_offset, marks = count_staged_rows(workspace)
    rows_read = rows + read_result.broken_count
    rejected, duplicates, exact_duplicates = rows_read - accounts, with_account - accounts, 0
    if rejected:
        _move_rejected_rows(workspace, read_result.locate_records(workspace))
    if duplicates:
        stored = workspace.scalar(select(func.count()).select_from(stage_rejected)) or 0
        exact_duplicates = rejected - stored
    return Validated(
        rows_read, accounts, rejected, duplicates, exact_duplicates, without_offset, marks
    )


def count_staged_rows(workspace: Connection) -> sa.Row[*tuple[int, ...]]:
    """Counts of `stage_row`.

    All rows, known rows, other rows with an account ID, distinct IDs of these, rows with a time
    without an offset, and the marks of all rows.
    """
    account_id = stage_row.c.account_id
    return workspace.execute(
        select(
            func.count(),
            func.count().filter(stage_row.c.is_known),
            func.count(account_id),
            func.count(account_id.distinct()),
            func.count().filter(stage_row.c.marks.bitwise_and(WITHOUT_OFFSET) > 0),
            func.coalesce(func.bit_or(stage_row.c.marks), 0),
        ).select_from(stage_row)
    ).one()


def _move_rejected_rows(workspace: Connection, locations: RecordLocations) -> None:
    """Reject the rows without a username, and all but the first of each account."""
    row = _candidate_rows(locations.lines)
    is_nameless = row.c.account_id.is_(None)
    is_rejected = sa.or_(is_nameless, row.c.account_occurrence > 1)
    is_exact_duplicate = and_(~is_nameless, row.c.row_occurrence > 1)
    reason = case(
        (row.c.unreadable, NOT_AN_OBJECT),
        (row.c.text == "{}", EMPTY_ROW),
        (is_nameless, NO_USERNAME),
        else_=DUPLICATE + row.c.account_id,
    )
    rows = select(row.c.line, func.left(row.c.text, MAX_TEXT_LENGTH), reason)
    insert_rows(workspace, stage_rejected, rows.where(is_rejected, ~is_exact_duplicate))
    positions = select(row.c.position).where(is_rejected)
    workspace.execute(sa.delete(stage_row).where(ROW_POSITION.in_(positions)))
    if locations.broken_records is not None:
        line, text, reason = locations.broken_records.c
        broken_rows = select(line, func.left(text, MAX_TEXT_LENGTH), reason)
        insert_rows(workspace, stage_rejected, broken_rows)


def _candidate_rows(lines: sa.FromClause) -> sa.FromClause:
    """One row per row of `stage_row` that is not an account, or whose account has several rows."""
    account_id = stage_row.c.account_id
    repeated_ids = select(account_id).group_by(account_id).having(func.count() > 1)
    return (
        select(
            ROW_POSITION.label("position"),
            func.coalesce(lines.c.line, 0).label("line"),
            lines.c.text.is_not(None).label("unreadable"),
            account_id,
            func.coalesce(lines.c.text, json_object(raw_columns())).label("text"),
            _occurrence_number([account_id]).label("account_occurrence"),
            _occurrence_number([account_id, stage_row.c.raw_values]).label("row_occurrence"),
        )
        .select_from(stage_row.join(lines, lines.c.number == ROW_POSITION, isouter=True))
        .where(sa.or_(account_id.is_(None), account_id.in_(repeated_ids)))
        .subquery("candidates")
    )


def _occurrence_number(columns: list[ColumnElement[Any]]) -> ColumnElement[int]:
    return func.row_number().over(partition_by=columns, order_by=ROW_POSITION)
