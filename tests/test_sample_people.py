"""The people of the sample, as its directory lists them week by week."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from data.files.naming import SnapshotFile
from data.history.load import load
from data.people.directories import directory_names
from data.sample.directory import INTERVAL, Directory, count_directory_files
from data.sample.files import write_sample
from data.sample.lifecycle import D_AWAITING, REMOVED
from data.sample.population import Population
from data.service.active_store import SAMPLE_DAYS, SAMPLE_INTEGRATIONS
from data.store.engine import open_store
from queries.people.cells import count_people

TODAY = datetime(2026, 11, 23, 6)
Users = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def populations() -> list[Population]:
    return [Population(n, 300, SAMPLE_DAYS, TODAY, seed=1) for n in range(SAMPLE_INTEGRATIONS)]


@pytest.fixture(scope="module")
def weeks(populations: list[Population]) -> list[Users]:
    """Okta ID → user, in each file of the sample that people see."""
    directory, files = Directory(populations, TODAY), []
    for ago in range(SAMPLE_DAYS - 1, -1, -1):
        for population in populations:
            population.advance_day(ago)
        if ago % INTERVAL == 0:
            directory.advance_to(ago)
            files.append({user["id"]: user for user in directory.users(ago)})
    assert len(files) == count_directory_files(SAMPLE_DAYS)
    return files


def with_status(users: Users, status: str) -> set[str]:
    return {okta_id for okta_id, user in users.items() if user["status"] == status}


def test_a_few_people_leave_and_a_few_of_their_accounts_are_forgotten(
    populations: list[Population], weeks: list[Users]
) -> None:
    left = {i for users in weeks for i in users} - with_status(weeks[-1], "ACTIVE")
    left -= with_status(weeks[-1], "SUSPENDED")
    forgotten = Counter(
        okta_id
        for p in populations
        for okta_id, state in zip(
            p.identity["upstream_user_id"].to_pylist(), p.state.tolist(), strict=True
        )
        if okta_id in left and state < D_AWAITING
    )
    assert 5 <= len(left) <= 25
    assert 3 <= forgotten.total() <= 25
    assert set(forgotten) < left


def test_one_who_returns_has_a_new_id_and_the_same_number(weeks: list[Users]) -> None:
    ids: dict[str, set[str]] = {}
    for users in weeks:
        numbers = [user["profile"]["employeeNumber"] for user in users.values()]
        assert len(set(numbers)) == len(numbers)
        for okta_id, user in users.items():
            ids.setdefault(user["profile"]["employeeNumber"], set()).add(okta_id)
    assert 1 <= sum(len(own) == 2 for own in ids.values()) <= 3


def test_some_people_are_disabled_and_some_have_the_same_name(weeks: list[Users]) -> None:
    names = Counter(
        (u["profile"]["firstName"], u["profile"]["lastName"]) for u in weeks[-1].values()
    )
    assert 1 <= len(with_status(weeks[-1], "SUSPENDED")) <= 10
    assert max(names.values()) > 1


def test_everybody_whom_an_app_knows_is_listed_at_some_time(
    populations: list[Population], weeks: list[Users]
) -> None:
    listed = {okta_id for users in weeks for okta_id in users}
    for p in populations:
        is_known = (p.state != REMOVED) & ~p.is_service
        known = {i for i in p.identity["upstream_user_id"].filter(is_known).to_pylist() if i}
        assert known <= listed


def test_nobody_changes_or_signs_in_after_the_file(weeks: list[Users]) -> None:
    for weeks_ago, users in enumerate(reversed(weeks)):
        taken_at = f"{TODAY - timedelta(days=INTERVAL * weeks_ago):%Y-%m-%dT%H:%M:%SZ}"
        assert all(max(u["lastUpdated"], u["lastLogin"]) < taken_at for u in users.values())


def test_the_directory_is_recognized_and_its_people_are_counted(tmp_path: Any) -> None:
    options = {"accounts": 20, "days": 8, "integrations": 1, "until": TODAY}
    paths = write_sample(tmp_path, **options, has_directory=True)
    files = [path for path in paths if path.parent.name == "Okta"]
    assert [path.name[:10] for path in files] == ["2026-11-16", "2026-11-23"]
    engine = open_store("duckdb:///:memory:")
    for path in files:
        load(engine, SnapshotFile.from_path(path))
    with engine.connect() as con:
        assert directory_names(con) == ("Okta",)
        assert count_people(con, None, None)["active"] >= 18
    engine.dispose()
