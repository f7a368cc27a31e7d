"""One snapshot file into the store, in one transaction; or not at all, with the reason in words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    null,
    select,
)

from data.files.errors import MostlyRejected, NoAccounts, OnHold, OtherContentLoaded
from data.files.formats import row_noun
from data.files.headers import match_columns
from data.files.mapping import NO_MAPPING
from data.files.naming import SnapshotFile
from data.history.as_of import accounts_at
from data.history.delta import (
    Baseline,
    accounts_without_fingerprint,
    find_changed_rows,
    find_changed_rows_if_valid,
    stage_baseline,
    store_fingerprints,
)
from data.history.load_report import (
    FileFacts,
    exceeds_deletion_limit,
    incomplete_message,
    load_report,
    mass_deletion_message,
)
from data.history.normalize import normalize
from data.history.reject import Validated, validate
from data.history.rollups import delete_counts
from data.history.stage import ReadResult, stage_rows
from data.history.versions import Span, stage_delta_rows, write_versions
from data.records.matches import unlink_account_keys
from data.schema import (
    OPEN_END,
    RAW_COLUMNS,
    TRACKED_COLUMNS,
    account,
    account_current,
    integration,
    rejected_row,
    row_fingerprint,
    snapshot,
)
from data.sources.delivery import OpenedFile, open_file
from data.staging import stage_change, stage_changed, stage_delta, stage_normalized, stage_rejected
from data.store.dialect import unnest_json_keys
from data.store.engine import write_connection
from data.store.transfer import (
    copy_to_store,
    materialize_in_store,
    open_workspace,
    refresh_statistics,
    staging_tables,
    transaction,
)

EARLIEST_MOMENT = datetime(1, 1, 1)
MAX_REJECTED_SHARE = 0.5
"""Share of a file's rows; with more rejected, the file is not what it seems."""


@dataclass(frozen=True)
class LoadResult:
    """What became of a file; accepted + rejected = rows_read."""

    file: SnapshotFile
    rows_read: int
    accepted: int
    rejected: int
    flagged: int  # accepted accounts with a value that was not understood
    already_loaded: bool = False  # the very same file was loaded before: nothing changed


def load(
    engine: Engine, file: SnapshotFile, *, replace: bool = False, confirmed: bool = False
) -> LoadResult:
    """Load a snapshot file; with `replace`, in place of what is loaded for the same moment.

    `confirmed`: a person has looked at it, so that it may say what is hard to believe.
    Raises a SnapshotRefused; the store is then as it was.
    """
    with load_session(engine, file) as (con, workspace, executor, task):
        if task.is_identical:
            return _already_loaded_result(task)
        if task.loaded_snapshot and not replace:
            raise OtherContentLoaded(_other_content_message(file, task.loaded_snapshot))
        staged = stage_changes(con, workspace, task, executor, confirmed=confirmed)
        with transaction(con, workspace):
            flagged = write_snapshot(con, workspace, task, staged)
            if not confirmed:
                _hold_mass_deletion(con, task, staged.validated.accepted)
        with con.begin():
            refresh_statistics(con, account, account_current, row_fingerprint, if_large=stage_delta)
    return LoadResult(file, *staged.validated[:3], flagged)


class _Task(NamedTuple):
    """A file to load, where it belongs, and what is loaded there already."""

    file: SnapshotFile
    opened_file: Future[OpenedFile]
    span: Span
    loaded_snapshot: Row[Any] | None
    is_identical: bool


@contextmanager
def load_session(
    engine: Engine, file: SnapshotFile
) -> Iterator[tuple[Connection, Connection, Executor, _Task]]:
    """The store, the desk, who works beside them on what needs neither, and what there is to do."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        opened_file = executor.submit(open_file, file.path, file.integration, file.name)
        with write_connection(engine) as con, staging_tables(con), open_workspace(con) as workspace:
            yield con, workspace, executor, _make_task(con, file, opened_file)


class _StagedChanges(NamedTuple):
    read_result: ReadResult
    validated: Validated
    changed_rows: FromClause  # in the store
    sha256: Future[str]  # of the file; it takes longer than most steps, and one core


def _make_task(con: Connection, file: SnapshotFile, opened_file: Future[OpenedFile]) -> _Task:
    file.path.open("rb").close()  # one that cannot be opened is no fault of its content
    with con.begin():
        loaded_snapshot = _find_snapshot(con, file.integration, file.taken_at)
        span = _make_span(con, file.integration, file.taken_at, had_snapshot=bool(loaded_snapshot))
    is_identical = loaded_snapshot is not None and loaded_snapshot.sha256 == _sha256(file.path)
    return _Task(file, opened_file, span, loaded_snapshot, is_identical)


def _already_loaded_result(task: _Task) -> LoadResult:
    counts = ("rows_read", "accepted", "rejected", "flagged")
    return LoadResult(
        task.file, *(getattr(task.loaded_snapshot, name) for name in counts), already_loaded=True
    )


def stage_changes(
    con: Connection,
    workspace: Connection,
    task: _Task,
    executor: Executor,
    *,
    confirmed: bool,
    read_all: bool = False,
) -> _StagedChanges:
    """Fill the tables of a load with what the file changes; the store is only read.

    Each is committed by itself, which lets DuckDB read it on several cores. `whole`: every row
    is read with its texts, whether they are known or not.
    """
    with transaction(con, workspace):
        baseline = stage_baseline(con, workspace, task.span)
    quick_result = None
    if baseline.has_fingerprints and not read_all:
        quick_result = _read_changed_rows(con, workspace, task, baseline, confirmed=confirmed)
    read_result, validated = quick_result or _read_all_rows(
        con, workspace, task, baseline, confirmed=confirmed
    )
    sha256 = executor.submit(_sha256, task.file.path)
    with transaction(con, workspace):
        integration_column = literal(task.span.integration_id, Integer).label("integration_id")
        changed_keys = select(
            integration_column,
            stage_changed.c.account_key,
            stage_changed.c.listed,
            stage_changed.c.fingerprint,
        )
        changed_rows = materialize_in_store(workspace, changed_keys, con, stage_change)
        normalized = _normalized_changed_rows().subquery("means")
        normalized_rows = materialize_in_store(
            workspace,
            select(integration_column, *(normalized.c[n] for n in NORMALIZED_COLUMNS)),
            con,
            stage_normalized,
        )
        stage_delta_rows(con, task.span, normalized_rows, changed_rows)
    return _StagedChanges(read_result, validated, changed_rows, sha256)


def _read_changed_rows(
    con: Connection, workspace: Connection, task: _Task, baseline: Baseline, *, confirmed: bool
) -> tuple[ReadResult, Validated] | None:
    """Fill `stage_changed` from the rows that are not known; None where the file is too odd."""
    read_result = _stage_file_rows(workspace, task, baseline.rows, confirmed=confirmed)
    with transaction(con, workspace):
        validated = find_changed_rows_if_valid(con, workspace, read_result, baseline, task.span)
        if validated:
            _reject_implausible(con, workspace, task, validated, confirmed=confirmed)
    return (read_result, validated) if validated else None


def _read_all_rows(
    con: Connection, workspace: Connection, task: _Task, baseline: Baseline, *, confirmed: bool
) -> tuple[ReadResult, Validated]:
    """Fill `stage_changed` from all rows, and `stage_rejected` with those that are no account."""
    read_result = _stage_file_rows(workspace, task, None, confirmed=confirmed)
    with transaction(con, workspace):
        validated = validate(workspace, read_result)
        _reject_implausible(con, workspace, task, validated, confirmed=confirmed)
    with transaction(con, workspace):
        find_changed_rows(con, workspace, baseline.rows, task.span)
    return read_result, validated


def _stage_file_rows(
    workspace: Connection, task: _Task, known_fingerprints: FromClause | None, *, confirmed: bool
) -> ReadResult:
    file = task.file
    opened_file = task.opened_file.result()
    with workspace.begin():
        read_result = stage_rows(
            workspace, opened_file, file.mapping or NO_MAPPING, known_fingerprints
        )
    if read_result.source_info.incomplete_reason and not confirmed:
        raise OnHold(
            f"{file.name} is held: {incomplete_message(read_result.source_info.incomplete_reason)}"
        )
    return read_result


def write_snapshot(
    con: Connection, workspace: Connection, task: _Task, staged: _StagedChanges
) -> int:
    """The one transaction that changes the store; how many accounts have a flag."""
    file, validated, span = task.file, staged.validated, task.span
    _add_integration_if_new(con, span.integration_id, file.integration)
    write_versions(con, span)
    if span.is_newest:
        store_fingerprints(con, span.integration_id, staged.changed_rows)
    if task.loaded_snapshot:
        _delete_snapshot(con, task.loaded_snapshot)
    flagged = _count_flagged(con, span)
    snapshot_id = con.scalar(select(func.coalesce(func.max(snapshot.c.snapshot_id), 0) + 1))
    if validated.rejected:
        rows = select(literal(snapshot_id, BigInteger).label("snapshot_id"), *stage_rejected.c)
        copy_to_store(workspace, rows, con, rejected_row)
    con.execute(
        insert(snapshot).values(
            snapshot_id=snapshot_id,
            integration_id=span.integration_id,
            taken_at=file.taken_at,
            loaded_at=datetime.now(UTC).replace(tzinfo=None),
            file_name=file.name,
            sha256=staged.sha256.result(),
            rows_read=validated.rows_read,
            accepted=validated.accepted,
            rejected=validated.rejected,
            flagged=flagged,
            facts=FileFacts(
                headings=staged.read_result.headings,
                notes=staged.read_result.notes,
                remarks=tuple(staged.read_result.source_info.remarks),
                incomplete_reason=staged.read_result.source_info.incomplete_reason,
                unreported_states=_count_unreported_states(con, span, staged.read_result.headings),
                duplicates=validated.duplicates,
                exact_duplicates=validated.exact_duplicates,
                without_offset=validated.without_offset,
                flags=_count_flags_by_column(con, span) if flagged else {},
            ).as_json(),
        )
    )
    return flagged


def _hold_mass_deletion(con: Connection, task: _Task, account_count: int) -> None:
    """Raises Held, which undoes the load."""
    file = task.file
    if exceeds_deletion_limit(con, task.span.integration_id, file.taken_at, account_count):
        report = load_report(con, file.integration, file.taken_at)  # a tenth of a small load
        raise OnHold(f"{file.name} is held: {mass_deletion_message(report)}")


def remove_snapshot(engine: Engine, integration_name: str, taken_at: datetime) -> bool:
    """Take a snapshot out, as if it had never been loaded. False where there is none."""
    with write_connection(engine) as con, staging_tables(con), con.begin():
        loaded_snapshot = _find_snapshot(con, integration_name, taken_at)
        if not loaded_snapshot:
            return False
        span = _make_span(con, integration_name, taken_at, had_snapshot=True)
        previous_accounts = _previous_accounts(con, span)
        _stage_removed_accounts(con, span, previous_accounts)
        stage_delta_rows(con, span, previous_accounts.subquery("listed"), stage_change)
        write_versions(con, span)
        con.execute(
            delete(row_fingerprint).where(row_fingerprint.c.integration_id == span.integration_id)
        )
        _delete_snapshot(con, loaded_snapshot)
        delete_counts(con, span.integration_id, taken_at)
        _delete_integration_without_snapshots(con, span.integration_id)
    return True


def _delete_integration_without_snapshots(con: Connection, integration_id: int) -> None:
    """With its last snapshot an integration goes, name and all: it is as if it had never been."""
    snapshot_count = select(func.count()).where(snapshot.c.integration_id == integration_id)
    if not con.scalar(snapshot_count):
        unlink_account_keys(con, integration_id)
        for table in (account, integration):
            con.execute(delete(table).where(table.c.integration_id == integration_id))


def _reject_implausible(
    con: Connection, workspace: Connection, task: _Task, validated: Validated, *, confirmed: bool
) -> None:
    name = task.file.name
    if validated.rejected > validated.rows_read * MAX_REJECTED_SHARE:
        first_rejected = workspace.execute(
            select(stage_rejected).order_by(stage_rejected.c.line)
        ).first()
        row_label = row_noun(name)
        example = (
            f" The first: {row_label} {first_rejected.line}: {first_rejected.reason}"
            if first_rejected
            else ""
        )
        duplicates_text = f" {validated.exact_duplicates:,} repeat a row word for word." * bool(
            validated.exact_duplicates
        )
        raise MostlyRejected(
            f"{name}: {validated.rejected:,} of {validated.rows_read:,} rows are no accounts, "
            "which is "
            f"more than half; nothing was loaded.{duplicates_text}{example}"
        )
    if validated.accepted or confirmed:
        return
    previous_accounts = _previous_accounts(con, task.span).limit(1).subquery()
    if con.scalar(select(func.count()).select_from(previous_accounts)):
        raise NoAccounts(
            f"{name} lists no accounts, but the snapshot before does; nothing was loaded. "
            "An empty list is more often a failed export than an app without users."
        )


NORMALIZED_COLUMNS = ("account_key", "account_id", *TRACKED_COLUMNS)


@cache
def _normalized_changed_rows() -> Select[*tuple[Any, ...]]:
    columns = [stage_changed.c[name] for name in ("account_key", "account_id", *RAW_COLUMNS)]
    changed_rows = select(*columns)
    return normalize(changed_rows.where(stage_changed.c.listed).subquery("news"))


def _previous_accounts(con: Connection, span: Span) -> Select[*tuple[Any, ...]]:
    """The accounts of the snapshot before the span's, as if they had been delivered again."""
    previous_taken_at = con.scalar(
        select(func.max(snapshot.c.taken_at)).where(
            snapshot.c.integration_id == span.integration_id,
            snapshot.c.taken_at < span.taken_at,
        )
    )
    accounts = accounts_at(span.integration_id, previous_taken_at or EARLIEST_MOMENT)
    no_account_id = cast(null(), String).label("account_id")
    return select(
        accounts.c.integration_id,
        accounts.c.account_key,
        no_account_id,
        *(accounts.c[n] for n in TRACKED_COLUMNS),
    )


def _stage_removed_accounts(
    con: Connection, span: Span, listed_accounts: Select[*tuple[Any, ...]]
) -> None:
    """Fill `stage_change` with the accounts of the span that are not listed."""
    known_accounts = accounts_without_fingerprint(span).subquery("known")
    is_missing = known_accounts.c.account_key.not_in(
        select(listed_accounts.subquery("listed").c.account_key)
    )
    integration_column = literal(span.integration_id, Integer)
    con.execute(
        insert(stage_change).from_select(
            ["integration_id", "account_key", "listed"],
            select(integration_column, known_accounts.c.account_key, false()).where(is_missing),
        )
    )


def _delete_snapshot(con: Connection, loaded_snapshot: Row[Any]) -> None:
    for table in (snapshot, rejected_row):
        con.execute(delete(table).where(table.c.snapshot_id == loaded_snapshot.snapshot_id))


def _make_span(
    con: Connection, integration_name: str, taken_at: datetime, *, had_snapshot: bool
) -> Span:
    """Over which time a snapshot of the moment is what is known of the integration."""
    integration_id = con.scalar(
        select(integration.c.integration_id).where(integration.c.name == integration_name)
    )
    highest_key = con.scalar(select(func.max(account.c.account_key))) or 0
    if integration_id is None:
        highest_id = con.scalar(select(func.max(integration.c.integration_id))) or 0
        return Span(highest_id + 1, taken_at, OPEN_END, had_snapshot, highest_key)
    next_taken_at = select(func.min(snapshot.c.taken_at)).where(
        snapshot.c.integration_id == integration_id, snapshot.c.taken_at > taken_at
    )
    return Span(
        integration_id, taken_at, con.scalar(next_taken_at) or OPEN_END, had_snapshot, highest_key
    )


def _add_integration_if_new(con: Connection, integration_id: int, name: str) -> None:
    """Keep the name of an integration that is seen for the first time."""
    stored_name = select(integration.c.name).where(integration.c.integration_id == integration_id)
    if con.scalar(stored_name) is None:
        con.execute(insert(integration).values(integration_id=integration_id, name=name))


def _find_snapshot(con: Connection, integration_name: str, taken_at: datetime) -> Row[Any] | None:
    return con.execute(
        select(snapshot)
        .join(integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(integration.c.name == integration_name, snapshot.c.taken_at == taken_at)
    ).first()


def _count_flagged(con: Connection, span: Span) -> int:
    accounts = span.accounts_in_store()
    return (
        con.scalar(select(func.count()).select_from(accounts).where(accounts.c.flags.is_not(None)))
        or 0
    )


def _count_flags_by_column(con: Connection, span: Span) -> dict[str, int]:
    """Column → accounts with text in it that was not understood."""
    accounts = span.accounts_in_store()
    columns = select(unnest_json_keys(accounts.c.flags).label("name")).where(
        accounts.c.flags.is_not(None)
    )
    flag_names = columns.subquery()
    counted = select(flag_names.c.name, func.count().label("accounts"))
    grouped = counted.group_by(flag_names.c.name).order_by(flag_names.c.name)
    return {row.name: row.accounts for row in con.execute(grouped)}


def _count_unreported_states(
    con: Connection, span: Span, headings: Sequence[str]
) -> dict[str, int]:
    """How a state is known → accounts, where it is not the source that reports it."""
    if "state_source" not in match_columns(headings):
        return {}
    state_source = span.accounts_in_store().c.state_source
    counted = (
        select(state_source, func.count())
        .where(state_source.is_not(None))
        .group_by(state_source)
        .order_by(state_source)
    )
    return {row[0]: row[1] for row in con.execute(counted)}


def _other_content_message(file: SnapshotFile, loaded_snapshot: Row[Any]) -> str:
    return (
        f"{file.integration} at {file.taken_at:%Y-%m-%d %H:%M:%S} UTC is loaded already, from "
        f"{loaded_snapshot.file_name} with other content. To put {file.name} in its place: "
        "rollcall load --replace."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as binary_file:
        return hashlib.file_digest(binary_file, "sha256").hexdigest()
