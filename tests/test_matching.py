"""Owners of unmatched accounts are suggested from a directory, and assigned by a person."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from builders import TODAY, Deliveries, an_account, an_unmatched_account, content_of, usernames
from patience import PATIENCE
from pyarrow import parquet
from sqlalchemy import Connection, select
from streamlit.testing.v1 import AppTest

from data.access.roles import PersonalData, Visibility
from data.files.naming import SnapshotFile
from data.history.remove import remove_snapshot
from data.home import Home
from data.inbox.inbox import load_inbox, put_into_inbox
from data.people.directories import directory_names, save_directories
from data.records.decisions import MATCH_OVERRIDES, InvalidInput, decisions_by_account
from data.records.matches import (
    MatchOverride,
    save_match_overrides,
)
from data.schema import account, account_version
from data.service.rebuild import rebuild
from data.store.engine import close_stores, open_store, restricted_engine
from queries.export.formats import FORMATS
from queries.export.listing import Listing, ListRequest
from queries.filters import Filters
from queries.health.trends import states_as_of
from queries.matching import (
    MatchCandidates,
    MatchKind,
    evidence_text,
    match_candidates,
)
from queries.users.accounts import count_accounts, page_of_accounts
from queries.users.detail import account_details
from queries.users.facets import list_choices

PAGE = Path(__file__).parent.parent / "pages" / "matching.py"

PEOPLE = [
    an_account("ada@x.io", account_id="00u1", user="Ada", email="Ada@x.io", upstream_id="E1"),
    an_account("bob@x.io", account_id="00u2", user="Bob", email="bob@x.io", upstream_id="E2"),
    an_account("cyd@x.io", account_id="00u3", user="Cyd", email="cyd@x.io", upstream_id="E2"),
    an_account("dan@x.io", account_id="00u4", user="Dan", email="shared@x.io", upstream_id=None),
    an_account("eve@x.io", account_id="00u5", user="Eve", email="SHARED@x.io", upstream_id=None),
]
MONDAY = TODAY + timedelta(days=7)
ACCOUNTS = [
    an_unmatched_account("a1", account_id="1", upstream_id="00u1", Email="ADA@X.io"),
    an_unmatched_account("a2", account_id="2", upstream_id="E1"),
    an_unmatched_account("Bob@X.io", account_id="3", upstream_id="old"),
    an_unmatched_account("a4", account_id="4", upstream_id="E2"),
    an_unmatched_account("a5", account_id="5", upstream_id="00u1", Email="bob@x.io"),
    an_unmatched_account("a6", account_id="6", upstream_id=None, Email="shared@x.io"),
    an_unmatched_account("a7", account_id="7", upstream_id="00U1", Email="zoe@x.io"),
    an_unmatched_account("a8", account_id="8", upstream_id=None),
    an_account("a9", account_id="9"),
]


@pytest.fixture
def loaded(snapshots: Deliveries) -> Deliveries:
    snapshots.take(*PEOPLE, integration="okta")
    snapshots.take(*ACCOUNTS)
    save_directories(snapshots.store, {"okta": True})
    return snapshots


def candidates(con: Connection, kind: MatchKind) -> dict[str, tuple[str | None, str]]:
    """Account ID → the person's name, and why."""
    return {
        row.account_id: (row.user_name, evidence_text(row))
        for row in match_candidates(con, kind).rows
    }


def test_an_owner_is_suggested_by_upstream_id_then_by_email_in_any_case(
    loaded: Deliveries, con: Connection
):
    assert candidates(con, "suggested") == {
        "1": ("Ada", "Same upstream ID and email"),
        "2": ("Ada", "Same upstream ID"),
        "3": ("Bob", "Same email"),
    }


def test_ambiguous_accounts_and_those_without_a_candidate_say_why(
    loaded: Deliveries, con: Connection
):
    assert candidates(con, "doubtful") == {
        "4": (None, "2 people have the upstream ID E2."),
        "5": (None, "The upstream ID 00u1 and the email bob@x.io belong to different people."),
        "6": (None, "2 people have the email shared@x.io."),
    }
    assert candidates(con, "nobody") == {
        "7": (
            None,
            "Nobody in the directories has the upstream ID 00U1 or the email zoe@x.io.",
        ),
        "8": (None, "The account has neither an upstream ID nor an email."),
    }
    assert match_candidates(con, "decided").counts == {"suggested": 3, "doubtful": 3, "nobody": 2}


def test_without_a_directory_there_are_no_candidates(snapshots: Deliveries, con: Connection):
    snapshots.take(*ACCOUNTS)
    assert directory_names(con) == ()
    assert match_candidates(con, "suggested") == MatchCandidates({"nobody": 8}, [])


def test_an_override_holds_until_it_is_withdrawn_or_replaced(loaded: Deliveries, con: Connection):
    ada = MatchOverride(
        "figma", "1", "The upstream ID is theirs.", "okta", "00u1", "Ada", "ada@x.io"
    )
    nobody = MatchOverride("figma", "2", "A robot.")
    with pytest.raises(InvalidInput):
        save_match_overrides(loaded.store, [ada], " ")
    save_match_overrides(loaded.store, [ada, nobody], "Grace")
    con.rollback()
    assert {name: row[0] for name, row in candidates(con, "decided").items()} == {
        "1": "Ada",
        "2": None,
    }
    assert set(candidates(con, "suggested")) == {"3"}
    keys = [row.account_key for row in match_candidates(con, "decided").rows]
    assert {
        row.decided_by for row in decisions_by_account(con, MATCH_OVERRIDES, keys).values()
    } == {"Grace"}
    save_match_overrides(loaded.store, [nobody._replace(account_id="1")], "Hal")
    MATCH_OVERRIDES.withdraw(loaded.store, [{"integration": "figma", "account_id": "2"}], "Hal")
    con.rollback()
    assert {name: row[0] for name, row in candidates(con, "decided").items()} == {"1": None}
    assert set(candidates(con, "suggested")) == {"2", "3"}


BYRON = MatchOverride("figma", "8", "She says so.", "okta", "00u9", "Lady Byron", "byron@x.io")


def unmatched(con: Connection, **filters: Any) -> set[str]:
    con.rollback()
    names = set(usernames(con, match="unmatched", **filters))
    counted = dict(list_choices(con, Filters(**filters), "match").shown)
    everyone = count_accounts(con, Filters(**filters))
    assert states_as_of(con, (), filters.get("as_of"))["unmatched"].sum() == len(names)
    assert counted == {"unmatched": len(names), "matched": everyone - len(names)}
    return names


def test_an_override_applies_to_every_query_and_changes_no_history(
    loaded: Deliveries, con: Connection
):
    before, history = unmatched(con), con.execute(select(account_version)).all()
    assert "a8" in before
    save_match_overrides(
        loaded.store,
        [BYRON, MatchOverride("figma", "7", "A robot.")],
        "Grace",
        decided_at=MONDAY,
    )
    assert unmatched(con) == before - {"a8"}
    assert unmatched(con, as_of=MONDAY - timedelta(seconds=1)) == before
    assert unmatched(con, as_of=MONDAY) == before - {"a8"}
    for moment in (None, MONDAY):
        assert usernames(con, q="byron X.IO", as_of=moment) == ["a8"]
        by_user = usernames(con, sort="user", integration=("figma",), as_of=moment)
        assert by_user[:2] == ["a9", "a8"]
        filters = Filters(q="a8", as_of=moment)
        (row,) = page_of_accounts(con, filters, sort="user", descending=False, page=1)
        assert (row.user_name, row.user_email) == ("Lady Byron", "byron@x.io")
    for form, file in FORMATS.items():
        content = content_of(file.write, Listing(con, ListRequest(Filters(q="a8"))))
        if form == "xlsx":
            with ZipFile(BytesIO(content)) as book:
                content = b"".join(map(book.read, book.namelist()))
        if form == "parquet":
            content = str(parquet.read_table(BytesIO(content)).to_pylist()).encode()
        assert all(each in content for each in (b"Lady Byron", b"Matched by", b"Grace")), form
    (key,) = con.scalars(select(account.c.account_key).where(account.c.account_id == "8"))
    assert account_details(con, Filters(), [key])[key].account.user_name == "Lady Byron"
    account_8 = {"integration": "figma", "account_id": "8"}
    MATCH_OVERRIDES.withdraw(loaded.store, [account_8], "Hal", MONDAY + timedelta(hours=1))
    assert unmatched(con) == before
    assert unmatched(con, as_of=MONDAY) == before - {"a8"}
    assert con.execute(select(account_version)).all() == history


def test_a_user_in_the_snapshot_takes_precedence_over_an_override(
    loaded: Deliveries, con: Connection
):
    save_match_overrides(loaded.store, [BYRON, BYRON._replace(account_id="9")], "Grace")
    loaded.take(an_account("a8", account_id="8", user="Eve"), an_account("a9"), at=MONDAY)
    assert usernames(con, q="byron@x.io") == []
    assert usernames(con, q="eve", integration=("figma",)) == ["a8"]


def test_an_override_applies_again_when_a_removed_integration_returns(
    loaded: Deliveries, con: Connection
):
    save_match_overrides(loaded.store, [BYRON], "Grace")
    remove_snapshot(loaded.store, "figma", TODAY)
    loaded.take(an_unmatched_account("other"), integration="slack")  # may get a key of before
    assert unmatched(con) == {"other"}
    loaded.take(*ACCOUNTS)
    assert unmatched(con) & {"a7", "a8", "other"} == {"a7", "other"}


def test_without_personal_data_the_counts_are_the_same(home: Home, tmp_path: Path):
    store = open_store(home.database_url)
    Deliveries(store, tmp_path).take(*ACCOUNTS)
    save_match_overrides(store, [BYRON], "Grace")
    for personal in PersonalData:
        with restricted_engine(store, Visibility(("figma",), personal)).connect() as con:
            assert count_accounts(con, Filters(match="unmatched")) == 7, personal


def test_a_rebuild_copies_overrides_and_okta_is_recognized_as_a_directory(
    home: Home, tmp_path: Path
):
    """By its format, not by what a heading says."""
    users = tmp_path / "users.json"
    users.write_text(
        '[{"id": "00u1", "status": "ACTIVE", "created": "2026-01-01T00:00:00Z",'
        ' "profile": {"login": "ada@x.io", "firstName": "Ada", "email": "ada@x.io"}}]'
    )
    own = tmp_path / "own.csv"
    own.write_text("login,externalId,Read as Okta users\nada,00u1,yes\n")
    for path, name in ((users, "okta"), (own, "figma")):
        put_into_inbox(home, SnapshotFile(path, name, TODAY))
    store = open_store(home.database_url)
    load_inbox(store, home)
    with store.connect() as con:
        assert directory_names(con) == ("okta",)
        save_directories(store, {"figma": True})
    save_match_overrides(
        store, [MatchOverride("figma", "ada", "x", "okta", "00u1", "Ada", "ada@x.io")], "Grace"
    )
    close_stores()
    rebuild(home, lambda *_: None)
    with open_store(home.database_url).connect() as con:
        assert directory_names(con) == ("figma", "okta")
    save_directories(store := open_store(home.database_url), {"figma": False})
    with store.connect() as con:
        (override,) = match_candidates(con, "decided").rows
        assert (override.account_id, override.user_name, override.evidence) == ("ada", "Ada", "x")
        assert unmatched(con) == set()


def page(name: str = "matching", **params: str) -> AppTest:
    run = AppTest.from_file(PAGE.with_name(f"{name}.py"), default_timeout=PATIENCE)
    run.query_params.update(params)
    run.run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def press(run: AppTest, label: str) -> AppTest:
    next(b for b in run.button if b.label == label).click().run()
    assert not run.exception, [error.message for error in run.exception]
    return run


def table(run: AppTest) -> Any:
    drawn = [json.loads(c.proto.json) for c in run.get("bidi_component")]
    return next((component for component in drawn if "rows" in component), None)


def column(run: AppTest, name: str) -> list[str]:
    return [
        row["cells"][name].get("title") or row["cells"][name]["text"] for row in table(run)["rows"]
    ]


def decide(run: AppTest, label: str, *usernames: str) -> AppTest:
    """Mark accounts, press a button of the bar, and confirm it under a name."""
    ids = [row["id"] for row in table(run)["rows"] if row["label"] in usernames]
    run.session_state["matches"] = {"marked": [label, ids]}
    run.run()
    run.text_input(key="said_by").set_value("Grace").run()
    run.button(key="decide").click().run()
    assert not run.exception, [error.message for error in run.exception]
    return page()


def test_the_page_suggests_owners_and_assigns_none(home: Home, tmp_path: Path):
    assert not table(page())  # nothing is loaded
    made = Deliveries(open_store(home.database_url), tmp_path)
    made.take(*PEOPLE, integration="okta")
    made.take(*ACCOUNTS)
    run = page()
    assert not table(run)  # first a person says which list is of people
    run = press(run.multiselect[0].set_value(["okta"]).run(), "Save directories")
    assert "3 suggested, 3 ambiguous, 2 no candidate, 0 decided" in run.caption[0].value
    assert column(run, "person") == ["Ada · Ada@x.io", "Ada · Ada@x.io", "Bob · bob@x.io"]
    assert table(page(sort="-person"))["rows"][0]["cells"]["person"]["text"] == "Bob · bob@x.io"
    run.segmented_control[0].set_value("nobody").run()
    assert column(run, "username_in_app") == ["a7", "a8"]
    assert table(run)["marks"]["actions"] == [], "nothing to decide without a person"


def test_marked_suggestions_are_assigned_rejected_and_withdrawn(home: Home, tmp_path: Path):
    made = Deliveries(open_store(home.database_url), tmp_path)
    made.take(*PEOPLE, integration="okta")
    made.take(*ACCOUNTS)
    save_directories(made.store, {"okta": True})
    first, second, third = column(page(), "username_in_app")
    run = decide(page(), "Assign to this person", first, second)
    assert column(run, "username_in_app") == [third]
    run = decide(run, "No owner", third)
    assert "0 suggested, 3 ambiguous, 2 no candidate, 3 decided" in run.caption[0].value
    run.segmented_control[0].set_value("decided").run()
    assert column(run, "person") == ["Ada · Ada@x.io", "Ada · Ada@x.io", "No owner"]
    assert set(column(run, "decided_by")) == {"Grace"}
    decide(run, "Withdraw", first, third)
    assert column(page(), "username_in_app") == [first, third]


def test_an_override_is_shown_with_the_account(home: Home, tmp_path: Path):
    made = Deliveries(open_store(home.database_url), tmp_path)
    made.take(*ACCOUNTS[:1])
    save_match_overrides(
        made.store, [MatchOverride("figma", "1", "It is.", "okta", "u1", "Ada", "a@x.io")], "Grace"
    )
    drawn = [json.loads(c.proto.json) for c in page("users").get("bidi_component")]
    (row,) = next(component["rows"] for component in drawn if "rows" in component)
    assert "Ada" in str(row["cells"]["user"])
    assert "matched by Grace" in str(row["cells"]["user"])


def test_the_time_of_an_override_is_shown_in_the_reader_s_time_zone(home: Home, tmp_path: Path):
    made = Deliveries(open_store(home.database_url), tmp_path)
    made.take(*PEOPLE, integration="okta")
    made.take(*ACCOUNTS[:1])
    save_directories(made.store, {"okta": True})
    save_match_overrides(
        made.store, [MatchOverride("figma", "1", "It is.", "okta", "u1", "Ada", "a@x.io")], "Grace"
    )
    with made.store.connect() as con:
        (override,) = match_candidates(con, "decided").rows
    run = page(tz="Asia/Tokyo").segmented_control[0].set_value("decided").run()
    there = f"{override.decided_at + timedelta(hours=9):%Y-%m-%d %H:%M} Asia/Tokyo"
    assert column(run, "decided_at") == [there]
