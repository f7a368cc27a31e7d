"""Loads one snapshot file into the store, in one transaction."""

import json
import secrets
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, func, select

from data.files.errors import MostlyRejected, NoAccounts, OnHold, OtherContentLoaded
from data.files.mapping import NO_MAPPING
from data.files.naming import SnapshotFile
from data.formatting import count_of, utc_now
from data.history.as_of import Span, SpanKind, previous_accounts
from data.history.confirmation import incomplete_message, unsure_message
from data.history.delta import (
    Baseline,
    find_changed_rows,
    find_changed_rows_if_valid,
    stage_baseline,
    store_fingerprints,
)
from data.history.load_report import (
    MIN_MASS_DELETION,
    exceeds_deletion_limit,
    load_report,
)
from data.history.normalize import normalize
from data.history.reject import Validated, validate
from data.history.rollups import delete_retained_changes
from data.history.session import LoadSession, open_session
from data.history.sign_ins import stage_sign_ins, write_sign_ins
from data.history.stage import ReadResult, stage_rows
from data.history.versions import count_renumbered, stage_delta_rows, write_versions
from data.people.directories import refresh_people
from data.schema import (
    RAW_COLUMNS,
    TRACKED_COLUMNS,
    account,
    account_current,
    integration,
    rejected_row,
    row_fingerprint,
    snapshot,
)
from data.sources.pages import full_page_warnings
from data.staging import stage_change, stage_changed, stage_delta, stage_normalized, stage_rejected
from data.store.dialect import unnest_json_keys
from data.store.transfer import refresh_statistics
from data.values.column_reading import ColumnReading, column_reading

MAX_REJECTED_SHARE = 0.5
"""Share of a file's rows. With more rejected rows, the file is no list of accounts."""

MAX_ALONE_SHARE = 0.2
"""Share of a file's accounts. Where more have nothing but a username, that is usual."""
ALONE = (
    "{rows} with nothing but a name. If it is the heading or the total of a group, and no "
    "username, remove it from the file."
)


@dataclass(frozen=True)
class LoadResult:
    """The counts of one load; accepted + rejected + merged = rows_read."""

    file: SnapshotFile
    rows_read: int
    accepted: int
    rejected: int
    flagged: int  # accepted accounts with a value that Rollcall could not read
    already_loaded: bool = False  # the same file was loaded before, so nothing changed

    @property
    def merged(self) -> int:
        """Rows of an account that another row lists, too."""
        return self.rows_read - self.accepted - self.rejected


def load(
    engine: sa.Engine,
    file: SnapshotFile,
    *,
    replace: bool = False,
    confirmed: bool = False,
    was_loaded: bool = False,
) -> LoadResult:
    """Load a snapshot file; with `replace`, instead of the one loaded for the same moment.

    `confirmed`: a person has checked the file, so the mass-deletion guard does not hold it.
    `was_loaded`: it was loaded before, perhaps by a version that did not take it for something
    else; what is in the archive stays in the history.
    Raises SnapshotRejected; the store is then unchanged.
    """
    with open_session(engine, file, confirmed=confirmed, was_loaded=was_loaded) as session:
        if session.loaded_snapshot and session.is_identical:
            return _already_loaded(file, session.loaded_snapshot)
        if session.loaded_snapshot and not replace:
            raise OtherContentLoaded(_other_content_message(file, session.loaded_snapshot))
        changes = stage_changes(session)
        with session.transaction():
            flagged = write_snapshot(session, changes)
            if not confirmed:
                _hold_mass_deletion(session, changes)
        with session.con.begin():
            refresh_statistics(
                session.con, account, account_current, row_fingerprint, if_large=stage_delta
            )
    return LoadResult(file, *changes.counts[:3], flagged)


def refresh_sign_ins(engine: sa.Engine, file: SnapshotFile) -> None:
    """Read the last sign-ins of an integration from its newest snapshot again, which is loaded.

    Where a snapshot after it was removed, the store has no others.
    """
    with open_session(engine, file, confirmed=True) as session:
        if session.is_identical and session.span.is_newest:
            stage_changes(session, read_all=True)
            with session.transaction():
                write_sign_ins(session.con, session.span.integration_id)


def _already_loaded(file: SnapshotFile, loaded: sa.Row[Any]) -> LoadResult:
    counts = (loaded.rows_read, loaded.accepted, loaded.rejected, loaded.flagged)
    return LoadResult(file, *counts, already_loaded=True)


def _other_content_message(file: SnapshotFile, loaded: sa.Row[Any]) -> str:
    return (
        f"{file.integration} at {file.taken_at:%Y-%m-%d %H:%M:%S} UTC is already loaded from "
        f"{loaded.file_name}, with other content. To replace it with {file.name}, use "
        "rollcall load --replace."
    )


# ---- staging: the store is only read -------------------------------------------------------------


class StagedChanges(NamedTuple):
    """The changes of one file, in the stage tables."""

    read_result: ReadResult
    counts: Validated
    changed_keys: sa.FromClause  # in the store, like `stage_change`
    sha256: Future[str]
    renumbered: int  # new accounts with the username of a removed one
    unread_sign_ins: int  # accounts
    unsure_reason: str  # why a person has to decide on columns


def stage_changes(session: LoadSession, *, read_all: bool = False) -> StagedChanges:
    """Read, validate, compare and normalize the file; `stage_delta` then has what it changes.

    Each step is committed, so that DuckDB reads its rows on several cores. `read_all`: also read
    the texts of rows that have not changed.
    """
    with session.transaction():
        baseline = stage_baseline(session)
    staged = None
    if baseline.is_plain and not read_all:
        staged = _stage_changed_rows(session, baseline)
    read_result, counts = staged or _stage_all_rows(session, baseline)
    sha256 = session.hash_file()
    with session.transaction():
        span = session.span
        unread_sign_ins = stage_sign_ins(session, read_result.columns, counts, baseline.rows)
        changed_keys = session.materialize_in_store(_changed_keys(), stage_change)
        rows = _normalized_rows(column_reading(counts.marks))
        normalized = session.materialize_in_store(rows, stage_normalized)
        stage_delta_rows(session.con, span, normalized, changed_keys)
        renumbered = count_renumbered(session.con, span)
    unsure_reason = unsure_message(read_result.unsure, baseline.unsure)
    return StagedChanges(
        read_result,
        counts,
        changed_keys,
        sha256,
        renumbered,
        unread_sign_ins,
        unsure_reason,
    )


def _stage_changed_rows(
    session: LoadSession, baseline: Baseline
) -> tuple[ReadResult, Validated] | None:
    """Fill `stage_changed` from the rows without a known fingerprint; None: read all rows."""
    read_result = _stage_file(session, baseline, baseline.rows)
    with session.transaction():
        counts = find_changed_rows_if_valid(session, read_result, baseline)
        if counts:
            _reject_implausible(session, counts, read_result.row_noun)
            counts = _add_outside_lines(session, read_result, counts)
    return (read_result, counts) if counts else None


def _stage_all_rows(session: LoadSession, baseline: Baseline) -> tuple[ReadResult, Validated]:
    """Fill `stage_changed` from all rows, and `stage_rejected` with those that are no account."""
    read_result = _stage_file(session, baseline, None)
    with session.transaction():
        counts = validate(session.workspace, read_result, session.file.name)
        _reject_implausible(session, counts, read_result.row_noun)
        counts = _add_outside_lines(session, read_result, counts)
    with session.transaction():
        all_changed = column_reading(counts.marks) != baseline.reading
        find_changed_rows(session, baseline.rows, all_changed=all_changed)
    return read_result, counts


def _stage_file(
    session: LoadSession, baseline: Baseline, known_fingerprints: sa.FromClause | None
) -> ReadResult:
    file, opened_file = session.file, session.opened_file.result()
    with session.workspace.begin():
        mapping = file.mapping or NO_MAPPING
        read_result = stage_rows(
            session.workspace,
            opened_file,
            mapping,
            known_fingerprints,
            key=session.store_key,
            was_loaded=session.was_loaded,
        )
    reason = read_result.source_info.incomplete_reason
    reason = incomplete_message(reason) if reason else ""
    reason = reason or unsure_message(read_result.unsure, baseline.unsure)
    if reason and not session.confirmed:
        raise OnHold(f"{file.name} is on hold: {reason}")
    return read_result


def _add_outside_lines(
    session: LoadSession, read_result: ReadResult, counts: Validated
) -> Validated:
    """List the lines around the rows as rejected; they say nothing about the rows."""
    lines = read_result.outside_lines
    if not lines:
        return counts
    rows = [{"line": line, "text": text, "reason": reason} for line, text, reason in lines]
    session.workspace.execute(sa.insert(stage_rejected), rows)
    return counts._replace(
        rows_read=counts.rows_read + len(lines), rejected=counts.rejected + len(lines)
    )


def _reject_implausible(session: LoadSession, counts: Validated, row_noun: str) -> None:
    name, others = session.file.name, counts.rejected - counts.groups
    lists_nobody = counts.rejected > 0 and not counts.accepted
    if session.was_loaded:
        return
    if lists_nobody or others > (counts.rows_read - counts.groups) * MAX_REJECTED_SHARE:
        raise MostlyRejected(_mostly_rejected_message(session, counts, row_noun))
    if counts.accepted or session.confirmed:
        return
    accounts = previous_accounts(session.con, session.span).limit(1).subquery()
    if session.con.scalar(select(func.count()).select_from(accounts)):
        raise NoAccounts(
            f"{name} lists no accounts, but the previous snapshot does; nothing was loaded. An "
            "empty list usually means that the export failed. If the app really has no accounts, "
            "confirm the file."
        )


def _mostly_rejected_message(session: LoadSession, counts: Validated, row_noun: str) -> str:
    name = session.file.name
    message = (
        f"{name}: {counts.rejected:,} of {counts.rows_read:,} rows are not accounts, which is more "
        "than half; nothing was loaded."
    )
    first = session.workspace.execute(
        select(stage_rejected).order_by(stage_rejected.c.line)
    ).first()
    if first:
        message += f" First rejected row, {row_noun} {first.line}: {first.reason}"
    return message


@cache
def _changed_keys() -> sa.Select[*tuple[Any, ...]]:
    rows = stage_changed.c
    columns = (rows.account_key, rows.is_listed, rows.fingerprint, rows.marks)
    return select(SpanKind.integration_id.label("integration_id"), *columns)


@cache
def _normalized_rows(reading: ColumnReading) -> sa.Select[*tuple[Any, ...]]:
    names = ("account_key", "account_id", *RAW_COLUMNS)
    columns = [stage_changed.c[name] for name in names]
    changed = select(*columns).where(stage_changed.c.is_listed).subquery("changed_rows")
    rows = normalize(changed, reading).subquery("normalized")
    columns = [rows.c[name] for name in ("account_key", "account_id", *TRACKED_COLUMNS)]
    return select(SpanKind.integration_id.label("integration_id"), *columns)


# ---- writing -------------------------------------------------------------------------------------


def write_snapshot(session: LoadSession, changes: StagedChanges) -> int:
    """Write the staged changes into the history; returns the number of flagged accounts."""
    con, span, counts = session.con, session.span, changes.counts
    _add_integration_if_new(con, span.integration_id, session.file.integration)
    write_versions(con, span)
    if span.is_newest:
        store_fingerprints(con, span, changes.changed_keys)
        write_sign_ins(con, span.integration_id)
    if session.loaded_snapshot:
        delete_snapshot(con, session.loaded_snapshot)
        delete_retained_changes(con, span.integration_id, span.taken_at)
    flagged = span.execute(con, _flagged_count).scalar_one()
    snapshot_id = secrets.randbits(62)  # no other load has it, whatever was removed in between
    if counts.rejected or counts.repeats.conflicting:
        rows = select(
            sa.literal(snapshot_id, sa.BigInteger).label("snapshot_id"), *stage_rejected.c
        )
        session.copy_to_store(rows, rejected_row)
    con.execute(
        sa.insert(snapshot).values(
            snapshot_id=snapshot_id,
            integration_id=span.integration_id,
            taken_at=session.file.taken_at,
            loaded_at=utc_now(),
            file_name=session.file.name,
            sha256=changes.sha256.result(),
            rows_read=counts.rows_read,
            accepted=counts.accepted,
            rejected=counts.rejected,
            flagged=flagged,
            facts=json.dumps(_snapshot_facts(con, span, changes, flagged), ensure_ascii=False),
        )
    )
    refresh_people(con, span.integration_id)
    return flagged


def _snapshot_facts(
    con: Connection, span: Span, changes: StagedChanges, flagged: int
) -> dict[str, Any]:
    """Fields of LoadReport that only the file can tell."""
    read_result, counts = changes.read_result, changes.counts
    has_states = "provisioning_state" in read_result.columns
    is_answer = read_result.source_info.can_be_page and not has_states
    flags = _count_flags_by_column(con, span) if flagged else {}
    if changes.unread_sign_ins:  # they are no part of the accounts' content, so nothing flags them
        flags["last_sign_in"] = changes.unread_sign_ins
    counted_notes = full_page_warnings(counts.rows_read) if is_answer else []
    if 0 < counts.alone <= counts.accepted * MAX_ALONE_SHARE:
        counted_notes.append(ALONE.format(rows=count_of(counts.alone, "row")))
    return {
        "headings": read_result.headings,
        "row_noun": read_result.row_noun,
        "sheets": read_result.source_info.sheets,
        "notes": [*read_result.notes, *counted_notes],
        "source": read_result.source_info.source,
        "source_remarks": read_result.remarks,
        "incomplete_reason": read_result.source_info.incomplete_reason,
        "unsure": [*read_result.unsure],
        "unsure_reason": changes.unsure_reason,
        "unreported_states": _count_unreported_states(con, span, read_result.columns),
        "exact_duplicates": counts.repeats.exact,
        "conflicting": counts.repeats.conflicting,
        "shared_ids": counts.repeats.shared_ids,
        "without_offset": counts.without_offset,
        "marks": counts.marks,
        "flags": flags,
    }


def _hold_mass_deletion(session: LoadSession, changes: StagedChanges) -> None:
    """Raises OnHold, which rolls the load back."""
    con, file, accounts = session.con, session.file, changes.counts.accepted
    if changes.renumbered >= MIN_MASS_DELETION or exceeds_deletion_limit(
        con, session.span.integration_id, file.taken_at, accounts
    ):
        report = load_report(con, file.integration, file.taken_at)  # a tenth of a small load
        report = replace(report, renumbered=changes.renumbered)
        if report.confirmation_reason:
            raise OnHold(f"{file.name} is on hold: {report.confirmation_reason}")


def _add_integration_if_new(con: Connection, integration_id: int, name: str) -> None:
    stored_name = select(integration.c.name).where(integration.c.integration_id == integration_id)
    if con.scalar(stored_name) is None:
        con.execute(sa.insert(integration).values(integration_id=integration_id, name=name))


def delete_snapshot(con: Connection, loaded: sa.Row[Any]) -> None:
    """Delete the snapshot's own row and its rejected rows, but not its versions."""
    for table in (snapshot, rejected_row):
        con.execute(sa.delete(table).where(table.c.snapshot_id == loaded.snapshot_id))


def _flagged_count(span: SpanKind) -> sa.Select[int]:
    return select(func.count(span.accounts_in_store().c.flags))


def _count_flags_by_column(con: Connection, span: Span) -> dict[str, int]:
    """Column → accounts with a value in it that Rollcall could not read."""
    flags = span.accounts_in_store().c.flags
    names = select(unnest_json_keys(flags).label("name")).where(flags.is_not(None)).subquery()
    return _counts_by(con, names.c.name)


def _count_unreported_states(
    con: Connection, span: Span, columns: tuple[str, ...]
) -> dict[str, int]:
    """Source of the state → accounts, where the file does not report the state itself."""
    if "provisioning_state" in columns and "state_source" not in columns:
        return {}
    return _counts_by(con, span.accounts_in_store().c.state_source)


def _counts_by(con: Connection, values: ColumnElement[Any]) -> dict[str, int]:
    counts = select(values, func.count()).where(values.is_not(None))
    rows = con.execute(counts.group_by(values).order_by(values))
    return {row[0]: row[1] for row in rows}
