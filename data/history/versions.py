"""The history: what a snapshot says of a span of time, written into the account versions.

Every way in which a snapshot enters or leaves the store is the same act: over
[taken_at, until) the accounts are those that a list gives, where `until` is the moment of the
next snapshot, or FOREVER. Loading the newest, loading out of order, replacing and removing
differ only in where the list comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from data.history.as_of import accounts_at, insert_rows, is_matched, version
from data.history.failure_reasons import failure_reason
from data.history.rollups import (
    count_job_ends,
    count_states,
    delete_counts,
    delete_job_ends,
    recompute_oldest,
)
from data.history.since import (
    HASHED_COLUMNS,
    content_hash,
    hash_or_columns,
    recompute_since_columns,
    since_columns,
)
from data.records.matches import link_account_keys
from data.schema import (
    DERIVED_COLUMNS,
    OPEN_END,
    TRACKED_COLUMNS,
    SnapshotTime,
    account,
    account_current,
    account_profile,
    is_same_account,
    is_valid_at,
    join_profile,
)
from data.staging import stage_delta, stage_merged, stage_version
from data.store.search_text import search_text
from data.store.transfer import refresh_statistics


class Span(NamedTuple):
    """The time over which a snapshot is what is known of an integration: [taken_at, until)."""

    integration_id: int
    taken_at: datetime
    until: datetime  # of the next snapshot; FOREVER for the newest
    had_snapshot: bool  # whether the store had a snapshot of `taken_at` before
    highest_key: int  # of all accounts before the span is written; 0 without any

    @property
    def is_newest(self) -> bool:
        """Whether no snapshot of the integration was taken later."""
        return self.until == OPEN_END

    @property
    def is_append(self) -> bool:
        """Whether it comes after all that is known, as nearly always."""
        return self.is_newest and not self.had_snapshot

    def accounts_in_store(self) -> FromClause:
        """One row per account of the integration, as the store has it at the span's start."""
        return accounts_at(self.integration_id, None if self.is_newest else self.taken_at)


def write_versions(con: Connection, span: Span) -> None:
    """Make the accounts over the span what `stage_delta` says of them; the others stay."""
    _add_new_accounts(con, span)
    if span.is_append:
        _append_versions(con, span)
    else:
        _rewrite_versions(con, span)
    _update_current(con, span)
    refresh_statistics(con, version, account_profile, if_large=stage_delta)
    _update_rollups(con, span)


def _update_rollups(con: Connection, span: Span) -> None:
    """Write the rollups, as far as the span changes them: of stays also those that come after."""
    integration_id = span.integration_id
    if span.had_snapshot:
        delete_counts(con, integration_id, span.taken_at)
    count_states(con, integration_id, span.taken_at, newest=span.is_newest)
    if not span.is_newest:
        delete_counts(con, integration_id, span.until)
        count_states(con, integration_id, span.until)
    if not span.is_append:
        delete_job_ends(con, integration_id, span.taken_at)
        recompute_oldest(con, integration_id, span.taken_at)
    count_job_ends(con, integration_id, span.taken_at)


def stage_delta_rows(
    con: Connection, span: Span, snapshot_accounts: FromClause, changed_keys: FromClause
) -> None:
    """Fill `stage_delta` with what the snapshot changes over the span.

    `new`: integration_id, account_key, account_id and the content, one row per account of the
    snapshot that may have changed. Accounts of the store that `news`, [integration_id,
    account_key, listed], calls not listed are gone.
    """
    before, integration_column = span.accounts_in_store(), literal(span.integration_id, Integer)
    if span.is_newest:
        snapshot_accounts = select(
            *snapshot_accounts.c, content_hash(snapshot_accounts).label("content_hash")
        ).subquery("new")
    snapshot_columns = [c for c in snapshot_accounts.c if c.name != "integration_id"]
    derived = (
        failure_reason(snapshot_accounts),
        *since_columns(snapshot_accounts, before, literal(span.taken_at, SnapshotTime)),
    )
    changed = (
        select(integration_column, literal(True), *snapshot_columns, *derived)
        .select_from(
            snapshot_accounts.outerjoin(before, is_same_account(before, snapshot_accounts))
        )
        .where(or_(before.c.account_key.is_(None), _differs(snapshot_accounts, before)))
    )
    removed = select(integration_column, changed_keys.c.account_key, literal(False)).where(
        ~changed_keys.c.listed
    )
    delta_columns = ["integration_id", "now", *(c.name for c in snapshot_columns), *DERIVED_COLUMNS]
    con.execute(insert(stage_delta).from_select(delta_columns, changed))
    con.execute(insert(stage_delta).from_select(["integration_id", "account_key", "now"], removed))
    refresh_statistics(con, stage_delta)


def _add_new_accounts(con: Connection, span: Span) -> None:
    """Keep the identity of the accounts that are seen for the first time."""
    new_accounts = select(*(stage_delta.c[column.name] for column in account.c)).where(
        stage_delta.c.account_key > span.highest_key
    )
    insert_rows(con, account, new_accounts)
    link_account_keys(con)


def _differs(before: FromClause, after: FromClause) -> ColumnElement[bool]:
    other_columns = [name for name in TRACKED_COLUMNS if name not in HASHED_COLUMNS]
    compared_columns = (
        [*hash_or_columns(rows.c), *(rows.c[name] for name in other_columns)]
        for rows in (before, after)
    )
    return or_(*(a.is_distinct_from(b) for a, b in zip(*compared_columns, strict=True)))


def _is_touched(table: FromClause, span: Span) -> ColumnElement[bool]:
    """Whether a row is of an account that the snapshot changes."""
    delta = stage_delta.c
    keys = select(delta.account_key).where(delta.integration_id == span.integration_id)
    return and_(table.c.integration_id == span.integration_id, table.c.account_key.in_(keys))


def _append_versions(con: Connection, span: Span) -> None:
    """End what the touched accounts were, and begin what they are now."""
    is_open = and_(_is_touched(version, span), version.c.valid_to == OPEN_END)
    con.execute(update(version).where(is_open).values(valid_to=span.taken_at))
    insert_rows(con, version, _versions_over(span, version.c.keys()))
    has_new_profile = (
        stage_delta.c.content_since == span.taken_at
    )  # others have their profile already
    insert_rows(
        con, account_profile, _versions_over(span, account_profile.c.keys()).where(has_new_profile)
    )


def _rewrite_versions(con: Connection, span: Span) -> None:
    """Take the history of the touched accounts out, change it, and put it back.

    What comes between others may part what is one profile, or make one of two.
    """
    full_versions = join_profile(
        select(version).where(_is_touched(version, span)).subquery("touched")
    )
    insert_rows(con, stage_version, select(full_versions))
    refresh_statistics(con, stage_version, if_large=stage_delta)
    for table in (version, account_profile):
        con.execute(delete(table).where(_is_touched(table, span)))
    _close_versions_at(con, span)
    insert_rows(con, stage_version, _versions_over(span, stage_version.c.keys()))
    if span.had_snapshot:
        _merge_equal_neighbors(con, span, span.taken_at)
    if not span.is_newest:
        _merge_equal_neighbors(con, span, span.until)
    recompute_since_columns(con, span.integration_id)
    rows = stage_version.c
    for table, condition in (
        (version, true()),
        (account_profile, rows.valid_from == rows.content_since),
    ):
        staged_rows = select(*(rows[c.name] for c in table.c))
        insert_rows(
            con, table, staged_rows.where(rows.integration_id == span.integration_id, condition)
        )


def _close_versions_at(con: Connection, span: Span) -> None:
    """End what is in `stage_version` at `taken_at`; what it is from `until` on stays."""
    moment, rows = span.taken_at, stage_version.c
    is_of_integration = rows.integration_id == span.integration_id
    is_running = and_(is_of_integration, is_valid_at(stage_version, moment))
    if not span.is_newest:
        remainder_columns = {c.name: c for c in rows} | {
            "valid_from": literal(span.until, SnapshotTime)
        }
        remainder = select(*remainder_columns.values()).where(
            is_running, rows.valid_to > span.until
        )
        insert_rows(con, stage_version, remainder)
    if span.had_snapshot:  # only then does a version begin at this very moment
        con.execute(delete(stage_version).where(is_running, rows.valid_from == moment))
    con.execute(update(stage_version).where(is_running).values(valid_to=moment))


def _versions_over(span: Span, columns: Iterable[str]) -> Select[*tuple[Any, ...]]:
    """One row per account of `stage_delta` that is in the list, with the span's own columns."""
    span_columns = {
        "valid_from": literal(span.taken_at, SnapshotTime),
        "valid_to": literal(span.until, SnapshotTime),
    }
    version_columns = (
        span_columns[name] if name in span_columns else stage_delta.c[name] for name in columns
    )
    return select(*version_columns).where(stage_delta.c.now)


def _merge_equal_neighbors(con: Connection, span: Span, moment: datetime) -> None:
    """Where accounts are the same before and after `moment`, make it one version."""
    before, after = stage_version.alias("before"), stage_version.alias("after")
    con.execute(delete(stage_merged))
    insert_rows(
        con,
        stage_merged,
        select(before.c.integration_id, before.c.account_key, before.c.valid_from, after.c.valid_to)
        .select_from(before.join(after, is_same_account(before, after)))
        .where(
            before.c.integration_id == span.integration_id,
            before.c.valid_to == moment,
            after.c.valid_from == moment,
            ~_differs(before, after),
        ),
    )
    rows = stage_version
    is_merged = and_(
        rows.c.integration_id == span.integration_id, is_same_account(rows, stage_merged)
    )
    is_extended = and_(is_merged, rows.c.valid_from == stage_merged.c.valid_from)
    is_absorbed = and_(rows.c.valid_from == moment, exists().where(is_merged))
    con.execute(delete(rows).where(rows.c.integration_id == span.integration_id, is_absorbed))
    con.execute(update(rows).where(is_extended).values(valid_to=stage_merged.c.valid_to))


def _update_current(con: Connection, span: Span) -> None:
    """Bring `account_current` up to date for the touched accounts."""
    con.execute(delete(account_current).where(_is_touched(account_current, span)))
    columns = [c.name for c in account_current.c if c.name in stage_version.c]
    if span.is_append:  # what was put in is what is open
        source, hash_column = stage_delta, stage_delta.c.content_hash
        open_versions = _versions_over(span, columns)
    else:
        source, hash_column = stage_version, content_hash(stage_version)
        open_versions = select(*(stage_version.c[name] for name in columns)).where(
            stage_version.c.integration_id == span.integration_id,
            stage_version.c.valid_to == OPEN_END,
        )
    open_versions = open_versions.add_columns(search_text(source), hash_column, is_matched(source))
    columns += ["search", "content_hash", "is_matched"]
    con.execute(insert(account_current).from_select(columns, open_versions))
