"""Who the people of the directories are, whose an account is, and who left but still has access."""

from __future__ import annotations

import pytest
from people_world import World
from sqlalchemy import Engine, select

from data.history.load import load
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
