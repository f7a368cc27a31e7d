"""The definitions say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from patience import PATIENCE
from streamlit.testing.v1 import AppTest

from data.states import FAILED_STATES
from queries.health.backlog import AGE_BUCKETS
from queries.health.integrations import INTERVAL_WINDOW, STALE_AFTER_INTERVALS
from queries.health.trends import RATE_DAYS
from queries.health.verdict import MIN_CHANGE
from queries.rounds.outcomes import OUTCOMES
from widgets.health.figures import FEW_JOBS
from widgets.health.heatmap import FULL_SHARE, MAX_DAY_COLUMNS
from widgets.health.tiles import TILE_HELP

ROOT = Path(__file__).parent.parent
DEFINITIONS, GLOSSARY = (
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("definitions.md", "glossary.md")
)


def test_the_page_shows_the_definitions_and_the_glossary() -> None:
    shown = AppTest.from_file(ROOT / "pages" / "definitions.py", default_timeout=PATIENCE).run()
    assert not shown.exception
    assert [title.value for title in shown.title] == ["Definitions"]
    assert [text.value for text in shown.markdown] == [DEFINITIONS.strip(), GLOSSARY.strip()]


@pytest.mark.parametrize(
    "metric", [*TILE_HELP, "Failure rate", "Existing", "New", "Resolved", "Median", "Mean"]
)
def test_every_metric_is_defined(metric: str) -> None:
    assert f"| {metric} |" in DEFINITIONS or f"**{metric}**" in DEFINITIONS


def test_the_numbers_in_it_are_those_of_the_code() -> None:
    assert (INTERVAL_WINDOW, STALE_AFTER_INTERVALS, MAX_DAY_COLUMNS) == (30, 2, 45)
    assert f"last {INTERVAL_WINDOW + 1} snapshots" in DEFINITIONS
    assert "older than twice that" in DEFINITIONS
    assert f"more than {MAX_DAY_COLUMNS} days" in DEFINITIONS
    assert [since.total_seconds() / 3600 for _, since in AGE_BUCKETS] == [0, 1, 24, 72, 168]
    assert (MIN_CHANGE, FULL_SHARE, FEW_JOBS, RATE_DAYS) == (0.1, 0.2, 5, 7)
    for words in ("10 % or more", "from 20 % upwards", "fewer than five", "seven days"):
        assert words in DEFINITIONS
    ages = "up to an hour, longer than that and up to a day, up to 3 days, up to 7 days, longer"
    assert ages in DEFINITIONS


def test_every_outcome_of_a_round_is_defined() -> None:
    section = DEFINITIONS.split("## Review rounds")[1].split("\n## ")[0]
    for name in ("population", *OUTCOMES):
        assert re.search(rf"^\| [^|]*{name}[^|]* \| ", section, re.I | re.M), name


def test_the_failed_states_are_named() -> None:
    assert all(name in DEFINITIONS for name in FAILED_STATES)
