"""Files with headings of somebody's own: a mapping per integration says which column is which."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from builders import usernames
from deliveries import MONDAY, TUESDAY, accounts
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

import commands
import rollcall
from data.files.errors import InvalidMapping, NoUsernameColumn
from data.files.headers import CREDENTIAL_PATTERN
from data.files.mapping import (
    ACTIVE_VALUES,
    MAPPABLE_COLUMNS,
    ColumnMapping,
    mapping_path,
    parse_mapping,
    read_mapping,
    save_mapping,
)
from data.files.naming import SnapshotFile
from data.history.load import LoadResult, load
from data.home import Home
from data.inbox.inbox import load_inbox
from data.service.rebuild import rebuild
from data.states import STATE_NAMES
from data.store.engine import close_stores, open_store

GERMAN = (
    "Kennung;E-Mail-Adresse;Rolle;Gruppe;Gesperrt;Zustand;Kennwort;Abteilung\n"
    "ada;ada@x.io;Admin;Vertrieb;nein;aktiv;s3cret;A1\n"
    "bob;;;Einkauf;ja;in Arbeit;s3cret;A2\n"
)
TOML = """
[columns]
username_in_app = "kennung"
user_email = "E-Mail-Adresse"
roles = ["Rolle", "Gruppe"]
active_in_app = "Gesperrt"
provisioning_state = "Zustand"

[states]
Aktiv = "Onboarded"

[active]
nein = true
ja = "no"
"""


def test_a_mapping_maps_columns_and_values(store: Engine, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text(GERMAN.replace("Kennwort", "Passwort-Token"))
    load(store, SnapshotFile(path, "figma", MONDAY, parse_mapping(TOML)))
    found = accounts(store)
    ada, bob = found["ada"], found["bob"]
    assert (ada["user_email"], ada["roles"], ada["active_in_app"], ada["provisioning_state"]) == (
        "ada@x.io", ["Admin", "Vertrieb"], True, "Onboarded",
    )  # fmt: skip
    assert (bob["user_email"], bob["roles"], bob["active_in_app"], bob["provisioning_state"]) == (
        None, ["Einkauf"], False, "Unrecognised",
    )  # fmt: skip
    assert json.loads(bob["flags"]) == {"provisioning_state": "in Arbeit"}
    assert json.loads(ada["attributes"]) == {"Abteilung": "A1"}


def test_a_column_that_is_mapped_to_nothing_is_ignored(store: Engine, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("login,Status\nada,Onboarded\n")
    load(
        store, SnapshotFile(path, "figma", MONDAY, parse_mapping("columns.provisioning_state = []"))
    )
    ada = accounts(store)["ada"]
    assert (ada["provisioning_state"], ada["state_source"]) == ("Onboarded", "inferred")
    assert json.loads(ada["attributes"]) == {"Status": "Onboarded"}


def test_missing_headings_are_named(store: Engine, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("Kennung\nada\n")
    assert load(store, SnapshotFile(path, "figma", MONDAY, parse_mapping(TOML))).accepted == 1
    path.write_text("Nutzer\nada\n")
    with pytest.raises(
        NoUsernameColumn, match="has no column “kennung”, which the mapping of its integrat"
    ):
        load(store, SnapshotFile(path, "figma", TUESDAY, parse_mapping(TOML)))


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[columns", "is not valid TOML"),
        ("[colums]", r"has a section \[colums\]"),
        ("columns = 1", "is not a section"),
        ('columns.login = "x"', "has a column login; expected one of username_in_app"),
        ('columns.user_email = ["a", "b"]', "only roles and user_name can"),
        ('columns.user_email = "API key"', "named like a credential"),
        ('states.x = "Gone"', r"\[states\] “x” = “Gone”: expected Provisioning awaiting"),
        ('active.x = "perhaps"', "expected yes, no, unknown"),
    ],
)
def test_an_invalid_mapping_is_rejected_with_the_reason(toml: str, words: str):
    with pytest.raises(InvalidMapping, match=words):
        parse_mapping(toml)


WORD = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1)
HEADING = WORD.filter(str.strip).filter(lambda text: not CREDENTIAL_PATTERN.search(text))


@given(
    st.dictionaries(st.sampled_from(MAPPABLE_COLUMNS), HEADING.map(lambda text: (text,))),
    st.dictionaries(WORD.map(lambda text: text.casefold().strip()), st.sampled_from(STATE_NAMES)),
    st.dictionaries(WORD.map(lambda text: text.casefold().strip()), st.sampled_from(ACTIVE_VALUES)),
)
def test_a_mapping_survives_its_file(columns: Any, states: Any, active: Any):
    mapping = ColumnMapping(columns, states, active)
    assert parse_mapping(mapping.as_toml()) == mapping


def test_a_saved_mapping_applies_to_the_inbox_and_to_a_rebuild(home: Home):
    save_mapping(home, "figma", parse_mapping(TOML))
    assert read_mapping(home, "figma") == parse_mapping(TOML)
    assert read_mapping(home, "../figma") is read_mapping(home, "slack") is None
    path = home.inbox / "figma" / "2026-11-23T06-00-00Z.csv"
    path.parent.mkdir(parents=True)
    path.write_text(GERMAN)
    os.utime(path, (1, 1))
    (loaded,) = load_inbox(open_store(home.database_url), home)
    assert isinstance(loaded, LoadResult)
    close_stores()
    assert rebuild(home, lambda *_: None) == 1
    with open_store(home.database_url).connect() as con:
        assert usernames(con) == ["ada", "bob"]


def test_the_command_saves_its_mapping(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "m.toml").write_text(TOML)
    (tmp_path / "a.csv").write_text(GERMAN)
    how = ["--integration", "figma", "--taken-at", "2026-11-23", "--mapping", f"{tmp_path}/m.toml"]
    assert rollcall.main(["check", f"{tmp_path}/a.csv", *how]) == commands.EXIT_OK
    assert not mapping_path(home, "figma").exists()
    assert rollcall.main(["load", f"{tmp_path}/a.csv", *how]) == commands.EXIT_OK
    assert read_mapping(home, "figma") == parse_mapping(TOML)
    assert rollcall.main(["check", f"{tmp_path}/a.csv", *how[:4]]) == commands.EXIT_OK
    (tmp_path / "m.toml").write_text("[colums]")
    assert rollcall.main(["load", f"{tmp_path}/a.csv", *how]) == commands.EXIT_REJECTED
    assert "has a section [colums]" in capsys.readouterr().err


@pytest.mark.parametrize(("yes", "no"), [("X", ""), ("ja", "nein"), ("1", "0"), ("✓", "-")])
def test_a_column_named_like_a_role_says_who_has_it(
    store: Engine, tmp_path: Path, yes: str, no: str
):
    mapping = parse_mapping('[columns]\nroles = ["Admin", "Billing; EU", "Gruppe"]\n')
    path = tmp_path / "a.csv"
    path.write_text(
        f"login,Admin,Billing; EU,Gruppe\nmira,{yes},{yes},Staff\nteo,{no},{yes},\nida,{no},{no},\n"
    )
    load(store, SnapshotFile(path, "figma", MONDAY, mapping))
    assert {name: account["roles"] for name, account in accounts(store).items()} == {
        "mira": ["Admin", "Billing; EU", "Staff"],
        "teo": ["Billing; EU"],
        "ida": [],
    }


def test_what_is_no_mark_in_a_column_named_like_a_role_is_a_role(store: Engine, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("login,Level,Role\nmira,1,Yes\nteo,2,\nida,x,\n")
    mapping = parse_mapping('[columns]\nroles = ["Level", "Role"]\n')
    load(store, SnapshotFile(path, "figma", MONDAY, mapping))
    found = [accounts(store)[name]["roles"] for name in ("mira", "teo", "ida")]
    assert found == [["1", "Yes"], ["2"], ["Level"]]


def test_a_mark_that_can_mean_yes_or_no_is_flagged(store: Engine, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("login,Admin,Guest\nmira,×,x\nteo,,+\n")
    mapping = parse_mapping('[columns]\nroles = ["Admin", "Guest"]\n')
    load(store, SnapshotFile(path, "figma", MONDAY, mapping))
    found = accounts(store)
    assert [found[name]["roles"] for name in ("mira", "teo")] == [[], []]
    flags = [json.loads(found[name]["flags"]) for name in ("mira", "teo")]
    assert flags == [{"roles": "×"}, {"roles": "+"}]


def test_each_column_of_roles_is_parted_by_its_own_separator(store: Engine, tmp_path: Path):
    mapping = parse_mapping('[columns]\nroles = ["Role", "Groups", "Teams"]\n')
    path = tmp_path / "a.csv"
    path.write_text(
        'login,Role,Groups,Teams\nmira,"R, D",A;B,"x, y"\nteo,Admin,,\nida,,"[""A;B""]",Admin\n'
        "ada,N/A,C,System.String[]\n"
    )
    load(store, SnapshotFile(path, "figma", MONDAY, mapping))
    assert {name: account["roles"] for name, account in accounts(store).items()} == {
        "mira": ["A", "B", "D", "R", "x", "y"],
        "teo": ["Admin"],
        "ida": ["A;B", "Admin"],
        "ada": [],
    }
    assert json.loads(accounts(store)["ada"]["flags"]) == {"roles": "System.String[]"}
