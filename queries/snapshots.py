"""What was loaded, one row per snapshot; and what was delivered and is not loaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    case,
    func,
    select,
    true,
)

from data.history.passport import DEPARTURE_LIMIT, Passport, passports
from data.schema import integration, snapshot, unloaded

PAGE_SIZE = 25
"""Snapshots on one page of the list."""

FILES_SHOWN = 10
"""Held and refused files on one page of them."""


# ---- loaded --------------------------------------------------------------------------------------


def count_snapshots(
    con: Connection, integrations: Sequence[str], until: datetime | None = None
) -> int:
    """How many snapshots of the integrations are loaded; of all where none is named.

    With `until` (naive UTC), those that were taken by then.
    """
    chosen = select(func.count()).select_from(snapshot.join(integration, _belongs()))
    return con.scalar(chosen.where(_named(integrations), _taken(until))) or 0


def page_of_snapshots(
    con: Connection, integrations: Sequence[str], page: int, until: datetime | None = None
) -> list[Passport]:
    """One passport per snapshot of one page, newest first; counted as by `count_snapshots`."""
    start = max(0, page - 1) * PAGE_SIZE
    return passports(con, _named(integrations), _taken(until), limit=PAGE_SIZE, offset=start)


def snapshot_at(con: Connection, name: str, taken_at: datetime) -> Passport | None:
    """The passport of one integration's snapshot of a moment."""
    found = passports(con, integration.c.name == name, snapshot.c.taken_at == taken_at)
    return found[0] if found else None


def departure_limits(con: Connection) -> dict[str, float]:
    """Integration → the share of its accounts that may leave at once, by name."""
    limit = func.coalesce(integration.c.departure_limit, DEPARTURE_LIMIT)
    listed = select(integration.c.name, limit).order_by(func.lower(integration.c.name))
    return {row[0]: row[1] for row in con.execute(listed)}


# ---- not loaded ----------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What became of a delivered file, as far as the store knows."""

    state: Literal["loaded", "held", "refused", "not yet"]
    words: str = ""


def outcome_of(
    con: Connection, name: str, taken_at: datetime, sha256: str, *, since: datetime
) -> Outcome:
    """What became of the file of one integration, moment and content, delivered at `since`."""
    loaded = (
        select(snapshot.c.accepted)
        .join(integration, _belongs())
        .where(
            integration.c.name == name,
            snapshot.c.taken_at == taken_at,
            snapshot.c.sha256 == sha256,
        )
    )
    accounts = con.scalar(loaded)
    if accounts is not None:
        return Outcome("loaded", f"{accounts:,} accounts")
    file = unloaded.c
    aside = con.execute(
        select(file.verdict, file.reason)
        .where(file.integration == name, file.taken_at == taken_at, file.found_at >= since)
        .order_by(file.found_at.desc())
    ).first()
    return Outcome(aside.verdict, aside.reason) if aside else Outcome("not yet")


def count_unloaded(con: Connection) -> dict[str, int]:
    """Verdict → how many files were so set aside, and wait for a person."""
    counted = select(unloaded.c.verdict, func.count()).group_by(unloaded.c.verdict)
    return {row[0]: row[1] for row in con.execute(counted)}


def unloaded_files(con: Connection, page: int) -> Sequence[Row[Any]]:
    """One row per held or refused file of one page: the held ones first, then the newest."""
    file = unloaded.c
    return con.execute(
        select(unloaded)
        .order_by(
            case((file.verdict == "held", 0), else_=1),
            file.found_at.desc(),
            file.integration,
            file.file_name,
        )
        .limit(FILES_SHOWN)
        .offset(max(0, page - 1) * FILES_SHOWN)
    ).all()


def _belongs() -> ColumnElement[bool]:
    return integration.c.integration_id == snapshot.c.integration_id


def _named(integrations: Sequence[str]) -> ColumnElement[bool]:
    """All integrations where none is named."""
    return integration.c.name.in_(integrations) if integrations else true()


def _taken(until: datetime | None) -> ColumnElement[bool]:
    return snapshot.c.taken_at <= until if until else true()


def params_of(integration: str, taken_at: datetime) -> dict[str, str]:
    """How an address names one snapshot."""
    return {"integration": integration, "taken_at": f"{taken_at.isoformat(timespec='seconds')}Z"}
