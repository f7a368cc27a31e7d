"""Random days, with kills, full disks and clocks that jump: the store says what the model says."""

from __future__ import annotations

import time
from pathlib import Path

from simulation.defects import ROOT, planted_defects
from simulation.life import simulate

SECONDS = 10


def test_random_days_leave_the_store_as_the_model_says() -> None:
    """Another seed each time; the disagreement names it, and `make simulate` repeats it."""
    assert simulate(int(time.time()), days=1_000, seconds=SECONDS) > 0


def test_each_planted_defect_still_has_a_place() -> None:
    for defect in planted_defects():
        assert Path(ROOT, defect.file).read_text().count(defect.old) == 1, defect.name
