"""Accounts and snapshots with defaults, so that a test states only what matters to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from copies import load_once
from sqlalchemy import Connection, Engine

from data.files.naming import SnapshotFile
from data.history.load import LoadResult
from queries.filters import Filters
from queries.users.accounts import sorted_accounts

TODAY = datetime(2026, 11, 23, 6)
YESTERDAY = TODAY - timedelta(days=1)

Account = dict[str, Any]


def an_account(
    username: str = "ada",
    *,
    account_id: str | None = None,
    user: str | None = "Ada Lovelace",
    email: str | None = "ada@x.io",
    roles: Sequence[str | dict[str, str]] = ("Editor",),
    active: str = "yes",
    upstream_id: str | None = "00u1",
    state: str = "Onboarded",
    reason: str | None = None,
    code: str | None = None,
    last_updated: str | None = "2026-11-20T10:00:00Z",
    **others: str,
) -> Account:
    """One row of a snapshot file."""
    return {
        "username_in_app": username,
        "account_id": account_id,
        "user_name": user,
        "user_email": email,
        "roles": list(roles),
        "active_in_app": active,
        "upstream_user_id": upstream_id,
        "provisioning_state": state,
        "state_reason": reason,
        "failure_code": code,
        "last_updated": last_updated,
        **others,
    }


def an_unmatched_account(username: str = "ada", **facts: Any) -> Account:
    return an_account(username, user=None, email=None, **facts)


def a_snapshot_file(
    folder: Path,
    accounts: Iterable[Account] = (an_account(),),
    *,
    integration: str = "figma",
    at: datetime = TODAY,
) -> Path:
    """`<folder>/<integration>/<at>.ndjson`."""
    path = folder / integration / f"{at:%Y-%m-%dT%H-%M-%SZ}.ndjson"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(account)}\n" for account in accounts), encoding="utf-8")
    return path


class Deliveries:
    """Snapshots that are written to a folder and loaded at once."""

    def __init__(self, store: Engine, folder: Path) -> None:
        self.store, self.folder = store, folder

    def take(
        self, *accounts: Account, integration: str = "figma", at: datetime = TODAY
    ) -> LoadResult:
        path = a_snapshot_file(self.folder, accounts, integration=integration, at=at)
        return load_once(self.store, SnapshotFile(path, integration, at), confirmed=True)


def usernames(con: Connection, *, sort: str = "username_in_app", **filters: Any) -> list[str]:
    """The accounts that filters leave, by username in the app."""
    order, descending = sort.lstrip("-"), sort.startswith("-")
    listed = sorted_accounts(con, Filters(**filters), sort=order, descending=descending)
    return [row.username_in_app for row in con.execute(listed)]


def content_of(write: Callable[..., object], *arguments: object) -> bytes:
    """The content of a file that a function writes; its last argument is the path."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(*arguments, path)
        return path.read_bytes()
