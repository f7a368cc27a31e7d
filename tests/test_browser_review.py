"""The Review page in a real Chromium: read, opened, accepted, taken along as evidence."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing import PATIENCE, Reader, Served, Visit, served
from dropped_files import Delivered, deliver
from patience import wait_until
from playwright.sync_api import Page, Route, expect
from test_accessibility import violations

from rollcall import main

pytestmark = pytest.mark.browser

RULE = "Deleted but still active"
HOSTILE_NAME = "**bold** <img src=x onerror=alert(1)>"
ACCOUNTS = [
    Delivered("Ada Lovelace <ada@x.io>", "ada", state="Deleted"),
    Delivered(HOSTILE_NAME, "bob", roles="<b>x</b>", state="Deleted", upstream_id="00u2"),
    Delivered("", "bot", roles="Org admin", upstream_id="00u3"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as app:
        deliver(app.home, ACCOUNTS)
        yield app


def review(app: Served, visit: Visit, query: str = "") -> Reader:
    reader = visit(f"{app.url}/review{query}")
    heading = reader.page.get_by_role("heading", name="Review", exact=True)
    expect(heading).to_be_visible(timeout=PATIENCE)
    return reader


def says(reader: Reader, words: str | re.Pattern[str]) -> None:
    expect(reader.page.get_by_text(words).first).to_be_visible(timeout=PATIENCE)


def lists_both(reader: Reader) -> None:
    """Found since the same moment, they come in any order."""
    expect(reader.page.get_by_role("button", name=re.compile("^Details of "))).to_have_count(2)
    for name in ("ada", "bob"):
        expect(reader.toggle(name)).to_be_visible(timeout=PATIENCE)


def press(reader: Reader, label: str) -> None:
    reader.wait_until_drawn()
    reader.page.get_by_role("button", name=label, exact=True).click()


def new_data_comes_with(page: Page, act: Callable[[], None]) -> None:
    """Do something at the moment at which the page hears of new data."""
    held: list[Route] = []
    page.route("**/last-change", lambda route: held.append(route))
    page.wait_for_event("request", lambda request: request.url.endswith("/last-change"))
    act()
    held[0].fulfill(status=200, content_type="text/plain", body="another change")
    page.unroute("**/last-change")


def test_a_rule_opens_by_keyboard_and_back_returns(app: Served, visit: Visit) -> None:
    reader = review(app, visit)
    says(reader, re.compile(r"^\d+ findings · \d+ of 18 rules"))
    reader.page.get_by_role("button", name=f"Open {RULE}").press("Enter")
    lists_both(reader)
    assert reader.params() == {"rule": ["deleted_but_active"]}
    expect(reader.row("bob")).to_contain_text(HOSTILE_NAME)
    reader.page.go_back()
    says(reader, re.compile(r"^\d+ findings · \d+ of 18 rules"))


def test_a_rule_that_filters_can_say_opens_in_users(app: Served, visit: Visit) -> None:
    reader = review(app, visit, "?rule=deleted_but_active&integration=figma")
    press(reader, "Open in Users")
    expect(reader.page).to_have_url(re.compile("state=Deleted"))
    lists_both(reader)
    assert reader.params() == {
        "state": ["Deleted"],
        "active": ["yes"],
        "integration": ["figma"],
    }


def test_the_evidence_pack_is_one_click_and_the_archive_proves_it(
    app: Served, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(app.home.root))

    def downloaded(page: Page) -> Path:
        with page.expect_download() as download:
            page.get_by_role("link", name="Evidence pack").click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
        return tmp_path / download.value.suggested_filename

    findings = downloaded(review(app, visit).page)
    assert main(["verify", str(findings)]) == 0
    users = visit(f"{app.url}/users?match=unmatched").page
    users.get_by_role("button", name="Export", exact=True).click()
    listed = downloaded(users)
    assert listed.name.startswith("evidence-users-unmatched")
    assert main(["verify", str(listed)]) == 0


def test_an_exception_is_added_with_a_reason_and_a_name(app: Served, visit: Visit) -> None:
    reader = review(app, visit, "?rule=unmatched_and_privileged")
    reader.expect_rows(["bot"])
    reader.page.get_by_text("Add exception", exact=True).click()
    accounts = reader.page.get_by_role("combobox", name=re.compile("Accounts on this page"))
    reader.wait_until_drawn()
    option = reader.page.get_by_role("option", name="bot · figma · bot")
    for _ in range(10):  # a list that is opened while the page is drawn anew closes again
        if option.is_visible():
            break
        accounts.click()
        reader.page.wait_for_timeout(700)
    option.click()
    accounts.press("Escape")
    says(reader, "bot · figma · bot")
    reader.page.get_by_label("Reason").fill("The build needs it")
    reader.page.get_by_label("Your name").fill("Grace")
    reader.page.get_by_label("Your name").press("Tab")
    press(reader, "Add")
    says(reader, "No open findings.")
    press(reader, "1 exception")
    expect(reader.row("bot")).to_contain_text("The build needs it")


def test_no_decision_by_a_key_is_lost_when_the_page_is_left_at_once(
    app: Served, visit: Visit
) -> None:
    people = [Delivered(f"P <p{n}@x.io>", f"p{n:02}") for n in range(22)]
    deliver(app.home, people, integration="notion")
    reader = visit(f"{app.url}/rounds?new=yes&integration=notion")
    page = reader.page
    expect(page.get_by_text("22 accounts")).to_be_visible(timeout=PATIENCE)
    page.get_by_label("Your name").fill("Grace")
    page.get_by_label("Your name").press("Tab")
    reader.wait_until_drawn()
    press(reader, "Start")
    expect(reader.row("p00")).to_contain_text("Undecided")
    reader.wait_until_drawn()
    round_id = reader.params()["round"][0]
    assert violations(reader) == []
    page.keyboard.press("j")
    for number in range(19):
        page.keyboard.press(f"{number % 3 + 1}")
    choices = page.get_by_role("group", name="Decision of p19")
    choices.get_by_role("button", name="Revoke").click()
    chosen = choices.get_by_role("button", pressed=True)
    expect(chosen).to_have_text("Revoke")
    page.goto(f"{app.url}/definitions")

    def decided() -> list[str]:
        answer = page.request.get(f"{app.url}/export/round.csv?round={round_id}")
        rows = csv.DictReader(io.StringIO(answer.body().decode("utf-8-sig")))
        return [row["Decision"] for row in rows]

    wait_until(
        lambda: (
            decided()
            == [("keep", "revoke", "unsure")[n % 3] for n in range(19)] + ["revoke", "", ""]
        )
    )

    def logged() -> list[str]:
        log = page.request.get(f"{app.url}/export/audit.ndjson").text().splitlines()
        taken = [event["details"] for event in map(json.loads, log) if "decided" in event["action"]]
        return [name for each in taken for name in each["accounts"]]

    assert logged() == [f"p{n:02}" for n in range(20)]


def test_new_data_waits_for_a_press_and_for_a_dialog(app: Served, visit: Visit) -> None:
    reader = review(app, visit, "?rule=deleted_but_active")
    page = reader.page
    lists_both(reader)
    reader.wait_until_drawn()
    new_data_comes_with(page, lambda: press(reader, "Start review round"))
    page.get_by_label("Your name").fill("Grace")
    page.get_by_label("Your name").press("Tab")
    press(reader, "Start")
    says(reader, "0 of 2 accounts")
    reader.wait_until_drawn()
    reader.row("ada").get_by_role("checkbox").check()
    page.get_by_role("region", name="Marked rows").get_by_role("button", name="Keep").click()
    note = page.get_by_role("dialog").get_by_label("Note")
    new_data_comes_with(page, lambda: note.fill("half a note"))
    page.wait_for_event("request", lambda request: request.url.endswith("/last-change"))
    expect(note).to_have_value("half a note")


def test_the_page_has_nothing_that_some_cannot_use(app: Served, visit: Visit) -> None:
    reader = review(app, visit)
    says(reader, re.compile(r"^\d+ findings · \d+ of 18 rules"))
    assert violations(reader) == []
    reader = review(app, visit, "?rule=deleted_but_active")
    lists_both(reader)
    reader.page.get_by_text("Add exception", exact=True).click()
    says(reader, "Accounts on this page")
    assert violations(reader) == []
