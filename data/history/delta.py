"""Finds the rows of a file that differ from the store.

A file that extends the history is compared with the newest snapshot by fingerprints of its raw
rows; only changed rows are normalized. For any other file, every row counts as changed.
"""

import json
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, and_, func, select

from data.history.as_of import Span, SpanKind
from data.history.reject import Validated, count_staged_rows
from data.history.repeats import ROW_POSITION
from data.history.session import LoadSession
from data.history.stage import ReadResult
from data.schema import account, account_current, insert_rows, insertion, row_fingerprint, snapshot
from data.staging import (
    raw_columns,
    stage_changed,
    stage_id,
    stage_known,
    stage_known_id,
    stage_missing,
    stage_row,
)
from data.store.transfer import recreate_table
from data.values.column_reading import WITHOUT_OFFSET, ColumnReading, column_reading


class Baseline(NamedTuple):
    """The accounts that a file is compared with, in the workspace."""

    rows: sa.FromClause  # account_key, fingerprint, marks; one row per account
    is_plain: bool  # all have a fingerprint, and each is one row of the newest snapshot
    reading: ColumnReading  # by which the accounts with these fingerprints were read
    unsure: frozenset[str]  # columns that a person has left out of the newest snapshot


def stage_baseline(session: LoadSession) -> Baseline:
    """Fill `stage_known` with the accounts of the session's span."""
    span = session.span
    newest = _newest_snapshot(session.con, span.integration_id)
    has_fingerprints = span.is_append and _has_all_fingerprints(session.con, span.integration_id)
    # Where a row was no account of its own, the next file will be alike, and all texts are needed.
    is_plain = has_fingerprints and newest is not None and newest.rows_read == newest.accepted
    rows = accounts_without_fingerprint(span)
    if has_fingerprints:
        columns = (row_fingerprint.c[column.name] for column in stage_known.c)
        rows = select(*columns).where(row_fingerprint.c.integration_id == span.integration_id)
    facts = json.loads(newest.facts) if newest else {}
    reading = column_reading(facts.get("marks", 0))  # all fingerprints are of its rows
    unsure = frozenset(facts.get("unsure", ()))
    return Baseline(session.materialize(rows, stage_known), is_plain, reading, unsure)


def _newest_snapshot(con: Connection, integration_id: int) -> sa.Row[*tuple[Any, ...]] | None:
    """How the newest snapshot was read: [rows_read, accepted, facts]."""
    return con.execute(
        select(snapshot.c.rows_read, snapshot.c.accepted, snapshot.c.facts)
        .where(snapshot.c.integration_id == integration_id)
        .order_by(snapshot.c.taken_at.desc())
        .limit(1)
    ).first()


def _has_all_fingerprints(con: Connection, integration_id: int) -> bool:
    """Whether `row_fingerprint` has every account of the newest snapshot, and there is any."""
    fingerprint_count, account_count = (
        select(func.count()).where(table.c.integration_id == integration_id).scalar_subquery()
        for table in (row_fingerprint, account_current)
    )
    return bool(con.scalar(select(and_(fingerprint_count == account_count, account_count > 0))))


def accounts_without_fingerprint(span: Span) -> sa.Select[*tuple[Any, ...]]:
    """The accounts of the span: [account_key, fingerprint, marks], where the last two are NULL."""
    accounts = span.accounts_in_store()
    no_fingerprint = sa.cast(sa.null(), sa.BigInteger).label("fingerprint")
    return select(
        accounts.c.account_key, no_fingerprint, sa.cast(sa.null(), sa.Integer).label("marks")
    )


def find_changed_rows_if_valid(
    session: LoadSession, read_result: ReadResult, baseline: Baseline
) -> Validated | None:
    """Like `find_changed_rows`, for a `stage_row` without the texts of known rows.

    Returns the file's counts; None if a row is no account, if an account has several rows, or if
    the texts are to be read in another way than before. All rows then have to be read with their
    texts; the stage tables are empty.
    """
    counts = _compare_if_valid(session, read_result, baseline)
    if not counts:
        for table in (stage_row, stage_missing, stage_changed, stage_known_id):
            recreate_table(session.workspace, table)
    return counts


def _compare_if_valid(
    session: LoadSession, read_result: ReadResult, baseline: Baseline
) -> Validated | None:
    workspace = session.workspace
    counts = count_staged_rows(workspace)
    has_other_rows = read_result.broken_count or counts.rows != counts.known + counts.with_account
    has_repeats = counts.with_account != counts.accounts
    if has_other_rows or has_repeats or counts.mangled is not None:
        return None
    known_fingerprints = select(stage_row.c.fingerprint).where(stage_row.c.is_known)
    is_missing = baseline.rows.c.fingerprint.not_in(known_fingerprints)
    insert_rows(workspace, stage_missing, select(baseline.rows).where(is_missing))
    known_marks, known_without_offset = _marks_of_known_rows(workspace, baseline)
    marks = counts.marks | known_marks
    if column_reading(marks) != baseline.reading:
        return None
    find_changed_rows(session, stage_missing)
    all_count, missing_count, changed_count, changed_missing_count = workspace.execute(
        select(
            _row_count(baseline.rows),
            _row_count(stage_missing),
            _row_count(_with_changed_row(baseline.rows)),
            _row_count(_with_changed_row(stage_missing)),
        )
    ).one()
    has_duplicate = all_count - missing_count != counts.known
    has_known_and_changed_row = changed_count != changed_missing_count
    if has_duplicate or has_known_and_changed_row:
        return None
    without_offset = counts.without_offset + known_without_offset
    return Validated(counts.rows, counts.rows, 0, without_offset, marks)


def _marks_of_known_rows(workspace: Connection, baseline: Baseline) -> tuple[int, int]:
    """The union of the marks of known rows, and the number of those with a time without offset."""
    rows, missing_keys = baseline.rows.c, select(stage_missing.c.account_key)
    union = func.coalesce(func.bit_or(rows.marks), 0)
    without_offset = func.count().filter(rows.marks.bitwise_and(WITHOUT_OFFSET) > 0)
    counts = select(union, without_offset).where(rows.account_key.not_in(missing_keys))
    marks, count = workspace.execute(counts).one()
    return marks, count


def _with_changed_row(baseline_rows: sa.FromClause) -> sa.FromClause:
    """The accounts of the baseline that have a changed row in the file."""
    is_same_account = stage_changed.c.account_key == baseline_rows.c.account_key
    return baseline_rows.join(stage_changed, and_(is_same_account, stage_changed.c.is_listed))


def _row_count(rows: sa.FromClause) -> sa.ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def find_changed_rows(
    session: LoadSession, baseline_rows: sa.FromClause, *, all_changed: bool = False
) -> None:
    """Fill `stage_changed` with the rows that are new or changed, and the accounts not listed.

    `all_changed`: every row counts as changed, as its texts can have other values than before.
    A new account gets its key here, with gaps. Lists show the order of keys where they have no
    other, so the order comes from a keyed hash: it says nothing about the file, whose order, such
    as that of names, would tell who is behind a pseudonym.
    """
    values = raw_columns().values()
    columns = [stage_row.c.account_id, *values, stage_row.c.fingerprint, stage_row.c.marks]
    unknown = select(ROW_POSITION.label("position"), *columns).where(~stage_row.c.is_known)
    unknown, new, ids = unknown.subquery("unknown"), _new_keys(session), _stage_known_ids(session)
    account_key = func.coalesce(ids.c.account_key, new.c.account_key).label("account_key")
    row = (
        select(account_key, unknown)
        .join_from(unknown, new, new.c.position == unknown.c.position)
        .outerjoin(ids, ids.c.account_id == unknown.c.account_id)
        .subquery("row")
    )
    before = baseline_rows.c
    changed_rows = (
        select(
            func.coalesce(row.c.account_key, before.account_key),
            row.c.account_key.is_not(None),
            *(row.c[column.name] for column in columns),
        )
        .select_from(row.join(baseline_rows, before.account_key == row.c.account_key, full=True))
        .where(
            sa.or_(
                before.account_key.is_(None),
                row.c.account_key.is_(None),
                row.c.fingerprint.is_distinct_from(before.fingerprint),
                sa.literal(all_changed),
            )
        )
    )
    insert_rows(session.workspace, stage_changed, changed_rows)


def _new_keys(session: LoadSession) -> sa.Subquery:
    """One row per unknown row: [position, account_key]. Sorting whole rows takes far longer."""
    keyed_id = func.concat(session.store_key, stage_row.c.account_id)
    number = func.row_number().over(order_by=(func.sha256(keyed_id), ROW_POSITION))
    new_key = number + sa.literal(session.span.highest_key, sa.BigInteger)
    rows = select(ROW_POSITION.label("position"), new_key.label("account_key"))
    return rows.where(~stage_row.c.is_known).subquery("numbered")


def _stage_known_ids(session: LoadSession) -> sa.FromClause:
    """Keys of accounts that the store has and the unknown rows list, in the workspace."""
    integration_id = session.span.integration_id
    file_ids = stage_id  # empty
    if session.con.scalar(select(sa.exists().where(account.c.integration_id == integration_id))):
        unknown_ids = select(
            sa.literal(integration_id, sa.Integer).label("integration_id"), stage_row.c.account_id
        ).where(~stage_row.c.is_known)
        file_ids = session.materialize_in_store(unknown_ids, stage_id)
    wanted_ids = select(file_ids.c.account_id).where(file_ids.c.integration_id == integration_id)
    known_ids = select(account.c.account_key, account.c.account_id).where(
        account.c.integration_id == integration_id, account.c.account_id.in_(wanted_ids)
    )
    return session.materialize(known_ids, stage_known_id)


def store_fingerprints(con: Connection, span: Span, changed_rows: sa.FromClause) -> None:
    """Bring `row_fingerprint` up to date with the newest snapshot."""
    span.execute(con, _outdated_fingerprints, changed_rows)
    span.execute(con, _new_fingerprints, changed_rows)


def _outdated_fingerprints(span: SpanKind, changed_rows: sa.FromClause) -> sa.Delete:
    changed, outdated = changed_rows.c, row_fingerprint.c
    changed_keys = select(changed.account_key).where(changed.integration_id == span.integration_id)
    return sa.delete(row_fingerprint).where(
        outdated.integration_id == span.integration_id, outdated.account_key.in_(changed_keys)
    )


def _new_fingerprints(_: SpanKind, changed_rows: sa.FromClause) -> sa.Insert:
    listed = select(*(changed_rows.c[column.name] for column in row_fingerprint.c))
    return insertion(row_fingerprint, listed.where(changed_rows.c.is_listed))
