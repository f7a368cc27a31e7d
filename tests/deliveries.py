"""Files as people deliver them, and what the store says after they were loaded."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, literal, select, union_all

from data.files.naming import SnapshotFile
from data.history.load import LoadResult, load
from data.schema import account, account_current, metadata, rejected_row

MONDAY = datetime(2026, 11, 23, 6)
TUESDAY = MONDAY + timedelta(days=1)

HEADINGS = (
    "User,Username in app,App access,Active in app,Upstream user ID,Provisioning state,Last updated"
)
ADA = "Ada Lovelace <ada@x.io>,ada,Admin;Editor,Yes,U-1,Onboarded,2026-11-01T08:00:00Z"
BOB = "bob@x.io,bob,Viewer,No,U-2,Delete failed,2026-11-02 09:30:00"


def deliver(
    store: Engine,
    folder: Path,
    content: str | bytes,
    name: str = "accounts.csv",
    taken_at: datetime = MONDAY,
    **how: Any,
) -> LoadResult:
    """Load a file with this content; texts are written as they are, in UTF-8."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(store, SnapshotFile(path, "figma", taken_at), **how)


def accounts(store: Engine) -> dict[str, dict[str, Any]]:
    """Username in app → the account as it is now."""
    with store.connect() as con:
        found = con.execute(select(account_current)).mappings().all()
    return {row["username_in_app"]: dict(row) for row in found}


def the_account(store: Engine) -> dict[str, Any]:
    (only,) = accounts(store).values()
    return only


def account_ids(store: Engine) -> set[str]:
    with store.connect() as con:
        return set(con.scalars(select(account.c.account_id)))


def rejections(store: Engine) -> list[tuple[int, str, str]]:
    """Line, text and reason of the rejected rows, from the top of the file."""
    row = rejected_row.c
    with store.connect() as con:
        found = con.execute(select(row.line, row.text, row.reason).order_by(row.line))
        return [tuple(each) for each in found]


def sizes(store: Engine) -> dict[str, int]:
    """How many rows each table has."""
    counts = (select(literal(t.name), func.count()).select_from(t) for t in metadata.sorted_tables)
    with store.connect() as con:
        return dict(con.execute(union_all(*counts)).all())
