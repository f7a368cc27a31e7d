"""Exports as administrators have them: each value is the right one, or a person is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deliveries import MONDAY, accounts, deliver, rejections
from sqlalchemy import Engine
from test_proposals import propose

from data.files.errors import NoUsernameColumn, OnHold
from data.files.mapping import parse_mapping
from data.files.naming import SnapshotFile
from data.history.load import load

PER_APP = (
    "User,Email,Application,Role\n"
    "Mira Solberg,m@x.io,Jira,Admin\nMira Solberg,m@x.io,GitLab,Reader\n"
    "Teo Brandt,t@x.io,GitLab,Admin\nTeo Brandt,t@x.io,Jira,Admin\n"
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (  # Drupal: `login` is a time, `name` signs in
            "uid,name,mail,status,login\n1,mira,m@x.io,1,1795162500\n2,teo,t@x.io,0,1795162400\n",
            {"mira": ("m@x.io", True), "teo": ("t@x.io", False)},
        ),
        (  # ServiceNow: people sign in with the user ID
            "User ID,Name,Email,Active\nmira.solberg,Mira,m@x.io,true\nteo.brandt,Teo,t@x.io,false",
            {"mira.solberg": ("m@x.io", True), "teo.brandt": ("t@x.io", False)},
        ),
        (  # an ID that a computer made
            "User ID,Name,Email\nusr8Jk2,Mira,m@x.io\nusr9Qx4,Teo,t@x.io\n",
            {"m@x.io": ("m@x.io", None), "t@x.io": ("t@x.io", None)},
        ),
        (  # Salesforce: an account is a company
            "First Name,Last Name,Account Name,Email\nMira,S,Acme,m@x.io\nTeo,B,Acme,t@x.io\n",
            {"m@x.io": ("m@x.io", None), "t@x.io": ("t@x.io", None)},
        ),
        (
            "userName,email,userStatus\nMira Solberg,m@x.io,Active\nTeo Brandt,t@x.io,Closed\n",
            {"m@x.io": ("m@x.io", True), "t@x.io": ("t@x.io", False)},
        ),
        (
            "Benutzername;E-Mail;Konto deaktiviert\nmira;m@x.io;FALSCH\nteo;t@x.io;WAHR\n",
            {"mira": ("m@x.io", True), "teo": ("t@x.io", False)},
        ),
        (
            "objectGUID,sAMAccountName,mail,cn\n,mira,m@x.io,Mira\n,krbtgt,,krbtgt\n",
            {"mira": ("m@x.io", None), "krbtgt": (None, None)},
        ),
        (  # SuccessFactors has the headings for programs, and those for people
            "USERID,USERNAME,EMAIL\nUser ID,User Name,Email\n7,mira,m@x.io\n8,teo,t@x.io\n",
            {"mira": ("m@x.io", None), "teo": ("t@x.io", None)},
        ),
        (  # psql draws no bar after an empty last cell
            " id | username | email  | enabled \n----+----+----+----\n 1 | mira | m@x.io | t\n"
            " 2 | teo |        | \n(2 rows)\n",
            {"mira": ("m@x.io", True), "teo": (None, None)},
        ),
    ],
)
def test_who_has_an_account_is_read_by_headings_and_values(
    store: Engine, tmp_path: Path, content: str, expected: dict[str, Any]
):
    deliver(store, tmp_path, content)
    found = {name: (a["user_email"], a["active_in_app"]) for name, a in accounts(store).items()}
    assert found == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("login,status\nmira,0\nteo,0\n", "Active in app is not read; it could be “status”"),
        ("login,state\nmira,1\nteo,2\n", "Active in app is not read; it could be “state”"),
        ("Username,Application\nmira,Jira\nmira,GitLab\nteo,Jira\n", "it could be “Application”"),
    ],
)
def test_what_can_be_a_code_or_an_access_waits_for_a_person(
    store: Engine, tmp_path: Path, content: str, words: str
):
    with pytest.raises(OnHold, match=words):
        deliver(store, tmp_path, content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("mira@x.io,Admin\nteo@x.io,User\n", r"no line of headings.*“mira@x\.io”.*Add a line"),
        ("user,m@x.io,active\nteo,t@x.io,active\n", "no line of headings"),
        ("AccountName,PrincipalName\nprod,m@x.io\ndev,m@x.io\n", "“AccountName” and “Principal"),
        ("User Name,Plan\nMira Solberg,Pro\nTeo Brandt,Free\n", "It could be “User Name”"),
    ],
)
def test_a_table_that_does_not_say_who_signs_in_is_refused_with_the_way_on(
    store: Engine, tmp_path: Path, content: str, words: str
):
    with pytest.raises(NoUsernameColumn, match=words):
        deliver(store, tmp_path, content)


def test_a_column_with_values_that_contradict_its_name_is_in_the_load_report(tmp_path: Path):
    remarks = propose(tmp_path, 'login,user,Last modified\nmira,"{""id"": 1}",46345\n').remarks()
    assert remarks[-2:] == [
        "“Last modified” is not read as Last updated: it has numbers.",
        "“user” is not read as User (name and email): it has lists.",
    ]


# ---- a row per role and application --------------------------------------------------------------


@pytest.mark.parametrize("is_reversed", [False, True])
def test_roles_of_a_list_with_a_row_per_application_say_on_which(
    store: Engine, tmp_path: Path, is_reversed: bool
):
    headings, *rows = PER_APP.splitlines()
    content = "\n".join([headings, *(reversed(rows) if is_reversed else rows)])
    assert deliver(store, tmp_path, content).rejected == 0
    assert {name: account["roles"] for name, account in accounts(store).items()} == {
        "m@x.io": ["Admin on Jira", "Reader on GitLab"],
        "t@x.io": ["Admin on GitLab", "Admin on Jira"],
    }


def test_a_list_of_one_application_has_plain_roles(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, PER_APP.replace("GitLab", "Jira"))
    assert accounts(store)["m@x.io"]["roles"] == ["Admin", "Reader"]
    assert json.loads(accounts(store)["m@x.io"]["attributes"]) == {"Application": "Jira"}


def test_two_accounts_of_one_username_are_no_rows_of_one_account(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "id,login,Role,Site\n1,mira,Admin,Oslo\n2,mira,Admin,Rome\n")
    assert [account["roles"] for account in accounts(store).values()] == [["Admin"]]


def test_a_person_decides_what_roles_are_on(store: Engine, tmp_path: Path):
    (tmp_path / "a.csv").write_text(PER_APP)
    mapping = parse_mapping("[columns]\nrole_resource = []\n")
    load(store, SnapshotFile(tmp_path / "a.csv", "figma", MONDAY, mapping))
    assert accounts(store)["m@x.io"]["roles"] == ["Admin", "Reader"]
    assert len(rejections(store)) == 1
