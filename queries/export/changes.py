"""The list of changed accounts as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.schema import account, integration, is_same_account
from data.store.transfer import fetch_batches
from queries.changes.accounts import count_changes, sort_key
from queries.changes.diff import CHANGE_KINDS, ChangeFilter, account_diff, condition_of
from queries.changes.window import Window
from queries.export.excel import Sheet, workbook_file_chunks
from queries.export.formats import (
    Chunks,
    encode_csv,
    escape_formulas,
    json_list_chunks,
    parquet_file_chunks,
    with_iso_times,
)
from queries.export.listing import LISTING_COLUMNS
from queries.export.manifest import format_utc, slug, snapshot_sources

MAX_NAME_LENGTH = 80
"""Characters of a file's name that tell what it lists."""


@dataclass(frozen=True)
class ChangesExport:
    """The whole list as a file: of each account both sides of what can change."""

    con: Connection
    window: Window
    change_filter: ChangeFilter

    def manifest(self) -> dict[str, Any]:
        """What it is of, as JSON can say it."""
        params: dict[str, list[str]] = {}
        for name, value in [*self.window.params(), *self.change_filter.params()]:
            params.setdefault(name, []).append(value)
        moments = (self.window.since, self.window.until)
        snapshots = [
            snapshot_sources(self.con, self.window.integration, moment) for moment in moments
        ]
        return {
            "changes": CHANGE_KINDS[self.change_filter.kind].description,
            "filters": params,
            "made_at": format_utc(datetime.now(UTC).replace(tzinfo=None, microsecond=0)),
            "rows": count_changes(self.con, self.window, self.change_filter),
            "snapshots": [source.as_dict() for source in dict.fromkeys(chain(*snapshots))],
        }

    def name(self, extension: str) -> str:
        """`changes-figma-moved-onboarded-2026-11-20T06-00-00Z-2026-11-23T06-00-00Z.csv`."""
        parts = [*self.window.integration, *(value for _, value in self.change_filter.params())]
        stem = slug("-".join(parts))[:MAX_NAME_LENGTH].strip("-")
        moments = (self.window.since, self.window.until)
        return "-".join(
            ("changes", stem, *(f"{moment:%Y-%m-%dT%H-%M-%SZ}" for moment in moments))
        ) + (f".{extension}")

    def text_batches(self) -> Iterator[pa.RecordBatch]:
        """As the page says it; times stay times."""
        return self._batches(_text_columns)

    def typed_batches(self) -> Iterator[pa.RecordBatch]:
        """Under the names of a snapshot file, with `was_` and `is_`; roles as a list."""
        return self._batches(_typed_columns)

    def json_batches(self) -> Iterator[pa.RecordBatch]:
        """One JSON object per account, in one column."""
        for batch in self.typed_batches():
            records = with_iso_times(batch).to_pylist()
            lines = [json.dumps(row, ensure_ascii=False) for row in records]
            yield pa.RecordBatch.from_pydict({"change": pa.array(lines, pa.string())})

    def _batches(
        self, columns_of: Callable[[Any], dict[str, ColumnElement[Any]]]
    ) -> Iterator[pa.RecordBatch]:
        c = account_diff(self.window).c
        rows = (
            select(*(value.label(heading) for heading, value in columns_of(c).items()))
            .join_from(c.account_key.table, account, is_same_account(account, c.account_key.table))
            .join(integration, integration.c.integration_id == c.integration_id)
            .where(condition_of(self.window, self.change_filter, c))
            .order_by(*sort_key(c))
        )
        with fetch_batches(self.con, rows) as batches:
            yield pa.RecordBatch.from_pylist([], schema=batches.schema)
            yield from batches


def _csv_chunks(file: ChangesExport) -> Chunks:
    yield "\ufeff".encode()
    yield from encode_csv(escape_formulas(with_iso_times(batch)) for batch in file.text_batches())


def _workbook_chunks(file: ChangesExport) -> Chunks:
    manifest, batches = file.manifest(), file.text_batches()
    first_batch = next(batches)
    widths = [COLUMN_WIDTH] * first_batch.num_columns
    return workbook_file_chunks([Sheet("Changes", widths, chain([first_batch], batches))], manifest)


COLUMN_WIDTH = 22
"""Of every column of a spreadsheet, in characters."""


WRITERS: dict[str, Callable[[ChangesExport], Chunks]] = {
    "csv": _csv_chunks,
    "raw.csv": lambda file: encode_csv(with_iso_times(batch) for batch in file.text_batches()),
    "xlsx": _workbook_chunks,
    "parquet": lambda file: parquet_file_chunks(file.typed_batches(), file.manifest()),
    "json": lambda file: json_list_chunks(file.json_batches()),
}
"""Ending of a file's name, as of FORMATS → what writes it."""


EXPORTED_COLUMNS = (
    "provisioning_state",
    "state_reason",
    "failure_code",
    "user_name",
    "user_email",
    "roles",
    "active_in_app",
    "upstream_user_id",
    "last_updated",
)
"""What a file says of both sides."""


def _identity_columns(c: Any) -> dict[str, ColumnElement[Any]]:
    return {
        "integration": integration.c.name,
        "account_id": account.c.account_id,
        "username_in_app": func.coalesce(c.after_username_in_app, c.before_username_in_app),
    }


def _typed_columns(c: Any) -> dict[str, ColumnElement[Any]]:
    """Name → the value as the store has it."""
    return _identity_columns(c) | {
        f"{prefix}_{name}": c[f"{side}_{name}"]
        for name in EXPORTED_COLUMNS
        for prefix, side in (("was", "before"), ("is", "after"))
    }


def _text_columns(c: Any) -> dict[str, ColumnElement[Any]]:
    """Heading → what the page says."""
    columns = {LISTING_COLUMNS[name].heading: value for name, value in _identity_columns(c).items()}
    for name in EXPORTED_COLUMNS:
        for side in ("before", "after"):
            columns[f"{LISTING_COLUMNS[name].heading}, {side}"] = _as_text(c, side, name)
    return columns


def _as_text(c: Any, side: str, name: str) -> ColumnElement[Any]:
    value = c[f"{side}_{name}"]
    if name == "roles":
        return func.array_to_string(value, "; ")
    return _active_text(c, side) if name == "active_in_app" else value


def _active_text(c: Any, side: str) -> ColumnElement[Any]:
    active, is_listed = c[f"{side}_active_in_app"], c[f"in_{side}"]
    yes_or_no = case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="Unknown")
    return case((is_listed, yes_or_no))
