"""The review rounds, and their progress."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.records.decisions import REVIEW_DECISIONS
from data.records.tables import review_decision, review_item, review_round, review_snapshot


class Round(NamedTuple):
    """A review round."""

    round_id: str
    name: str
    is_by_role: bool
    population: str  # in words
    address: str
    frozen_at: datetime  # naive UTC, like all moments
    last_day: date
    late_days: int
    deciders: Sequence[str]
    started_by: str
    started_at: datetime
    closed_by: str | None
    closed_at: datetime | None


class Progress(NamedTuple):
    """The items of a round that the reader sees, and those that are decided."""

    items: int
    decided: int


def find_round(con: Connection, round_id: str) -> Round | None:
    """The round of an ID, if the reader sees any of it."""
    query = select(*_columns()).where(review_round.c.round_id == round_id)
    row = con.execute(query).first()
    return Round(*row) if row else None


def read_rounds(con: Connection) -> list[tuple[Round, Progress]]:
    """All rounds with their progress: open ones first, then by their start, the newest first."""
    rows = con.execute(
        select(*_columns()).order_by(
            review_round.c.closed_at.is_not(None), review_round.c.started_at.desc()
        )
    )
    rounds = [Round(*row) for row in rows]
    counts = {
        table: dict(con.execute(query).all())  # type: ignore[arg-type]
        for table, query in (
            ("items", _count_by_round(review_item)),
            ("decided", _count_by_round(review_decision, REVIEW_DECISIONS.is_in_force())),
        )
    }
    return [
        (each, Progress(*(counts[name].get(each.round_id, 0) for name in Progress._fields)))
        for each in rounds
    ]


def round_snapshots(con: Connection, round_id: str) -> Sequence[sa.Row[tuple[str, datetime, str]]]:
    """[integration, taken_at, sha256] of the snapshots that a round was frozen from."""
    columns = review_snapshot.c
    query = select(columns.integration, columns.taken_at, columns.sha256)
    return con.execute(
        query.where(columns.round_id == round_id).order_by(columns.integration)
    ).all()


def _columns() -> list[sa.Column]:
    return [review_round.c[name] for name in Round._fields]


def _count_by_round(
    table: sa.Table, *conditions: sa.ColumnElement[bool]
) -> sa.Select[tuple[str, int]]:
    return select(table.c.round_id, func.count()).where(*conditions).group_by(table.c.round_id)
