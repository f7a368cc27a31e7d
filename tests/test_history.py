"""Whole histories, loaded in any way, give the same store: the invariants of the design."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, func, select

from data.loading import SnapshotFile, load, remove
from data.states import STATE_NAMES
from data.store import open_store
from data.tables import (
    CONTENT,
    account,
    account_current,
    account_version,
    delivered_row,
    integration,
    snapshot,
    state_change,
    state_count,
)

START = datetime(2026, 1, 1)

rows = st.fixed_dictionaries(
    {
        "username_in_app": st.sampled_from(["ada", "Ada", "bob", "cy", "dee", "", "é'x"]),
        "user": st.sampled_from(["", "Ada Lovelace <ada@x.io>", "bob@x.io", "Cy"]),
        "roles": st.sampled_from(["", "Admin", "Editor;Admin", "Admin; Editor ;Admin"]),
        "active_in_app": st.sampled_from(["yes", "No", "", "perhaps"]),
        "provisioning_state": st.sampled_from([*STATE_NAMES[:4], "update_failed", "Odd"]),
        "last_updated": st.sampled_from(["", "2026-01-01T00:00:00Z", "2026-01-01 02:00+02:00"]),
    }
)
# A first row that is always an account keeps the file from being refused as mostly rejected.
histories = st.lists(st.lists(rows, max_size=6), min_size=1, max_size=5)


class History:
    """A list of snapshots, each written as a file on a day of its own."""

    def __init__(self, folder: Path, days: list[list[dict[str, Any]]]) -> None:
        self.files = []
        for number, accounts in enumerate(days):
            path = folder / "app" / f"2026-01-{number + 1:02}T00-00-00Z.ndjson"
            path.parent.mkdir(exist_ok=True)
            sure = [{"username_in_app": f"sure{i}"} for i in range(len(accounts) + 1)]
            path.write_text("".join(json.dumps(row) + "\n" for row in sure + accounts))
            self.files.append(SnapshotFile(path, "app", START + timedelta(days=number)))


def a_store(folder: Path, name: str) -> Engine:
    return open_store(f"duckdb:///{folder}/{name}.duckdb")


def contents(engine: Engine) -> dict[str, Any]:
    """Everything that the store says, told without the keys that depend on the order of loading."""
    names = select(account.c.account_key, account.c.account_id).subquery()
    versions = select(
        names.c.account_id, *(account_version.c[n] for n in (*CONTENT, "valid_from", "valid_to"))
    ).join_from(account_version, names, names.c.account_key == account_version.c.account_key)
    current = select(
        names.c.account_id, *(account_current.c[n] for n in (*CONTENT, "valid_from"))
    ).join_from(account_current, names, names.c.account_key == account_current.c.account_key)
    with engine.connect() as con:

        def told(statement: Any) -> list[str]:
            return sorted(str(tuple(row)) for row in con.execute(statement))

        return {
            "versions": told(versions),
            "current": told(current),
            "counts": told(select(*state_count.c)),
            "changes": told(select(*state_change.c)),
            "snapshots": told(
                select(
                    snapshot.c.taken_at,
                    snapshot.c.rows_read,
                    snapshot.c.accepted,
                    snapshot.c.rejected,
                    snapshot.c.flagged,
                )
            ),
        }


def in_order(folder: Path, name: str, files: list[SnapshotFile]) -> dict[str, Any]:
    engine = a_store(folder, name)
    for file in files:
        load(engine, file)
    return contents(engine)


@settings(deadline=None, max_examples=25)
@given(histories, st.data())
def test_snapshots_loaded_in_any_order_give_the_same_store(
    days: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        history = History(Path(folder), days)
        shuffled = data.draw(st.permutations(history.files))
        assert in_order(Path(folder), "shuffled", shuffled) == in_order(
            Path(folder), "sorted", history.files
        )


@settings(deadline=None, max_examples=25)
@given(histories, st.data())
def test_a_removed_snapshot_leaves_the_store_as_if_it_had_never_been_loaded(
    days: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        history = History(Path(folder), days)
        out = data.draw(st.sampled_from(history.files))
        engine = a_store(Path(folder), "all")
        for file in history.files:
            load(engine, file)
        assert remove(engine, "app", out.taken_at)
        rest = [file for file in history.files if file is not out]
        assert contents(engine) == in_order(Path(folder), "rest", rest)


@settings(deadline=None, max_examples=25)
@given(histories, st.lists(rows, max_size=6), st.data())
def test_a_replaced_snapshot_leaves_the_store_as_if_only_the_replacement_had_been_loaded(
    days: list[list[dict[str, Any]]], other: list[dict[str, Any]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        day = data.draw(st.integers(0, len(days) - 1))
        history = History(Path(folder), days)
        engine = a_store(Path(folder), "replaced")
        for file in history.files:
            load(engine, file)
        anew = History(Path(folder), [*days[:day], other, *days[day + 1 :]])
        load(engine, anew.files[day], replace=True)
        assert contents(engine) == in_order(Path(folder), "anew", anew.files)


@settings(deadline=None, max_examples=25)
@given(histories)
def test_loading_a_file_twice_changes_nothing(days: list[list[dict[str, Any]]]) -> None:
    with TemporaryDirectory() as folder:
        history = History(Path(folder), days)
        engine = a_store(Path(folder), "twice")
        for file in history.files:
            load(engine, file)
        before = contents(engine)
        assert all(load(engine, file).already for file in history.files)
        assert contents(engine) == before
