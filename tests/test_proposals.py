"""Tables of a person's own: each column is read by its heading and by what is in it."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from deliveries import MONDAY, accounts, deliver, rejections
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from data.files.errors import NoUsernameColumn, OnHold
from data.files.headers import SYNONYMS, own_columns
from data.files.mapping import NO_MAPPING, ColumnMapping, parse_mapping
from data.files.naming import SnapshotFile
from data.files.other_rows import NOT_AN_ACCOUNT
from data.files.profile import SAMPLE_ROWS, profile_of
from data.files.proposal import Proposal
from data.history.load import LoadResult, load
from data.history.load_report import load_report
from data.sources.delivery import inspect_file


def propose(
    folder: Path, content: str, name: str = "a.csv", saved: ColumnMapping = NO_MAPPING
) -> Proposal:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    with sa.create_engine("duckdb:///:memory:").connect() as con:
        proposal = inspect_file(con, path, mapping=saved).proposal
    assert proposal
    return proposal


def as_csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def headings_of(proposal: Proposal) -> dict[str, str]:
    return {name: " + ".join(found) for name, found in proposal.mapping.columns.items() if found}


# ---- columns that are unmistakable ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (
            "User Name,Email,Active\nmira,mira@x.io,Yes\nteo,teo@x.io,No\n",
            {"username_in_app": "User Name", "user_email": "Email", "active_in_app": "Active"},
        ),
        (
            "User,User Name,Role\nMira Solberg,mira,Admin\nTeo Brandt,teo,Editor\n",
            {"username_in_app": "User Name", "user_text": "User", "roles": "Role"},
        ),
        (
            "userPrincipalName,displayName,mail,objectId,accountEnabled,state,ageGroup\n"
            "mira@x.io,Mira Solberg,m@x.io,0b1d5c1e-0001-4a6e-9a51-000000000001,True,WA,Adult\n"
            "teo#EXT#@x.io,Teo Brandt,,0b1d5c1e-0002-4a6e-9a51-000000000002,False,OR,Adult\n",
            {
                "username_in_app": "userPrincipalName",
                "account_id": "objectId",
                "user_name": "displayName",
                "user_email": "mail",
                "active_in_app": "accountEnabled",
            },
        ),
        (
            "Email,First Name,Last Name,Status,Last Login\n"
            "mira@x.io,Mira,Solberg,Active,11/20/2026 08:14:05 AM\n"
            "teo@x.io,Teo,Brandt,Deactivated,03/04/2026 08:14:05 AM\n",
            {
                "username_in_app": "Email",
                "user_name": "First Name + Last Name",
                "user_email": "Email",
                "active_in_app": "Status",
                "last_sign_in": "Last Login",
            },
        ),
        (
            "Benutzername;E-Mail-Adresse;Vollständiger Name;Rolle;Zustand;Geändert am\n"
            "mira;m@x.de;Mira Solberg;Admin;aktiv;23.11.2026\nteo;t@x.de;Teo;Gast;gesperrt;\n",
            {
                "username_in_app": "Benutzername",
                "user_name": "Vollständiger Name",
                "user_email": "E-Mail-Adresse",
                "roles": "Rolle",
                "active_in_app": "Zustand",
                "last_updated": "Geändert am",
            },
        ),
        (
            "Gebruikersnaam,Voornaam,Achternaam,E-mailadres,Rollen,Actief,Laatste aanmelding\n"
            "mira,Mira,Solberg,m@x.nl,Beheerder,Ja,2026-11-20\nteo,Teo,Brandt,t@x.nl,Lezer,Nee,\n",
            {
                "username_in_app": "Gebruikersnaam",
                "user_name": "Voornaam + Achternaam",
                "user_email": "E-mailadres",
                "roles": "Rollen",
                "active_in_app": "Actief",
                "last_sign_in": "Laatste aanmelding",
            },
        ),
        (
            "Nome utente,Nome,Cognome,Indirizzo e-mail,Ruoli,Stato,Ultima modifica\n"
            "mira,Mira,Rossi,m@x.it,Lettore,Attivo,2026-11-20\nteo,Teo,Bo,t@x.it,,Sospeso,\n",
            {
                "username_in_app": "Nome utente",
                "user_name": "Nome + Cognome",
                "user_email": "Indirizzo e-mail",
                "roles": "Ruoli",
                "active_in_app": "Stato",
                "last_updated": "Ultima modifica",
            },
        ),
        (
            "Prénom,Nom,Courriel,Statut\nMira,Solberg,m@x.fr,Actif\nTeo,Brandt,t@x.fr,Inactif\n",
            {
                "username_in_app": "Courriel",
                "user_name": "Prénom + Nom",
                "user_email": "Courriel",
                "active_in_app": "Statut",
            },
        ),
        (
            "Account,user_id,email\nacme,auth0|5f7c,m@x.io\nacme,auth0|5f7d,t@x.io\n"
            "acme,auth0|5f7e,i@x.io\nacme,auth0|5f7f,o@x.io\n",
            {"username_in_app": "email", "account_id": "user_id", "user_email": "email"},
        ),
        (
            "User principal name,License cost,Block credential\nmira,$12.00,False\nteo,$0,True\n",
            {"username_in_app": "User principal name", "active_in_app": "Block credential"},
        ),
        (
            "Nombre de usuario,Nombre,Apellidos,Estado\nmira,Mira,Solberg,Activo\n",
            {
                "username_in_app": "Nombre de usuario",
                "user_name": "Nombre + Apellidos",
                "active_in_app": "Estado",
            },
        ),
        (
            "Login,Nome completo,Função,Situação\nmira,Mira Solberg,Admin,Ativo\n",
            {
                "username_in_app": "Login",
                "user_name": "Nome completo",
                "roles": "Função",
                "active_in_app": "Situação",
            },
        ),
        (
            "ユーザー名,姓,名,メールアドレス,権限,ステータス\nmira,外山,美羅,m@x.jp,管理者,有効\n",
            {
                "username_in_app": "ユーザー名",
                "user_name": "姓 + 名",
                "user_email": "メールアドレス",
                "roles": "権限",
                "active_in_app": "ステータス",
            },
        ),
    ],
)
def test_sure_columns_are_found(tmp_path: Path, content: str, columns: dict[str, str]):
    proposal = propose(tmp_path, content, saved=ColumnMapping(read_as="table"))
    assert headings_of(proposal) == columns
    assert set(proposal.reasons) <= set(columns)


def test_a_column_of_the_disabled_is_read_the_other_way_round(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "Username,Suspended\nmira,false\nteo,TRUE\n")
    found = accounts(store)
    assert (found["mira"]["active_in_app"], found["teo"]["active_in_app"]) == (True, False)
    heading = "Block sign in (Yes/No) [accountEnabled] Required"
    proposal = propose(tmp_path, f"User name [userPrincipalName],{heading}\nmira@x.io,No\n")
    assert proposal.mapping.columns["active_in_app"] == (heading,)
    assert proposal.mapping.active["no"] == "yes"


def test_account_status_says_active_and_states_are_inferred(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "Username,State\nmira,Active\nteo,Deactivated\nines,Deleted\n")
    found = accounts(store)
    assert [found[name]["active_in_app"] for name in ("mira", "teo")] == [True, False]
    assert {a["provisioning_state"] for a in found.values()} == {"Onboarded"}
    with store.connect() as con:
        report = load_report(con, "figma", MONDAY)
    assert report.unreported_states == {"inferred": 3}
    assert "Active in app from “State”: words for an account’s status." in report.remarks()


def test_provisioning_states_under_status_are_states(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "Username,Status\nmira,Onboarded\nteo,update_failed\nines,gold\n")
    found = {name: a["provisioning_state"] for name, a in accounts(store).items()}
    assert found == {"mira": "Onboarded", "teo": "Update failed", "ines": "Unrecognised"}


def test_a_state_of_a_country_is_an_attribute(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "Username,State,Country\nmira,WA,US\nteo,OR,US\n")
    mira = accounts(store)["mira"]
    assert (mira["provisioning_state"], mira["state_source"]) == ("Onboarded", "inferred")
    assert json.loads(mira["attributes"]) == {"State": "WA", "Country": "US"}


# ---- columns that wait for a person --------------------------------------------------------------


def test_a_table_without_a_username_is_refused_with_the_way_on(store: Engine, tmp_path: Path):
    content = "Foo,Since\nmira,2026-11-20\nteo,2026-11-21\n"
    with pytest.raises(NoUsernameColumn, match=r"It could be “Foo”.*Map columns.*--mapping"):
        deliver(store, tmp_path, content)
    with pytest.raises(NoUsernameColumn, match="It could be “User ID”"):
        deliver(store, tmp_path, "User ID,Name\n1001,Mira Solberg\n1002,Teo Brandt\n")
    assert not accounts(store)


def test_what_is_unsure_is_not_read_and_named(store: Engine, tmp_path: Path):
    content = (
        "login,billing-active,Email,Work email,2sv Enrolled\nmira,1,m@x.io,m@y.io,True\n"
        "teo,0,t@x.io,t@y.io,False\n"
    )
    with pytest.raises(OnHold, match=r"“billing-active”.*Map columns.*rollcall check"):
        deliver(store, tmp_path, content)
    assert not accounts(store)
    deliver(store, tmp_path, content, confirmed=True)
    assert accounts(store)["teo"]["active_in_app"] is None
    assert accounts(store)["teo"]["roles"] == []
    with store.connect() as con:
        report = load_report(con, "figma", MONDAY)
    assert [w for w in report.warnings() if "billing-active" in w]
    assert "“Work email” also looks like User email, and is not used." in report.remarks()


@pytest.mark.parametrize(
    ("content", "column", "headings"),
    [
        ("login,Admin,Editor\nmira,X,\nteo,,X\n", "roles", ("Admin", "Editor")),
        ("login;Buchhaltung;Lager\nmira;ja;nein\nteo;nein;nein\n", "roles",
         ("Buchhaltung", "Lager")),
        ("login,isAdmin\nmira,true\nteo,false\n", "roles", ("isAdmin",)),
        ("login,Account type\nmira,Full\nteo,Viewer\n", "roles", ("Account type",)),
        ("login,Benutzergruppe\nmira,Leitung\nteo,Leitung\n", "roles", ("Benutzergruppe",)),
        ("login,Status\nmira,A\nteo,I\nida,A\n", "active_in_app", ("Status",)),
    ],
)  # fmt: skip
def test_access_and_status_under_other_names_wait_for_a_person(
    tmp_path: Path, content: str, column: str, headings: tuple[str, ...]
):
    proposal = propose(tmp_path, content)
    assert {name: guess.headings for name, guess in proposal.unsure.items()} == {column: headings}
    assert column not in headings_of(proposal)


def test_marks_that_say_nothing_of_access_are_attributes(tmp_path: Path):
    content = "login,Roles,Newsletter,2FA enrolled\nmira,Admin,X,yes\nteo,Guest,,no\n"
    assert not propose(tmp_path, content).unsure
    assert not propose(tmp_path, content.replace("Roles", "Email verified")).unsure
    proposal = propose(tmp_path, content.replace("Newsletter", "Super admin"))
    assert proposal.look_alikes == {"Super admin": "roles"}


def test_what_is_unsure_waits_for_a_person_once(store: Engine, tmp_path: Path):
    def load_on(day: int, content: str, **how: Any) -> LoadResult:
        return deliver(store, tmp_path, content, taken_at=MONDAY + timedelta(days=day), **how)

    content = "login,Org role,Email\nmira,Owner,m@x.io\nteo,Member,t@x.io\n"
    load_on(0, content, confirmed=True)
    assert load_on(1, content.replace("Owner", "Guest")).accepted == 2
    with pytest.raises(OnHold, match="“Employee number”"):
        load_on(2, content.replace("Email", "Employee number").replace("@x.io", "1"))
    (tmp_path / "accounts.csv").write_text(content)
    roles = SnapshotFile(
        tmp_path / "accounts.csv",
        "other",
        MONDAY,
        parse_mapping('[columns]\nroles = "Org role"'),
    )
    load(store, roles)


def test_columns_that_contradict_each_other_about_activity_make_the_quality_check(
    store: Engine, tmp_path: Path
):
    content = "login,active,suspended\nmira,true,false\nteo,true,true\nida,false,true\n"
    deliver(store, tmp_path, content)
    with store.connect() as con:
        warnings = load_report(con, "figma", MONDAY).warnings()
    assert warnings == [
        "“suspended” says yes in 1 row in which “active” says that the account is active. "
        "Map columns."
    ]


def test_accounts_with_a_date_of_their_end_are_worth_a_look(store: Engine, tmp_path: Path):
    deliver(
        store, tmp_path, "login,active,Enabled,deletedAt\nmira,yes,yes,\nteo,yes,no,2026-10-01\n"
    )
    with store.connect() as con:
        contradiction, end = load_report(con, "figma", MONDAY).warnings()
    assert contradiction.startswith("“Enabled” says no in 1 row in which “active” says")
    assert end.startswith("“deletedAt” has dates. Accounts with one may be deleted or disabled")
    assert not propose(tmp_path, "login,active,deletedAt\nmira,yes,\n").ends
    assert propose(tmp_path, "login,delete_at\nmira,0\nteo,1795162500000\n").ends


def test_a_saved_mapping_wins_over_what_the_values_say(store: Engine, tmp_path: Path):
    mapping = parse_mapping(
        '[columns]\nusername_in_app = "Login"\nuser_name = ["First", "Last"]\nuser_email = []\n'
    )
    path = tmp_path / "a.csv"
    path.write_text("Login,Username,First,Last,Email\n2026-11-20,mira,Mira, Solberg,m@x.io\n")
    load(store, SnapshotFile(path, "figma", MONDAY, mapping))
    only = accounts(store)["2026-11-20"]
    assert (only["user_name"], only["user_email"]) == ("Mira Solberg", None)


def test_own_headings_need_no_look_at_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: Any) -> None:
        raise AssertionError("The values were profiled.")

    monkeypatch.setattr("data.files.propose.profile_columns", fails)
    content = "Username in app,User,App access,Active in app,Provisioning state,Team\na,A,,,,B\n"
    assert headings_of(propose(tmp_path, content))["user_text"] == "User"


# ---- properties ----------------------------------------------------------------------------------

NAMES = st.lists(st.from_regex(r"[a-z]{3,8}", fullmatch=True), min_size=3, max_size=8, unique=True)
VALUES = {
    "date": [f"2026-11-{day:02}" for day in range(1, 9)],
    "country": ["DE", "US", "JP"],
    "email": [f"user{n}@x.io" for n in range(8)],
    "status": ["Active", "Locked"],
    "role": ["Admin", "Editor", "Viewer"],
    "blank": [""],
}
ANY_HEADING = st.sampled_from(
    [name.strip() for text in SYNONYMS.values() for name in text.replace("\n", ",").split(",")]
).filter(lambda heading: heading and not own_columns([heading]))
"""Not Rollcall's own, which are read whatever is under them."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], dict[str, str]]:
    """A table with any headings over any values, and each heading's kind."""
    names = draw(NAMES)
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5))
    found = draw(st.lists(ANY_HEADING | st.just("Feld"), min_size=len(kinds), max_size=len(kinds)))
    headings = [f"{heading}" for heading in dict.fromkeys(found)]
    columns = dict(zip(headings, kinds, strict=False))
    cells = {kind: cycle(values) for kind, values in VALUES.items()}
    rows = [[name, *(next(cells[kind]) for kind in columns.values())] for name in names]
    return [["Code", *columns], *rows], columns


@given(tables(), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_no_value_is_taken_for_what_it_is_not_in_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[list[list[str]], dict[str, str]],
    rng: Any,
):
    folder = tmp_path_factory.mktemp("table")
    rows, kinds = table
    proposal = propose(folder, as_csv(rows))
    for name, headings in proposal.mapping.columns.items():
        for heading in headings:
            kind = kinds.get(heading, "name")
            assert kind != "date" or name in ("last_updated", "last_sign_in")
            assert (name == "provisioning_state") <= (kind == "blank")
            assert name != "user_email" or kind in ("email", "blank")
            assert name != "active_in_app" or kind in ("status", "blank")
            assert name != "roles" or kind in ("role", "country", "status", "name")
    order = rng.sample(range(len(rows[0])), len(rows[0]))
    shuffled = rng.sample(rows[1:], len(rows) - 1)
    moved = as_csv([[row[n] for n in order] for row in [rows[0], *shuffled]])
    assert propose(folder, moved).mapping == proposal.mapping


def test_the_sample_of_a_long_table_depends_on_no_order(tmp_path: Path):
    rows = [f"u{n},{'Active' if n % 7 else 'x'},u{n}@x.io" for n in range(SAMPLE_ROWS * 3)]
    first = propose(tmp_path, "\n".join(["Code,Zustand,Mail", *rows]))
    last = propose(tmp_path, "\n".join(["Code,Zustand,Mail", *reversed(rows)]))
    assert first == last


@given(st.dictionaries(st.text(max_size=30), st.integers(1, 3), max_size=20))
@settings(max_examples=50)
def test_any_text_can_be_profiled(texts: dict[str, int]):
    profile = profile_of(texts, 100)
    assert profile.filled == sum(texts.values())
    assert 0 <= profile.share(*profile.kinds) <= 1
    assert profile.describe()


# ---- around the rows -----------------------------------------------------------------------------

TITLES = "User Access Review\nAs of 2026-11-23 - Generated by Mira Solberg\n\n"
TABLE = "Username,Email,Active\nmira,m@x.io,Yes\nteo,t@x.io,No\n"


@pytest.mark.parametrize(
    "content",
    [
        TITLES + TABLE,
        TITLES.replace("\n", ",,\n") + TABLE,
        f"#TYPE System.User\n# all users, by name\n{TABLE}",
        f"version:v1.0\n{TABLE}",
        '"Username", "Email", "Active"\n"mira", "m@x.io", "Yes"\n"teo", "t@x.io", "No"\n',
        "| Username | Email | Active |\n|---|:-:|--:|\n| mira | m@x.io | Yes |\n|teo|t@x.io|No|",
        " Username | Email | Active \n-----+-----+----\n mira | m@x.io | Yes\n teo | t@x.io | No\n",
    ],
    ids=["titles", "padded titles", "comments", "version", "spaced quotes", "Markdown", "console"],
)
def test_what_is_around_the_table_is_no_part_of_it(store: Engine, tmp_path: Path, content: str):
    assert deliver(store, tmp_path, content).rejected == 0
    found = {name: (a["user_email"], a["active_in_app"]) for name, a in accounts(store).items()}
    assert found == {"mira": ("m@x.io", True), "teo": ("t@x.io", False)}


def test_the_lines_after_the_rows_are_rejected_by_line(store: Engine, tmp_path: Path):
    footers = ',,\nTotal: 2,,\n\n"Confidential, do not share"\nReport generated by Mira,,\n'
    loaded = deliver(store, tmp_path, TITLES + TABLE + footers)
    assert (loaded.rows_read, loaded.accepted, loaded.rejected) == (6, 2, 4)
    assert [(line, reason) for line, _, reason in rejections(store)] == [
        (7, "The row is empty."),
        (8, NOT_AN_ACCOUNT),
        (10, NOT_AN_ACCOUNT),
        (11, NOT_AN_ACCOUNT),
    ]


def test_a_row_that_repeats_the_headings_is_no_account(store: Engine, tmp_path: Path):
    loaded = deliver(store, tmp_path, TABLE + TABLE.replace("mira", "ines").replace("teo", "otto"))
    assert (loaded.accepted, loaded.rejected) == (4, 1)
    assert rejections(store)[0][0] == 4


def test_a_user_who_is_called_total_is_an_account(store: Engine, tmp_path: Path):
    content = "Username,Email,Role\nmira,m@x.io,Admin\nTotal,total@x.io,Editor\n"
    assert deliver(store, tmp_path, content).accepted == 2
