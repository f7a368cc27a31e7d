"""The definitions say what the code does, on the page and in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from data.states import FAILED
from queries.health.backlog import AGES
from queries.health.trends import RHYTHM_OF, STALE_AFTER
from widgets.health.heatmap import MOST_COLUMNS
from widgets.health.tiles import MEANINGS

ROOT = Path(__file__).parent.parent
WORDS = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")


def test_the_page_shows_the_document() -> None:
    shown = AppTest.from_file(ROOT / "pages" / "definitions.py").run()
    assert not shown.exception
    assert [title.value for title in shown.title] == ["Definitions"]
    assert [text.value for text in shown.markdown] == [WORDS.strip()]


@pytest.mark.parametrize("metric", [*MEANINGS, "Failure rate", "Carried over", "Median", "Mean"])
def test_every_metric_is_defined(metric: str) -> None:
    assert f"| {metric} |" in WORDS or f"**{metric}**" in WORDS


def test_the_numbers_in_it_are_those_of_the_code() -> None:
    assert (RHYTHM_OF, STALE_AFTER, MOST_COLUMNS) == (30, 2, 45)
    assert f"last {RHYTHM_OF + 1} snapshots" in WORDS
    assert "older than twice that" in WORDS
    assert f"more than {MOST_COLUMNS} days" in WORDS
    assert [since.total_seconds() / 3600 for _, since in AGES] == [0, 1, 24, 72, 168]
    ages = "up to an hour, longer than that and up to a day, up to 3 days, up to 7 days, longer"
    assert ages in WORDS


def test_the_failed_states_are_named() -> None:
    assert all(name in WORDS for name in FAILED)
