"""The rows of a file that are no account: taken out of `stage_row`, kept with line and reason."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    String,
    and_,
    case,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
)

from data.files.relation import RecordLocations
from data.history.stage import ReadResult
from data.staging import raw_columns, stage_rejected, stage_row

NO_USERNAME = "The row has no username in app."
EMPTY_ROW = "The row is empty."
NOT_AN_OBJECT = "The row is not a JSON object."
DUPLICATE = "The row repeats an account of an earlier row, which counts. Account ID: "

MAX_TEXT_LENGTH = 2_000
"""Characters of a rejected row that are kept."""

REJECTED_COLUMNS = [c.name for c in stage_rejected.c]

ROW_POSITION = column("rowid", BigInteger)
"""DuckDB numbers the rows of a table from 0, in the order in which the file had them."""


class Validated(NamedTuple):
    """Counts of rows of one file; accepted + rejected = rows_read."""

    rows_read: int
    accepted: int
    rejected: int  # exact repeats of an earlier row included, which are counted but not kept
    duplicates: int  # rows that repeat an account of an earlier row; all are among the rejected
    exact_duplicates: int  # those of them that say just what an earlier row says
    without_offset: int  # rows with a time that names no UTC offset, and so is taken for UTC


def validate(con: Connection, read_result: ReadResult) -> Validated:
    """Leave in `stage_row` one row per account; put the others into `stage_rejected`."""
    rows, _, with_account, distinct, without_offset = count_staged_rows(con)
    rejected = rows - distinct + read_result.broken_count
    if rejected:
        _move_rejected_rows(con, read_result.locate_records(con))
    duplicates = with_account - distinct
    stored_count = (
        con.scalar(select(func.count()).select_from(stage_rejected)) if duplicates else rejected
    )
    return Validated(
        rows + read_result.broken_count,
        distinct,
        rejected,
        duplicates,
        rejected - (stored_count or 0),
        without_offset,
    )


def count_staged_rows(con: Connection) -> Row[*tuple[int, ...]]:
    """Of `stage_row`: rows, known ones, others with an account, their accounts, without offset."""
    account_id = stage_row.c.account_id
    return con.execute(
        select(
            func.count(),
            func.count().filter(stage_row.c.known),
            func.count(account_id),
            func.count(account_id.distinct()),
            func.count().filter(stage_row.c.without_offset),
        ).select_from(stage_row)
    ).one()


def _move_rejected_rows(con: Connection, locations: RecordLocations) -> None:
    """The rows without a username, and all but the first of each account."""
    row = _candidate_rows(locations.lines)
    is_nameless, is_duplicate = row.c.account_id.is_(None), row.c.nth > 1
    is_exact_duplicate = and_(row.c.account_id.is_not(None), row.c.same > 1)
    reason = case(
        (row.c.unreadable, NOT_AN_OBJECT),
        (row.c.text == "{}", EMPTY_ROW),
        (is_nameless, NO_USERNAME),
        else_=DUPLICATE + row.c.account_id,
    )
    rejected_rows = select(row.c.line, func.left(row.c.text, MAX_TEXT_LENGTH), reason)
    con.execute(
        insert(stage_rejected).from_select(
            REJECTED_COLUMNS,
            rejected_rows.where(or_(is_nameless, is_duplicate), ~is_exact_duplicate),
        )
    )
    con.execute(
        delete(stage_row).where(
            ROW_POSITION.in_(select(row.c.number).where(or_(is_nameless, is_duplicate)))
        )
    )
    if locations.broken_records is not None:
        line, text, reason = locations.broken_records.c
        broken_rows = select(line, func.left(text, MAX_TEXT_LENGTH), reason)
        con.execute(insert(stage_rejected).from_select(REJECTED_COLUMNS, broken_rows))


def _candidate_rows(lines: FromClause) -> FromClause:
    """One row per row of `stage_row` that is no account, or of an account that has several.

    Its text, its line, and how many like it there were so far.
    """
    cells = raw_columns()
    pairs = [part for name, cell in cells.items() for part in (literal(name), cell)]
    text = cast(func.json_merge_patch("{}", func.json_object(*pairs)), String)
    account_id = stage_row.c.account_id
    repeated_ids = select(account_id).group_by(account_id).having(func.count() > 1)
    return (
        select(
            ROW_POSITION.label("number"),
            func.coalesce(lines.c.line, 0).label("line"),
            lines.c.text.is_not(None).label("unreadable"),
            account_id,
            func.coalesce(lines.c.text, text).label("text"),
            _occurrence_number([account_id]).label("nth"),
            _occurrence_number([account_id, stage_row.c.texts]).label("same"),
        )
        .select_from(stage_row.join(lines, lines.c.number == ROW_POSITION, isouter=True))
        .where(or_(account_id.is_(None), account_id.in_(repeated_ids)))
        .subquery("numbered")
    )


def _occurrence_number(columns: list[ColumnElement[Any]]) -> ColumnElement[int]:
    return func.row_number().over(partition_by=columns, order_by=ROW_POSITION)
