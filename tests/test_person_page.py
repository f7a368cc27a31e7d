"""The person page: one person's status, accounts and history, for whoever may see them."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY, YESTERDAY, Deliveries, an_account, an_unmatched_account
from sqlalchemy import select
from viewing import Page, page, users

from data.access.roles import Principal
from data.home import Home
from data.people.directories import save_directories
from data.records.audit_log import flush_pending
from data.records.tables import audit_event
from data.store.engine import close_store, open_store
from queries.account_links import account_link
from server import authorize

LATER = TODAY + timedelta(days=9)
NAMES = ("Ada Love", "Lovelace", "ada1", "x.io", "by-email", "by-id")


def employee(number: int, name: str = "Ada Lovelace", **facts: Any) -> dict[str, Any]:
    email = f"ada{number}@x.io"
    return an_account(email, account_id=f"e{number}", user=name, email=email,
                      upstream_id=f"u{number}", **facts)  # fmt: skip


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two people called Ada Lovelace. The first one leaves and is hired again."""
    root = tmp_path_factory.mktemp("office")
    url = f"duckdb:///{root}/rollcall.duckdb"
    made = Deliveries(open_store(url), root / "archive")
    one, two = employee(1), employee(2)
    made.take(one, two, integration="hr", at=YESTERDAY)
    made.take(two, integration="hr", at=TODAY)
    made.take(one, two, integration="hr", at=LATER)
    made.take(
        an_account("by-email", email="ADA1@x.io", upstream_id=None, account_id="f1"),
        an_account("namesake", email="ada2@x.io", upstream_id=None, account_id="f2"),
    )
    by_id = an_unmatched_account("by-id", upstream_id="u1", state="Update failed", active="no")
    made.take(by_id, integration="zoom", at=YESTERDAY)
    made.take({**by_id, "provisioning_state": "Deleted"}, integration="zoom", at=TODAY)
    save_directories(made.store, {"hr": True})
    close_store(url)
    return root


@pytest.fixture
def office(home: Home, furnished: Path) -> Home:
    shutil.copytree(furnished, home.root, dirs_exist_ok=True)
    return home


def person(integration: str = "hr", account_id: str = "e1", **params: str) -> Page:
    return page(
        "person.py",
        integration=integration,
        account=account_link(integration, account_id),
        **params,
    )


def tables(shown: Page) -> list[list[dict[str, Any]]]:
    components = [json.loads(c.proto.json) for c in shown.run.get("bidi_component")]
    return [[row["cells"] for row in data["rows"]] for data in components if "rows" in data]


def known_by(shown: Page) -> dict[str, str]:
    return {
        cells["username_in_app"]["text"]: cells["known_by"]["text"]
        for rows in tables(shown)
        for cells in rows
        if "known_by" in cells
    }


def everything_drawn(shown: Page) -> str:
    elements = [*shown.run.main, *shown.run.sidebar]
    return "".join(str(element.proto) for element in elements if hasattr(element, "proto"))


def test_the_page_of_a_person_has_her_accounts_and_not_those_of_a_namesake(office: Home) -> None:
    shown = person()
    assert shown.run.title[0].value == "Ada Lovelace"
    assert shown.run.text[0].value == "Active since 2 Dec 2026 · ada1@x.io"
    assert known_by(shown) == {
        "by-email": "The snapshot names the user",
        "ada1@x.io": "The account is in the directory",
        "by-id": "Only this person has the upstream user ID",
    }
    ((entry,), *_) = tables(shown)
    assert entry["active"]["text"] == "22 Nov 2026 – 23 Nov 2026; since 2 Dec 2026"
    (figure,) = shown.run.get("plotly_chart")
    bars = {bar["name"]: bar for bar in json.loads(figure.proto.spec)["data"]}
    assert bars["Person active"]["hovertext"] == [
        "Person active: 22 Nov 2026 – 23 Nov 2026",
        "Person active: since 2 Dec 2026",
    ]
    assert set(bars) == {"Person active", "Onboarded", "Failed", "Deleted"}


def test_every_account_of_a_person_opens_the_same_page_at_any_moment(office: Home) -> None:
    assert known_by(person("zoom", "by-id")) == known_by(person())
    gone = person(as_of="2026-11-25T00:00:00Z")
    assert gone.run.text[0].value == "Left since 23 Nov 2026 · ada1@x.io"
    assert set(known_by(gone)) == {"by-email", "by-id"}
    assert person(account_id="unknown").run.text[0].value.startswith("This link names nobody")


def test_without_a_directory_a_person_is_who_has_the_email_or_id(office: Home) -> None:
    save_directories(open_store(office.database_url), {"hr": False})
    assert known_by(person("figma", "f1")) == {
        "by-email": "Named by this address",
        "ada1@x.io": "Email",
    }


def test_the_panel_of_an_account_links_to_the_person(office: Home) -> None:
    (facts,) = [block for block in users().panel("by-id") if block.get("caption") == "Directory"]
    cell = dict(facts["items"])["Person"]
    assert cell["href"] == f"person?integration=hr&account={account_link('hr', 'e1')}"


def test_the_audit_log_has_one_event_per_opening(office: Home) -> None:
    shown = person()
    shown.run.run()
    store = open_store(office.database_url)
    flush_pending(store, office)
    with store.connect() as con:
        events = con.execute(select(audit_event.c.action, audit_event.c.details)).all()
    assert [(action, json.loads(details)) for action, details in events] == [
        ("opened a person", {"integration": "hr", "account": "e1"})
    ]


def test_a_person_has_no_name_for_readers_of_pseudonyms(
    office: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_PSEUDONYMS", "1")
    assert person().run.text[0].value.startswith("This link names nobody"), "a guess proves nothing"
    panel = users(q="", integration="zoom").panel
    row = users(integration="zoom").table["rows"][0]
    (facts,) = [block for block in panel(row["label"]) if block.get("caption") == "Directory"]
    address = dict(facts["items"])["Person"]["href"]
    params = dict(part.split("=") for part in address.removeprefix("person?").split("&"))
    shown = page("person.py", **params)
    assert shown.run.title[0].value.startswith("Person ")
    assert len(known_by(shown)) == 3
    assert not [name for name in NAMES if name in everything_drawn(shown) + address]
    flush_pending(store := open_store(office.database_url), office)
    with store.connect() as con:
        (details,) = con.scalars(select(audit_event.c.details))
    assert json.loads(details)["account"].startswith("account-")


def test_a_restricted_reader_sees_only_accounts_of_those_integrations(
    office: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Principal("olga", ("Analyst",), integrations=("hr", "zoom"))
    monkeypatch.setattr(authorize, "current_principal", lambda: reader)
    assert set(known_by(person())) == {"ada1@x.io", "by-id"}
    assert "figma" not in everything_drawn(person())


def test_a_manager_sees_no_person(office: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Principal("mo", ("Manager",))
    monkeypatch.setattr(authorize, "current_principal", lambda: manager)
    shown = person()
    assert [title.value for title in shown.run.title] == ["No access"]
    assert not [name for name in NAMES if name in everything_drawn(shown)]
