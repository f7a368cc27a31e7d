"""Gives accounts their history back where the IDs of an integration changed.

A person decides that its accounts are identified by username; the mapping keeps that. All its files
are then read again, so the store is the one that a rebuild makes.
"""

import logging
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, select

from data.files.errors import OnHold, SnapshotRejected
from data.files.mapping import NO_MAPPING, ColumnMapping, read_mapping, save_mapping
from data.files.naming import SnapshotFile
from data.files.text import username_key
from data.history.load import load
from data.history.load_report import set_deletion_limit
from data.history.remove import remove_snapshot
from data.home import Home
from data.inbox.actions import requeue_file
from data.inbox.quarantine import QuarantineStatus, find_quarantined_path
from data.records.tables import RECORD_TABLES, match_override
from data.schema import account, account_current, integration, is_same_account, snapshot
from data.store.engine import write_transaction

log = logging.getLogger("rollcall")

ACCOUNT_REFERENCES = (
    *(
        (table.c.integration, table.c.account_id)
        for table in RECORD_TABLES
        if {"integration", "account_id"} <= set(table.c.keys())
    ),
    (match_override.c.person_integration, match_override.c.person_id),
)
"""Where records of people name accounts: by integration and account ID."""


def keep_history(
    engine: sa.Engine, home: Home, status: QuarantineStatus, integration_name: str, name: str
) -> None:
    """Identify the integration's accounts by username from now on, and load the file on hold."""
    find_quarantined_path(home, status, integration_name, name)
    mapping = read_mapping(home, integration_name) or NO_MAPPING
    save_mapping(home, integration_name, mapping.ignoring_ids())
    requeue_file(engine, home, status, integration_name, name, confirmed=False)


def reread_by_username(
    engine: sa.Engine, home: Home, integration_name: str, mapping: ColumnMapping
) -> None:
    """Read the files of an integration again if the store has accounts with other IDs.

    If the process is killed in between, the next start loads the rest from the archive. Raises
    OnHold where the archive lacks a file; nothing has then changed.
    """
    with engine.connect() as con:
        usernames = _usernames_by_id(con, integration_name)
        limit, moments = _limit_and_moments(con, integration_name)
    if not usernames:
        return
    paths = sorted((home.archive / integration_name).glob("[!.]*"))
    files = [SnapshotFile.from_path(path, integration=integration_name) for path in paths]
    if missing := set(moments).difference(file.taken_at for file in files):
        raise OnHold(
            f"The accounts of {integration_name} cannot be identified by username: the archive "
            f"lacks its file of {min(missing):%Y-%m-%d %H:%M:%S} UTC."
        )
    _rename_in_records(engine, integration_name, usernames)
    for moment in moments:
        remove_snapshot(engine, integration_name, moment)
    for file in files:
        try:
            mapped = SnapshotFile(file.path, file.integration, file.taken_at, mapping)
            load(engine, mapped, confirmed=True, was_loaded=True)
        except SnapshotRejected:
            log.warning("%s cannot be loaded again.", file.path)  # the reason can quote the file
    set_deletion_limit(engine, integration_name, limit)


def _usernames_by_id(con: Connection, integration_name: str) -> dict[str, str]:
    """Account ID → what identifies the account instead, where that differs."""
    key = username_key(account_current.c.username_in_app)
    rows = (
        select(account.c.account_id, key)
        .join_from(account, account_current, is_same_account(account, account_current))
        .join(integration, integration.c.integration_id == account.c.integration_id)
        .where(integration.c.name == integration_name, account.c.account_id != key)
    )
    return {row[0]: row[1] for row in con.execute(rows)}


def _limit_and_moments(con: Connection, integration_name: str) -> tuple[float | None, list[Any]]:
    """The deletion limit of an integration and the moments of its snapshots, newest first."""
    is_named = and_(
        integration.c.name == integration_name,
        snapshot.c.integration_id == integration.c.integration_id,
    )
    limit = con.scalar(
        select(integration.c.deletion_limit).where(integration.c.name == integration_name)
    )
    moments = select(snapshot.c.taken_at).where(is_named).order_by(snapshot.c.taken_at.desc())
    return limit, list(con.scalars(moments))


def _rename_in_records(engine: sa.Engine, integration_name: str, usernames: dict[str, str]) -> None:
    """Exceptions, owners and notes stay with their accounts."""
    with write_transaction(engine) as con:
        for name, account_id in ACCOUNT_REFERENCES:
            is_named = name == integration_name
            referred = con.scalars(select(account_id).where(is_named).distinct()).all()
            for old in set(referred) & usernames.keys():
                statement = sa.update(account_id.table).where(is_named, account_id == old)
                con.execute(statement.values({account_id: usernames[old]}))
