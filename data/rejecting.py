"""The rows of a file that are no account: taken out of `load_row`, kept with line and reason."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
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

from data.reading import Read
from data.tables import DELIVERED, load_row, rejected_row

NO_USERNAME = "The row has no username in app."
NOTHING_READ = "The row is empty or cannot be read."
REPEATED = "The row repeats an account of an earlier row, which counts. Account ID: "

LONGEST_TEXT = 2_000
"""Characters of a rejected row that are kept."""

POSITION = column("rowid", BigInteger)
"""DuckDB numbers the rows of a table in the order in which the file had them."""


class Sifted(NamedTuple):
    """accepted + rejected = rows_read."""

    rows_read: int
    accepted: int
    rejected: int  # exact repeats of an earlier row included, which are counted but not kept


def sift(con: Connection, snapshot_id: int, read: Read) -> Sifted:
    """Leave in `load_row` one row per account; write the others to `rejected_row`."""
    rows, distinct = con.execute(
        select(func.count(), func.count(load_row.c.account_id.distinct())).select_from(load_row)
    ).one()
    broken = 0
    if read.broken is not None:
        broken = con.scalar(select(func.count()).select_from(read.broken)) or 0
    if broken:
        _keep(con, snapshot_id, read.broken)
    if distinct < rows:
        _take_out(con, snapshot_id, read, broken)
    return Sifted(rows + broken, distinct, rows + broken - distinct)


def _take_out(con: Connection, snapshot_id: int, read: Read, broken: int) -> None:
    """The rows without a username, and all but the first of each account."""
    row = _numbered(con, read)
    nameless, repeat = row.c.account_id.is_(None), row.c.nth > 1
    exact = and_(row.c.account_id.is_not(None), row.c.same > 1)
    nothing = row.c.text == "{}"
    line = row.c.line
    if broken:
        line += _lines_of_broken_before(row, read.broken)
    unfit = select(
        line.label("line"),
        func.left(row.c.text, LONGEST_TEXT).label("text"),
        case(
            (nothing, NOTHING_READ), (nameless, NO_USERNAME), else_=REPEATED + row.c.account_id
        ).label("reason"),
    ).where(or_(nameless, repeat), ~exact)
    _keep(con, snapshot_id, unfit.subquery("unfit"))
    con.execute(
        delete(load_row).where(POSITION.in_(select(row.c.position).where(or_(nameless, repeat))))
    )


def _keep(con: Connection, snapshot_id: int, unfit: FromClause) -> None:
    con.execute(
        insert(rejected_row).from_select(
            [c.name for c in rejected_row.c],
            select(
                literal(snapshot_id, BigInteger), unfit.c.line, unfit.c.text, unfit.c.reason
            ),
        )
    )


def _numbered(con: Connection, read: Read) -> FromClause:
    """One row per row of `load_row`: its text, its line, and how many like it there were so far."""
    first = con.scalar(select(func.min(POSITION)).select_from(load_row))
    cells = [load_row.c[name] for name in DELIVERED]
    breaks = sum(_line_breaks(cell) for cell in cells)
    before = func.sum(breaks).over(order_by=POSITION, rows=(None, -1))
    pairs = [part for cell in cells for part in (literal(cell.name), cell)]
    return select(
        POSITION.label("position"),
        load_row.c.account_id,
        cast(func.json_merge_patch("{}", func.json_object(*pairs)), String).label("text"),
        (POSITION - first + read.first_line + func.coalesce(before, 0)).label("line"),
        _nth([load_row.c.account_id]).label("nth"),
        _nth([load_row.c.account_id, *cells]).label("same"),
    ).subquery("numbered")


def _nth(alike: list[ColumnElement[Any]]) -> ColumnElement[int]:
    return func.row_number().over(partition_by=alike, order_by=POSITION)


def _line_breaks(text: ColumnElement[Any]) -> ColumnElement[int]:
    """How many more lines than one the text takes."""
    return func.coalesce(func.len(text) - func.len(func.replace(text, "\n", "")), 0)


def _lines_of_broken_before(row: FromClause, broken: FromClause) -> ColumnElement[int]:
    """Broken records are not in `load_row`, but take lines of the file all the same."""
    takes = 1 + _line_breaks(broken.c.text)
    earlier = func.coalesce(func.sum(takes).over(order_by=broken.c.line, rows=(None, -1)), 0)
    gap = select((broken.c.line - earlier).label("line"), takes.label("takes")).subquery("gap")
    return func.coalesce(
        select(func.sum(gap.c.takes)).where(gap.c.line <= row.c.line).scalar_subquery(), 0
    )
