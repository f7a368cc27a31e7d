"""The Snapshots page in a real Chromium: uploads, what is held, and what is removed again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from browsing import PATIENCE, ColorScheme, Reader, Served, Visit, served
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
    """A button that is pressed while the page is still being drawn anew may be another one then."""
    reader.is_still()
    reader.page.get_by_role("button", name=label, exact=True).click()


def says(reader: Reader, words: str | re.Pattern[str]) -> None:
    expect(reader.page.get_by_text(words).first).to_be_visible(timeout=PATIENCE)


def says_nothing_of(reader: Reader, words: str) -> None:
    expect(reader.page.get_by_text(words)).to_have_count(0, timeout=PATIENCE)


def cell(reader: Reader, of: str, label: str) -> Locator:
    return reader.row(of).locator(f"[data-label='{label}']")


def test_a_good_file_is_previewed_loaded_and_listed(
    app: Served, visit: Visit, folder: Path
) -> None:
    file = folder / f"figma {NEW_YEAR}.csv"
    file.write_text(GOOD)
    reader = snapshots(app, visit)
    upload(reader, file)
    says(reader, "2 of 2 rows are accounts. There is no earlier snapshot to compare with.")
    assert not list(app.home.archive.rglob("*.csv"))
    press(reader, "Load")
    says(reader, "Loaded")
    expect(cell(reader, "figma at 2026-01-01 06:00", "Accounts")).to_have_text("2")
    expect(cell(reader, "figma at 2026-01-01 06:00", "Grade")).to_have_text("Good")
    assert (app.home.archive / "figma" / f"{NEW_YEAR}.csv").read_text() == GOOD


def test_a_refused_file_says_why_in_the_words_of_the_refusal(
    app: Served, visit: Visit, folder: Path
) -> None:
    error, letter = folder / f"slack {NEW_YEAR}.json", folder / "letter.pdf"
    error.write_text('{"error": "rate limit"}')
    letter.write_text("hello")
    reader = snapshots(app, visit)
    upload(reader, error, letter)
    says(reader, re.compile("is one JSON object; expected a list of accounts"))
    says(reader, re.compile("letter.pdf has no known ending; expected one of"))
    expect(reader.page.get_by_role("button", name="Load", exact=True)).to_have_count(0)


def test_names_that_mean_harm_are_only_names(app: Served, visit: Visit, folder: Path) -> None:
    harm = folder / "<img src=x onerror=alert(1)> **b** ..%2F..%2Fx.csv"
    harm.write_text(GOOD)
    reader = snapshots(app, visit)
    reader.page.locator("input[type=file]").set_input_files(
        [
            {"name": "../../../x.csv", "mimeType": "text/csv", "buffer": GOOD.encode()},
            {"name": harm.name, "mimeType": "text/csv", "buffer": GOOD.encode()},
        ]
    )
    says(reader, "<img src=x onerror=alert(1)> **b** ..%2F..%2Fx.csv")
    expect(reader.page.get_by_label("Integration", exact=True).first).to_be_visible()
    assert not list(app.home.root.rglob("x.csv"))
    assert not list(app.home.root.parent.glob("x.csv"))


def test_a_held_file_is_seen_through_and_confirmed(app: Served, visit: Visit) -> None:
    deliver(app.home, TEN, integration="held")
    deliver(app.home, TEN[4:], integration="held", taken_at=NEXT_DAY)
    reader = snapshots(app, visit)
    says(reader, re.compile("4 of 10 accounts .40%. would be deleted"))
    expect(reader.row("held at 2026-01-02 06:00")).to_have_count(0)
    reader.page.get_by_text("See what would happen").click()
    says(reader, re.compile(r"6 of 6 rows are accounts\. Against 2026-01-01 06:00 UTC: .*4 gone"))
    press(reader, "Load it all the same")
    says(reader, "held, taken at 2026-01-02 06:00:00 UTC.")
    press(reader, "Load it")
    expect(cell(reader, "held at 2026-01-02 06:00", "Gone")).to_have_text("4", timeout=PATIENCE)
    says_nothing_of(reader, "To be decided")


def test_an_upload_that_would_be_held_is_loaded_once_a_person_has_said_so(
    app: Served, visit: Visit, folder: Path
) -> None:
    deliver(app.home, TEN, integration="crm")
    reader = snapshots(app, visit)
    expect(reader.row("crm at 2026-01-01 06:00")).to_be_visible(timeout=PATIENCE)
    file = folder / f"crm {NEXT_DAY}.csv"
    file.write_text("Username in app,State\np0,Onboarded\n")
    upload(reader, file)
    says(reader, "Would be held")
    expect(reader.page.get_by_role("button", name="Load", exact=True)).to_be_disabled()
    reader.page.get_by_text("I have checked it").click()
    expect(reader.page.get_by_role("button", name="Load", exact=True)).to_be_enabled()
    press(reader, "Load")
    expect(cell(reader, "crm at 2026-01-02 06:00", "Gone")).to_have_text("9", timeout=PATIENCE)


def test_a_snapshot_is_removed_after_a_question_that_names_it(app: Served, visit: Visit) -> None:
    deliver(app.home, TEN, integration="mail")
    reader = snapshots(app, visit)
    row = reader.row("mail at 2026-01-01 06:00")
    row.get_by_role("link", name="2026-01-01 06:00").click(timeout=PATIENCE)
    says(reader, "SHA-256")
    press(reader, "Remove snapshot")
    says(reader, re.compile("mail, taken at 2026-01-01 06:00:00 UTC, with 10 accounts"))
    press(reader, "Keep it")
    says_nothing_of(reader, "taken at 2026-01-01 06:00:00 UTC, with")
    press(reader, "Remove snapshot")
    press(reader, "Remove it")
    says(reader, re.compile("the newest first"))
    expect(reader.row("mail at 2026-01-01 06:00")).to_have_count(0)
    assert (app.home.removed / "mail" / f"{NEW_YEAR}.csv").is_file()


def test_a_snapshot_leads_to_its_accounts_and_to_its_rejected_rows(
    app: Served, visit: Visit
) -> None:
    deliver(app.home, [*TEN, Delivered(username="", user="=1+1")], integration="wiki")
    reader = snapshots(app, visit)
    row = reader.row("wiki at 2026-01-01 06:00")
    row.get_by_role("link", name="2026-01-01 06:00").click(timeout=PATIENCE)
    link = reader.page.get_by_role("link", name="Rejected rows as CSV")
    expect(link).to_be_visible(timeout=PATIENCE)
    with urlopen(f"{app.url}/{link.get_attribute('href')}") as answer:  # noqa: S310 - our own
        assert answer.read().decode("utf-8-sig").splitlines()[1].startswith("12,The row has no")
    reader.page.get_by_role("link", name="Accounts at this moment").click()
    reader.lists([f"p{n}" for n in range(10)])
    assert reader.asked() == {"integration": ["wiki"], "as_of": ["2026-01-01T06:00:00Z"]}


def test_charts_mark_the_day_of_a_held_file_until_it_is_confirmed(
    app: Served, visit: Visit
) -> None:
    deliver(app.home, TEN, integration="chat")
    deliver(app.home, TEN[5:], integration="chat", taken_at=NEXT_DAY)
    reader = snapshots(app, visit)
    says(reader, "To be decided")
    health = visit(f"{app.url}/?integration=chat")
    mix = health.page.get_by_role("figure", name=re.compile("State mix"))
    expect(mix).to_have_accessible_name(
        re.compile(r"not counted: 2 Jan 2026 \(chat held\)"), timeout=PATIENCE
    )
    mark = mix.locator(".scatterlayer .trace").last.locator(".point")
    health.page.mouse.click(*health.middle_of(mark))
    expect(health.page.get_by_role("heading", name="To be decided")).to_be_visible()
    press(reader, "Load it all the same")
    press(reader, "Load it")
    expect(reader.row("chat at 2026-01-02 06:00")).to_be_visible(timeout=PATIENCE)
    health.page.goto(f"{app.url}/?integration=chat")
    expect(mix).to_have_accessible_name(re.compile("State mix"), timeout=PATIENCE)
    expect(mix).not_to_have_accessible_name(re.compile("not counted"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1440])
def test_the_page_has_nothing_that_some_cannot_use(
    app: Served, visit: Visit, folder: Path, width: int, scheme: ColorScheme
) -> None:
    """With a held file seen through, an upload to complete, and a passport opened."""
    deliver(app.home, TEN, integration="axe")
    deliver(app.home, TEN[5:], integration="axe", taken_at=NEXT_DAY)
    file = folder / "some.csv"
    file.write_text(GOOD)
    reader = visit(f"{app.url}/snapshots?integration=axe", width=width, scheme=scheme)
    says(reader, "To be decided")
    reader.page.get_by_text("See what would happen").first.click()
    says(reader, re.compile("5 of 5 rows are accounts"))
    upload(reader, file)
    says(reader, "To be completed")
    reader.toggle("axe at 2026-01-01 06:00").click()
    says(reader, "SHA-256")
    assert violations(reader.page) == []
