"""A real database per test, builders with defaults, and files as people deliver them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from data.store import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Engine]:
    """An empty store in a DuckDB file of its own."""
    engine = open_store(f"duckdb:///{tmp_path}/store.duckdb")
    yield engine
    engine.dispose()
