"""Shows what loading a file would change, without loading it."""

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, case, func, select

from data.files.naming import SnapshotFile
from data.history.as_of import Span
from data.history.load import stage_changes, write_snapshot
from data.history.load_report import LoadReport, load_report
from data.history.repeats import ROW_POSITION
from data.history.session import LoadSession, open_session
from data.schema import TRACKED_COLUMNS, account, is_same_account
from data.staging import stage_delta, stage_rejected, stage_row
from data.states import DELETE_STATES

MAX_ROWS_SHOWN = 10
MAX_REJECTED_SHOWN = 100
MAX_DELETIONS_SHOWN = 100

REMOVED_LABEL = "Removed"
"""Shown in place of a state for an account that the file does not list."""


@dataclass(frozen=True)
class Preview:
    """The outcome of loading a file, with its first rows, rejected rows and deletions."""

    load_report: LoadReport
    rows: list[dict[str, Any]]  # the first accounts as they would be: column → value
    rejected: list[tuple[int, str, str]]  # line, text, reason
    deletions: list[tuple[str, str | None, str, str]]  # username, user, state before and after
    already_loaded: bool  # the same file is loaded
    replaced_file: str  # another file that is loaded for the moment; empty without one


def preview(engine: sa.Engine, file: SnapshotFile) -> Preview:
    """Load the file, look at the outcome, and roll back.

    Raises SnapshotRejected if the file cannot be loaded even when a person confirms it.
    """
    with open_session(engine, file, confirmed=True) as session:
        changes = stage_changes(session, read_all=True)
        with session.transaction():
            ids, rejected = _first_ids(session), _first_rejected_rows(session)
            deletions = _find_deletions(session.con, session.span)
        with session.transaction(commit=False):
            write_snapshot(session, changes)
            report = load_report(session.con, file.integration, file.taken_at)
            report = replace(report, renumbered=changes.renumbered)
            rows = _accounts(session, ids)
    loaded, is_identical = session.loaded_snapshot, session.is_identical
    replaced_file = loaded.file_name if loaded and not is_identical else ""
    return Preview(report, rows, rejected, deletions, is_identical, replaced_file)


def _first_ids(session: LoadSession) -> list[str]:
    """The IDs of the file's first accounts, in its order."""
    rows = select(stage_row.c.account_id).where(stage_row.c.account_id.is_not(None))
    first = rows.group_by(stage_row.c.account_id).order_by(func.min(ROW_POSITION))
    return [*session.workspace.scalars(first.limit(MAX_ROWS_SHOWN))]


def _accounts(session: LoadSession, ids: list[str]) -> list[dict[str, Any]]:
    """The accounts of these IDs as the store now has them, in the order of the IDs."""
    accounts = session.span.accounts_in_store()
    columns = (accounts.c[name] for name in TRACKED_COLUMNS)
    rows = session.con.execute(
        select(account.c.account_id, *columns)
        .join_from(accounts, account, is_same_account(accounts, account))
        .where(account.c.account_id.in_(ids))
    )
    return sorted((dict(row) for row in rows.mappings()), key=lambda r: ids.index(r["account_id"]))


def _first_rejected_rows(session: LoadSession) -> list[tuple[int, str, str]]:
    rows = select(stage_rejected).order_by(stage_rejected.c.line).limit(MAX_REJECTED_SHOWN)
    return [tuple(row) for row in session.workspace.execute(rows)]


def _find_deletions(con: Connection, span: Span) -> list[tuple[str, str | None, str, str]]:
    """The accounts that would be removed or move to a Delete state, by username."""
    before, delta = span.accounts_in_store(), stage_delta.c
    starts_deletion = and_(
        delta.provisioning_state.in_(DELETE_STATES),
        before.c.provisioning_state.not_in(DELETE_STATES),
    )
    rows = con.execute(
        select(
            before.c.username_in_app,
            func.coalesce(before.c.user_name, before.c.user_email),
            before.c.provisioning_state,
            case((delta.is_listed, delta.provisioning_state), else_=REMOVED_LABEL),
        )
        .join_from(stage_delta, before, is_same_account(before, stage_delta))
        .where(sa.or_(~delta.is_listed, starts_deletion))
        .order_by(func.lower(before.c.username_in_app))
        .limit(MAX_DELETIONS_SHOWN)
    )
    return [tuple(row) for row in rows]
