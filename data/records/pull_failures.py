"""Pulls that fail: in the store, so that a restart and every process knows them."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.records.tables import pull_failure
from data.store.engine import write_transaction


class PullFailure(NamedTuple):
    """An integration whose pulls fail."""

    integration: str
    since: datetime  # naive UTC; each pull that has ended since then has failed
    message: str | None  # why the last one failed; None for readers who may not see it


def read_pull_failures(con: Connection) -> list[PullFailure]:
    """All of them, by integration."""
    rows = con.execute(select(pull_failure).order_by(pull_failure.c.integration))
    return [PullFailure(row.integration, row.since, row.message) for row in rows]


def record_pull(engine: sa.Engine, integration: str, failure: str | None, now: datetime) -> None:
    """Record how a pull ended; without a `failure` it worked. `now`: naive UTC."""
    is_its = pull_failure.c.integration == integration
    with write_transaction(engine) as con:
        since = con.scalar(select(pull_failure.c.since).where(is_its)) or now
        con.execute(sa.delete(pull_failure).where(is_its))
        if failure is not None:
            row = PullFailure(integration, since, failure)
            con.execute(sa.insert(pull_failure).values(row._asdict()))
