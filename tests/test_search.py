"""The search of every page: accounts by person, best ones first, for who may see them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from builders import TODAY, Deliveries, an_account, an_unmatched_account
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.store.engine import open_store
from queries.account_links import account_link
from queries.users import search
from queries.users.search import find_people, group_by_person, matched_texts
from server.gate import Gate
from server.routes import ROUTES


def found(con: Connection, text: str) -> list[list[str]]:
    """The usernames of each person, in the order shown."""
    people = find_people(con, text).people
    return [[account.username_in_app for account in person.accounts] for person in people]


def test_a_persons_accounts_are_one_result(snapshots: Deliveries, con: Connection) -> None:
    ada = {"user": "Ada Byron", "email": "ada@x.io"}
    snapshots.take(an_account("ada", **ada, upstream_id="9"), an_account("eve", upstream_id="8"))
    snapshots.take(
        an_account("ada.b", user="A. Byron", email="ADA@x.io", upstream_id=None),
        an_unmatched_account("svc-byron", upstream_id="9"),
        an_unmatched_account("byron-bot", upstream_id=None),
        integration="slack",
    )
    assert found(con, "byron") == [["byron-bot"], ["ada.b", "ada", "svc-byron"]]
    assert find_people(con, "byron").accounts == 4
    assert found(con, "nobody") == []


def test_names_that_begin_with_the_words_come_first(
    snapshots: Deliveries, con: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Zoe Xu", "Xu Wang", "Alexus Tan"):
        key = name.split()[0].lower()
        snapshots.take(
            an_account(key, user=name, email=f"{key}@x.io", upstream_id=None), integration=key
        )
    assert found(con, "XU") == [["xu"], ["zoe"], ["alexus"]]
    assert found(con, "xu, zoe") == [["zoe"]]
    monkeypatch.setattr(search, "MAX_FOUND", 2)
    assert [len(names) for names in found(con, "x")] == [1, 1]
    assert find_people(con, "x").accounts == 3


ROWS = st.builds(
    lambda email, id_: SimpleNamespace(user_name="", user_email=email, person_id=id_),
    st.sampled_from(["", "a@x", "A@X", "b@x", "c@x"]),
    st.sampled_from([None, "1", "2", "3"]),
)


@settings(max_examples=50)
@given(st.lists(ROWS, max_size=8))
def test_accounts_that_share_an_email_or_id_are_one_person(rows: list[Any]) -> None:
    groups = [person.accounts for person in group_by_person(rows)]
    assert sorted(id(row) for group in groups for row in group) == sorted(map(id, rows))
    owner = {id(row): number for number, group in enumerate(groups) for row in group}
    for one in rows:
        for other in rows:
            shares_email = one.user_email and one.user_email.lower() == other.user_email.lower()
            if shares_email or (one.person_id and one.person_id == other.person_id):
                assert owner[id(one)] == owner[id(other)]


def test_a_result_shows_where_the_words_were_found() -> None:
    row = SimpleNamespace(
        user_name="Ada Byron", user_email="ada@x.io", username_in_app="ab", account_id="U-47",
        upstream_user_id=None, roles=["Org admin", "Viewer"],
    )  # fmt: skip
    assert matched_texts(row, "byron") == []
    assert matched_texts(row, "ada u-4 ADMIN") == ["U-47", "Org admin"]
    assert matched_texts(row, "zzz") == []


def test_the_search_answers_with_addresses_that_open_the_accounts(home: Home) -> None:
    path = home.root / "2026-01-01T00-00-00Z.csv"
    path.write_text("User,Username in app\nAda <ada@x.io>,ada\nAda <ada@x.io>,root <b>\n")
    snapshot = SnapshotFile(path, "figma & co", TODAY)
    load(open_store(home.database_url), snapshot)
    app = Starlette(routes=ROUTES, middleware=[Middleware(Gate)])
    client = TestClient(app, "http://127.0.0.1", client=("127.0.0.1", 50_000))
    answer = client.get("/search", params={"q": "ada"}).json()
    (person,) = answer["people"]
    assert (person["name"], person["count"], answer["accounts"]) == ("Ada", 2, 2)
    link = account_link("figma & co", "ada")
    assert person["address"] == f"person?integration=figma+%26+co&account={link}"
    assert person["accounts"][1]["address"].startswith(
        "users?q=root+%3Cb%3E&integration=figma+%26+co&open="
    )
    assert client.get("/search", params={"q": "\0"}).json()["accounts"] == 0
