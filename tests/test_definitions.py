"""The definitions say what the code does, on the page and in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from data.states import FAILED_STATES
from queries.health.backlog import AGE_BUCKETS
from queries.health.integrations import INTERVAL_WINDOW, STALE_AFTER_INTERVALS
from widgets.health.heatmap import MAX_DAY_COLUMNS
from widgets.health.tiles import TILE_HELP

ROOT = Path(__file__).parent.parent
WORDS = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")


def test_the_page_shows_the_document() -> None:
    shown = AppTest.from_file(ROOT / "pages" / "definitions.py").run()
    assert not shown.exception
    assert [title.value for title in shown.title] == ["Definitions"]
    assert [text.value for text in shown.markdown] == [WORDS.strip()]


@pytest.mark.parametrize("metric", [*TILE_HELP, "Failure rate", "Carried over", "Median", "Mean"])
def test_every_metric_is_defined(metric: str) -> None:
    assert f"| {metric} |" in WORDS or f"**{metric}**" in WORDS


def test_the_numbers_in_it_are_those_of_the_code() -> None:
    assert (INTERVAL_WINDOW, STALE_AFTER_INTERVALS, MAX_DAY_COLUMNS) == (30, 2, 45)
    assert f"last {INTERVAL_WINDOW + 1} snapshots" in WORDS
    assert "older than twice that" in WORDS
    assert f"more than {MAX_DAY_COLUMNS} days" in WORDS
    assert [since.total_seconds() / 3600 for _, since in AGE_BUCKETS] == [0, 1, 24, 72, 168]
    ages = "up to an hour, longer than that and up to a day, up to 3 days, up to 7 days, longer"
    assert ages in WORDS


def test_the_failed_states_are_named() -> None:
    assert all(name in WORDS for name in FAILED_STATES)
