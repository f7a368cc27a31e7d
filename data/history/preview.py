"""Shows what loading a file would change, without loading it."""

from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy import Connection, and_, case, func, select

from data.files.naming import SnapshotFile
from data.history.as_of import Span
from data.history.load import stage_changes, write_snapshot
from data.history.load_report import LoadReport, load_report
from data.history.repeats import ROW_POSITION
from data.history.session import LoadSession, open_session
from data.schema import is_same_account
from data.staging import raw_columns, stage_delta, stage_rejected
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
    rows: list[dict[str, str]]  # column → text as delivered
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
            rows, rejected = _first_rows(session), _first_rejected_rows(session)
            deletions = _find_deletions(session.con, session.span)
        with session.transaction(commit=False):
            write_snapshot(session, changes)
            report = load_report(session.con, file.integration, file.taken_at)
            report = replace(report, renumbered=changes.renumbered)
    loaded, is_identical = session.loaded_snapshot, session.is_identical
    replaced_file = loaded.file_name if loaded and not is_identical else ""
    return Preview(report, rows, rejected, deletions, is_identical, replaced_file)


def _first_rows(session: LoadSession) -> list[dict[str, str]]:
    rows = select(*raw_columns().values()).order_by(ROW_POSITION).limit(MAX_ROWS_SHOWN)
    return [
        {name: text for name, text in row.items() if text}
        for row in session.workspace.execute(rows).mappings()
    ]


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
