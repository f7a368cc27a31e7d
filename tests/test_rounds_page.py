"""The page of review rounds: from a list to decisions, their outcome, and files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import TODAY, content_of
from openpyxl import load_workbook
from sqlalchemy import insert, select
from starlette.testclient import TestClient
from viewing import ADA, BOB, CY, Page, load_all, page

import app as web
from data.access.roles import ROLES, Permission
from data.home import Home
from data.records.audit_log import flush_pending
from data.records.decisions import InvalidInput
from data.records.rounds import DecisionOn, ItemKey
from data.records.rounds import decide as record_decisions
from data.records.tables import audit_event, quarantined_file
from data.store.engine import open_store, write_transaction
from queries.review.duration import View
from queries.review.findings import count_findings, page_of_findings
from queries.review.rules import RULE_BY_NAME
from queries.rounds.files import RoundFile, write_round_csv, write_round_workbook
from queries.rounds.lists import Round, read_rounds
from queries.rounds.worksheet import Worksheet, read_worksheet, write_worksheet
from widgets.users_table.marks import Marked, Marks

HOSTILE = "=1+1 <b>x</b> *y*"


def events(home: Home) -> list[str]:
    flush_pending(open_store(home.database_url), home)
    with open_store(home.database_url).connect() as con:
        return list(con.scalars(select(audit_event.c.action)))


def press(shown: Page, key: str) -> None:
    shown.run.button(key=key).click().run()
    assert not shown.run.exception, shown.run.exception


def start(home: Home, **params: str) -> str:
    """Start a round from the form; returns its ID."""
    shown = page("rounds.py", new="yes", **params)
    shown.run.text_input(key="round_name").set_value(HOSTILE)
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "round_start")
    with open_store(home.database_url).connect() as con:
        return read_rounds(con)[0].round_id


def decide(shown: Page, decision: str, *usernames: str) -> None:
    """Mark the accounts, or all, and decide on them."""
    ids = [row["id"] for row in shown.table["rows"] if row["label"] in usernames]
    shown.run.session_state["round_items"] = {"marked": [decision, ids or "all"]}
    shown.run.run()
    shown.run.text_area(key="round_note").set_value(f"Asked {HOSTILE}")
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "round_decide")


def outcomes(shown: Page) -> dict[str, str]:
    return {row["label"]: row["cells"]["outcome"]["text"] for row in shown.table["rows"]}


def test_a_round_is_started_decided_proved_and_closed(home: Home) -> None:
    load_all(home, ADA, BOB)
    round_id = start(home, state="Onboarded")
    decide(shown := page("rounds.py", round=round_id), "revoke", "ada")
    assert outcomes(page("rounds.py", round=round_id)) == {"ada": "Open"}
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    load_all(home, BOB, taken_at=f"{tomorrow:%Y-%m-%dT%H-%M-%SZ}")
    shown = page("rounds.py", round=round_id)
    assert outcomes(shown) == {"ada": "Done"}
    links = "".join(html.proto.body for html in shown.run.get("html"))
    assert "users?state=Onboarded&amp;as_of=" in links
    [row] = page("rounds.py").table["rows"]
    assert (row["label"], row["cells"]["status"]["text"]) == (HOSTILE, "All decided")
    assert (row["cells"]["decided"]["text"], row["cells"]["outcome"]["text"]) == (
        "1 of 1",
        "1 done",
    )
    press(shown, "close")
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "close_round_confirm")
    closed = page("rounds.py", round=round_id)
    assert not closed.table["marks"]
    assert "rest" not in [button.key for button in closed.run.button]
    assert [event for event in events(home) if "round" in event] == [
        "started a review round",
        "decided in a review round",
        "closed a review round",
    ]


def test_a_closed_round_leads_to_a_new_one_over_what_nobody_decided_for_sure(home: Home) -> None:
    load_all(home, ADA, BOB, CY)
    first = start(home)
    shown = page("rounds.py", round=first)
    for decision, name in {"keep": "ada", "unsure": "bob"}.items():
        decide(shown, decision, name)
        shown = page("rounds.py", round=first)
    press(shown, "close")
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "close_round_confirm")
    assert page("rounds.py", round=first).run.button(key="rest").label == "Start round for the rest"
    second = start(home, round=first)
    shown = page("rounds.py", round=second)
    assert outcomes(shown) == {"bob": "Undecided", "cy": "Undecided"}
    links = "".join(html.proto.body for html in shown.run.get("html"))
    assert f"rounds?round={first}&amp;show=undecided&amp;show=unsure" in links


def test_the_form_says_which_files_the_list_does_not_have(home: Home) -> None:
    load_all(home, ADA)
    (home.inbox / "figma" / "2026-11-30T06-00-00Z.csv").touch()
    with write_transaction(open_store(home.database_url)) as con:
        held = {"integration": "figma", "file_name": "a.csv", "status": "on hold", "reason": ""}
        con.execute(insert(quarantined_file).values(**held, quarantined_at=TODAY))
    shown = page("rounds.py", new="yes")
    assert [warning.value.split(". ")[0] for warning in shown.run.warning] == [
        "1 file waiting: figma",
        "1 file on hold: figma",
    ]
    assert not page("rounds.py", new="yes", integration="slack").run.warning


def test_the_panel_shows_findings_history_and_the_person(home: Home) -> None:
    load_all(home, ADA._replace(state="Delete failed"), BOB)
    shown = page("rounds.py", round=start(home))
    shown.run.session_state["round_items"] = {"open": [json.dumps(["figma", "ada", ""])]}
    shown.run.run()
    assert not shown.run.exception
    facts = {
        name: cell.get("text") for name, cell in shown.table["details"].popitem()[1][0]["items"]
    }
    assert "Delete failed, still active" in facts["Findings now"]
    assert facts["Outcome"] == "Undecided"
    assert facts["Person"] == "Open person"


def test_a_key_decides_at_once_where_the_name_is_known_and_asks_otherwise(home: Home) -> None:
    load_all(home, ADA, BOB)
    shown = page("rounds.py", round=start(home))
    assert shown.table["marks"]["keys"] is None
    shown.run.session_state["_reviewer"] = "Grace"
    keys = Page(shown.run.run()).table["marks"]["keys"]
    post = TestClient(web.app, client=("127.0.0.1", 1), base_url="http://localhost").post
    rows = {row["label"]: row["id"] for row in shown.table["rows"]}
    cells = [row["cells"]["decision"] for row in shown.table["rows"]]
    assert [(cell["kind"], cell["text"]) for cell in cells] == [("choice", "")] * 2

    def decide_by_keys(origin: str, *actions: tuple[str, str]) -> Any:
        sent = [
            {**keys["fields"], "id": f"{actions} {each}", "action": each, "rows": [rows[who]]}
            for each, who in actions
        ]
        return post(f"/{keys['to']}", json=sent, headers={"Origin": origin})

    assert decide_by_keys("http://evil.example", ("keep", "ada")).status_code == 403
    assert decide_by_keys("http://localhost", ("drop", "ada")).status_code == 400
    taken = decide_by_keys(
        "http://localhost", ("keep", "ada"), ("revoke", "bob"), ("unsure", "bob")
    )
    assert taken.json() == ["", "", ""]
    again = decide_by_keys(
        "http://localhost", ("keep", "ada"), ("revoke", "bob"), ("unsure", "bob")
    )
    assert again.json() == taken.json()  # a page that is left can send them twice
    round_id = keys["fields"]["round"]
    assert outcomes(page("rounds.py", round=round_id)) == {"ada": "Kept", "bob": "Unsure"}
    keys["fields"]["by"] = "ada@x.io"
    own = decide_by_keys("http://localhost", ("revoke", "ada"), ("keep", "bob")).json()
    assert ["is your own account" in each for each in own] == [True, False]
    assert events(home).count("decided in a review round") == 4
    shown.run.session_state["_reviewer"] = "ada@x.io"
    cells = {r["label"]: r["cells"]["decision"] for r in Page(shown.run.run()).table["rows"]}
    assert (cells["ada"]["kind"], cells["bob"]["kind"]) == ("person", "choice")
    assert cells["bob"]["text"] == "keep"


def test_a_decision_is_in_the_store_and_in_the_log_or_in_neither(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_all(home, ADA, BOB)
    shown = page("rounds.py", round=(round_id := start(home)))

    def cut(*_: Any) -> None:
        raise InvalidInput("The server ended here.")

    with monkeypatch.context() as patch:
        patch.setattr("server.decisions.append_once", cut)
        decide(shown, "revoke", "ada")
    assert set(outcomes(page("rounds.py", round=round_id)).values()) == {"Undecided"}


def test_a_list_is_only_decided_as_a_whole_after_a_question() -> None:
    done: list[tuple[str, Marked]] = []
    marks = Marks(
        scope="",
        most=2,
        actions=(("keep", "Keep", "1"),),
        on_action=lambda name, marked: done.append((name, marked)),
    )
    for pressed in (
        ["keep", "all"],
        ["drop", ["a"]],
        ["keep", ["a", 1, "b", "c"]],
        ["keep"],
        "keep",
    ):
        marks.react({"marked": pressed})
    assert done == [("keep", "all"), ("keep", ["a", "b"])]


def test_keep_with_a_last_day_makes_an_exception_of_the_finding(home: Home) -> None:
    load_all(home, ADA._replace(state="Deleted"), BOB)
    round_id = start(home, rule="deleted_but_active")
    last_day = datetime.now(UTC).date() + timedelta(days=30)
    shown = page("rounds.py", round=round_id)
    assert outcomes(shown) == {"ada": "Undecided"}
    shown.run.session_state["round_items"] = {"marked": ["keep", "all"]}
    shown.run.run()
    shown.run.text_input(key="said_by").set_value("Grace")
    shown.run.date_input(key="round_until").set_value(last_day)
    press(shown, "round_decide")
    assert "the reason of the exception is missing" in shown.run.warning[0].value
    assert outcomes(page("rounds.py", round=round_id)) == {"ada": "Undecided"}
    shown.run.text_area(key="round_note").set_value(HOSTILE)
    press(shown, "round_decide")
    [row] = page("rounds.py", round=round_id).table["rows"]
    assert row["cells"]["exception"]["text"] == f"until {last_day}"
    with open_store(home.database_url).connect() as con:
        rule, view = RULE_BY_NAME["deleted_but_active"], View()
        assert count_findings(con, view, rule) == (0, 1)
        [found] = page_of_findings(con, view, rule, 1, with_exception=True)
    assert (found.reason, found.accepted_by, found.until) == (HOSTILE, "Grace", last_day)
    assert "added an exception" in events(home)


def test_all_of_a_list_are_decided_at_once_and_other_marks_are_not_believed(home: Home) -> None:
    load_all(home, ADA, BOB)
    round_id = start(home)
    shown = page("rounds.py", round=round_id)
    shown.run.session_state["round_items"] = {"marked": ["keep", [json.dumps(["figma", "x", ""])]]}
    shown.run.run()
    shown.run.text_input(key="said_by").set_value("Grace")
    press(shown, "round_decide")
    assert "is not in this round" in shown.run.warning[0].value
    decide(page("rounds.py", round=round_id), "keep")
    assert outcomes(page("rounds.py", round=round_id)) == {"ada": "Kept", "bob": "Kept"}
    assert page("rounds.py", round=round_id, show="done").table["rows"] == []


def test_the_files_of_a_round_have_every_decision_and_run_no_formula(
    home: Home, tmp_path: Path
) -> None:
    load_all(home, ADA, BOB)
    round_id = start(home)
    decide(page("rounds.py", round=round_id), "revoke", "ada")
    with open_store(home.database_url).connect() as con:
        [round_] = read_rounds(con)
        everything = RoundFile.read(con, round_, ())
        to_do = RoundFile.read(con, round_, ("open", "late", "came back"))
    text = content_of(write_round_csv, everything).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["Username in app"], r["Decision"], r["Outcome"]) for r in rows] == [
        ("ada", "revoke", "open"),
        ("bob", "", "undecided"),
    ]
    assert [row[2] for row in to_do.rows] == ["ada"]
    write_round_workbook(everything, path := tmp_path / "round.xlsx")
    sheet = load_workbook(path)["Decisions"]
    assert [cell.value for cell in sheet[2]][8:10] == ["revoke", f"Asked {HOSTILE}"]
    ticket = page("rounds.py", round=round_id).run.code[0].value
    assert f"- ada, Ada Lovelace: revoked by Grace on {datetime.now(UTC):%Y}" in ticket
    assert f". Asked {HOSTILE}\n" in ticket
    assert "bob" not in ticket


@pytest.fixture
def worksheet(home: Home, tmp_path: Path) -> tuple[Round, Path]:
    """The worksheet of a round over ada and bob."""
    load_all(home, ADA, BOB)
    start(home)
    with open_store(home.database_url).connect() as con:
        [round_] = read_rounds(con)
        write_worksheet(RoundFile.read(con, round_, ()), tmp_path / "sheet.xlsx")
    return round_, tmp_path / "sheet.xlsx"


def edit(path: Path, change: Callable[[Any], None]) -> Path:
    """The worksheet after a spreadsheet program has opened, changed and saved it."""
    book = load_workbook(path)
    change(book["Worksheet"])
    book.save(path)
    return path


def read(home: Home, round_: Round, path: Path, author: str = "Grace") -> Worksheet:
    with open_store(home.database_url).connect() as con:
        return read_worksheet(con, round_, path, author)


def damage(column: int, value: object, row: int = 2) -> Callable[[Any], None]:
    def change(sheet: Any) -> None:
        sheet.cell(row, column).value = value

    return change


def test_two_worksheets_merge_and_their_contradictions_are_listed(
    home: Home, worksheet: tuple[Round, Path]
) -> None:
    round_, path = worksheet
    store = open_store(home.database_url)
    record_decisions(store, round_.round_id, [DecisionOn(ItemKey("figma", "ada"), "keep")], "Hal")
    edit(path, damage(9, "Revoke"))
    edit(path, damage(9, "Revoke", row=3))
    taken = read(home, round_, path)
    assert taken.contradictions == ["ada in figma: Hal decided keep, this file says revoke."]
    assert read(home, round_, path, "Hal").contradictions == taken.contradictions  # an older file
    assert taken.contradicted == {ItemKey("figma", "ada")}
    assert len(taken.decisions) == 2
    revoked = DecisionOn(ItemKey("figma", "ada"), "revoke", "Asked")
    record_decisions(store, round_.round_id, [revoked], "Hal")
    assert read(home, round_, path).contradictions == [
        "ada in figma: Hal decided revoke with the note “Asked”, this file says revoke."
    ]
    assert read(home, round_, path, "bob@x.io").own == ["bob in figma"]


def test_what_is_no_worksheet_of_the_round_is_refused(
    home: Home, worksheet: tuple[Round, Path], tmp_path: Path
) -> None:
    round_, path = worksheet
    (other := tmp_path / "other.xlsx").write_bytes(b"PK")
    assert "not a worksheet" in read(home, round_, other).problems[0]
    stranger = round_._replace(round_id="0")
    assert f"another review round, {HOSTILE}." in read(home, stranger, path).problems[0]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_only_who_sees_names_takes_part(role: str) -> None:
    may = Permission.REVIEW_ROUNDS in ROLES[role].permissions
    assert may is (role in ("Owner", "Super Admin", "Admin"))


def test_who_sees_pseudonyms_is_not_offered_rounds(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_all(home, ADA)
    monkeypatch.setenv("ROLLCALL_PSEUDONYMS", "1")
    assert "review round" not in str([html.value for html in page("users.py").run.get("html")])
    denied = page("rounds.py", new="yes")
    assert [title.value for title in denied.run.title] == ["No access"]
