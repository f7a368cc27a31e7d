"""The Changes page as a person meets it: a real server, a real Chromium."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PATIENCE, ColorScheme, Reader, Served, Visit, served
from dropped_files import Delivered, deliver, hostile_accounts
from playwright.sync_api import expect
from pypdf import PdfReader

from data.home import Home

pytestmark = pytest.mark.browser

FRIDAY, MONDAY = "2026-11-20T06-00-00Z", "2026-11-23T06-00-00Z"
BETWEEN = "from=2026-11-20T06:00:00Z&to=2026-11-23T06:00:00Z"
BEFORE = [
    Delivered(username="ada", state="Update ongoing"),
    Delivered(username="bob", roles="Viewer"),
    Delivered(username="cy"),
]
AFTER = [
    Delivered(username="ada", state="Update failed", reason="Seat limit reached"),
    Delivered(username="bob", roles="Admin; Viewer"),
    Delivered(username="dot"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app with a weekend's changes in one integration, and hostile names in another."""
    root = tmp_path_factory.mktemp("home")
    for accounts, moment in ((BEFORE, FRIDAY), (AFTER, MONDAY)):
        deliver(Home(root), accounts, taken_at=moment)
    deliver(Home(root), [Delivered()], integration="okta", taken_at=FRIDAY)
    deliver(Home(root), [Delivered(), *hostile_accounts()], integration="okta", taken_at=MONDAY)
    with served(root) as app:
        yield app


def tile(reader: Reader, label: str) -> None:
    reader.page.get_by_role("button", name=label).first.click()


def tells(reader: Reader, words: str) -> None:
    expect(reader.page.locator(".st-key-in_words")).to_contain_text(words, timeout=PATIENCE)


def test_changes_print_whole_on_paper(app: Served, visit: Visit, tmp_path: Path) -> None:
    reader = visit(f"{app.url}/changes?integration=figma&{BETWEEN}", scheme="dark")
    tells(reader, "1 account added")
    expect(reader.page.get_by_role("heading", name="Other changes")).to_be_visible(timeout=PATIENCE)
    expect(reader.page.get_by_role("columnheader", name="Accounts")).to_have_count(2)
    reader.wait_until_drawn()
    reader.page.pdf(path=tmp_path / "changes.pdf", format="A4")
    text = " ".join(p.extract_text() for p in PdfReader(tmp_path / "changes.pdf").pages)
    for phrase in (
        "Changes",
        "figma",
        "UTC",
        "Newly failed",
        "before",
        "Accounts",
        "Other changes",
    ):
        assert phrase in text, phrase
    for control in ("Report", "Copy", "Mark as reviewed"):
        assert control not in text, control


def test_from_the_words_to_the_accounts_and_back(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/changes?integration=figma&{BETWEEN}")
    tells(reader, "1 account added, 1 removed, 1 changed state, 1 newly failed, 1 gained the role")
    tile(reader, "Newly failed")
    reader.expect_rows(["ada"])
    assert reader.params()["list"] == ["failed"]
    reader.toggle("ada").click()
    differs = reader.page.get_by_role("table", name="What differs")
    expect(differs).to_contain_text("Update ongoing")
    expect(differs).to_contain_text("Update failed")
    reader.page.go_back()
    expect(reader.page.get_by_role("heading", name="1 account changed state")).to_be_visible()
    expect(reader.toggle("ada")).to_have_count(0)


def test_a_row_of_the_moves_opens_its_accounts(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/changes?integration=figma&{BETWEEN}")
    card = reader.page.locator(".st-key-card_moves")
    expect(card.get_by_label(re.compile("^Flows from state before"))).to_be_visible(
        timeout=PATIENCE
    )
    moves = card.get_by_role("table", name="State changes")
    moves.get_by_role("row").filter(has_text="Update failed").click()
    reader.expect_rows(["ada"])
    params = reader.params()
    assert (params["was"], params["now"]) == (["Update ongoing"], ["Update failed"])


def test_a_browser_remembers_up_to_when_its_reader_has_reviewed(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/changes?integration=figma&to=2026-11-21T06:00:00Z")
    reviewed = reader.page.get_by_role("button", name="Mark as reviewed")
    reviewed.click(timeout=PATIENCE)
    since = reader.page.get_by_role("button", name="Since my last review")
    expect(reader.page.get_by_text("Reviewed up to 2026-11-21 06:00 UTC.")).to_be_visible()
    reader.page.goto(f"{app.url}/changes?integration=figma")
    since.click(timeout=PATIENCE)
    tells(reader, "21 Nov 2026 06:00 → 23 Nov 2026 06:00 UTC: 1 account added")


def test_the_whole_list_can_be_downloaded(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/changes?integration=figma&{BETWEEN}&list=gained&role=Admin")
    reader.expect_rows(["bob"])
    with reader.page.expect_download() as download:
        reader.page.get_by_role("link", name="CSV", exact=True).click()
    assert download.value.suggested_filename == (
        "changes-figma-gained-admin-2026-11-20T06-00-00Z-2026-11-23T06-00-00Z.csv"
    )
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["Username in app"] == "bob"
    assert (row["App access, before"], row["App access, after"]) == ("Viewer", "Admin; Viewer")


@pytest.mark.parametrize(("width", "scheme"), [(420, "dark"), (2560, "light")])
def test_hostile_names_stay_text_and_nothing_is_wider_than_the_page(
    app: Served, visit: Visit, width: int, scheme: ColorScheme
) -> None:
    reader = visit(
        f"{app.url}/changes?integration=okta&{BETWEEN}&list=joined", width=width, scheme=scheme
    )
    expect(reader.page.get_by_text("9 accounts · Added")).to_be_visible(timeout=PATIENCE)
    expect(reader.page.get_by_role("button", name=re.compile("^Details of "))).to_have_count(9)
    reader.expect_no_overflow()
    assert reader.page.locator("main img[src=x]").count() == 0
