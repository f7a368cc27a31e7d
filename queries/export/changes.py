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

from data.schema import account, integration, same_account
from data.store.transfer import in_batches
from queries.changes.accounts import count_changes, order
from queries.changes.diff import KINDS, Listed, compared, condition_of
from queries.changes.window import Between
from queries.export.excel import Sheet, workbook_of
from queries.export.formats import Chunks, as_csv, json_of, neutralised, parquet_of, with_times_told
from queries.export.listing import COLUMNS
from queries.export.manifest import in_utc, slug, sources

LONGEST_NAME = 80
"""Characters of a file's name that tell what it lists."""


@dataclass(frozen=True)
class ChangesFile:
    """The whole list as a file: of each account both sides of what can change."""

    con: Connection
    between: Between
    listed: Listed

    def facts(self) -> dict[str, Any]:
        """What it is of, as JSON can say it."""
        params: dict[str, list[str]] = {}
        for name, value in [*self.between.params(), *self.listed.params()]:
            params.setdefault(name, []).append(value)
        moments = (self.between.since, self.between.until)
        held = [sources(self.con, self.between.integration, at) for at in moments]
        return {
            "changes": KINDS[self.listed.kind].words,
            "filters": params,
            "made_at": in_utc(datetime.now(UTC).replace(tzinfo=None, microsecond=0)),
            "rows": count_changes(self.con, self.between, self.listed),
            "snapshots": [each.facts() for each in dict.fromkeys(chain(*held))],
        }

    def name(self, ending: str) -> str:
        """`changes-figma-moved-onboarded-2026-11-20T06-00-00Z-2026-11-23T06-00-00Z.csv`."""
        named = [*self.between.integration, *(value for _, value in self.listed.params())]
        words = slug("-".join(named))[:LONGEST_NAME].strip("-")
        moments = (self.between.since, self.between.until)
        return "-".join(("changes", words, *(f"{at:%Y-%m-%dT%H-%M-%SZ}" for at in moments))) + (
            f".{ending}"
        )

    def texts(self) -> Iterator[pa.RecordBatch]:
        """As the page says it; times stay times."""
        return self._batches(_told)

    def typed(self) -> Iterator[pa.RecordBatch]:
        """Under the names of a snapshot file, with `was_` and `is_`; roles as a list."""
        return self._batches(_typed)

    def objects(self) -> Iterator[pa.RecordBatch]:
        """One JSON object per account, in one column."""
        for batch in self.typed():
            told = with_times_told(batch).to_pylist()
            lines = [json.dumps(row, ensure_ascii=False) for row in told]
            yield pa.RecordBatch.from_pydict({"change": pa.array(lines, pa.string())})

    def _batches(
        self, told: Callable[[Any], dict[str, ColumnElement[Any]]]
    ) -> Iterator[pa.RecordBatch]:
        c = compared(self.between).c
        rows = (
            select(*(value.label(heading) for heading, value in told(c).items()))
            .join_from(c.account_key.table, account, same_account(account, c.account_key.table))
            .join(integration, integration.c.integration_id == c.integration_id)
            .where(condition_of(self.between, self.listed, c))
            .order_by(*order(c))
        )
        with in_batches(self.con, rows) as batches:
            yield pa.RecordBatch.from_pylist([], schema=batches.schema)
            yield from batches


def _csv(file: ChangesFile) -> Chunks:
    yield "\ufeff".encode()
    yield from as_csv(neutralised(with_times_told(batch)) for batch in file.texts())


def _workbook(file: ChangesFile) -> Chunks:
    facts, batches = file.facts(), file.texts()
    first = next(batches)
    widths = [WIDTH] * first.num_columns
    return workbook_of([Sheet("Changes", widths, chain([first], batches))], facts)


WIDTH = 22
"""Of every column of a spreadsheet, in characters."""


CHUNKS: dict[str, Callable[[ChangesFile], Chunks]] = {
    "csv": _csv,
    "raw.csv": lambda file: as_csv(with_times_told(batch) for batch in file.texts()),
    "xlsx": _workbook,
    "parquet": lambda file: parquet_of(file.typed(), file.facts()),
    "json": lambda file: json_of(file.objects()),
}
"""Ending of a file's name, as of FORMATS → what writes it."""


NAMES = (
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


def _who(c: Any) -> dict[str, ColumnElement[Any]]:
    return {
        "integration": integration.c.name,
        "account_id": account.c.account_id,
        "username_in_app": func.coalesce(c.is_username_in_app, c.was_username_in_app),
    }


def _typed(c: Any) -> dict[str, ColumnElement[Any]]:
    """Name → the value as the store has it."""
    return _who(c) | {
        f"{side}_{name}": c[f"{side}_{name}"] for name in NAMES for side in ("was", "is")
    }


def _told(c: Any) -> dict[str, ColumnElement[Any]]:
    """Heading → what the page says."""
    told = {COLUMNS[name].heading: value for name, value in _who(c).items()}
    for name in NAMES:
        for side, word in (("was", "then"), ("is", "now")):
            told[f"{COLUMNS[name].heading}, {word}"] = _said(c, side, name)
    return told


def _said(c: Any, side: str, name: str) -> ColumnElement[Any]:
    value = c[f"{side}_{name}"]
    if name == "roles":
        return func.array_to_string(value, "; ")
    return _active_text(c, side) if name == "active_in_app" else value


def _active_text(c: Any, side: str) -> ColumnElement[Any]:
    active, there = c[f"{side}_active_in_app"], c[f"{side}_there"]
    yes_or_no = case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="Unknown")
    return case((there, yes_or_no))
