"""Two moments of some integrations, and the snapshots that held at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import pandas as pd
from sqlalchemy import Connection, Subquery, func, select

from data.files.naming import moment_of
from data.schema import integration, snapshot
from queries.filters import MOST_VALUES
from queries.scope import of_integrations

Params = Mapping[str, Sequence[str]]
"""What an address says: parameter → its values."""


@dataclass(frozen=True)
class Between:
    """Two moments (naive UTC), the earlier one first, and of which integrations; none: of all."""

    since: datetime
    until: datetime
    integration: tuple[str, ...] = ()

    def params(self) -> list[tuple[str, str]]:
        """As an address names them."""
        named = [("integration", name) for name in self.integration]
        return [("from", moment_text(self.since)), ("to", moment_text(self.until)), *named]


def moment_text(moment: datetime) -> str:
    """`2026-11-23T06:00:00Z`."""
    return f"{moment.isoformat(timespec='seconds')}Z"


class Usual(NamedTuple):
    """The moments that a store offers (naive UTC)."""

    first: datetime  # snapshot
    before: datetime | None  # the newest, where there are several moments
    newest: datetime

    @property
    def since(self) -> datetime:
        """A day before the newest, where there was something to compare with."""
        return max(self.first, self.newest - timedelta(days=1))


def usual_moments(con: Connection, integrations: Sequence[str]) -> Usual | None:
    """Of the integrations, or of all where none is named; None without any snapshot."""
    taken, ours = snapshot.c.taken_at, of_integrations(snapshot, integrations)
    first, newest = con.execute(select(func.min(taken), func.max(taken)).where(ours)).one()
    if first is None:
        return None
    return Usual(first, con.scalar(select(func.max(taken)).where(ours, taken < newest)), newest)


def asked_between(params: Params, usual: Usual) -> Between:
    """What an address asks to compare, the earlier moment first; else the usual."""
    since, until = (moment_of(next(iter(params.get(name, ())), "")) for name in ("from", "to"))
    until = until or usual.newest
    since = since or min(usual.since, until)
    names = tuple(dict.fromkeys(params.get("integration", ())[:MOST_VALUES]))
    return Between(min(since, until), max(since, until), names)


def compared_snapshots(con: Connection, between: Between) -> pd.DataFrame:
    """One row per integration that had a snapshot until the later moment, by name.

    [integration, taken_then, accounts_then, taken_now, accounts_now]: what held at either moment;
    nothing then where the integration is new to Rollcall.
    """
    then, now = (_held_snapshot(moment) for moment in (between.since, between.until))
    found = con.execute(
        select(
            integration.c.name.label("integration"),
            then.c.taken_at.label("taken_then"),
            func.coalesce(then.c.accepted, 0).label("accounts_then"),
            now.c.taken_at.label("taken_now"),
            now.c.accepted.label("accounts_now"),
        )
        .join_from(integration, now, now.c.integration_id == integration.c.integration_id)
        .outerjoin(then, then.c.integration_id == integration.c.integration_id)
        .where(of_integrations(integration, between.integration))
        .order_by(func.lower(integration.c.name))
    )
    return pd.DataFrame(found.all(), columns=list(found.keys()))


def _held_snapshot(moment: datetime) -> Subquery:
    """One row per integration: its last snapshot until the moment."""
    newest_first = func.row_number().over(
        partition_by=snapshot.c.integration_id, order_by=snapshot.c.taken_at.desc()
    )
    until = select(snapshot, newest_first.label("age")).where(snapshot.c.taken_at <= moment)
    ranked = until.subquery()
    return select(ranked).where(ranked.c.age == 1).subquery()
