"""Deletes what is older than the settings allow: snapshots, removed files, events of the log.

Without settings, everything stays. Of snapshots, the counts of Health stay; the newest snapshot of
an integration stays, however old it is.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, case, func, select

from data.access.claims import ConfigError
from data.formatting import count_of, utc_now
from data.home import Home
from data.inbox.actions import delete_older_snapshots, older_files
from data.records.audit_log import Event, count_older_events, delete_older_events, record_event
from data.schema import integration, snapshot
from data.secrets_file import read_secrets

log = logging.getLogger("rollcall")

MIN_DAYS = 30
"""Review compares accounts with how they were weeks before."""

MAX_DAYS = 36_500


@dataclass(frozen=True)
class Retention:
    """Section [retention] of secrets.toml: days until something is deleted; None: never."""

    snapshot_days: int | None = None
    """Snapshots, with their files."""
    removed_file_days: int | None = None
    """Files in `removed/`, and old stores that a rebuild has kept."""
    audit_days: int | None = None
    """Events of the audit log."""

    @classmethod
    def from_settings(cls, settings: Any) -> "Retention":
        """Validate the settings. Raises ConfigError."""
        names = [f.name for f in fields(cls)]
        if not isinstance(settings, Mapping) or set(settings) - set(names):
            raise ConfigError(f"[retention] can have {', '.join(names)}, and nothing else.")
        for name, days in settings.items():
            if type(days) is not int or not MIN_DAYS <= days <= MAX_DAYS:
                raise ConfigError(
                    f"{name} in [retention] must be a whole number of days, at least {MIN_DAYS} "
                    f"and at most {MAX_DAYS:,}."
                )
        return cls(**settings)


def read_retention(path: Path) -> Retention:
    """The section of a secrets file; nothing is deleted where there is no file.

    Raises ConfigError.
    """
    return Retention.from_settings(read_secrets(path).get("retention", {}))


class Expired(NamedTuple):
    """What is too old."""

    snapshots: dict[str, int]
    """Integration → snapshots, where there are any."""
    files: list[Path]
    events: int

    def __str__(self) -> str:
        parts = (
            *(f"{count_of(n, 'snapshot')} of {name}" for name, n in self.snapshots.items()),
            count_of(len(self.files), "removed file"),
            count_of(self.events, "event"),
        )
        return ", ".join(parts)


def find_expired(
    engine: sa.Engine, home: Home, retention: Retention, now: datetime | None = None
) -> Expired:
    """What `delete_expired` would delete. `now`: naive UTC."""
    now = now or utc_now()
    with engine.connect() as con:
        snapshots = _old_snapshots(con, _cutoff(now, retention.snapshot_days))
        events = count_older_events(con, _cutoff(now, retention.audit_days))
    files = _expired_files(home, _cutoff(now, retention.removed_file_days))
    return Expired({old.name: old.older for old in snapshots if old.older}, files, events)


def delete_expired(
    engine: sa.Engine, home: Home, retention: Retention, now: datetime | None = None
) -> Expired:
    """Delete what is too old, and record it in the audit log. `now`: naive UTC.

    Raises StoreError and OSError. What was begun is completed by the next run or start.
    """
    now = now or utc_now()
    expired = find_expired(engine, home, retention, now)
    with engine.connect() as con:
        snapshots = _old_snapshots(con, _cutoff(now, retention.snapshot_days))
    for name, first, older in snapshots:
        if older or older_files(home, name, first):
            delete_older_snapshots(engine, home, name, first)
            _record(home, integration=name, snapshots=older, before=first.isoformat())
    for path in expired.files:
        path.unlink(missing_ok=True)
    if expired.files:
        _record(home, files=len(expired.files))
    if retention.audit_days:
        delete_older_events(engine, home, _cutoff(now, retention.audit_days))
    return expired


def _record(home: Home, **details: Any) -> None:
    record_event(home, "Retention", Event.RETENTION_APPLIED, **details)


def _cutoff(now: datetime, days: int | None) -> datetime:
    return now - timedelta(days=days) if days else datetime.min  # noqa: DTZ901 - naive UTC


class _OldSnapshots(NamedTuple):
    """An integration, its first snapshot to stay, and the number of those before."""

    name: str
    first: datetime
    older: int


def _old_snapshots(con: Connection, cutoff: datetime) -> list[_OldSnapshots]:
    """One per integration. The newest snapshot stays."""
    taken_at = snapshot.c.taken_at
    newest = func.max(taken_at)
    first = func.coalesce(func.min(taken_at).filter(taken_at >= cutoff), newest)
    older = func.count().filter(taken_at < cutoff) - case((newest < cutoff, 1), else_=0)
    query = select(integration.c.name, first, older).join_from(
        snapshot, integration, integration.c.integration_id == snapshot.c.integration_id
    )
    return [_OldSnapshots(*row) for row in con.execute(query.group_by(integration.c.name))]


def _expired_files(home: Home, cutoff: datetime) -> list[Path]:
    """Removed files and old stores; their age is the time since they were put there."""
    old_stores = home.root.glob("rollcall.duckdb.*-????-??-??T??-??-??Z*")
    paths = [path for path in (*home.removed.rglob("*"), *old_stores) if not path.is_dir()]
    return sorted(path for path in paths if _put_there(path) < cutoff)


def _put_there(path: Path) -> datetime:
    """When the file got its present name (naive UTC)."""
    return datetime.fromtimestamp(path.lstat().st_ctime, UTC).replace(tzinfo=None)
