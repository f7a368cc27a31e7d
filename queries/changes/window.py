"""Two moments to compare, and the snapshots behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.formatting import iso_z
from data.schema import integration, snapshot
from queries.frames import read_frame
from queries.scope import Params, Scope, in_integrations, moment_param


@dataclass(frozen=True)
class Window:
    """Two moments (naive UTC), the earlier one first, of some integrations (none named: all)."""

    since: datetime
    until: datetime
    integration: tuple[str, ...] = ()

    @property
    def before(self) -> Scope:
        """The integrations at the earlier moment."""
        return Scope(integration=self.integration, as_of=self.since)

    @property
    def after(self) -> Scope:
        """The integrations at the later moment."""
        return Scope(integration=self.integration, as_of=self.until)

    def params(self) -> list[tuple[str, str]]:
        """The window as parameters of an address."""
        moments = [("from", iso_z(self.since)), ("to", iso_z(self.until))]
        return [*moments, *Scope(integration=self.integration).params()]


class SnapshotMoments(NamedTuple):
    """When snapshots were taken (naive UTC)."""

    first: datetime
    previous: datetime | None  # the one before the newest
    newest: datetime

    @property
    def default_since(self) -> datetime:
        """One day before the newest snapshot, or the first snapshot if that is later."""
        return max(self.first, self.newest - timedelta(days=1))


def snapshot_moments(con: Connection, integrations: Sequence[str]) -> SnapshotMoments | None:
    """The moments of these integrations' snapshots (none named: all); None without any."""
    taken_at, in_scope = snapshot.c.taken_at, in_integrations(snapshot, integrations)
    first, newest = con.execute(
        select(func.min(taken_at), func.max(taken_at)).where(in_scope)
    ).one()
    if first is None:
        return None
    previous = con.scalar(select(func.max(taken_at)).where(in_scope, taken_at < newest))
    return SnapshotMoments(first, previous, newest)


def window_from_params(params: Params, moments: SnapshotMoments) -> Window:
    """The window in an address, its moments in order; by default, the last day."""
    until = moment_param(params, "to") or moments.newest
    since = moment_param(params, "from") or min(moments.default_since, until)
    integrations = Scope.from_params(params).integration
    return Window(min(since, until), max(since, until), integrations)


def known_windows(con: Connection, since: datetime, until: datetime) -> list[Window]:
    """What changed from the state that was known at `since`: usually one window of everything.

    An integration with a snapshot that was taken by then, but loaded later, is compared from the
    snapshot that was known. Where none of its snapshots was loaded by then, as after a rebuild, no
    snapshot counts as late.
    """
    taken_at, was_loaded = snapshot.c.taken_at, snapshot.c.loaded_at <= since
    newest = select(
        integration.c.name,
        func.max(taken_at).filter(taken_at <= since, was_loaded).label("known"),
        func.max(taken_at).filter(taken_at <= since).label("last"),
    ).join_from(snapshot, integration, snapshot.c.integration_id == integration.c.integration_id)
    rows = con.execute(newest.group_by(integration.c.name).order_by(func.lower(integration.c.name)))
    names_by_start: dict[datetime, list[str]] = {}
    for name, known, last in rows:
        start = known if known and known < last else since
        names_by_start.setdefault(start, []).append(name)
    if list(names_by_start) == [since]:
        return [Window(since, until)]
    return [Window(start, until, tuple(names)) for start, names in names_by_start.items()]


def compared_snapshots(con: Connection, window: Window) -> pd.DataFrame:
    """One row per integration with a snapshot by the later moment, by name.

    [integration, taken_before, accounts_before, taken_after, accounts_after]: the last snapshot by
    either moment. The before columns are empty for an integration that is new to Rollcall.
    """
    before, after = _last_snapshots(window.before), _last_snapshots(window.after)
    return read_frame(
        con,
        select(
            integration.c.name.label("integration"),
            before.c.taken_at.label("taken_before"),
            func.coalesce(before.c.accepted, 0).label("accounts_before"),
            after.c.taken_at.label("taken_after"),
            after.c.accepted.label("accounts_after"),
        )
        .join_from(integration, after, after.c.integration_id == integration.c.integration_id)
        .outerjoin(before, before.c.integration_id == integration.c.integration_id)
        .order_by(func.lower(integration.c.name)),
    )


def _last_snapshots(scope: Scope) -> sa.Subquery:
    """One row per integration of the scope: its last snapshot."""
    rank = func.row_number().over(
        partition_by=snapshot.c.integration_id, order_by=snapshot.c.taken_at.desc()
    )
    in_scope = (scope.includes(snapshot), scope.is_past(snapshot.c.taken_at))
    ranked = select(snapshot, rank.label("age")).where(*in_scope).subquery()
    return select(ranked).where(ranked.c.age == 1).subquery()
