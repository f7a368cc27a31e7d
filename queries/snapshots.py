"""Loaded snapshots, and files that are on hold or rejected."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, case, func, select

from data.formatting import count_of, iso_z
from data.history.load_report import DEFAULT_DELETION_LIMIT, LoadReport, load_reports
from data.records.tables import quarantined_file
from data.schema import integration, snapshot
from queries.scope import Params, first_value, in_integrations, parse_texts

PAGE_SIZE = 25
"""Snapshots on one page of the list."""

FILES_PAGE_SIZE = 10
"""Files that are on hold or rejected on one page of their list."""


# ---- loaded --------------------------------------------------------------------------------------


def count_snapshots(
    con: Connection, integrations: Sequence[str], until: datetime | None = None
) -> int:
    """The number of loaded snapshots of the integrations, or of all if none is named.

    With `until` (naive UTC), only those taken by then.
    """
    query = select(func.count()).select_from(snapshot)
    return (
        con.scalar(query.where(in_integrations(snapshot, integrations), _is_taken_by(until))) or 0
    )


def page_of_snapshots(
    con: Connection, integrations: Sequence[str], page: int, until: datetime | None = None
) -> list[LoadReport]:
    """One load report per snapshot of the page (from 1), newest first."""
    start = max(0, page - 1) * PAGE_SIZE
    return load_reports(
        con,
        in_integrations(snapshot, integrations),
        _is_taken_by(until),
        limit=PAGE_SIZE,
        offset=start,
    )


def load_report_at(con: Connection, name: str, taken_at: datetime) -> LoadReport | None:
    """The load report of an integration's snapshot of this time; None if there is none."""
    reports = load_reports(con, integration.c.name == name, snapshot.c.taken_at == taken_at)
    return reports[0] if reports else None


def deletion_limits(con: Connection) -> dict[str, float]:
    """Integration → the share of its accounts that a file can remove at once, by name."""
    limit = func.coalesce(integration.c.deletion_limit, DEFAULT_DELETION_LIMIT)
    query = select(integration.c.name, limit).order_by(func.lower(integration.c.name))
    return {row[0]: row[1] for row in con.execute(query)}


# ---- not loaded ----------------------------------------------------------------------------------


class FileOutcome(NamedTuple):
    """What happened to a delivered file."""

    state: Literal["loaded", "on hold", "rejected", "not yet"]
    message: str = ""


def find_outcome(
    con: Connection, name: str, taken_at: datetime, sha256: str, *, since: datetime
) -> FileOutcome:
    """What happened to the file of an integration, time and hash, delivered at `since`."""
    query = (
        select(snapshot.c.accepted)
        .join(integration, _is_same_integration())
        .where(
            integration.c.name == name,
            snapshot.c.taken_at == taken_at,
            snapshot.c.sha256 == sha256,
        )
    )
    account_count = con.scalar(query)
    if account_count is not None:
        return FileOutcome("loaded", count_of(account_count, "account"))
    columns = quarantined_file.c
    row = con.execute(
        select(columns.status, columns.reason)
        .where(
            columns.integration == name,
            columns.taken_at == taken_at,
            columns.quarantined_at >= since,
        )
        .order_by(columns.quarantined_at.desc())
    ).first()
    return FileOutcome(row.status, row.reason) if row else FileOutcome("not yet")


class FileFilter(NamedTuple):
    """Files that are on hold or rejected: of one status, of some integrations; empty: all."""

    status: str = ""
    integrations: tuple[str, ...] = ()

    def includes(self) -> ColumnElement[bool]:
        """Whether a row of `quarantined_file` is one of them."""
        has_status = quarantined_file.c.status == self.status if self.status else sa.true()
        return sa.and_(has_status, in_integrations(quarantined_file, self.integrations))

    def params(self) -> list[tuple[str, str]]:
        """As parameters of an address."""
        return [("files", self.status), *(("integration", name) for name in self.integrations)]


ALL_FILES = FileFilter()


def file_filter_from_params(params: Params) -> FileFilter:
    """The files in an address: `files` is their status; without one, all files."""
    status = first_value(params, "files")
    if status not in ("on hold", "rejected"):
        return ALL_FILES
    return FileFilter(status, parse_texts(params.get("integration", ())))


def count_quarantined(con: Connection, chosen: FileFilter = ALL_FILES) -> dict[str, int]:
    """Status (on hold, rejected) → number of files."""
    query = select(quarantined_file.c.status, func.count()).group_by(quarantined_file.c.status)
    return {row[0]: row[1] for row in con.execute(query.where(chosen.includes()))}


def quarantined_files(
    con: Connection, page: int, chosen: FileFilter = ALL_FILES
) -> Sequence[sa.Row[Any]]:
    """One row per file of one page: files on hold first, then the newest."""
    columns = quarantined_file.c
    return con.execute(
        select(quarantined_file)
        .where(chosen.includes())
        .order_by(
            case((columns.status == "on hold", 0), else_=1),
            columns.quarantined_at.desc(),
            columns.integration,
            columns.file_name,
        )
        .limit(FILES_PAGE_SIZE)
        .offset(max(0, page - 1) * FILES_PAGE_SIZE)
    ).all()


def _is_same_integration() -> ColumnElement[bool]:
    return integration.c.integration_id == snapshot.c.integration_id


def _is_taken_by(until: datetime | None) -> ColumnElement[bool]:
    return snapshot.c.taken_at <= until if until else sa.true()


def snapshot_params(integration: str, taken_at: datetime) -> dict[str, str]:
    """The parameters that name a snapshot in an address."""
    return {"integration": integration, "taken_at": iso_z(taken_at)}
