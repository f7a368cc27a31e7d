"""The review rounds, and what they were frozen from."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, and_, case, func, select

from data.records.tables import (
    quarantined_file,
    review_round,
    review_snapshot,
)
from data.schema import integration, snapshot
from queries.scope import in_integrations


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


class FrozenSnapshot(NamedTuple):
    """A snapshot that the list of a round follows from."""

    integration: str
    taken_at: datetime  # naive UTC
    sha256: str
    now: str  # loaded, replaced or removed


def find_round(con: Connection, round_id: str) -> Round | None:
    """The round of an ID, if the reader sees any of it."""
    query = select(*_columns()).where(review_round.c.round_id == round_id)
    row = con.execute(query).first()
    return Round(*row) if row else None


def read_rounds(con: Connection) -> list[Round]:
    """All rounds: open ones first, then by their start, the newest first."""
    rows = con.execute(
        select(*_columns()).order_by(
            review_round.c.closed_at.is_not(None), review_round.c.started_at.desc()
        )
    )
    return [Round(*row) for row in rows]


def frozen_snapshots(
    con: Connection, round_id: str, *, with_older: bool = False
) -> list[FrozenSnapshot]:
    """The snapshots that a round was frozen from, by time: the newest of each integration.

    And those that were replaced or removed since; `with_older`: all.
    """
    frozen = review_snapshot.c
    ids = select(integration.c.name, snapshot.c.taken_at, snapshot.c.sha256)
    its = ids.join_from(
        snapshot, integration, integration.c.integration_id == snapshot.c.integration_id
    ).subquery("its")
    is_same = and_(its.c.name == frozen.integration, its.c.taken_at == frozen.taken_at)
    now = case(
        (its.c.sha256.is_(None), "removed"),
        (its.c.sha256 == frozen.sha256, "loaded"),
        else_="replaced",
    )
    query = (
        select(frozen.integration, frozen.taken_at, frozen.sha256, now.label("now"))
        .select_from(review_snapshot.outerjoin(its, is_same))
        .where(frozen.round_id == round_id)
        .order_by(frozen.taken_at, frozen.integration)
    )
    rows = [FrozenSnapshot(*row) for row in con.execute(query)]
    newest = {row.integration: row.taken_at for row in rows}  # the last of each
    return [
        row
        for row in rows
        if with_older or row.now != "loaded" or row.taken_at == newest[row.integration]
    ]


def files_on_hold(con: Connection, integrations: Sequence[str]) -> dict[str, int]:
    """Integration → files that wait for a person to confirm them; all if none is named."""
    table = quarantined_file
    query = select(table.c.integration, func.count()).where(
        table.c.status == "on hold", in_integrations(table, integrations)
    )
    return {row[0]: row[1] for row in con.execute(query.group_by(table.c.integration))}


def _columns() -> list[sa.Column]:
    return [review_round.c[name] for name in Round._fields]
