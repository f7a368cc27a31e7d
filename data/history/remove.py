"""Removes a snapshot from the store, as if it had never been loaded."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from data.history.as_of import Span, find_snapshot, find_span, previous_accounts
from data.history.delta import accounts_without_fingerprint
from data.history.load import delete_snapshot
from data.history.rollups import delete_counts
from data.history.sign_ins import delete_sign_ins
from data.history.versions import stage_delta_rows, write_versions
from data.people.directories import refresh_people
from data.records.decisions import unlink_account_keys
from data.schema import account, integration, row_fingerprint, snapshot
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
        _delete_integration_without_snapshots(con, span.integration_id)
        refresh_people(con)
    return True


def _stage_unlisted_accounts(
    con: Connection, span: Span, listed_accounts: sa.Select[*tuple[Any, ...]]
) -> None:
    """Fill `stage_change` with the accounts of the span that are not listed."""
    accounts = accounts_without_fingerprint(span).subquery("accounts")
    listed_keys = select(listed_accounts.subquery("listed").c.account_key)
    rows = select(sa.literal(span.integration_id, sa.Integer), accounts.c.account_key, sa.false())
    con.execute(
        sa.insert(stage_change).from_select(
            ["integration_id", "account_key", "is_listed"],
            rows.where(accounts.c.account_key.not_in(listed_keys)),
        )
    )


def _delete_integration_without_snapshots(con: Connection, integration_id: int) -> None:
    """The last snapshot takes its integration with it, with all account IDs."""
    snapshot_count = select(func.count()).where(snapshot.c.integration_id == integration_id)
    if not con.scalar(snapshot_count):
        unlink_account_keys(con, integration_id)
        for table in (account, integration):
            con.execute(sa.delete(table).where(table.c.integration_id == integration_id))
