"""What a file's place and name say: the integration, the time of the snapshot, how to load it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from data.files.encoding import COMPRESSIONS
from data.files.errors import UnknownSnapshot
from data.files.mapping import ColumnMapping

MOMENT_PATTERN = re.compile(
    r"(?P<date>\d{4}-?\d\d-?\d\d)(?:[Tt_ ](?P<hour>\d\d)(?P<colon>[-:]?)(?P<minute>\d\d)"
    r"(?:(?P=colon)(?P<second>\d\d)(?:[.,]\d+)?)?"
    r"(?: ?(?:[Zz]|(?P<sign>[+\u2212 -])"
    r"(?P<zone_hour>[01]\d|2[0-3])(?::?(?P<zone_minute>[0-5]\d))?))?)?"
)
"""ISO 8601. File names have dashes for colons; in an address, a plus can have become a space."""

EXPECTED_MOMENT = "2026-11-23T06:00:00Z or 2026-11-23T07:00:00+01:00"

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

    @property
    def name(self) -> str:
        """The file's name as the person gave it.

        In a folder of the home it is behind the moment: `2026-11-23T06-00-00Z.members.csv`.
        """
        name = strip_prefixes(self.path.name)
        match = MOMENT_PATTERN.match(name)
        is_behind = parse_file_moment(name) and match and match.end() < len(split_ending(name)[0])
        return name[match.end() + 1 :] if is_behind and match else name

    @classmethod
    def from_path(
        cls, path: Path, integration: str | None = None, taken_at: datetime | None = None
    ) -> SnapshotFile:
        """Take what the arguments leave out from the path, `<integration>/<taken_at>.<ext>`.

        Raises UnknownSnapshot where neither names the integration, or the time.
        """
        named_moment = parse_file_moment(path.name)
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
    """Naive UTC of an ISO 8601 time such as `2026-11-23T07:00:00+01:00`; None for any other text.

    Without an offset it is UTC. Fractions of a second are dropped, as snapshots have none.
    """
    match = MOMENT_PATTERN.fullmatch(text.strip())
    return _matched_moment(match) if match else None


def parse_file_moment(name: str) -> datetime | None:
    """The time (naive UTC) that a file's name starts with, after its prefixes."""
    name = strip_prefixes(name)
    match = MOMENT_PATTERN.match(name)
    return _matched_moment(match) if match and name[match.end() :][:1] in ("", ".") else None


def _matched_moment(match: re.Match[str]) -> datetime | None:
    offset = timedelta(
        hours=int(match["zone_hour"] or 0), minutes=int(match["zone_minute"] or 0)
    ) * (-1 if match["sign"] in ("-", "\u2212") else 1)
    parts = match["date"], match["hour"] or "00", match["minute"] or "00", match["second"] or "00"
    try:
        return datetime.strptime("".join(parts).replace("-", ""), "%Y%m%d%H%M%S") - offset
    except (ValueError, OverflowError):
        return None


def split_ending(name: str) -> tuple[str, str]:
    """`members` and `.csv.gz` of `members.csv.gz`."""
    suffixes = Path(name).suffixes
    is_compressed = bool(suffixes) and suffixes[-1].lower() in COMPRESSIONS
    ending = "".join(suffixes[-2:] if is_compressed else suffixes[-1:])
    return name.removesuffix(ending), ending


def strip_prefixes(name: str) -> str:
    """A file's name without the prefixes that say how to load it."""
    return name.removeprefix(CONFIRMED_PREFIX).removeprefix(REPLACE_PREFIX)
