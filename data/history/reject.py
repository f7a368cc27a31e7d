"""The rows of a file that are no account: taken out of `load_row`, kept with line and reason."""

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

from data.files.relation import Places
from data.history.stage import Read
from data.staging import delivered_texts, load_row, load_unfit

NO_USERNAME = "The row has no username in app."
NOTHING_THERE = "The row is empty."
NOT_READABLE = "The row is not a JSON object."
REPEATED = "The row repeats an account of an earlier row, which counts. Account ID: "

LONGEST_TEXT = 2_000
"""Characters of a rejected row that are kept."""

UNFIT = [c.name for c in load_unfit.c]

POSITION = column("rowid", BigInteger)
"""DuckDB numbers the rows of a table from 0, in the order in which the file had them."""


class Sifted(NamedTuple):
    """Counts of rows of one file; accepted + rejected = rows_read."""

    rows_read: int
    accepted: int
    rejected: int  # exact repeats of an earlier row included, which are counted but not kept
    repeated: int  # rows that repeat an account of an earlier row; all are among the rejected
    exact_repeats: int  # those of them that say just what an earlier row says
    without_offset: int  # rows with a time that names no UTC offset, and so is taken for UTC


def sift(con: Connection, read: Read) -> Sifted:
    """Leave in `load_row` one row per account; put the others into `load_unfit`."""
    rows, _, named, distinct, without_offset = counted(con)
    rejected = rows - distinct + read.broken
    if rejected:
        _take_out(con, read.places(con))
    repeated = named - distinct
    kept = con.scalar(select(func.count()).select_from(load_unfit)) if repeated else rejected
    return Sifted(
        rows + read.broken, distinct, rejected, repeated, rejected - (kept or 0), without_offset
    )


def counted(con: Connection) -> Row[*tuple[int, ...]]:
    """Of `load_row`: rows, known ones, others with an account, their accounts, without offset."""
    account_id = load_row.c.account_id
    return con.execute(
        select(
            func.count(),
            func.count().filter(load_row.c.known),
            func.count(account_id),
            func.count(account_id.distinct()),
            func.count().filter(load_row.c.without_offset),
        ).select_from(load_row)
    ).one()


def _take_out(con: Connection, places: Places) -> None:
    """The rows without a username, and all but the first of each account."""
    row = _numbered(places.lines)
    nameless, repeat = row.c.account_id.is_(None), row.c.nth > 1
    exact = and_(row.c.account_id.is_not(None), row.c.same > 1)
    reason = case(
        (row.c.unreadable, NOT_READABLE),
        (row.c.text == "{}", NOTHING_THERE),
        (nameless, NO_USERNAME),
        else_=REPEATED + row.c.account_id,
    )
    unfit = select(row.c.line, func.left(row.c.text, LONGEST_TEXT), reason)
    con.execute(insert(load_unfit).from_select(UNFIT, unfit.where(or_(nameless, repeat), ~exact)))
    con.execute(
        delete(load_row).where(POSITION.in_(select(row.c.number).where(or_(nameless, repeat))))
    )
    if places.broken is not None:
        line, text, reason = places.broken.c
        broken = select(line, func.left(text, LONGEST_TEXT), reason)
        con.execute(insert(load_unfit).from_select(UNFIT, broken))


def _numbered(lines: FromClause) -> FromClause:
    """One row per row of `load_row` that is no account, or of an account that has several.

    Its text, its line, and how many like it there were so far.
    """
    cells = delivered_texts()
    pairs = [part for name, cell in cells.items() for part in (literal(name), cell)]
    text = cast(func.json_merge_patch("{}", func.json_object(*pairs)), String)
    account_id = load_row.c.account_id
    several = select(account_id).group_by(account_id).having(func.count() > 1)
    return (
        select(
            POSITION.label("number"),
            func.coalesce(lines.c.line, 0).label("line"),
            lines.c.text.is_not(None).label("unreadable"),
            account_id,
            func.coalesce(lines.c.text, text).label("text"),
            _nth([account_id]).label("nth"),
            _nth([account_id, load_row.c.texts]).label("same"),
        )
        .select_from(load_row.join(lines, lines.c.number == POSITION, isouter=True))
        .where(or_(account_id.is_(None), account_id.in_(several)))
        .subquery("numbered")
    )


def _nth(alike: list[ColumnElement[Any]]) -> ColumnElement[int]:
    return func.row_number().over(partition_by=alike, order_by=POSITION)
