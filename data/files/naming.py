"""What a snapshot file is, as its place and its name say: whose, of when, and how to load it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from data.files.errors import UnknownSnapshot
from data.files.mapping import ColumnMapping

MOMENT_PATTERN = re.compile(
    r"(?P<date>\d{4}-?\d\d-?\d\d)(?:[T_ ](?P<time>\d\d[-:]?\d\d(?:[-:]?\d\d)?(?:\.\d+)?)Z?)?$"
)
REPLACE_PREFIX = "replace~"
"""A file of the inbox whose name starts so takes the place of what is loaded for its moment."""

CONFIRMED_PREFIX = "confirmed~"
"""A file of the inbox whose name starts so is loaded although it is hard to believe."""


@dataclass(frozen=True)
class SnapshotFile:
    """A file, and what it is a snapshot of."""

    path: Path
    integration: str
    taken_at: datetime  # naive UTC
    mapping: ColumnMapping | None = field(
        default=None, compare=False
    )  # a mapping of its own headings

    @property
    def name(self) -> str:
        """The file's name, as a reader should see it."""
        return strip_prefixes(self.path.name)

    @classmethod
    def from_path(
        cls, path: Path, integration: str | None = None, taken_at: datetime | None = None
    ) -> SnapshotFile:
        """What `<integration>/<taken_at>.<ext>` says, where the arguments do not.

        Raises NotPlaced where neither says it.
        """
        taken_at = taken_at or parse_moment(path.name.split(".", 1)[0])
        name = integration or (
            path.absolute().parent.name if parse_moment(path.name.split(".", 1)[0]) else None
        )
        if not name or not taken_at:
            missing = "at which moment it was taken" if name else "which integration it lists"
            raise UnknownSnapshot(
                f"{path.name} does not say {missing}. Name it <integration>/<taken_at>.<ext>, "
                "like figma/2026-11-23T06-00-00Z.csv, or give --integration and --taken-at."
            )
        return cls(path, name, taken_at)


def parse_moment(text: str) -> datetime | None:
    """Naive UTC of `2026-11-23T06-00-00Z` and its relatives; None for anything else."""
    match = MOMENT_PATTERN.fullmatch(text)
    if not match:
        return None
    digits = re.sub(r"\D", "", match["date"] + (match["time"] or "").split(".")[0]).ljust(14, "0")
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).replace(tzinfo=None)
    except ValueError:
        return None


def strip_prefixes(name: str) -> str:
    """A file's name without what it says about how to load it."""
    return name.removeprefix(CONFIRMED_PREFIX).removeprefix(REPLACE_PREFIX)
