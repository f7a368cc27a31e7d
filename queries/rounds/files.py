"""The items of a review round as a file: all of them, or those still to do."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from data.files.own_list import UTC_SUFFIX
from data.formatting import iso_z
from data.store.output import escape_formula
from queries.export.excel import Sheet, write_workbook
from queries.export.manifest import SnapshotSource
from queries.rounds.items import all_items
from queries.rounds.lists import Round, frozen_snapshots

ROLE_SEPARATOR = "; "


class FileColumn(NamedTuple):
    """A column of the file."""

    heading: str
    width: int  # in characters, in a spreadsheet
    value: Callable[[sa.Row[Any]], str]


COLUMNS = (
    FileColumn("User", 24, lambda row: row.user_name or ""),
    FileColumn("Email", 30, lambda row: row.user_email or ""),
    FileColumn("Username in app", 24, lambda row: row.username_in_app),
    FileColumn("Integration", 16, lambda row: row.integration),
    FileColumn("Account ID", 24, lambda row: row.account_id),
    FileColumn("Role", 24, lambda row: row.role),
    FileColumn("App access", 40, lambda row: ROLE_SEPARATOR.join(row.roles)),
    FileColumn("Provisioning state", 22, lambda row: row.provisioning_state),
    FileColumn("Decision", 12, lambda row: row.decision or ""),
    FileColumn("Note", 40, lambda row: row.note or ""),
    FileColumn("Decided by", 24, lambda row: row.decided_by or ""),
    FileColumn(f"Decided at{UTC_SUFFIX}", 22, lambda row: _iso(row.decided_at)),
    FileColumn("Outcome", 14, lambda row: row.outcome),
    FileColumn(f"Proved by the snapshot of{UTC_SUFFIX}", 26, lambda row: _iso(row.proved_at)),
    FileColumn("SHA-256 of that snapshot", 66, lambda row: row.proved_by or ""),
)


def _iso(moment: Any) -> str:
    return iso_z(moment) if moment else ""


class RoundFile(NamedTuple):
    """The items of a round with one of these outcomes; none means all."""

    round_: Round
    snapshots: Sequence[SnapshotSource]
    items: Sequence[sa.Row[Any]]

    @classmethod
    def read(cls, con: Connection, round_: Round, outcomes: Sequence[str]) -> "RoundFile":
        """The items as the store has them now."""
        items = all_items(con, round_, outcomes)
        snapshots = [
            SnapshotSource(each.integration, each.taken_at, "", each.sha256)
            for each in frozen_snapshots(con, round_.round_id)
        ]
        return cls(round_, snapshots, items)

    @property
    def rows(self) -> list[list[str]]:
        """The texts of COLUMNS, one list per item."""
        return [[column.value(item) for column in COLUMNS] for item in self.items]


def write_round_csv(file: RoundFile, path: Path) -> None:
    """CSV for spreadsheets: an apostrophe keeps text that looks like a formula from running."""
    with path.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.writer(target, quoting=csv.QUOTE_ALL)
        writer.writerow(column.heading for column in COLUMNS)
        writer.writerows(map(escape_formula, row) for row in file.rows)


def write_round_workbook(file: RoundFile, path: Path) -> None:
    """Excel, with a last sheet about the round and the snapshots that it was frozen from."""
    columns = zip(*file.rows, strict=True) if file.items else [()] * len(COLUMNS)
    batch = pa.record_batch(
        [pa.array(list(texts), pa.string()) for texts in columns],
        names=[column.heading for column in COLUMNS],
    )
    times = [column.heading for column in COLUMNS if column.heading.endswith(UTC_SUFFIX)]
    sheet = Sheet(
        "Decisions",
        [column.heading for column in COLUMNS],
        [column.width for column in COLUMNS],
        iter([batch]),
        times=times,
    )
    facts = {
        "Review round": file.round_.name,
        "Accounts": file.round_.population,
        "As of": iso_z(file.round_.frozen_at),
        "Last day": f"{file.round_.last_day}",
    }
    write_workbook(path, (sheet,), facts, file.snapshots)
