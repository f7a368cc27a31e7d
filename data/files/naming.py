"""What a file's place and name say: the integration, the time of the snapshot, how to load it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from data.files.errors import UnknownSnapshot
from data.files.mapping import ColumnMapping

MOMENT_PATTERN = re.compile(
    r"(?P<date>\d{4}-?\d\d-?\d\d)(?:[T_ ](?P<time>\d\d[-:]?\d\d(?:[-:]?\d\d)?)(?:\.\d+)?Z?)?$"
)
REPLACE_PREFIX = "replace~"
"""A file of the inbox with this prefix replaces the loaded snapshot of its time."""

CONFIRMED_PREFIX = "confirmed~"
"""A file of the inbox with this prefix was confirmed by a person, so no guard stops it."""


@dataclass(frozen=True)
class SnapshotFile:
    """A file, and the snapshot that it holds."""

    path: Path
    integration: str
    taken_at: datetime  # naive UTC
    mapping: ColumnMapping | None = field(default=None, compare=False)  # which heading is which
    given_name: str = field(default="", compare=False)  # of an upload, whose path is Rollcall's own

    @property
    def name(self) -> str:
        """The file's name as the person gave it."""
        return self.given_name or strip_prefixes(self.path.name)

    @classmethod
    def from_path(
        cls, path: Path, integration: str | None = None, taken_at: datetime | None = None
    ) -> SnapshotFile:
        """Take what the arguments leave out from the path, `<integration>/<taken_at>.<ext>`.

        Raises UnknownSnapshot where neither names the integration, or the time.
        """
        named_moment = parse_moment(path.name.split(".", 1)[0])
        taken_at = taken_at or named_moment
        name = integration or (path.absolute().parent.name if named_moment else None)
        if not name or not taken_at:
            missing = "when the snapshot was taken" if name else "which integration it lists"
            raise UnknownSnapshot(
                f"{path.name} does not say {missing}. Name it <integration>/<taken_at>.<ext>, "
                "e.g. figma/2026-11-23T06-00-00Z.csv, or give --integration and --taken-at."
            )
        return cls(path, name, taken_at)


def parse_moment(text: str) -> datetime | None:
    """Naive UTC of `2026-11-23T06-00-00Z` and similar forms; None for any other text."""
    match = MOMENT_PATTERN.fullmatch(text)
    if not match:
        return None
    digits = re.sub(r"\D", "", match["date"] + (match["time"] or "")).ljust(14, "0")
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None


def parse_file_moment(name: str) -> datetime | None:
    """The time (naive UTC) that a file's name starts with, after its prefixes."""
    return parse_moment(strip_prefixes(name).split(".", 1)[0])


def strip_prefixes(name: str) -> str:
    """A file's name without the prefixes that say how to load it."""
    return name.removeprefix(CONFIRMED_PREFIX).removeprefix(REPLACE_PREFIX)
