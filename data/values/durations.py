"""Durations of whole hours or days, as addresses and settings files have them: `12h`, `3d`."""

import re
from datetime import timedelta

from data.formatting import count_of

EXPECTED_DURATION = "hours or days, such as 4h or 7d"


def parse_duration(text: object) -> timedelta | None:
    """`3d` or `12h` as a duration; None for anything else."""
    match = re.fullmatch(r"([0-9]{1,4})([hd])", text) if isinstance(text, str) else None
    if not match or not int(match[1]):
        return None
    return timedelta(**{{"h": "hours", "d": "days"}[match[2]]: int(match[1])})


def duration_key(duration: timedelta) -> str:
    """A duration as `parse_duration` reads it."""
    hours = int(duration.total_seconds()) // 3600
    return f"{hours}h" if hours % 24 else f"{hours // 24}d"


def duration_text(key: str) -> str:
    """`3d` → `3 days`, `1h` → `1 hour`."""
    return count_of(int(key[:-1]), {"h": "hour", "d": "day"}[key[-1]])
