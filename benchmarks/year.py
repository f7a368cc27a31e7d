"""A year of a large installation, made in the database, for Health, Changes and Review.

To load 36,500 snapshots would take most of an hour, so the versions are made up in one go, and what
loading derives from them is counted from them, as its own tests say that it must be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text, update

from benchmarks.made import START
from data.history.as_of import Span
from data.history.rollups import count_job_ends
from data.history.since import content_hash
from data.people.clues import email_clue, id_clue
from data.schema import OPEN_END, account_current, account_profile
from data.store.engine import close_store, open_store

SQL = Path(__file__).with_name("year.sql")
DAYS = 365
JOBS = 3
"""That may begin for an account in a year; each does with a chance of two fifths."""


def a_year(folder: Path, accounts: int = 1_000_000, integrations: int = 100) -> Path:
    """A home with so many accounts, and a snapshot of each integration for every day of a year."""
    home = folder / "year"
    home.mkdir()
    make(f"duckdb:///{home}/rollcall.duckdb", accounts, integrations)
    return home


def make(url: str, accounts: int, integrations: int, days: int = DAYS) -> None:
    """Fill a new store with snapshots of so many days, the last of them START's; then close it."""
    jobs = max(1, round(JOBS * days / DAYS))
    values = {"accounts": accounts, "integrations": integrations, "days": days, "jobs": jobs}
    first = START - timedelta(days=days - 1)
    taken = (
        "CREATE TEMP MACRO taken(integration, day) AS "
        f"TIMESTAMP '{first}' + to_days(day::INT) + to_minutes(integration)"
    )
    with roomy(), open_store(url).begin() as con:
        for statement in (taken, *SQL.read_text(encoding="utf-8").split(";")[:-1]):
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            con.execute(text(statement).bindparams(**used))
        con.execute(update(account_current).values(content_hash=content_hash(account_current)))
        for table in (account_profile, account_current):
            clues = {"email_clue": email_clue(table), "id_clue": id_clue(table)}
            con.execute(update(table).values(clues))
        for integration_id in range(1, integrations + 1):
            count_job_ends(con, Span(integration_id, first, OPEN_END, False, 0))
    close_store(url)


@contextmanager
def roomy() -> Iterator[None]:
    """Stores that are opened meanwhile may take more memory: years made in one go need it."""
    before = os.environ.get("ROLLCALL_MEMORY_LIMIT")
    os.environ["ROLLCALL_MEMORY_LIMIT"] = "6GiB"
    try:
        yield
    finally:
        del os.environ["ROLLCALL_MEMORY_LIMIT"]
        if before is not None:
            os.environ["ROLLCALL_MEMORY_LIMIT"] = before
