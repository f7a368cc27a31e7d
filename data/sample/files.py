"""Writes the sample as snapshot files, in all formats."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from data.formatting import file_stamp, utc_now
from data.sample.directory import INTERVAL, NAME, Directory
from data.sample.population import Population
from data.tempfiles import write_atomically

CREATE_CELLS = """
CREATE OR REPLACE TEMP VIEW cells AS SELECT
    user_name || ' <' || user_email || '>' AS "User",
    username_in_app AS "Username in app",
    array_to_string(list_transform(roles, lambda role: role.name), '; ') AS "App access",
    CASE active_in_app WHEN true THEN 'Yes' WHEN false THEN 'No' END AS "Active in app",
    upstream_user_id AS "Upstream user ID",
    provisioning_state AS "Provisioning state",
    strftime(last_updated, '%Y-%m-%dT%H:%M:%SZ') AS "Last updated",
    last_sign_in AS "Last sign-in",
    state_reason AS "Reason",
    failure_code AS "Failure code"
FROM accounts
"""
"""The accounts as text, under the headings of the Users table."""

WRITERS = {
    "parquet": "COPY accounts TO $path (FORMAT parquet)",
    "csv": "COPY cells TO $path (FORMAT csv, HEADER)",
    "ndjson": "COPY accounts TO $path (FORMAT json, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%SZ')",
    "json": "COPY accounts TO $path (FORMAT json, ARRAY, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%SZ')",
    "tsv": "COPY cells TO $path (FORMAT csv, HEADER, DELIMITER '\t')",
    "jsonl.gz": "COPY accounts TO $path "
    "(FORMAT json, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%SZ', COMPRESSION gzip)",
}
"""Ending of a file's name → statement that writes it. Integrations take them in turn."""


def write_sample(directory: Path, **options: Any) -> list[Path]:
    """Write sample snapshots, with the options of `sample_snapshots`; the paths, oldest first."""
    return [*sample_snapshots(directory, **options)]


def sample_snapshots(
    directory: Path,
    *,
    accounts: int = 300,
    days: int = 90,
    integrations: int = 6,
    seed: int = 1,
    until: datetime | None = None,
    newest_days: int | None = None,
    has_directory: bool = False,
) -> Iterator[Path]:
    """Write `<integration>/<taken_at>.<ext>`, one per day; yield each path once it is complete.

    With `has_directory`, a file of Okta's users, who use the accounts, ends every seventh day. The
    newest are taken at `until` (naive UTC). The same arguments give the same bytes. With
    `newest_days`, the files of earlier days are not written.
    """
    until = until or latest_morning(utc_now())
    populations = [Population(i, accounts, days, until, seed) for i in range(integrations)]
    provider = Directory(populations, until) if has_directory else None
    # With several threads, the order of rows could change the bytes.
    with closing(duckdb.connect(config={"threads": 1})) as con:
        for days_ago in range(days - 1, -1, -1):
            is_written = newest_days is None or days_ago < newest_days
            taken_at = until - timedelta(days=days_ago)
            for population in populations:
                population.advance_day(days_ago)
                if is_written:
                    yield _write_snapshot(con, population, directory, taken_at)
            if provider and days_ago % INTERVAL == 0:
                provider.advance_to(days_ago)
                if is_written:
                    yield _write_people(provider, directory, taken_at)


def _write_snapshot(
    con: duckdb.DuckDBPyConnection, population: Population, directory: Path, taken_at: datetime
) -> Path:
    extension, statement = [*WRITERS.items()][population.number % len(WRITERS)]
    path = directory / population.name / f"{file_stamp(taken_at)}.{extension}"
    path.parent.mkdir(parents=True, exist_ok=True)
    con.register("accounts", population.to_table())
    con.execute(CREATE_CELLS)
    with write_atomically(path) as partial:
        con.execute(statement, {"path": str(partial)})
    return path


def _write_people(provider: Directory, directory: Path, taken_at: datetime) -> Path:
    path = directory / NAME / f"{file_stamp(taken_at)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        partial.write_text(json.dumps([*provider.users((provider.until - taken_at).days)]), "utf-8")
    return path


def latest_morning(now: datetime) -> datetime:
    """06:00 of the day, or of the day before if it is earlier than that; naive UTC, as `now`."""
    return (now - timedelta(hours=6)).replace(hour=6, minute=0, second=0, microsecond=0)
