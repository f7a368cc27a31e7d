"""What a mark of a chart stands for, and how figures carry that to the browser and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

MarkKind = Literal["state", "failed", "unsettled", "quarantined"]


@dataclass(frozen=True)
class Mark:
    """One bar, point or cell of a chart."""

    kind: MarkKind
    """The accounts that it counts; or the files on hold or rejected."""
    series: str = ""
    """The state, where the kind is a state, or else the operation; empty: all operations."""
    day: str = ""
    """The day at whose end it counts, `2026-11-23`; empty: the moment that the page shows."""
    cell: str = ""
    """The age of open jobs in a state, or the integration of failed accounts; empty: all."""


def customdata(marks: Iterable[Mark]) -> np.ndarray:
    """The marks of a trace as plotly carries them: an array, as it inspects each item of a list."""
    return np.array([(m.kind, m.series, m.day, m.cell) for m in marks])


def mark_from(values: Iterable[Any]) -> Mark:
    """The mark that was clicked, from its `customdata`."""
    return Mark(*values)
