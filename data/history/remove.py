"""Removes snapshots from the store, as if they had never been loaded."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.history.as_of import Span, find_snapshot, find_span, previous_accounts
from data.history.delta import accounts_without_fingerprint
from data.history.load import delete_snapshot
from data.history.rollups import delete_counts, delete_retained_changes
from data.history.sign_ins import delete_sign_ins
from data.history.versions import stage_delta_rows, write_versions
from data.people.directories import refresh_people
from data.records.decisions import link_account_keys, unlink_account_keys
from data.records.tables import retained_change, retained_count
from data.schema import (
    account,
    account_version,
    insert_rows,
    integration,
    row_fingerprint,
    snapshot,
    state_change,
    state_count,
)
from data.staging import stage_change
from data.store.engine import write_connection
from data.store.transfer import staging_tables


def remove_snapshot(engine: sa.Engine, integration_name: str, taken_at: datetime) -> bool:
    """Remove a snapshot: until the next one, the accounts are those of the one before.

    The last sign-ins are those of the newest snapshot. If it goes, they are unknown until
    `refresh_sign_ins` reads those of the snapshot before.
    Returns False if no such snapshot is loaded.
    """
    with write_connection(engine) as con, staging_tables(con), con.begin():
        loaded = find_snapshot(con, integration_name, taken_at)
        if not loaded:
            return False
        span = find_span(con, integration_name, taken_at, had_snapshot=True)
        accounts = previous_accounts(con, span)
        _stage_unlisted_accounts(con, span, accounts)
        stage_delta_rows(con, span, accounts.subquery("listed"), stage_change)
        write_versions(con, span)
        con.execute(
            sa.delete(row_fingerprint).where(
                row_fingerprint.c.integration_id == span.integration_id
            )
        )
        if span.is_newest:
            delete_sign_ins(con, span.integration_id)
        delete_snapshot(con, loaded)
        delete_counts(con, span.integration_id, taken_at)
        delete_retained_changes(con, span.integration_id, taken_at)
        _delete_integration_without_snapshots(con, span.integration_id)
        refresh_people(con)
    return True


def remove_older(engine: sa.Engine, integration_name: str, first: datetime) -> int:
    """Remove all snapshots that were taken before the first to stay; Health keeps their counts.

    Returns their number: 0 where the first to stay is not loaded.
    """
    with write_connection(engine) as con, staging_tables(con), con.begin():
        if not (first_left := find_snapshot(con, integration_name, first)):
            return 0
        integration_id = first_left.integration_id
        is_older = snapshot.c.integration_id == integration_id, snapshot.c.taken_at < first
        older = con.execute(select(snapshot).where(*is_older).order_by(snapshot.c.taken_at)).all()
        if not older:
            return 0
        _retain_counts(con, integration_name, integration_id, older[0].taken_at, first)
        span = find_span(con, integration_name, older[0].taken_at, had_snapshot=True)
        span = span._replace(until=first)
        _stage_all_accounts(con, span)
        nobody = previous_accounts(con, span).subquery("nobody")
        stage_delta_rows(con, span, nobody, stage_change)
        write_versions(con, span)
        for loaded in older:
            delete_snapshot(con, loaded)
            delete_counts(con, integration_id, loaded.taken_at)
        _delete_accounts_without_versions(con, integration_id)
        refresh_people(con)
    return len(older)


def _retain_counts(
    con: Connection, name: str, integration_id: int, oldest: datetime, first: datetime
) -> None:
    """Copy the counts of the snapshots before the first to stay.

    The changes are those since the snapshot before, so the oldest has none, and the first to stay
    has some.
    """
    counts, changes = state_count.c, state_change.c
    for table, rows, is_retained in (
        (retained_count, counts, (counts.taken_at >= oldest, counts.taken_at < first)),
        (retained_change, changes, (changes.taken_at > oldest, changes.taken_at <= first)),
    ):
        columns = [sa.literal(name), *(rows[c.name] for c in table.c if c.name != "integration")]
        retained = select(table.c.taken_at).where(table.c.integration == name)
        is_new = rows.integration_id == integration_id, rows.taken_at.not_in(retained)
        insert_rows(con, table, select(*columns).where(*is_new, *is_retained))


def _stage_all_accounts(con: Connection, span: Span) -> None:
    """Fill `stage_change` with the accounts that were listed before the end of the span."""
    v = account_version.c
    keys = select(v.account_key).where(
        v.integration_id == span.integration_id, v.valid_from < span.until
    )
    accounts = keys.distinct().subquery("accounts")
    _stage_unlisted(con, span, select(accounts.c.account_key))


def _delete_accounts_without_versions(con: Connection, integration_id: int) -> None:
    """Nothing is left of them, so their IDs go, too. Decisions about them stay, by their names."""
    v, a = account_version.c, account.c
    keys = select(v.account_key).where(v.integration_id == integration_id)
    unlink_account_keys(con, integration_id)
    con.execute(
        sa.delete(account).where(a.integration_id == integration_id, a.account_key.not_in(keys))
    )
    link_account_keys(con)


def _stage_unlisted_accounts(
    con: Connection, span: Span, listed_accounts: sa.Select[*tuple[Any, ...]]
) -> None:
    """Fill `stage_change` with the accounts of the span that are not listed."""
    accounts = accounts_without_fingerprint(span).subquery("accounts")
    listed_keys = select(listed_accounts.subquery("listed").c.account_key)
    keys = select(accounts.c.account_key).where(accounts.c.account_key.not_in(listed_keys))
    _stage_unlisted(con, span, keys)


def _stage_unlisted(con: Connection, span: Span, account_keys: sa.Select[Any]) -> None:
    keys = account_keys.subquery("keys")
    rows = select(sa.literal(span.integration_id, sa.Integer), keys.c.account_key, sa.false())
    names = ["integration_id", "account_key", "is_listed"]
    con.execute(sa.insert(stage_change).from_select(names, rows))


def _delete_integration_without_snapshots(con: Connection, integration_id: int) -> None:
    """The last snapshot takes its integration with it, with all account IDs."""
    snapshot_count = select(func.count()).where(snapshot.c.integration_id == integration_id)
    if not con.scalar(snapshot_count):
        unlink_account_keys(con, integration_id)
        for table in (account, integration):
            con.execute(sa.delete(table).where(table.c.integration_id == integration_id))
