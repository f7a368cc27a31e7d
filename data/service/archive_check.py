"""Compares the archive with the SHA-256 that the store recorded for each loaded file."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, select

from data.files.naming import parse_file_moment
from data.history.session import sha256_of
from data.home import Home, is_regular_file
from data.inbox.delivered import inbox_files
from data.schema import integration, snapshot


class SnapshotKey(NamedTuple):
    """A snapshot: its integration, and when it was taken (naive UTC)."""

    integration: str
    taken_at: datetime

    def __str__(self) -> str:
        return f"{self.integration} at {self.taken_at:%Y-%m-%d %H:%M:%S} UTC"


def archived_files(home: Home) -> list[Path]:
    """The files of the archive, oldest first."""
    paths = (p for p in home.archive.glob("*/*") if is_regular_file(p) and p.name[0] != ".")
    return sorted(paths, key=lambda path: (path.name, path.parent.name))


def removed_files(home: Home) -> list[Path]:
    """The files of loaded snapshots that were replaced or removed."""
    return [path for path in home.removed.glob("*/*") if is_regular_file(path)]


def archive_key(path: Path) -> SnapshotKey | None:
    """The snapshot in the name of an archived file. None for any other file."""
    moment = parse_file_moment(path.name)
    return SnapshotKey(path.parent.name, moment) if moment else None


def recorded_hashes(con: Connection) -> dict[SnapshotKey, str]:
    """Every loaded snapshot and the SHA-256 of its file."""
    joined = snapshot.join(integration, integration.c.integration_id == snapshot.c.integration_id)
    query = select(integration.c.name, snapshot.c.taken_at, snapshot.c.sha256)
    return {
        SnapshotKey(row.name, row.taken_at): row.sha256
        for row in con.execute(query.select_from(joined))
    }


def missing_and_changed(
    home: Home, recorded: Mapping[SnapshotKey, str]
) -> tuple[list[SnapshotKey], list[Path]]:
    """The snapshots whose file the archive lacks, and the files that are no longer as loaded.

    A process that was killed after a load leaves the file in the inbox, where it counts, too.
    """
    archived = {archive_key(path): path for path in archived_files(home)}
    hashes = {key: sha256_of(archived[key]) for key in recorded if key in archived}
    differing = {key for key, sha256 in recorded.items() if hashes.get(key) != sha256}
    for path in inbox_files(home) if differing else ():
        moment = parse_file_moment(path.name)
        key = SnapshotKey(path.parent.name, moment or datetime.min)  # noqa: DTZ901 - naive UTC
        if key in differing and is_regular_file(path) and sha256_of(path) == recorded[key]:
            differing.discard(key)
    missing = sorted(key for key in differing if key not in archived)
    return missing, sorted(archived[key] for key in differing if key in archived)


def describe_problems(missing: list[SnapshotKey], changed: list[Path]) -> list[str]:
    """One sentence per file that is not as it was loaded."""
    return [
        *(f"The file of {key} is missing." for key in missing),
        *(f"{path} has another SHA-256 than the file that was loaded." for path in changed),
    ]
