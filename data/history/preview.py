"""What loading a file would change, without loading it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, case, func, or_, select

from data.files.naming import SnapshotFile
from data.history.load import load_session, stage_changes, write_snapshot
from data.history.load_report import LoadReport, load_report
from data.history.reject import ROW_POSITION
from data.history.versions import Span
from data.schema import is_same_account
from data.staging import raw_columns, stage_delta, stage_rejected
from data.states import DELETE_STATES
from data.store.transfer import transaction


@dataclass(frozen=True)
class Preview:
    """What loading a file would give; nothing of it is kept."""

    load_report: LoadReport
    rows: list[dict[str, str]]  # the first of the file: column → text as delivered
    rejected: list[tuple[int, str, str]]  # the first: line, text, reason
    deletions: list[tuple[str, str | None, str, str]]  # the first: username, user, was, would be
    already_loaded: bool  # the very same file is loaded
    replaced_file: str  # the name of another file that is loaded for the moment; empty without one


MAX_ROWS_SHOWN = 10


MAX_REJECTED_SHOWN = 100


MAX_DELETIONS_SHOWN = 100


REMOVED_LABEL = "Gone"


def preview(engine: Engine, file: SnapshotFile) -> Preview:
    """Do all that loading does, look at the outcome, and undo it.

    Raises a SnapshotRefused for what cannot be loaded even if a person confirms it.
    """
    with load_session(engine, file) as (con, workspace, executor, task):
        staged = stage_changes(con, workspace, task, executor, confirmed=True, read_all=True)
        with transaction(con, workspace):
            first_rows = select(*raw_columns().values()).order_by(ROW_POSITION)
            rows = [
                {name: text for name, text in row.items() if text}
                for row in workspace.execute(first_rows.limit(MAX_ROWS_SHOWN)).mappings()
            ]
            rejected_rows = (
                select(stage_rejected).order_by(stage_rejected.c.line).limit(MAX_REJECTED_SHOWN)
            )
            rejected = [tuple(row) for row in workspace.execute(rejected_rows)]
            deletions = _find_deletions(con, task.span)
        with transaction(con, workspace, commit=False):
            write_snapshot(con, workspace, task, staged)
            report = load_report(con, file.integration, file.taken_at)
    is_replacement = task.loaded_snapshot and not task.is_identical
    return Preview(
        report,
        rows,
        rejected,
        deletions,
        already_loaded=task.is_identical,
        replaced_file=task.loaded_snapshot.file_name
        if is_replacement and task.loaded_snapshot
        else "",
    )


def _find_deletions(con: Connection, span: Span) -> list[tuple[str, str | None, str, str]]:
    """The first accounts that would go, or fall into a Delete state, by username."""
    before, delta = span.accounts_in_store(), stage_delta.c
    new_state = case((delta.now, delta.provisioning_state), else_=REMOVED_LABEL)
    starts_deletion = and_(
        delta.provisioning_state.in_(DELETE_STATES),
        before.c.provisioning_state.not_in(DELETE_STATES),
    )
    rows = con.execute(
        select(
            before.c.username_in_app,
            func.coalesce(before.c.user_name, before.c.user_email),
            before.c.provisioning_state,
            new_state,
        )
        .join_from(stage_delta, before, is_same_account(before, stage_delta))
        .where(or_(~delta.now, starts_deletion))
        .order_by(func.lower(before.c.username_in_app))
        .limit(MAX_DELETIONS_SHOWN)
    )
    return [tuple(row) for row in rows]
