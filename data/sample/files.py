"""Writes the sample as snapshot files, in all formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from data.formatting import file_stamp, utc_now
from data.sample.population import Population
from data.tempfiles import write_atomically

WRITERS = {
    "parquet": "COPY accounts TO $path (FORMAT parquet)",
    "csv": "COPY accounts TO $path (FORMAT csv, HEADER)",
    "ndjson": "COPY accounts TO $path (FORMAT json, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%SZ')",
    "json": "COPY accounts TO $path (FORMAT json, ARRAY, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%SZ')",
    "tsv": "COPY accounts TO $path (FORMAT csv, HEADER, DELIMITER '\t')",
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
) -> Iterator[Path]:
    """Write `<integration>/<taken_at>.<ext>`, one per day; yield each path once it is complete.

    The newest are taken at `until` (naive UTC). The same arguments give the same bytes.
    """
    until = until or latest_morning(utc_now())
    populations = [Population(i, accounts, days, until, seed) for i in range(integrations)]
    # With several threads, the order of rows could change the bytes.
    with closing(duckdb.connect(config={"threads": 1})) as con:
        for days_ago in range(days - 1, -1, -1):
            for population in populations:
                population.advance_day(days_ago)
                yield _write_snapshot(con, population, directory, until - timedelta(days=days_ago))


def _write_snapshot(
    con: duckdb.DuckDBPyConnection, population: Population, directory: Path, taken_at: datetime
) -> Path:
    extension, statement = [*WRITERS.items()][population.number % len(WRITERS)]
    path = directory / population.name / f"{file_stamp(taken_at)}.{extension}"
    path.parent.mkdir(parents=True, exist_ok=True)
    accounts = population.to_table()
    con.register("accounts", _as_cells(accounts) if "csv" in statement else accounts)
    with write_atomically(path) as partial:
        con.execute(statement, {"path": str(partial)})
    return path


def _as_cells(accounts: pa.Table) -> pa.Table:
    """The accounts as text, under the headings of the Users table."""
    user = (accounts["user_name"], " <", accounts["user_email"], ">")
    roles = accounts["roles"].combine_chunks()
    role_names = pa.ListArray.from_arrays(roles.offsets, roles.values.field("name"))
    last_updated = accounts["last_updated"].cast(pa.timestamp("s"))
    columns = {
        "User": pc.binary_join_element_wise(*user, ""),
        "Username in app": accounts["username_in_app"],
        "App access": pc.binary_join(role_names, "; "),
        "Active in app": pc.if_else(accounts["active_in_app"], "Yes", "No"),
        "Upstream user ID": accounts["upstream_user_id"],
        "Provisioning state": accounts["provisioning_state"],
        "Last updated": pc.strftime(last_updated, "%Y-%m-%dT%H:%M:%SZ"),
        "Reason": accounts["state_reason"],
        "Failure code": accounts["failure_code"],
    }
    return pa.table(columns)


def latest_morning(now: datetime) -> datetime:
    """06:00 of the day, or of the day before if it is earlier than that; naive UTC, as `now`."""
    return (now - timedelta(hours=6)).replace(hour=6, minute=0, second=0, microsecond=0)
