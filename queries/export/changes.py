"""The list of changed accounts as a file, with both sides of everything that can change."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.files.own_list import HEADINGS, UTC_SUFFIX
from data.formatting import file_stamp, iso_z, utc_now
from data.schema import account, integration, is_same_account
from data.store.output import iso_text, write_csv, write_json_list, write_parquet
from data.store.transfer import as_workspace, fetch_batches, scan
from queries.changes.accounts import count_changes, sort_key
from queries.changes.diff import CHANGE_KINDS, ChangeFilter, account_diff, condition_of
from queries.changes.window import Window
from queries.export.excel import Sheet, write_workbook
from queries.export.manifest import SnapshotSource, slug, snapshot_sources, words_of

MAX_NAME_LENGTH = 80
"""Characters of the filters in a file name."""

COLUMN_WIDTH = 22
"""Characters of each column of a spreadsheet."""


@dataclass(frozen=True)
class ChangesExport:
    """A list of changed accounts at one moment of the store: the connection's transaction."""

    con: Connection
    window: Window
    change_filter: ChangeFilter
    on_batch: Callable[[], None] = lambda: None
    """Runs before each batch of a long export; can raise to end it."""

    @cached_property
    def snapshots(self) -> list[SnapshotSource]:
        """The snapshots of both sides, each once."""
        moments = (self.window.since, self.window.until)
        sides = [snapshot_sources(self.con, self.window.integration, moment) for moment in moments]
        return list(dict.fromkeys(chain(*sides)))

    def facts(self) -> dict[str, str]:
        """The manifest for people: a label and its text, the title first."""
        return {
            "List": CHANGE_KINDS[self.change_filter.kind].description,
            "Integrations": ", ".join(self.window.integration) or "all",
            "From": words_of(self.window.since),
            "To": words_of(self.window.until),
            "Accounts": f"{count_changes(self.con, self.window, self.change_filter):,}",
            "Made at": words_of(utc_now()),
            "Load again": "Not for loading: it is a list of changes.",
        }

    def manifest(self) -> dict[str, Any]:
        """The list's filters, snapshots and row count, as JSON values."""
        params: dict[str, list[str]] = {}
        for name, value in [*self.window.params(), *self.change_filter.params()]:
            params.setdefault(name, []).append(value)
        return {
            "changes": CHANGE_KINDS[self.change_filter.kind].description,
            "filters": params,
            "made_at": iso_z(utc_now()),
            "rows": count_changes(self.con, self.window, self.change_filter),
            "snapshots": [source.as_dict() for source in self.snapshots],
        }

    def name(self, extension: str) -> str:
        """`changes-figma-moved-onboarded-2026-11-20T06-00-00Z-2026-11-23T06-00-00Z.csv`."""
        parts = [*self.window.integration, *(value for _, value in self.change_filter.params())]
        stem = slug("-".join(parts))[:MAX_NAME_LENGTH].strip("-")
        stamps = file_stamp(self.window.since), file_stamp(self.window.until)
        return "-".join(("changes", stem, *stamps)) + f".{extension}"

    @cached_property
    def workspace(self) -> Connection:
        """DuckDB, which writes the files, whatever the store is."""
        return as_workspace(self.con)

    def text_rows(self) -> sa.Select[Any]:
        """One row per account with the page's texts, TEXT_HEADINGS; times stay times."""
        return select(self._scan(_text_columns))

    def typed_rows(self) -> sa.Select[Any]:
        """One row per account, with the names of a snapshot file after `was_` and `is_`."""
        return select(self._scan(_typed_columns))

    def json_rows(self) -> sa.Select[Any]:
        """One row per account: a JSON object as text."""
        columns = self._scan(_typed_columns).c
        pairs = ((sa.literal(c.name), _json_value(c)) for c in columns)
        return select(sa.cast(func.json_object(*chain(*pairs)), sa.String).label("change"))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The text rows as Arrow batches."""
        with fetch_batches(self.workspace, self.text_rows()) as batches:
            for batch in batches:
                self.on_batch()
                yield batch

    def _scan(self, columns_of: Callable[[Any], dict[str, ColumnElement[Any]]]) -> sa.FromClause:
        """The list in its order."""
        c = account_diff(self.window).c
        rows = (
            select(*(value.label(name) for name, value in columns_of(c).items()))
            .join_from(c.account_key.table, account, is_same_account(account, c.account_key.table))
            .join(integration, integration.c.integration_id == c.integration_id)
            .where(condition_of(self.window, self.change_filter, c))
            .order_by(*sort_key(c))
        )
        return scan(self.con, rows, self.workspace, "changes")


def _write_csv(changes: ChangesExport, path: Path, *, is_safe: bool = True) -> None:
    write_csv(changes.workspace, changes.text_rows(), TEXT_HEADINGS, path, is_safe=is_safe)


def _write_workbook(changes: ChangesExport, path: Path) -> None:
    widths = [COLUMN_WIDTH] * len(TEXT_HEADINGS)
    headings = [
        f"{h}{UTC_SUFFIX}" if h.startswith(HEADINGS["last_updated"]) else h for h in TEXT_HEADINGS
    ]
    sheet = Sheet("Changes", headings, widths, changes.batches())
    write_workbook(path, [sheet], changes.facts(), changes.snapshots)


def _write_parquet(changes: ChangesExport, path: Path) -> None:
    metadata = {"rollcall": json.dumps(changes.manifest())}
    write_parquet(changes.workspace, changes.typed_rows(), path, metadata)


WRITERS: dict[str, Callable[[ChangesExport, Path], None]] = {
    "csv": _write_csv,
    "raw.csv": lambda changes, path: _write_csv(changes, path, is_safe=False),
    "xlsx": _write_workbook,
    "parquet": _write_parquet,
    "json": lambda changes, path: write_json_list(changes.workspace, changes.json_rows(), path),
}
"""File name extension, as in FORMATS → the function that writes it."""

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
"""The columns with both sides."""

SIDES = {"was": "before", "is": "after"}
"""Prefix of a column in the file → side of the comparison."""

TEXT_HEADINGS = [
    *(HEADINGS[name] for name in ("integration", "account_id", "username_in_app")),
    *(f"{HEADINGS[name]}, {side}" for name in EXPORTED_COLUMNS for side in SIDES.values()),
]


def _identity_columns(c: Any) -> dict[str, ColumnElement[Any]]:
    return {
        "integration": integration.c.name,
        "account_id": account.c.account_id,
        "username_in_app": func.coalesce(c.after_username_in_app, c.before_username_in_app),
    }


def _typed_columns(c: Any) -> dict[str, ColumnElement[Any]]:
    """Name → the value in the store."""
    return _identity_columns(c) | {
        f"{prefix}_{name}": c[f"{side}_{name}"]
        for name in EXPORTED_COLUMNS
        for prefix, side in SIDES.items()
    }


def _text_columns(c: Any) -> dict[str, ColumnElement[Any]]:
    """Name → the page's text, in the order of TEXT_HEADINGS."""
    columns = _typed_columns(c)
    for prefix, side in SIDES.items():
        columns[f"{prefix}_roles"] = func.array_to_string(c[f"{side}_roles"], "; ")
        columns[f"{prefix}_active_in_app"] = _active_text(c, side)
    return columns


def _active_text(c: Any, side: str) -> ColumnElement[Any]:
    active, is_listed = c[f"{side}_active_in_app"], c[f"in_{side}"]
    yes_or_no = case((active.is_(True), "Yes"), (active.is_(False), "No"), else_="Unknown")
    return case((is_listed, yes_or_no))


def _json_value(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return iso_text(column) if isinstance(column.type, sa.DateTime) else column
