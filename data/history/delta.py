"""Which accounts of a file are news: by its rows, beside what is known.

A file that extends the history is compared with the newest snapshot, row by row as delivered: what
is unchanged there means what it meant, and need not be understood again. For any other file only
the accounts are known, not their rows, and every row is news.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
)

from data.history.reject import ROW_POSITION, Validated, count_staged_rows
from data.history.stage import ReadResult
from data.history.versions import Span
from data.schema import account, account_current, row_fingerprint
from data.staging import (
    raw_columns,
    stage_changed,
    stage_id,
    stage_known,
    stage_known_id,
    stage_missing,
    stage_row,
)
from data.store.transfer import materialize, materialize_in_store, recreate_table


class Baseline(NamedTuple):
    """What is known of an integration's accounts over a span, at the desk."""

    rows: FromClause  # account_key, fingerprint; one row per account
    has_fingerprints: bool  # whether there is any, and the fingerprints tell how it was delivered


def stage_baseline(con: Connection, workspace: Connection, span: Span) -> Baseline:
    """What the file of the span is to be compared with."""
    fingerprints = select(row_fingerprint.c.account_key, row_fingerprint.c.fingerprint).where(
        row_fingerprint.c.integration_id == span.integration_id
    )
    has_fingerprints = span.is_append and _has_all_fingerprints(con, span.integration_id)
    rows = fingerprints if has_fingerprints else accounts_without_fingerprint(span)
    return Baseline(materialize(con, rows, workspace, stage_known), has_fingerprints)


def _has_all_fingerprints(con: Connection, integration_id: int) -> bool:
    """Whether `row_fingerprint` has every account of the newest snapshot, and there is any."""
    fingerprint_count, account_count = (
        select(func.count()).where(table.c.integration_id == integration_id).scalar_subquery()
        for table in (row_fingerprint, account_current)
    )
    return bool(con.scalar(select(and_(fingerprint_count == account_count, account_count > 0))))


def accounts_without_fingerprint(span: Span) -> Select[*tuple[Any, ...]]:
    """The accounts of the span, whose rows nobody remembers."""
    accounts = span.accounts_in_store()
    return select(accounts.c.account_key, cast(null(), BigInteger).label("fingerprint"))


def find_changed_rows_if_valid(
    con: Connection, workspace: Connection, read_result: ReadResult, baseline: Baseline, span: Span
) -> Validated | None:
    """What `find_news` does, of a `stage_row` without the texts of known rows; the file's counts.

    None where a row is no account, or an account has several: to tell which row that is, all of
    them have to be looked at. The tables are empty then.
    """
    validated = _compare_if_valid(con, workspace, read_result, baseline, span)
    if not validated:
        for stage_table in (stage_row, stage_missing, stage_changed, stage_known_id):
            recreate_table(workspace, stage_table)
    return validated


def _compare_if_valid(
    con: Connection, workspace: Connection, read_result: ReadResult, baseline: Baseline, span: Span
) -> Validated | None:
    row_count, unchanged_count, changed_count, changed_account_count, without_offset = (
        count_staged_rows(workspace)
    )
    if (
        read_result.broken_count
        or row_count != unchanged_count + changed_count
        or changed_count != changed_account_count
    ):
        return None
    seen_fingerprints = select(stage_row.c.fingerprint).where(stage_row.c.known)
    missing_rows = select(baseline.rows).where(
        baseline.rows.c.fingerprint.not_in(seen_fingerprints)
    )
    workspace.execute(
        insert(stage_missing).from_select([c.name for c in stage_missing.c], missing_rows)
    )
    find_changed_rows(con, workspace, stage_missing, span)
    baseline_count, missing_count, changed_baseline_count, changed_missing_count = (
        workspace.execute(
            select(
                _row_count(baseline.rows),
                _row_count(stage_missing),
                _row_count(_with_changed_row(baseline.rows)),
                _row_count(_with_changed_row(stage_missing)),
            )
        ).one()
    )
    if baseline_count - missing_count != unchanged_count:  # a known row comes twice
        return None
    if (
        changed_baseline_count != changed_missing_count
    ):  # an account has a known row, and another one
        return None
    return Validated(row_count, row_count, 0, 0, 0, without_offset)


def _with_changed_row(baseline_rows: FromClause) -> FromClause:
    """The known accounts of which the file has a row that is news."""
    is_same_account = stage_changed.c.account_key == baseline_rows.c.account_key
    return baseline_rows.join(stage_changed, and_(is_same_account, stage_changed.c.listed))


def _row_count(rows: FromClause) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def find_changed_rows(
    con: Connection, workspace: Connection, baseline_rows: FromClause, span: Span
) -> None:
    """Fill `stage_changed` with what of `stage_row` is not `known`, and what of that is missing.

    An account that was never seen gets its key here, by its row: in the order of the file, so that
    every database gives the same ones. Keys have gaps, as to count needs a slow sort.
    """
    texts = [stage_row.c.account_id, *raw_columns().values(), stage_row.c.fingerprint]
    new_key = (ROW_POSITION + literal(span.highest_key + 1, BigInteger)).label("number")
    unmatched_rows = select(new_key, *texts).where(~stage_row.c.known).subquery("told")
    known_ids = _stage_known_ids(con, workspace, span.integration_id)
    account_key = func.coalesce(known_ids.c.account_key, unmatched_rows.c.number).label(
        "account_key"
    )
    row = (
        select(account_key, unmatched_rows)
        .select_from(
            unmatched_rows.outerjoin(
                known_ids, known_ids.c.account_id == unmatched_rows.c.account_id
            )
        )
        .subquery("row")
    )
    changed_rows = (
        select(
            func.coalesce(row.c.account_key, baseline_rows.c.account_key),
            row.c.account_key.is_not(None),
            *(row.c[text.name] for text in texts),
        )
        .select_from(
            row.join(baseline_rows, baseline_rows.c.account_key == row.c.account_key, full=True)
        )
        .where(
            or_(
                baseline_rows.c.account_key.is_(None),
                row.c.account_key.is_(None),
                row.c.fingerprint.is_distinct_from(baseline_rows.c.fingerprint),
            )
        )
    )
    workspace.execute(
        insert(stage_changed).from_select([c.name for c in stage_changed.c], changed_rows)
    )


def _stage_known_ids(con: Connection, workspace: Connection, integration_id: int) -> FromClause:
    """Of the accounts that were ever seen, those that the file lists as news; at the desk."""
    integration_column = literal(integration_id, Integer).label("integration_id")
    file_ids = stage_id  # which is empty
    if con.scalar(select(exists().where(account.c.integration_id == integration_id))):
        changed_ids = select(integration_column, stage_row.c.account_id).where(~stage_row.c.known)
        file_ids = materialize_in_store(workspace, changed_ids, con, stage_id)
    wanted_ids = select(file_ids.c.account_id).where(file_ids.c.integration_id == integration_id)
    known_ids = select(account.c.account_key, account.c.account_id).where(
        account.c.integration_id == integration_id, account.c.account_id.in_(wanted_ids)
    )
    return materialize(con, known_ids, workspace, stage_known_id)


def store_fingerprints(con: Connection, integration_id: int, changed_rows: FromClause) -> None:
    """Bring `row_fingerprint` up to date with the newest snapshot."""
    changed_keys = select(changed_rows.c.account_key).where(
        changed_rows.c.integration_id == integration_id
    )
    con.execute(
        delete(row_fingerprint).where(
            row_fingerprint.c.integration_id == integration_id,
            row_fingerprint.c.account_key.in_(changed_keys),
        )
    )
    con.execute(
        insert(row_fingerprint).from_select(
            [c.name for c in row_fingerprint.c],
            select(
                changed_rows.c.integration_id,
                changed_rows.c.account_key,
                changed_rows.c.fingerprint,
            ).where(changed_rows.c.listed),
        )
    )
