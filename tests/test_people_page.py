"""The People page, the rules about people, and the filters that open their accounts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account, usernames
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from streamlit.testing.v1 import AppTest

from data.access.roles import PersonalData, Visibility
from data.home import Home
from data.people.directories import save_directories
from data.records.exceptions import read_rule_settings
from data.schema import account_current
from data.store.engine import close_store, open_store, restricted_engine
from queries.evidence.accounts import accounts_listing, accounts_pack
from queries.evidence.findings import Findings, findings_pack
from queries.evidence.pack import write_pack
from queries.evidence.proof import verify
from queries.filters import Filters
from queries.people.accounts import ACCOUNT_STATUSES, OWNERS
from queries.people.cells import matrix_cells
from queries.people.owner import account_owner
from queries.review.duration import View
from queries.review.findings import page_of_findings
from queries.review.rules import RULE_BY_NAME
from queries.scope import Scope
from queries.users.accounts import count_accounts

PAGE = Path(__file__).parent.parent / "pages" / "people.py"


def employee(name: str, **facts: Any) -> dict[str, Any]:
    return an_account(f"{name}@x.io", user=name, email=f"{name}@x.io", upstream_id=name, **facts)


def an_office(snapshots: Deliveries) -> None:
    """Ada stays, Bob is disabled today, Cyd leaves today, and nobody knows the robot."""
    ada, bob, cyd = map(employee, ("ada", "bob", "cyd"))
    snapshots.take(ada, bob, cyd, integration="hr", at=YESTERDAY)
    accounts = [
        an_unmatched_account("ADA@x.io", upstream_id=None),
        an_account("b", email="Bob@x.io", upstream_id=None),
        an_unmatched_account("c", upstream_id="cyd", roles=["Editor"]),
        an_unmatched_account("robot", upstream_id=None, active=""),
    ]
    snapshots.take(*accounts, at=YESTERDAY)
    accounts[2] = {**accounts[2], "roles": ["Editor", "Admin"]}
    snapshots.take(*accounts, at=TODAY)
    snapshots.take(ada, {**bob, "active_in_app": "no"}, integration="hr", at=TODAY)
    save_directories(snapshots.store, {"hr": True})


def found(con: Connection, name: str, **view: Any) -> dict[str, Any]:
    rows = page_of_findings(con, View(**view), RULE_BY_NAME[name], 1)
    return {row.username_in_app: (row.since, row.detail) for row in rows}


def test_accounts_of_people_who_left_or_are_disabled_are_found(
    snapshots: Deliveries, con: Connection
) -> None:
    an_office(snapshots)
    left = "Left 2026-11-23 06:00; active 0 days later"
    assert found(con, "person_left") == {"c": (TODAY, left)}
    assert found(con, "person_left", as_of=YESTERDAY) == {}
    disabled = "Disabled 2026-11-23 06:00; active 0 days later"
    assert found(con, "person_disabled") == {"b": (TODAY, disabled)}


def test_filters_open_what_a_cell_counts(snapshots: Deliveries, con: Connection) -> None:
    an_office(snapshots)
    figma: dict[str, Any] = {"integration": ("figma",)}
    assert usernames(con, person="left") == ["c"]
    assert usernames(con, person="disabled", account="active") == ["b"]
    assert usernames(con, person="nobody", **figma) == ["robot"]
    assert usernames(con, person="active", as_of=YESTERDAY, **figma) == ["ADA@x.io", "b", "c"]


def test_a_pack_proves_who_left_from_the_directory_too(home: Home, tmp_path: Path) -> None:
    folder = home.root / "archive"
    an_office(Deliveries(open_store(home.database_url), folder))
    path = tmp_path / "pack.zip"
    with open_store(home.database_url).connect() as con:
        view = View(integration=("figma",), limits=read_rule_settings(con))
        rules = [RULE_BY_NAME[name] for name in ("person_left", "gained_after_leave")]
        write_pack(findings_pack(Findings(con, view, rules)), path)
        listed = accounts_listing(con, Filters(person="left"), TODAY)
        write_pack(accounts_pack(listed, TODAY), tmp_path / "list.zip")
    assert len(json.loads(ZipFile(path).read("findings.json"))) == 1
    assert verify(path, home, lambda *_: None).problems == []
    assert verify(tmp_path / "list.zip", home, lambda *_: None).problems == []


CHOICES = st.lists(
    st.tuples(
        st.sampled_from(["ada", "bob", "cyd", "dan", "svc"]),
        st.sampled_from(["email", "id", "name"]),
        st.sampled_from(["yes", "no", ""]),
        st.sampled_from(["Onboarded", "Delete failed", "Deleted", "Update failed"]),
    ),
    min_size=6,
    max_size=12,
)


@given(
    apps=st.lists(CHOICES, min_size=1, max_size=2),
    staff=st.lists(st.sets(st.sampled_from(["ada", "bob", "cyd"])), min_size=1, max_size=3),
)
@settings(max_examples=3)
def test_every_account_is_in_one_cell_and_each_cell_opens_its_accounts(
    apps: list[Any], staff: list[set[str]], tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("cells")
    url = f"duckdb:///{folder}/store.duckdb"
    made = Deliveries(store := open_store(url), folder)
    for day, names in enumerate(staff):
        made.take(*map(employee, sorted(names)), integration="hr", at=TODAY.replace(day=day + 1))
    for number, chosen in enumerate(apps):
        accounts = []
        for index, (name, way, active, state) in enumerate(chosen):
            facts = {"account_id": str(index), "active": active, "state": state}
            email = f"{name}@X.io" if way == "email" else None
            user = name if way == "name" else None
            upstream = name if way == "id" else None
            accounts.append(an_account(f"u{index}", user=user, email=email,
                                       upstream_id=upstream, **facts))  # fmt: skip
        made.take(*accounts, integration=f"app{number}", at=TODAY)
    save_directories(store, {"hr": True})
    with store.connect() as con:
        for as_of in (None, TODAY.replace(day=2)):
            cells = matrix_cells(con, Scope(as_of=as_of), None)
            assert sum(cell.accounts for cell in cells) == count_accounts(con, Filters(as_of=as_of))
            for cell in cells:
                filters = Filters(
                    integration=(cell.integration,),
                    person=cell.person,
                    account=cell.account,
                    as_of=as_of,
                )
                assert count_accounts(con, filters) == cell.accounts
    close_store(url)


def test_readers_without_names_get_the_same_counts(home: Home, tmp_path: Path) -> None:
    store = open_store(home.database_url)
    an_office(Deliveries(store, tmp_path))
    with store.connect() as con:
        expected = matrix_cells(con, Scope(), None)
    for personal in PersonalData:
        with restricted_engine(store, Visibility(None, personal)).connect() as con:
            assert matrix_cells(con, Scope(), None) == expected
    with restricted_engine(store, Visibility(("figma",))).connect() as con:
        assert {cell.person for cell in matrix_cells(con, Scope(), None)} == {"nobody"}


def test_the_page_says_who_left_and_links_each_count(home: Home, tmp_path: Path) -> None:
    store = open_store(home.database_url)
    an_office(Deliveries(store, tmp_path))
    page = AppTest.from_file(PAGE, default_timeout=60).run()
    assert not page.exception
    assert page.subheader[0].value.startswith("1 active account of people who left, the oldest")
    assert page.text[0].value == "3 people: 1 active, 1 disabled, 1 left."
    drawn = "".join(element.proto.body for element in page.get("html"))
    assert "users?person=left&amp;account=active&amp;integration=figma" in drawn.replace(
        "integration=figma&amp;person=left&amp;account=active",
        "person=left&amp;account=active&amp;integration=figma",
    )
    assert len(ACCOUNT_STATUSES) * (len(OWNERS) - 1) * 2 == drawn.count("<td")


def test_the_panel_explains_how_a_person_is_known_or_why_nobody_is(
    snapshots: Deliveries, con: Connection
) -> None:
    an_office(snapshots)
    snapshots.take(
        an_unmatched_account("mixed", upstream_id="ada", Email="bob@x.io"),
        an_account("d", email="ADA@x.io", upstream_id="other"),
        integration="slack",
    )
    keys = {row.username_in_app: row.account_key for row in con.execute(select(account_current))}
    owners = {name: account_owner(con, None, key) for name, key in keys.items()}
    assert {name: owner.explanation for name, owner in owners.items() if owner} == {
        "ada@x.io": "The account is in the directory",
        "bob@x.io": "The account is in the directory",
        "ADA@x.io": "Only this person has the email",
        "b": "The snapshot names the user",
        "c": "Only this person has the upstream user ID",
        "robot": "Nobody in the directories has its upstream user ID or email",
        "mixed": "Upstream user ID and email belong to different people",
        "d": "The snapshot names the user",
    }
    (owner,) = [owner for name, owner in owners.items() if owner and name == "c"]
    assert (owner.directory and owner.directory.user_name, owner.owned.status) == ("cyd", "left")


def test_a_role_gained_after_the_leave_is_found_while_it_is_held(
    snapshots: Deliveries, con: Connection
) -> None:
    an_office(snapshots)
    c = an_unmatched_account("c", upstream_id="cyd", roles=["Editor", "Admin"])
    later = [TODAY + timedelta(days=days) for days in (2, 4)]
    assert found(con, "gained_after_leave") == {}
    snapshots.take({**c, "roles": ["Admin", "Owner", "Root"]}, at=later[0])
    con.rollback()
    words = "Left 2026-11-23 06:00; after 2 days gained Owner, Root"
    assert found(con, "gained_after_leave") == {"c": (later[0], words)}
    snapshots.take({**c, "roles": ["Admin"]}, at=later[1])
    con.rollback()
    assert found(con, "gained_after_leave") == {}


def test_privileged_accounts_that_nobody_uses_are_found(
    snapshots: Deliveries, con: Connection
) -> None:
    def taken(days: int) -> datetime:
        return TODAY + timedelta(days=days)

    accounts = [
        an_account("idle", roles=["Admin"], **{"Last sign-in": f"{taken(-60):%F}T06:00:00Z"}),
        an_account("plain", **{"Last sign-in": f"{taken(-60):%F}T06:00:00Z"}),
        an_account("busy", roles=["Admin"], **{"Last sign-in": f"{taken(-1):%F}T06:00:00Z"}),
        an_account("unused", **{"Last sign-in": "Never"}),
        an_account("unknown"),
    ]
    for days in (0, 50, 100):
        snapshots.take(*accounts, at=taken(days))
    con.rollback()
    idle = {name: since for name, (since, _) in found(con, "idle_and_privileged").items()}
    assert idle == {"idle": taken(50), "busy": taken(100)}
    assert found(con, "never_signed_in") == {
        "unused": (taken(100), "First listed 2026-11-23 06:00")
    }
    assert found(con, "idle_and_privileged", as_of=taken(10)) == {}
