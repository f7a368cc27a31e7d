"""Tables that list no accounts are not loaded as such: logs, histories, tables on their side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deliveries import MONDAY, TUESDAY, accounts, deliver, rejections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from test_proposals import as_csv, propose

from data.files.errors import MostlyRejected, NotAListOfAccounts, NoUsernameColumn
from data.files.mapping import ColumnMapping
from data.history.load_report import load_report
from data.history.reject import IS_GROUP

LOG = "looks like a log or a history"
HOURS = st.integers(0, 23).map(lambda hour: f"2026-11-20T{hour:02}:15:00Z")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "Timestamp,User,Action\n2026-11-20T08:15:00Z,mira,login\n",
         "each row has “Action” and “Timestamp”"),
        ("a.csv", "Zeitpunkt;Benutzer;Aktion;Rolle\n20.11.2026 08:15;mira;Entzogen;Admin\n",
         "each row has “Aktion” and “Zeitpunkt”"),
        ("a.json", json.dumps([{"eventName": "login", "eventTime": "2026-11-20T08:15:00Z"}]),
         "each row has “eventName” and “eventTime”"),
        ("a.csv", "username,role,connected_at\n"
         "mira,Admin,2026-11-20T08:15Z\nmira,Admin,2026-11-21T08:15Z\nteo,Guest,2026-11-21T08:15Z",
         "“connected_at” differs between the rows of one username: 3 rows of 2 usernames"),
        ("a.csv", "Username,Updated at,Field\n"
         "mira,2026-11-20T08:15Z,Phone\nmira,2026-11-21T08:15Z,Title\n",
         "“Updated at” differs between the rows of one username: 2 rows of 1 username"),
    ],
)  # fmt: skip
def test_a_log_is_rejected_with_its_reason(
    store: Engine, tmp_path: Path, name: str, content: str, reason: str
):
    with pytest.raises(NotAListOfAccounts, match=LOG) as rejection:
        deliver(store, tmp_path, content, name)
    assert reason in str(rejection.value)
    assert not accounts(store)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    users=st.lists(st.sampled_from(["mira", "teo", "ines"]), min_size=4, max_size=9),
    hours=st.lists(HOURS, min_size=9, max_size=9, unique=True),
    order=st.randoms(use_true_random=False),
)
def test_rows_of_one_username_with_other_times_are_no_accounts_in_any_order(
    tmp_path: Path, users: list[str], hours: list[str], order: object
):
    rows = [[user, hour, "x"] for user, hour in zip(users, hours, strict=False)]
    order.shuffle(rows)  # pyright: ignore[reportAttributeAccessIssue]
    assert propose(tmp_path, as_csv([["Login", "Seen in", "Via"], *rows])).events


@pytest.mark.parametrize(
    "content",
    [
        "Username,Role,Assigned on\nmira,Admin,2026-11-20\nmira,Guest,2026-11-21\nteo,Guest,\n",
        "Username,Last login\nmira,2026-11-20\nmira,2026-11-21\nteo,2026-11-21",
        "Username,Created\n" + "".join(f"u{n},2026-11-20\n" for n in range(9)) + "u1,2026-11-21\n",
        "Username,Action\nmira,Edit\nteo,Edit\n",
        "Username,Time,Role\nmira,2026-11-20,Admin\nteo,2026-11-20,Guest\n",
    ],
)
def test_a_list_with_times_is_no_log(tmp_path: Path, content: str):
    assert propose(tmp_path, content).events == ""


def test_a_person_can_say_what_the_time_is(store: Engine, tmp_path: Path):
    content = "username,time,action\nmira,2026-11-20,in\nmira,2026-11-21,in\nteo,2026-11-19,in\n"
    saved = ColumnMapping({"last_sign_in": ("time",)})
    assert propose(tmp_path, content, saved=saved).events == ""


def test_a_table_on_its_side_lists_no_accounts(store: Engine, tmp_path: Path):
    with pytest.raises(NoUsernameColumn, match="Found: Username, mira, teo"):
        deliver(store, tmp_path, "Username,mira,teo\nName,Mira,Teo\nRole,Admin,Guest\n")


def test_an_account_can_be_called_user_or_login(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "Username,Role\nuser,Admin\nlogin,Guest\nusername,Guest\n")
    assert set(accounts(store)) == {"user", "login", "username"}


def test_rows_of_groups_are_no_accounts(store: Engine, tmp_path: Path):
    groups = "ops,Security Group\ndevs,group\nall,Group\n"
    loaded = deliver(store, tmp_path, f"login,Principal type\nmira,User\n{groups}bot,Service\n")
    assert (set(accounts(store)), loaded.rejected) == ({"mira", "bot"}, 3)
    assert {reason for _, _, reason in rejections(store)} == {IS_GROUP}
    with pytest.raises(MostlyRejected, match="line 2: The row is a group"):
        deliver(store, tmp_path, "login,KIND\nops,Group\ndevs,Group\n", taken_at=TUESDAY)


def test_rows_that_may_be_groups_are_worth_a_look(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "login,Type\nmira,Direct\nteo,Group\n")
    with store.connect() as con:
        warnings = load_report(con, "figma", MONDAY).warnings()
    assert "“Type” says that some rows are groups, not accounts. Check them." in warnings
    assert set(accounts(store)) == {"mira", "teo"}


def test_titles_over_several_columns_are_no_headings(store: Engine, tmp_path: Path):
    content = ",Access,Access,State\nLogin,Role,Group,Status\nmira,Admin,Ops,Active\n"
    deliver(store, tmp_path, content)
    assert (accounts(store)["mira"]["roles"], accounts(store)["mira"]["active_in_app"]) == (
        ["Admin"],
        True,
    )
