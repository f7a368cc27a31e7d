"""Who the people of the directories are, whose an account is, and who left but still has access."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people_world import World
from sqlalchemy import Engine, select

from data.history.load import load
from data.people.identify import Entry, group_accounts, plain_groups
from data.schema import account, integration, is_same_account
from data.store.engine import open_store
from queries.people.accounts import owned_accounts


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Engine]:
    folder = tmp_path_factory.mktemp("world")
    made, store = World(2_000, seed=21), open_store(f"duckdb:///{folder}/store.duckdb")
    for file in made.files(folder):
        load(store, file, confirmed=True)
    return made, store


def test_people_who_left_are_found_in_a_world_with_a_known_truth(
    world: tuple[World, Engine],
) -> None:
    made, store = world
    owned = owned_accounts(None, None).subquery()
    query = (
        select(integration.c.name, account.c.account_id, owned)
        .join_from(owned, account, is_same_account(account, owned))
        .join(integration, integration.c.integration_id == account.c.integration_id)
        .where(owned.c.account_status == "active")
    )
    with store.connect() as con:
        rows = {(row.name, row.account_id): row for row in con.execute(query)}
    found, truth = (
        {key for key, row in rows.items() if row.status == "left"},
        made.left_and_active(),
    )
    assert len(found & truth) >= 0.99 * len(found)
    assert len(found & truth) >= 0.95 * len(truth)


@given(
    directories=st.lists(st.integers(1, 3), min_size=1, max_size=9),
    clues=st.sets(
        st.tuples(st.sampled_from(["id", "email"]), st.integers(0, 12), st.integers(0, 8)),
        max_size=16,
    ),
)
def test_plain_groups_are_those_that_comparing_all_accounts_finds(
    directories: list[int], clues: set[tuple[str, int, int]]
) -> None:
    day = datetime(2026, 1, 1)
    entries = {
        key: Entry(directory, key, False, "ada", None, day, day)
        for key, directory in enumerate(directories, start=1)
    }
    held = [(kind, clue, key + 1) for kind, clue, key in clues if key < len(entries)]
    shared: dict[tuple[str, int], list[int]] = defaultdict(list)
    for kind, clue, key in sorted(held):
        shared[kind, clue].append(key)
    listed = {"integration_id": directories, "account_key": [*entries]}
    columns = zip(*held, strict=True) if held else [pa.array([], t) for t in ("str", "i8", "i8")]
    names = ["kind", "clue", "account_key"]
    found = plain_groups(pa.table(listed), pa.table([*map(pa.array, columns)], names=names))
    expected = group_accounts(entries, shared)
    plain = {key: group for key, group in zip(entries, found, strict=True) if group >= 0}
    assert plain == {key: expected[key] for key in plain}
    unlike = [key for key in entries if key not in plain]
    rest = {clue: [k for k in keys if k in unlike] for clue, keys in shared.items()}
    assert group_accounts({key: entries[key] for key in unlike}, rest) == {
        key: expected[key] for key in unlike
    }
    for keys in shared.values():  # two accounts of two directories that share only this
        is_pair = len(keys) == 2 and sum(key in keys for key in (k for *_, k in held)) == 2
        if is_pair and len({entries[key].integration_id for key in keys}) == 2:
            assert set(keys) <= plain.keys()
