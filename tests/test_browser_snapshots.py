"""The Snapshots page in a real Chromium: uploads, files on hold, and removed snapshots."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pandas as pd
import pytest
from browsing import PATIENCE, Reader, Served, Visit, served
from dropped_files import NEW_YEAR, Delivered, deliver
from playwright.sync_api import Locator, expect
from test_accessibility import violations

pytestmark = pytest.mark.browser

NEXT_DAY = "2026-01-02T06-00-00Z"
TEN = [Delivered(f"P{n} <p{n}@x.io>", f"p{n}") for n in range(10)]
GOOD = "Username in app,State\nada,Onboarded\nbob,Update failed\n"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as app:
        yield app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own files").mkdir()
    return tmp_path / "own files"


def snapshots(app: Served, visit: Visit, query: str = "") -> Reader:
    reader = visit(f"{app.url}/snapshots{query}")
    expect(reader.page.get_by_role("heading", name="Snapshots", exact=True)).to_be_visible(
        timeout=PATIENCE
    )
    return reader


def upload(reader: Reader, *files: Path) -> None:
    reader.page.locator("input[type=file]").set_input_files(files)


def press(reader: Reader, label: str) -> None:
    """Press a button once the page is drawn: until then it can be another one."""
    reader.wait_until_drawn()
    reader.page.get_by_role("button", name=label, exact=True).click()


def shows(reader: Reader, text: str | re.Pattern[str]) -> None:
    expect(reader.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)


def does_not_show(reader: Reader, text: str) -> None:
    expect(reader.page.get_by_text(text)).to_have_count(0, timeout=PATIENCE)


def cell(reader: Reader, row: str, label: str) -> Locator:
    return reader.row(row).locator(f"[data-label='{label}']")


def test_a_good_file_is_previewed_loaded_and_listed(
    app: Served, visit: Visit, folder: Path
) -> None:
    file = folder / f"figma {NEW_YEAR}.csv"
    file.write_text(GOOD)
    reader = snapshots(app, visit)
    upload(reader, file)
    shows(reader, "2 of 2 rows are accounts. There is no earlier snapshot to compare with.")
    assert not list(app.home.archive.rglob("*.csv"))
    press(reader, "Load 2 accounts")
    shows(reader, "Loaded")
    expect(cell(reader, "figma at 2026-01-01 06:00", "Accounts")).to_have_text("2")
    expect(cell(reader, "figma at 2026-01-01 06:00", "Quality")).to_have_text("OK")
    expect(cell(reader, "figma at 2026-01-01 06:00", "File")).to_have_text(file.name)
    assert (app.home.archive / "figma" / f"{NEW_YEAR}.{file.name}").read_text() == GOOD


def test_a_newcomer_loads_foreign_files_and_sees_their_accounts(
    app: Served, visit: Visit, folder: Path
) -> None:
    table, workbook = folder / "jira export (3).csv", folder / "asana users.xlsx"
    table.write_text(
        "Login name,Given name,Surname,Enabled\nmira,Mira,Solberg,true\nteo,Teo,Brandt,false\n"
    )
    frame = pd.DataFrame({"User name": ["ada", "bob"], "Email": ["ada@x.io", "bob@x.io"]})
    frame.to_excel(workbook, index=False)
    reader = snapshots(app, visit)
    for file, integration, users in (
        (table, "jira", ["mira", "teo"]),
        (workbook, "asana", ["ada", "bob"]),
    ):
        upload(reader, file)
        shows(reader, re.compile("Read as a table of your own"))
        press(reader, "Load 2 accounts")
        reader.page.get_by_role("link", name="View accounts").click(timeout=PATIENCE)
        reader.expect_rows(users)
        assert reader.params() == {"integration": [integration]}
        reader.page.get_by_role("link", name="Snapshots").click()


def test_a_rejected_upload_shows_the_reason(app: Served, visit: Visit, folder: Path) -> None:
    error, letter = folder / f"slack {NEW_YEAR}.json", folder / "letter.pdf"
    error.write_text('{"error": "rate limit"}')
    letter.write_text("hello")
    reader = snapshots(app, visit)
    upload(reader, error, letter)
    shows(reader, re.compile("is one JSON object; expected a list of accounts"))
    shows(reader, re.compile("letter.pdf has no known ending; expected one of"))
    expect(reader.page.get_by_role("button", name=re.compile("^Load "))).to_have_count(0)


def test_hostile_file_names_are_only_text(app: Served, visit: Visit, folder: Path) -> None:
    hostile = folder / "<img src=x onerror=alert(1)> **b** ..%2F..%2Fx.csv"
    hostile.write_text(GOOD)
    reader = snapshots(app, visit)
    reader.page.locator("input[type=file]").set_input_files(
        [
            {"name": "../../../x.csv", "mimeType": "text/csv", "buffer": GOOD.encode()},
            {"name": hostile.name, "mimeType": "text/csv", "buffer": GOOD.encode()},
        ]
    )
    shows(reader, "<img src=x onerror=alert(1)> **b** ..%2F..%2Fx.csv")
    expect(reader.page.get_by_label("Integration", exact=True).first).to_be_visible()
    assert not list(app.home.root.rglob("x.csv"))
    assert not list(app.home.root.parent.glob("x.csv"))


def test_a_file_on_hold_is_previewed_and_confirmed(app: Served, visit: Visit) -> None:
    deliver(app.home, TEN, integration="held")
    deliver(app.home, TEN[4:], integration="held", taken_at=NEXT_DAY)
    reader = snapshots(app, visit)
    shows(reader, re.compile("4 of 10 accounts .40%. would be deleted"))
    expect(reader.row("held at 2026-01-02 06:00")).to_have_count(0)
    reader.page.get_by_text("Preview changes").click()
    shows(
        reader,
        re.compile(r"6 of 6 rows are accounts\. Compared with 2026-01-01 06:00 UTC: .*4 removed"),
    )
    press(reader, "Load anyway")
    shows(reader, "held, taken at 2026-01-02 06:00:00 UTC.")
    press(reader, "Load file")
    expect(cell(reader, "held at 2026-01-02 06:00", "Removed")).to_have_text("4", timeout=PATIENCE)
    does_not_show(reader, "Needs a decision")


def test_an_upload_that_removes_many_accounts_is_loaded_once_confirmed(
    app: Served, visit: Visit, folder: Path
) -> None:
    deliver(app.home, TEN, integration="crm")
    reader = snapshots(app, visit)
    expect(reader.row("crm at 2026-01-01 06:00")).to_be_visible(timeout=PATIENCE)
    file = folder / f"crm {NEXT_DAY}.csv"
    file.write_text("Username in app,State\np0,Onboarded\n")
    upload(reader, file)
    shows(reader, "Needs confirmation")
    expect(reader.page.get_by_role("button", name="Load 1 account")).to_be_disabled()
    reader.page.get_by_text("I confirm that these accounts").click()
    expect(reader.page.get_by_role("button", name="Load 1 account")).to_be_enabled()
    press(reader, "Load 1 account")
    expect(cell(reader, "crm at 2026-01-02 06:00", "Removed")).to_have_text("9", timeout=PATIENCE)


def test_removing_a_snapshot_asks_first_and_names_it(app: Served, visit: Visit) -> None:
    deliver(app.home, TEN, integration="mail")
    reader = snapshots(app, visit)
    row = reader.row("mail at 2026-01-01 06:00")
    row.get_by_role("link", name="2026-01-01 06:00").click(timeout=PATIENCE)
    shows(reader, "SHA-256")
    press(reader, "Remove snapshot")
    shows(reader, re.compile("mail, taken at 2026-01-01 06:00:00 UTC, with 10 accounts"))
    press(reader, "Cancel")
    does_not_show(reader, "taken at 2026-01-01 06:00:00 UTC, with")
    press(reader, "Remove snapshot")
    press(reader, "Remove")
    shows(reader, "The snapshot was removed.")
    shows(reader, "Upload account lists")
    expect(reader.row("mail at 2026-01-01 06:00")).to_have_count(0)
    assert (app.home.removed / "mail" / f"{NEW_YEAR}.csv").is_file()


def test_a_snapshot_links_to_its_accounts_and_rejected_rows(app: Served, visit: Visit) -> None:
    deliver(app.home, [*TEN, Delivered(username="", user="=1+1")], integration="wiki")
    reader = snapshots(app, visit)
    reader.row("wiki at 2026-01-01 06:00").get_by_role("link", name="2026-01-01 06:00").click(
        timeout=PATIENCE
    )
    link = reader.page.get_by_role("link", name="Download rejected rows (CSV)")
    expect(link).to_be_visible(timeout=PATIENCE)
    with urlopen(f"{app.url}/{link.get_attribute('href')}") as response:  # noqa: S310 - our own
        _, row, *_ = csv.reader(response.read().decode("utf-8-sig").splitlines())
    assert row[:2] == ["12", "The row has no username in app."]
    reader.page.get_by_role("link", name="View accounts").click()
    reader.expect_rows([f"p{n}" for n in range(10)])
    assert reader.params() == {"integration": ["wiki"], "as_of": ["2026-01-01T06:00:00Z"]}


def test_charts_mark_the_day_of_a_file_on_hold_until_it_is_loaded(
    app: Served, visit: Visit
) -> None:
    deliver(app.home, TEN, integration="chat", taken_at="2025-12-31T06-00-00Z")
    deliver(app.home, TEN, integration="chat")
    deliver(app.home, TEN[5:], integration="chat", taken_at=NEXT_DAY)
    reader = snapshots(app, visit)
    shows(reader, "Needs a decision")
    health = visit(f"{app.url}/?integration=chat")
    mix = health.page.get_by_role("figure", name=re.compile("Failed accounts per day"))
    expect(mix).to_have_accessible_name(
        re.compile(r"not counted: 2 Jan 2026 \(chat on hold\)"), timeout=PATIENCE
    )
    mark = mix.locator(".scatterlayer .trace").last.locator(".point")
    health.page.mouse.click(*health.hover(mark, "chat on hold"))
    expect(health.page.get_by_role("heading", name="Needs a decision")).to_be_visible()
    press(reader, "Load anyway")
    press(reader, "Load file")
    expect(reader.row("chat at 2026-01-02 06:00")).to_be_visible(timeout=PATIENCE)
    health.page.goto(f"{app.url}/?integration=chat")
    expect(mix).to_have_accessible_name(re.compile("Failed accounts per day"), timeout=PATIENCE)
    expect(mix).not_to_have_accessible_name(re.compile("not counted"))


def test_the_page_is_accessible(app: Served, visit: Visit, folder: Path) -> None:
    """With a preview, an upload that needs details, and an open load report."""
    deliver(app.home, TEN, integration="axe")
    deliver(app.home, TEN[5:], integration="axe", taken_at=NEXT_DAY)
    file = folder / "export.csv"
    file.write_text(GOOD)
    reader = visit(f"{app.url}/snapshots?integration=axe")
    shows(reader, "Needs a decision")
    reader.page.get_by_text("Preview changes").first.click()
    shows(reader, re.compile("5 of 5 rows are accounts"))
    upload(reader, file)
    shows(reader, "Load 2 accounts")
    reader.wait_until_drawn()
    reader.toggle("axe at 2026-01-01 06:00").click()
    shows(reader, "SHA-256")
    assert violations(reader) == []
