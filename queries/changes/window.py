"""Two moments of some integrations, and the snapshots that held at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import pandas as pd
from sqlalchemy import Connection, Subquery, func, select

from data.files.naming import parse_moment
from data.schema import integration, snapshot
from queries.filters import MAX_VALUES_PER_FILTER
from queries.scope import in_integrations

Params = Mapping[str, Sequence[str]]
"""What an address says: parameter → its values."""


@dataclass(frozen=True)
class Window:
    """Two moments (naive UTC), the earlier one first, and of which integrations; none: of all."""

    since: datetime
    until: datetime
    integration: tuple[str, ...] = ()

    def params(self) -> list[tuple[str, str]]:
        """As an address names them."""
        integrations = [("integration", name) for name in self.integration]
        return [
            ("from", format_moment(self.since)),
            ("to", format_moment(self.until)),
            *integrations,
        ]


def format_moment(moment: datetime) -> str:
    """`2026-11-23T06:00:00Z`."""
    return f"{moment.isoformat(timespec='seconds')}Z"


class SnapshotMoments(NamedTuple):
    """The moments that a store offers (naive UTC)."""

    first: datetime  # snapshot
    previous: datetime | None  # the newest, where there are several moments
    newest: datetime

    @property
    def default_since(self) -> datetime:
        """A day before the newest, where there was something to compare with."""
        return max(self.first, self.newest - timedelta(days=1))


def snapshot_moments(con: Connection, integrations: Sequence[str]) -> SnapshotMoments | None:
    """Of the integrations, or of all where none is named; None without any snapshot."""
    taken_at, in_scope = snapshot.c.taken_at, in_integrations(snapshot, integrations)
    first, newest = con.execute(
        select(func.min(taken_at), func.max(taken_at)).where(in_scope)
    ).one()
    if first is None:
        return None
    return SnapshotMoments(
        first, con.scalar(select(func.max(taken_at)).where(in_scope, taken_at < newest)), newest
    )


def window_from_params(params: Params, moments: SnapshotMoments) -> Window:
    """What an address asks to compare, the earlier moment first; else the usual."""
    since, until = (parse_moment(next(iter(params.get(name, ())), "")) for name in ("from", "to"))
    until = until or moments.newest
    since = since or min(moments.default_since, until)
    names = tuple(dict.fromkeys(params.get("integration", ())[:MAX_VALUES_PER_FILTER]))
    return Window(min(since, until), max(since, until), names)


def compared_snapshots(con: Connection, window: Window) -> pd.DataFrame:
    """One row per integration that had a snapshot until the later moment, by name.

    [integration, taken_then, accounts_then, taken_now, accounts_now]: what held at either moment;
    nothing then where the integration is new to Rollcall.
    """
    before, after = (_snapshots_as_of(moment) for moment in (window.since, window.until))
    result = con.execute(
        select(
            integration.c.name.label("integration"),
            before.c.taken_at.label("taken_then"),
            func.coalesce(before.c.accepted, 0).label("accounts_then"),
            after.c.taken_at.label("taken_now"),
            after.c.accepted.label("accounts_now"),
        )
        .join_from(integration, after, after.c.integration_id == integration.c.integration_id)
        .outerjoin(before, before.c.integration_id == integration.c.integration_id)
        .where(in_integrations(integration, window.integration))
        .order_by(func.lower(integration.c.name))
    )
    return pd.DataFrame(result.all(), columns=list(result.keys()))


def _snapshots_as_of(moment: datetime) -> Subquery:
    """One row per integration: its last snapshot until the moment."""
    rank = func.row_number().over(
        partition_by=snapshot.c.integration_id, order_by=snapshot.c.taken_at.desc()
    )
    candidates = select(snapshot, rank.label("age")).where(snapshot.c.taken_at <= moment)
    ranked = candidates.subquery()
    return select(ranked).where(ranked.c.age == 1).subquery()
