"""How much a test tries: enough for a change, and all of it at night: `FUZZ=20 make test`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

FUZZ = int(os.environ.get("FUZZ", "1"))
"""How many times as many examples a test draws. Nights have time for more than a change has."""


def or_at_night(cases: Iterable[T], every: Iterable[T]) -> list[T]:
    """These cases, which reach all the code; at night, every combination."""
    return [*(every if FUZZ > 1 else cases)]
