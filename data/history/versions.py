"""Writes what a snapshot lists, over its span of time, into the account versions.

Loading, replacing and removing a snapshot use one algorithm: over [taken_at, until), the accounts
are those of a list. Only the list differs: it is the new file's, or the previous snapshot's.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, and_, func, select

from data.files.text import username_key
from data.history.as_of import Span, SpanKind, is_matched, version
from data.history.failure_names import update_failure_reasons
from data.history.failure_reasons import with_failure_reason
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
from data.people.clues import email_clue, id_clue
from data.records.decisions import link_account_keys
from data.schema import (
    DERIVED_COLUMNS,
    FAILURE_COLUMNS,
    OPEN_END,
    TRACKED_COLUMNS,
    SnapshotTime,
    account,
    account_current,
    account_profile,
    clue_columns,
    insert_rows,
    insertion,
    is_same_account,
    is_valid_at,
    join_profile,
)
from data.staging import stage_delta, stage_merged, stage_version
from data.states import FAILED_STATES
from data.store.search_text import search_text
from data.store.transfer import refresh_statistics


def write_versions(con: Connection, span: Span) -> None:
    """Apply `stage_delta` to the account versions, the current accounts and the rollups."""
    _add_new_accounts(con, span)
    if span.is_append:
        _append_versions(con, span)
    else:
        _rewrite_versions(con, span)
    _update_current(con, span)
    update_failure_reasons(con, span)
    refresh_statistics(con, version, account_profile, if_large=stage_delta)
    _update_rollups(con, span)


def _update_rollups(con: Connection, span: Span) -> None:
    """Recount what the span changes: its own snapshot, the next one, and all later periods."""
    integration_id = span.integration_id
    if span.had_snapshot:
        delete_counts(con, integration_id, span.taken_at)
    count_states(con, span)
    if not span.is_newest:
        delete_counts(con, integration_id, span.until)
        count_states(con, span, at_end=True)
    if not span.is_append:
        delete_job_ends(con, integration_id, span.taken_at)
        recompute_oldest(con, integration_id, span.taken_at)
    count_job_ends(con, span)


def stage_delta_rows(
    con: Connection, span: Span, snapshot_accounts: sa.FromClause, changed_keys: sa.FromClause
) -> None:
    """Fill `stage_delta` with the accounts that the snapshot adds, changes or removes.

    `snapshot_accounts`: one row per account that may have changed: integration_id, account_key,
    account_id, *TRACKED_COLUMNS. `changed_keys`, [integration_id, account_key, is_listed], says
    which accounts the snapshot does not list.
    """
    span.execute(con, _new_or_changed, snapshot_accounts)
    span.execute(con, _removed, changed_keys)
    refresh_statistics(con, stage_delta)
    if span.execute(con, _any_failed).first():  # what follows takes a tenth of a short list's load
        span.execute(con, _failure_reasons)


def _new_or_changed(span: SpanKind, snapshot_accounts: sa.FromClause) -> sa.Insert:
    before, after = span.accounts_in_store(), snapshot_accounts
    if span.is_newest:
        after = select(*after.c, content_hash(after).label("content_hash")).subquery("after")
    columns = [c for c in after.c if c.name != "integration_id"]
    derived = since_columns(after, before, span.taken_at)
    derived_names = [name for name in DERIVED_COLUMNS if name not in FAILURE_COLUMNS]
    labels = (column.label(name) for name, column in zip(derived_names, derived, strict=True))
    keys = [span.integration_id.label("integration_id"), sa.true().label("is_listed")]
    changed = (
        select(*keys, *columns, *labels)
        .select_from(after.outerjoin(before, is_same_account(before, after)))
        .where(sa.or_(before.c.account_key.is_(None), _differs(after, before)))
    )
    return sa.insert(stage_delta).from_select(changed.selected_columns.keys(), changed)


def _removed(span: SpanKind, changed_keys: sa.FromClause) -> sa.Insert:
    removed = select(span.integration_id, sa.false(), changed_keys.c.account_key)
    return sa.insert(stage_delta).from_select(
        ["integration_id", "is_listed", "account_key"], removed.where(~changed_keys.c.is_listed)
    )


def _any_failed(span: SpanKind) -> sa.Select[int]:
    return select(stage_delta.c.account_key).where(_is_failed(span)).limit(1)


def _failure_reasons(span: SpanKind) -> sa.Update:
    columns = (c for c in stage_delta.c if c.name not in FAILURE_COLUMNS)
    failed = select(*columns).where(_is_failed(span)).subquery("failed")
    explained = with_failure_reason(failed).subquery("explained")
    is_same = is_same_account(stage_delta, explained)
    reasons = {name: explained.c[name] for name in FAILURE_COLUMNS}
    return sa.update(stage_delta).where(_is_failed(span), is_same).values(reasons)


def _is_failed(span: SpanKind) -> ColumnElement[bool]:
    delta = stage_delta.c
    is_of_integration = delta.integration_id == span.integration_id
    return and_(is_of_integration, delta.provisioning_state.in_(FAILED_STATES))


def count_renumbered(con: Connection, span: Span) -> int:
    """The new accounts in `stage_delta` with the username of an account that it removes."""
    removed_count, new_count = span.execute(con, _removed_and_new_counts).one()
    if not removed_count or not new_count:
        return 0
    before, delta = span.accounts_in_store(), stage_delta.c
    is_of_integration = delta.integration_id == span.integration_id
    is_removed, is_new = ~delta.is_listed, delta.account_key > span.highest_key
    removed_names = (
        select(username_key(before.c.username_in_app))
        .join_from(stage_delta, before, is_same_account(before, stage_delta))
        .where(is_of_integration, is_removed)
    )
    new_names = username_key(delta.username_in_app)
    renumbered = select(func.count()).where(is_of_integration, is_new, new_names.in_(removed_names))
    return con.scalar(renumbered) or 0


def _removed_and_new_counts(span: SpanKind) -> sa.Select[int, int]:
    delta = stage_delta.c
    is_removed, is_new = ~delta.is_listed, delta.account_key > span.highest_key
    counts = select(func.count().filter(is_removed), func.count().filter(is_new))
    return counts.where(delta.integration_id == span.integration_id)


def _add_new_accounts(con: Connection, span: Span) -> None:
    if span.execute(con, _new_accounts).rowcount:
        link_account_keys(con)


def _new_accounts(span: SpanKind) -> sa.Insert:
    rows = select(*(stage_delta.c[column.name] for column in account.c))
    return insertion(account, rows.where(stage_delta.c.account_key > span.highest_key))


def _differs(before: sa.FromClause, after: sa.FromClause) -> ColumnElement[bool]:
    others = [name for name in TRACKED_COLUMNS if name not in HASHED_COLUMNS]
    compared = (
        [*hash_or_columns(rows.c), *(rows.c[name] for name in others)] for rows in (before, after)
    )
    return sa.or_(*(a.is_distinct_from(b) for a, b in zip(*compared, strict=True)))


def _is_touched(table: sa.FromClause, span: Span | SpanKind) -> ColumnElement[bool]:
    """Whether a row belongs to an account in `stage_delta`."""
    delta = stage_delta.c
    keys = select(delta.account_key).where(delta.integration_id == span.integration_id)
    return and_(table.c.integration_id == span.integration_id, table.c.account_key.in_(keys))


def _append_versions(con: Connection, span: Span) -> None:
    """Close the open versions of the touched accounts, and open new ones."""
    for build in (_closed_versions, _new_versions, _new_profiles):
        span.execute(con, build)


def _closed_versions(span: SpanKind) -> sa.Update:
    is_open = and_(_is_touched(version, span), version.c.valid_to == OPEN_END)
    return sa.update(version).where(is_open).values(valid_to=span.taken_at)


def _new_versions(span: SpanKind) -> sa.Insert:
    return insertion(version, _versions_over(span, version.c.keys()))


def _new_profiles(span: SpanKind) -> sa.Insert:
    profiles = _versions_over(span, PROFILE_COLUMNS).add_columns(*_clues(stage_delta))
    has_new_profile = stage_delta.c.content_since == span.taken_at
    return insertion(account_profile, profiles.where(has_new_profile))


def _rewrite_versions(con: Connection, span: Span) -> None:
    """Move the history of the touched accounts to `stage_version`, change it, and move it back.

    A snapshot between others can split a profile in two, or make two one.
    """
    touched = select(version).where(_is_touched(version, span)).subquery("touched")
    insert_rows(con, stage_version, select(join_profile(touched)))
    refresh_statistics(con, stage_version, if_large=stage_delta)
    for table in (version, account_profile):
        con.execute(sa.delete(table).where(_is_touched(table, span)))
    _close_versions_at(con, span)
    span.execute(con, _staged_versions)
    if span.had_snapshot:
        _merge_equal_neighbors(con, span, span.taken_at)
    if not span.is_newest:
        _merge_equal_neighbors(con, span, span.until)
    recompute_since_columns(con, span.integration_id)
    rows = stage_version.c
    is_of_integration = rows.integration_id == span.integration_id
    staged = select(*(rows[c.name] for c in version.c)).where(is_of_integration)
    insert_rows(con, version, staged)
    profiles = select(*(rows[name] for name in PROFILE_COLUMNS), *_clues(stage_version))
    starts_profile = rows.valid_from == rows.content_since
    insert_rows(con, account_profile, profiles.where(is_of_integration, starts_profile))


def _staged_versions(span: SpanKind) -> sa.Insert:
    return insertion(stage_version, _versions_over(span, stage_version.c.keys()))


CLUE_COLUMNS = tuple(column.name for column in clue_columns())
PROFILE_COLUMNS = tuple(c.name for c in account_profile.c if c.name not in CLUE_COLUMNS)


def _clues(accounts: sa.FromClause) -> list[ColumnElement[Any]]:
    """CLUE_COLUMNS of the accounts."""
    return [email_clue(accounts), id_clue(accounts)]


def _close_versions_at(con: Connection, span: Span) -> None:
    """End the versions in `stage_version` at `taken_at`, and start them again at `until`."""
    moment, rows = span.taken_at, stage_version.c
    is_of_integration = rows.integration_id == span.integration_id
    is_running = and_(is_of_integration, is_valid_at(stage_version, moment))
    if not span.is_newest:
        until = sa.literal(span.until, SnapshotTime)
        remainder = select(*(until if c.name == "valid_from" else c for c in rows))
        goes_on = and_(rows.valid_from < span.until, rows.valid_to > span.until)
        insert_rows(con, stage_version, remainder.where(is_of_integration, goes_on))
    if span.had_snapshot:  # only then can a version start in the span
        starts_within = and_(rows.valid_from >= moment, rows.valid_from < span.until)
        con.execute(sa.delete(stage_version).where(is_of_integration, starts_within))
    con.execute(sa.update(stage_version).where(is_running).values(valid_to=moment))


def _versions_over(span: SpanKind, columns: Iterable[str]) -> sa.Select[*tuple[Any, ...]]:
    """One row per listed account of `stage_delta`: its version over the span."""
    values: dict[str, ColumnElement[Any]] = {c.name: c for c in stage_delta.c}
    values |= {"valid_from": span.taken_at, "valid_to": span.until}
    return select(*(values[name] for name in columns)).where(stage_delta.c.is_listed)


def _merge_equal_neighbors(con: Connection, span: Span, moment: datetime) -> None:
    """Merge the versions that end and start at `moment`, where their content is equal."""
    before, after = stage_version.alias("before"), stage_version.alias("after")
    pairs = (
        select(before.c.integration_id, before.c.account_key, before.c.valid_from, after.c.valid_to)
        .select_from(before.join(after, is_same_account(before, after)))
        .where(
            before.c.integration_id == span.integration_id,
            before.c.valid_to == moment,
            after.c.valid_from == moment,
            ~_differs(before, after),
        )
    )
    con.execute(sa.delete(stage_merged))
    insert_rows(con, stage_merged, pairs)
    rows = stage_version
    is_merged = and_(
        rows.c.integration_id == span.integration_id, is_same_account(rows, stage_merged)
    )
    is_extended = and_(is_merged, rows.c.valid_from == stage_merged.c.valid_from)
    is_absorbed = and_(rows.c.valid_from == moment, sa.exists().where(is_merged))
    con.execute(sa.delete(rows).where(rows.c.integration_id == span.integration_id, is_absorbed))
    con.execute(sa.update(rows).where(is_extended).values(valid_to=stage_merged.c.valid_to))


def _update_current(con: Connection, span: Span) -> None:
    """Bring `account_current` up to date for the touched accounts."""
    span.execute(con, _touched_accounts)
    span.execute(con, _open_versions)


def _touched_accounts(span: SpanKind) -> sa.Delete:
    return sa.delete(account_current).where(_is_touched(account_current, span))


def _open_versions(span: SpanKind) -> sa.Insert:
    columns = [c.name for c in account_current.c if c.name in stage_version.c]
    if span.is_append:  # the new versions are the open ones
        source, hash_column = stage_delta, stage_delta.c.content_hash
        open_versions = _versions_over(span, columns)
    else:
        source, hash_column = stage_version, content_hash(stage_version)
        open_versions = select(*(stage_version.c[name] for name in columns)).where(
            stage_version.c.integration_id == span.integration_id,
            stage_version.c.valid_to == OPEN_END,
        )
    open_versions = open_versions.add_columns(
        search_text(source), hash_column, is_matched(source), *_clues(source)
    )
    columns += ["search", "content_hash", "is_matched", *CLUE_COLUMNS]
    return sa.insert(account_current).from_select(columns, open_versions)
