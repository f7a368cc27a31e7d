"""The sample as snapshot files in all formats."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from data.sample.population import Population
from data.tempfiles import write_atomically

ROLE_TYPE = pa.struct(
    [
        *((key, pa.string()) for key in ("name", "type", "description", "via")),
        ("since", pa.date32()),
    ]
)


SCHEMA = pa.schema(
    {
        "account_id": pa.string(),
        "username_in_app": pa.string(),
        "user_name": pa.string(),
        "user_email": pa.string(),
        "roles": pa.list_(ROLE_TYPE),
        "active_in_app": pa.bool_(),
        "upstream_user_id": pa.string(),
        "provisioning_state": pa.string(),
        "state_reason": pa.string(),
        "failure_code": pa.string(),
        "last_updated": pa.timestamp("us"),
    }
)


BATCH_SIZE = 50_000
"""Accounts that are held as Python values at a time."""


Records = Iterator[dict[str, Any]]


def _records(accounts: pa.Table) -> Records:
    """One record per account, with the columns of a snapshot file."""
    for batch in accounts.to_batches(max_chunksize=BATCH_SIZE):
        for account in batch.to_pylist():
            person = account if account["matched"] else {}
            yield {
                "account_id": account["account_id"],
                "username_in_app": account["username"],
                "user_name": person.get("name"),
                "user_email": person.get("email"),
                "roles": account["roles"],
                "active_in_app": account["active"],
                "upstream_user_id": person.get("upstream_user_id"),
                "provisioning_state": account["state"],
                "state_reason": account["reason"] and _format_reason(account),
                "failure_code": account["code"]
                and f"{account['app'][:3].upper()}-{account['code']}",
                "last_updated": account["changed_at"],
            }


def _format_reason(account: dict[str, Any]) -> str:
    return account["reason"].format(
        app=account["app"],
        user=account["username"],
        number=account["detail"],
        seconds=account["detail"] % 90,
        when=_iso(account["changed_at"]),
    )


def _iso(day_or_time: date) -> str:
    is_time = isinstance(day_or_time, datetime)
    return f"{day_or_time:%Y-%m-%dT%H:%M:%SZ}" if is_time else f"{day_or_time}"


def _write_parquet(path: Path, records: Records) -> None:
    with parquet.ParquetWriter(path, SCHEMA) as file:
        while batch := [*islice(records, BATCH_SIZE)]:
            file.write_batch(pa.RecordBatch.from_pylist(batch, schema=SCHEMA))


def _write_separated(path: Path, records: Records, *, delimiter: str) -> None:
    """With the headings of the Users table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(HEADINGS)
        writer.writerows(map(_csv_row, records))


HEADINGS = (
    "User",
    "Username in app",
    "App access",
    "Active in app",
    "Upstream user ID",
    "Provisioning state",
    "Last updated",
    "Reason",
    "Failure code",
)


def _csv_row(record: dict[str, Any]) -> list[str | None]:
    name, active = record["user_name"], record["active_in_app"]
    return [
        f"{name} <{record['user_email']}>" if name else None,
        record["username_in_app"],
        "; ".join(role["name"] for role in record["roles"]),
        None if active is None else "Yes" if active else "No",
        record["upstream_user_id"],
        record["provisioning_state"],
        _iso(record["last_updated"]),
        record["state_reason"],
        record["failure_code"],
    ]


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, default=_iso)


def _write_json_lines(path: Path, records: Records) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{_json(record)}\n" for record in records)


def _write_json_array(path: Path, records: Records) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, record in enumerate(records):
            file.write((",\n" if number else "[\n") + _json(record))
        file.write("\n]\n")


def _write_gzip_json_lines(path: Path, records: Records) -> None:
    """Without the time of packing, so that the same records give the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        for record in records:
            file.write(f"{_json(record)}\n".encode())


WRITERS: tuple[tuple[str, Callable[[Path, Records], None]], ...] = (
    ("parquet", _write_parquet),
    ("csv", partial(_write_separated, delimiter=",")),
    ("ndjson", _write_json_lines),
    ("json", _write_json_array),
    ("tsv", partial(_write_separated, delimiter="\t")),
    ("jsonl.gz", _write_gzip_json_lines),
)
"""Ending, and what writes such a file; one per integration in turn."""


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
    """Write `<integration>/<taken_at>.<ext>`, one a day; each path once its file is complete.

    The newest are taken at `until` (naive UTC). The same arguments give the same bytes.
    """
    until = until or latest_morning(datetime.now(UTC).replace(tzinfo=None))
    populations = [Population(i, accounts, days, until, seed) for i in range(integrations)]
    for days_ago in range(days - 1, -1, -1):
        for population in populations:
            population.advance_day(days_ago)
            yield _write_snapshot(population, directory, until - timedelta(days=days_ago))


def _write_snapshot(population: Population, directory: Path, taken_at: datetime) -> Path:
    """Write one snapshot file."""
    extension, write = WRITERS[population.number % len(WRITERS)]
    path = directory / population.name / f"{taken_at:%Y-%m-%dT%H-%M-%SZ}.{extension}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        write(partial, _records(population.to_table()))
    return path


def latest_morning(now: datetime) -> datetime:
    """06:00 of the day, or of the day before while that has not come; naive UTC, as `now`."""
    return (now - timedelta(hours=6)).replace(hour=6, minute=0, second=0, microsecond=0)
