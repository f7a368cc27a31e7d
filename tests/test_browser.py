"""The app as a person uses it: a real server, a real Chromium, elements found by label and role."""

from __future__ import annotations

import csv
import io
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import openpyxl
import pytest
from browsing import LOOKS, PATIENCE, ColorScheme, Reader, Served, Visit, served
from dropped_files import HOSTILE, Delivered, deliver, hostile_accounts
from openpyxl.cell import Cell
from playwright.sync_api import (
    Locator,
    Page,
    WebSocket,
    expect,
)
from pypdf import PdfReader
from thorough import or_at_night

from data.home import Home
from widgets.health.charts import CHARTS, FAILURE_MAP

pytestmark = pytest.mark.browser

STATES = ("Onboarded", "Update failed", "Deleted")
PEOPLE = [
    Delivered(
        user=f"Person {n:02} <p{n:02}@x.io>",
        username=f"person{n:02}",
        roles="; ".join(f"Role {r}" for r in range(n % 4)),
        active=("yes", "no", "")[n % 3],
        upstream_id=f"00u{n:02}",
        state=STATES[n % 3],
        last_updated=f"2025-12-{n % 28 + 1:02}T10:00:00Z",
        reason="Seat limit reached" if n % 3 == 1 else "",
    )
    for n in range(60)
]
FAILED = [person for person in PEOPLE if person.state == "Update failed"]


@pytest.fixture(scope="module")
def empty_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app without snapshots that nobody has visited."""
    with served(tmp_path_factory.mktemp("empty")) as app:
        yield app


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app with people in one integration and hostile names in another."""
    root = tmp_path_factory.mktemp("home")
    deliver(Home(root), PEOPLE, taken_at="2025-12-31T06-00-00Z")
    deliver(Home(root), PEOPLE)
    deliver(Home(root), hostile_accounts(), integration="okta")
    with served(root) as app:
        yield app
        assert app.stop() in (0, -signal.SIGTERM)
        assert not list(root.glob("*.wal")), "the store was not closed"


# ---- the first visit ---------------------------------------------------------------------------


def test_the_first_visit_shows_the_navigation_and_how_to_start(
    empty_app: Served, visit: Visit
) -> None:
    page = visit(f"{empty_app.url}/users").page
    expect(page.get_by_role("heading", name="No snapshots yet")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(f"{empty_app.home.inbox}/")).to_be_visible()
    for name in ("Health", "Users"):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    expect(page.get_by_role("link", name="navigation")).to_have_count(0)


def test_delivered_files_appear_without_a_reload(empty_app: Served, visit: Visit) -> None:
    """For all readers, the first file and those after it."""
    readers = [visit(f"{empty_app.url}/users") for _ in range(2)]
    for reader in readers:
        expect(reader.page.get_by_text("No snapshots yet")).to_be_visible(timeout=PATIENCE)
        reader.page.evaluate("window.sameDocument = true")
    for day, count in ((20, 3), (21, 4)):
        deliver(empty_app.home, PEOPLE[:count], taken_at=f"2026-11-{day}T06-00-00Z")
        for reader in readers:
            reader.expect_count(str(count))
    for reader in readers:
        reader.expect_rows(["person00", "person01", "person02", "person03"])
        assert reader.page.evaluate("window.sameDocument")
    assert (empty_app.home.archive / "figma" / "2026-11-20T06-00-00Z.csv").exists()


def test_a_second_app_on_the_same_home_links_to_the_first_and_takes_over(
    tmp_path: Path, visit: Visit
) -> None:
    deliver(Home(tmp_path), PEOPLE[:3])
    with served(tmp_path) as first, served(tmp_path) as second:
        page = visit(f"{second.url}/users").page
        expect(page.get_by_text("Another Rollcall (process")).to_be_visible(timeout=PATIENCE)
        link = page.get_by_role("link", name="Go to the other Rollcall")
        expect(link).to_have_attribute("href", first.url)
        with pytest.raises(HTTPError, match="503"):
            urlopen(f"{second.url}/export/users.csv")  # noqa: S310 - our own address
        first.process.kill()
        expect(page.get_by_role("button", name="Details of person00")).to_be_visible()
        page.close()  # before the server goes, from which it may still be fetching scripts


def test_the_first_page_has_an_address(app: Served, visit: Visit) -> None:
    page = visit(f"{app.url}/health?integration=figma").page
    expect(page.get_by_role("heading", name="Health")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Page not found")).to_have_count(0)
    expect(page.locator(".st-key-tile_Accounts")).to_contain_text("60")


# ---- users: filters ----------------------------------------------------------------------------


def test_a_search_filters_the_list_and_is_in_the_address(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    reader.expect_count("60 of 69")
    reader.page.get_by_role("searchbox", name="Search").fill("P07@")
    reader.page.keyboard.press("Enter")
    reader.expect_count("1 of 69")
    reader.expect_rows(["person07"])
    assert reader.params() == {"integration": ["figma"], "q": ["P07@"]}


def test_a_link_opens_the_same_view_for_someone_else(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users")
    reader.expect_count("69")
    reader.choose("Integration", "figma")
    reader.expect_count("60 of 69")
    reader.choose("Provisioning state", "Update failed")
    reader.expect_count("20 of 69")
    assert reader.params() == {"integration": ["figma"], "state": ["Update failed"]}
    reader.page.evaluate("localStorage.clear()")
    other = visit(reader.page.url)
    other.expect_count("20 of 69")
    for someone in (reader, other):
        someone.expect_rows([person.username for person in FAILED])


def test_back_and_forward_step_through_filters_orders_and_pages(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users")
    reader.expect_count("69")
    steps = [("69", reader.params())]

    def record_step(count: str) -> None:
        reader.expect_count(count)
        expect(reader.page).not_to_have_url(before)
        reader.wait_until_drawn()
        steps.append((count, reader.params()))

    before = reader.page.url
    reader.choose("Integration", "figma")
    record_step("60 of 69")
    before = reader.page.url
    reader.page.get_by_role("columnheader", name="Last updated").get_by_role("button").click()
    record_step("60 of 69")
    before = reader.page.url
    reader.page.get_by_role("button", name="Page 2", exact=True).click()
    record_step("60 of 69")
    before = reader.page.url
    reader.page.get_by_role("button", name=re.compile("^Failed")).click()
    record_step("29 of 69")
    before = reader.page.url
    reader.page.get_by_role("searchbox", name="Search").fill("person4")
    reader.page.keyboard.press("Enter")
    record_step("4 of 69")
    assert steps[3][1] == {"integration": ["figma"], "sort": ["last_updated"], "page": ["2"]}
    for count, params in steps[-2::-1]:
        reader.page.go_back()
        reader.expect_count(count)
        assert reader.params() == params
    expect(reader.page.get_by_role("searchbox", name="Search")).to_have_value("")
    for count, params in steps[1:]:
        reader.page.go_forward()
        reader.expect_count(count)
        assert reader.params() == params
    expect(reader.page.get_by_role("searchbox", name="Search")).to_have_value("person4")


def test_back_from_another_page_returns_to_the_previous_view(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?state=Deleted")
    reader.expect_count("20 of 69")
    reader.page.get_by_role("link", name="Health").click()
    expect(reader.page.get_by_role("heading", name="integrations are up to date")).to_be_visible()
    reader.page.go_back()
    reader.expect_count("20 of 69")
    assert reader.params() == {"state": ["Deleted"]}


def test_each_filter_can_be_removed_with_the_keyboard(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?state=Update+failed&integration=figma&active=no")
    reader.expect_count("20 of 69")
    part = reader.page.get_by_role("button", name="Remove filter: Active in app No", exact=True)
    part.focus()
    reader.page.keyboard.press("Enter")
    expect(part).to_have_count(0)
    reader.page.get_by_role("button", name="Remove filter: Integration figma").click()
    reader.expect_count("29 of 69")
    assert reader.params() == {"state": ["Update failed"]}
    reader.page.get_by_role("button", name="Clear all").click()
    reader.expect_count("69")
    assert reader.params() == {}


def test_an_idle_page_checks_for_changes_without_a_rerun(app: Served, visit: Visit) -> None:
    """A rerun per check could undo a click that has just opened another page."""
    reader = visit(f"{app.url}/")
    frames = _frames_sent(reader)
    reader.page.reload()
    expect(reader.page.get_by_role("heading", name="Health")).to_be_visible(timeout=PATIENCE)
    reader.wait_until_drawn()
    before = len(frames)
    assert before
    for _ in range(2):
        with reader.page.expect_response("**/last-change") as response:
            pass
        assert response.value.ok
    assert len(frames) == before


def test_an_open_filter_remains_open_while_its_counts_change(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?active=no")
    reader.expect_count("20 of 69")
    dialog = reader.open_filter("Provisioning state")
    dialog.get_by_role("button", name="Update failed 20", exact=True).click()
    reader.expect_count("20 of 69")
    chosen = dialog.get_by_role("button", name="Update failed 20", exact=True)
    expect(chosen).to_have_attribute("aria-pressed", "true")
    dialog.get_by_role("button", name="All awaiting", exact=True).click()
    reader.expect_count("0 of 69")
    expect(chosen).to_have_attribute("aria-pressed", "false")
    expect(dialog.get_by_role("button", name="Onboarded 0", exact=True)).to_be_visible()


def test_a_past_moment_can_be_chosen_and_left(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    reader.expect_count("60 of 69")
    reader.open_filter("As of").get_by_role("button", name="Snapshot of 2026-01-01 06:00").click()
    expect(reader.page.get_by_text("As of 2026-01-01 06:00 UTC")).to_be_visible()
    assert reader.params()["as_of"] == ["2026-01-01T06:00:00Z"]
    reader.page.keyboard.press("Escape")
    reader.page.get_by_role("button", name="Back to now").click()
    expect(reader.page.get_by_text("As of 2026-01-01 06:00 UTC")).to_be_hidden()
    assert reader.params() == {"integration": ["figma"]}


def test_on_a_phone_an_account_takes_two_lines(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users", width=420)
    reader.choose("Active in app", "no")
    reader.expect_count("20 of 69")
    row = reader.row("person07")
    expect(row.get_by_text("Update failed")).to_be_visible()
    expect(row.get_by_text("figma")).to_be_visible()
    box = row.bounding_box()
    assert box
    assert box["height"] <= 56


def test_a_laptop_shows_twenty_rows_and_twelve_stops_before_them(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users")
    reader.expect_count("69")
    expect(reader.toggle("person00")).to_be_visible()
    rows = reader.page.locator("tr.row").evaluate_all(
        "(all) => all.map((e) => e.getBoundingClientRect().bottom)"
    )
    assert rows[0] - 36 <= 170
    assert rows[19] <= 900
    reader.wait_until_drawn()
    stops = 0
    while not reader.page.locator(".users-table :focus").count():
        reader.page.keyboard.press("Tab")
        stops += 1
        assert stops <= 13, "the table is not the thirteenth stop"
    reader.page.get_by_role("link", name="People").focus()
    reader.page.keyboard.press("ArrowLeft")
    expect(reader.page.get_by_role("link", name="Users", exact=True)).to_be_focused()


def test_columns_are_chosen_ordered_and_sized_with_the_keyboard(app: Served, visit: Visit) -> None:
    page = visit(f"{app.url}/users").page
    page.get_by_role("button", name="Columns", exact=True).click(timeout=PATIENCE)
    menu = page.get_by_role("dialog", name="Columns")
    heading = page.get_by_role("columnheader", name="Reason")
    menu.get_by_role("checkbox", name="Reason").check()
    expect(heading).to_be_visible()
    menu.get_by_role("button", name="Move Reason").press("Home")
    expect(page).to_have_url(re.compile(r"columns=state_reason%2Cuser_name"))
    expect(page.get_by_role("columnheader").nth(1)).to_have_text("Reason")
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    before = heading.evaluate("(e) => e.offsetWidth")
    for _ in range(5):
        heading.get_by_role("button").press("Shift+ArrowRight")
    wider = heading.evaluate("(e) => e.offsetWidth")
    assert wider > before + 20
    page.reload()
    expect(heading).to_be_visible(timeout=PATIENCE)
    assert heading.evaluate("(e) => e.offsetWidth") == wider


def test_rows_are_reached_opened_and_linked_with_the_keyboard(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma&state=Update+failed")
    reader.expect_count("20 of 69")
    press, page = reader.page.keyboard.press, reader.page
    reader.wait_until_drawn()
    expect(reader.toggle("person01")).to_be_visible()
    press("j")
    expect(reader.toggle("person01")).to_be_focused()
    press("j")
    press("o")
    expect(reader.toggle("person04")).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_text("No assigned roles")).to_be_visible()
    assert reader.params()["open"]
    page.reload()
    expect(reader.toggle("person04")).to_have_attribute("aria-expanded", "true")
    reader.toggle("person04").focus()
    press("Escape")
    expect(reader.toggle("person04")).to_have_attribute("aria-expanded", "false")
    press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    press("Escape")
    reader.row("person01").get_by_text("Person 01").dblclick()
    expect(reader.toggle("person01")).to_have_attribute("aria-expanded", "false")
    press("/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()


def test_on_a_phone_results_start_right_below_the_search(app: Served, visit: Visit) -> None:
    page = visit(f"{app.url}/audit", width=420).page
    search, found = page.get_by_role("searchbox"), page.get_by_text("events · newest first")
    expect(found).to_be_visible(timeout=PATIENCE)
    above, below = search.bounding_box(), found.bounding_box()
    assert above
    assert below
    assert below["y"] - above["y"] - above["height"] < 40
    assert above["width"] > 300


# ---- users: the table --------------------------------------------------------------------------


def test_a_row_opens_its_details_directly_below(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?state=Update+failed&integration=figma")
    reader.expect_count("20 of 69")
    toggle = reader.toggle("person07")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    toggle.click()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    panel = reader.page.locator(f"#{toggle.get_attribute('aria-controls')}")
    expect(panel).to_contain_text("Assigned roles (3)")
    expect(panel.get_by_role("rowheader")).to_have_text(["Role 0", "Role 1", "Role 2"])
    expect(panel).to_contain_text("Seat limit reached")
    expect(panel).to_contain_text("First seen")
    row, details = reader.row("person07").bounding_box(), panel.bounding_box()
    assert row
    assert details
    assert abs(row["y"] + row["height"] - details["y"]) < 2


def test_several_rows_can_be_opened_with_the_keyboard(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    reader.expect_count("60 of 69")
    first, second = reader.toggle("person01"), reader.toggle("person03")
    first.focus()
    reader.page.keyboard.press("Enter")
    expect(reader.page.get_by_text("Assigned roles (1)")).to_be_visible()
    expect(first).to_be_focused()
    second.focus()
    reader.page.keyboard.press("Space")
    expect(reader.page.get_by_text("Assigned roles (3)")).to_be_visible()
    expect(reader.page.get_by_text("Assigned roles (1)")).to_be_visible()
    expect(second).to_be_focused()
    reader.page.keyboard.press("Space")
    expect(second).to_have_attribute("aria-expanded", "false")
    expect(reader.page.get_by_text("Assigned roles (3)")).to_be_hidden()
    expect(first).to_have_attribute("aria-expanded", "true")


def test_a_heading_sorts_the_list_and_shows_the_order(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma&state=Update+failed")
    reader.expect_count("20 of 69")
    heading = reader.page.get_by_role("columnheader", name="Last updated")
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    oldest_first = [p.username for p in sorted(FAILED, key=lambda p: p.last_updated)]
    reader.expect_rows(oldest_first)
    assert reader.params()["sort"] == ["last_updated"]
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    reader.expect_rows(oldest_first[::-1])
    assert reader.params()["sort"] == ["-last_updated"]


def test_the_next_page_shows_the_remaining_accounts(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    reader.expect_count("60 of 69")
    reader.page.get_by_role("button", name="Page 2", exact=True).click()
    expect(reader.toggle("person59")).to_be_visible()
    reader.expect_rows([f"person{n}" for n in range(50, 60)])
    assert reader.params()["page"] == ["2"]
    reader.page.reload()
    expect(reader.toggle("person59")).to_be_visible(timeout=PATIENCE)


# ---- users: marked rows --------------------------------------------------------------------------


def test_marked_rows_are_copied_downloaded_noted_and_cleared(app: Served, visit: Visit) -> None:
    """By box, shift and keyboard; marks survive a page and an order, and no other filter."""
    reader = visit(f"{app.url}/users?integration=figma&sort=username_in_app")
    page, bar = reader.page, reader.page.get_by_role("region", name="Marked rows")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    def box(username: str) -> Locator:
        return page.get_by_role("checkbox", name=f"Mark {username}", exact=True)

    def copied(what: str) -> list[str]:
        bar.get_by_role("button", name="Copy").click()
        page.get_by_role("button", name=what, exact=True).click()
        expect(bar).to_contain_text("Copied")
        text: str = page.locator("body").evaluate("() => navigator.clipboard.readText()")
        return text.split("\n")

    box("person03").click(timeout=PATIENCE)
    box("person01").click(modifiers=["Shift"])
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")  # unmarks person03
    page.get_by_role("button", name="Next accounts").click()
    box("person50").click(timeout=PATIENCE)
    expect(bar).to_contain_text("3 marked")
    assert copied("Emails") == ["p01@x.io", "p02@x.io", "p50@x.io"]
    page.keyboard.press("m")
    expect(bar.get_by_role("button", name="Copy")).to_be_focused()
    bar.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    rows = csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig")))
    assert [row["Username in app"] for row in rows] == ["person01", "person02", "person50"]
    page.get_by_role("checkbox", name="Mark all rows of this page").click()
    bar.get_by_role("button", name="Select all 60 that match").click()
    expect(bar).to_contain_text("60 marked")
    assert len(copied("Usernames")) == 60
    reader.choose("Active in app", "no")
    expect(bar).to_contain_text("Marks cleared (60): the list has changed.")
    box("person01").focus()
    page.keyboard.press("x")
    expect(bar).to_contain_text("1 marked")
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()


# ---- users: downloads --------------------------------------------------------------------------


def downloaded(reader: Reader, name: str) -> bytes:
    if not (links := reader.page.get_by_role("navigation", name="Download this list")).count():
        reader.page.get_by_role("button", name="Export", exact=True).click()
    with reader.page.expect_download() as download:
        links.get_by_role("link", name=re.compile(f"^{name} ")).click()
    return download.value.path().read_bytes()


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def sheet_cells(content: bytes) -> list[tuple[Cell, ...]]:
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert sheet
    return list(sheet.iter_rows())


def test_downloads_contain_exactly_the_filtered_list(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma&state=Update+failed")
    reader.expect_count("20 of 69")
    rows = csv_rows(downloaded(reader, "CSV"))
    assert [row["Username in app"] for row in rows] == [p.username for p in FAILED]
    assert [row["Last updated"] for row in rows] == [p.last_updated for p in FAILED]
    assert [row["App access"] for row in rows] == [p.roles for p in FAILED]
    header, *cells = sheet_cells(downloaded(reader, "Excel"))
    at = [cell.value for cell in header].index("Username in app")
    assert [row[at].value for row in cells] == [p.username for p in FAILED]


def test_formulas_are_neutralized_except_in_the_raw_download(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=okta")
    reader.expect_count("9 of 69")
    for row in csv_rows(downloaded(reader, "CSV")):
        assert [cell for cell in row.values() if cell.startswith(("=", "+", "-", "@"))] == []
    raw = csv_rows(downloaded(reader, "Raw CSV"))
    assert {row["Upstream user ID"] for row in raw} == set(HOSTILE)
    cells = [cell for row in sheet_cells(downloaded(reader, "Excel")) for cell in row]
    assert [cell for cell in cells if cell.data_type == "f" or cell.hyperlink] == []


# ---- text from the data ------------------------------------------------------------------------


CREATED = """() => {
  const found = [], look = (root) => root.querySelectorAll("*").forEach((e) => {
    if (e.shadowRoot) look(e.shadowRoot);
    if (e.hostname === "evil.example" || e.protocol === "javascript:") found.push(e.outerHTML);
    if (/evil.example/.test(e.getAttribute("src"))) found.push(e.outerHTML);
    if (e.localName === "img" && e.getAttribute("src") === "x") found.push(e.outerHTML);
    if (e.localName === "script" && e.textContent.includes("alert(")) found.push(e.outerHTML);
    if (e.matches(".katex, strong a, code.inline")) found.push(e.outerHTML);
  });
  look(document);
  return found;
}"""


def test_hostile_names_are_shown_as_text(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=okta")
    reader.expect_count("9 of 69")
    for number, text in enumerate(HOSTILE):
        reader.wait_until_drawn()
        toggle = reader.toggle(f"{text}{number}")
        toggle.click()
        expect(toggle).to_have_attribute("aria-expanded", "true")
        expect(reader.row(f"{text}{number}")).to_contain_text(text)
    expect(reader.page.get_by_text("Assigned roles (2)")).to_have_count(len(HOSTILE))
    for text in HOSTILE:
        expect(
            reader.page.get_by_role("rowheader").get_by_text(text, exact=True)
        ).not_to_have_count(0)
    assert reader.page.evaluate(CREATED) == []


def test_hostile_roles_can_be_chosen(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?match=matched")
    reader.expect_count("69 of 69")
    reader.open_filter("Role")
    dialog = reader.page.get_by_role("dialog", name="Role", exact=True)
    expect(dialog.get_by_role("button", name=f"{HOSTILE[0]} 1", exact=True)).to_be_visible()
    assert reader.page.evaluate(CREATED) == []
    reader.page.keyboard.press("Escape")
    expect(reader.page.get_by_role("button", name="Role", exact=True)).to_have_count(0)
    reader.choose("Role", *HOSTILE[:3])
    reader.expect_count("3 of 69")
    assert reader.params()["role"] == list(HOSTILE[:3])
    expect(
        reader.page.get_by_role("button", name=f"Remove filter: Role {HOSTILE[0]}, +2", exact=True)
    ).to_be_visible()
    assert reader.page.evaluate(CREATED) == []


def test_hostile_names_are_harmless_on_health(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/?integration=okta")
    expect(reader.page.get_by_role("table", name="Top failure reasons")).to_be_visible(
        timeout=PATIENCE
    )
    expect(reader.page.get_by_role("table", name="Integrations")).to_be_visible(timeout=PATIENCE)
    assert reader.page.evaluate(CREATED) == []


# ---- health ------------------------------------------------------------------------------------

CHART_TITLES = [chart.title for chart in (*CHARTS, FAILURE_MAP)]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_health_draws_every_chart_in_its_window_and_scheme(
    app: Served, visit: Visit, width: int, scheme: ColorScheme
) -> None:
    reader = visit(app.url, width=width, scheme=scheme)
    for title in CHART_TITLES:
        figure = reader.page.get_by_role("figure", name=re.compile(f"^{title}. "))
        expect(figure.locator(".js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    reader.expect_no_overflow()
    assert (_brightness(reader.page) > 128) == (scheme == "light")


def _brightness(page: Page) -> float:
    color = page.evaluate(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    return sum(map(float, re.findall(r"[\d.]+", color)[:3])) / 3


def test_a_day_and_the_verdict_open_their_accounts_and_back_returns_to_the_view(
    app: Served, visit: Visit
) -> None:
    reader = visit(f"{app.url}/health?integration=figma&days=7")
    reader.page.mouse.click(*day_on_chart(reader))
    reader.expect_count("20 of 69")
    states = {"Provisioning failed", "Update failed", "Delete failed"}
    assert set(reader.params()["state"]) == states
    reader.page.go_back()
    heading = reader.page.get_by_role("heading", name="20 failed accounts, about as many")
    expect(heading).to_be_visible()
    assert reader.params() == {"integration": ["figma"], "days": ["7"]}
    reader.page.get_by_role("link", name="20 failed accounts").click()
    reader.expect_count("20 of 69")


def day_on_chart(reader: Reader) -> tuple[float, float]:
    """Where the newest day of the failed accounts is pointed at: anywhere on its line."""
    figure = reader.page.get_by_role("figure", name=re.compile("^Failed accounts per day"))
    point = figure.locator(".scatterlayer .point").last
    expect(point).to_be_attached(timeout=PATIENCE)
    return reader.hover(point, "20 accounts failed")


def test_the_second_click_of_a_double_click_sends_nothing(app: Served, visit: Visit) -> None:
    """It would arrive while another page is drawn, and leave that page empty."""
    reader = visit(f"{app.url}/")
    frames = _frames_sent(reader)
    reader.page.goto(f"{app.url}/?integration=figma")
    reader.page.mouse.move(*day_on_chart(reader))
    before = len(frames)
    for half in (1, 2):
        reader.page.mouse.down(click_count=half)
        reader.page.mouse.up(click_count=half)
        reader.page.wait_for_timeout(20)
    reader.expect_count("20 of 69")
    reader.wait_until_drawn()
    assert len(frames) <= before + 2, "the click, and the link that it opens"
    assert reader.params()["integration"] == ["figma"]


def test_a_row_of_a_table_opens_its_accounts(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/")
    figma = reader.page.get_by_role("button", name="Open figma")
    figma.click(timeout=PATIENCE)
    reader.expect_count("60 of 69")
    assert reader.params() == {"integration": ["figma"]}
    reader.page.go_back()
    expect(figma).to_be_in_viewport(timeout=PATIENCE)
    row = reader.page.get_by_role("button", name="Open Update failed")
    reader.page.get_by_role("table", name="provisioning").locator("tr", has=row).click()
    reader.expect_count("29 of 69")
    assert reader.params() == {"state": ["Update failed"]}


@pytest.mark.parametrize("scheme", or_at_night(["dark"], ["dark", "light"]))
def test_health_prints_whole_on_paper(
    app: Served, visit: Visit, tmp_path: Path, scheme: ColorScheme
) -> None:
    """The last day, the last column, the last row; no button."""
    page = visit(f"{app.url}/health?integration=figma", scheme=scheme).page
    expect(page.get_by_role("table", name="Integrations")).to_be_visible(timeout=PATIENCE)
    figure = page.get_by_role("figure", name=re.compile("^Time to complete"))
    expect(figure.locator("svg.main-svg").first).to_be_visible(timeout=PATIENCE)
    page.pdf(path=tmp_path / "health.pdf", format="A4")
    text = " ".join(p.extract_text() for p in PdfReader(tmp_path / "health.pdf").pages)
    words = "figma|3 Dec 2025 – 1 Jan 2026|Newest snapshot|20 failed|1 Jan|Deleted"
    words += "|Share of|Open jobs|Accounts|Active|Unmatched|Failed per day|Age|(UTC)|First seen"
    for phrase in words.split("|"):
        assert phrase in text, phrase
    for control in ("Report", "CSV", "30 days", "Previous snapshot"):
        assert control not in text


def test_the_rules_of_review_print_with_every_column(
    app: Served, visit: Visit, tmp_path: Path
) -> None:
    reader = visit(f"{app.url}/review", scheme="dark")
    expect(reader.page.get_by_role("table", name="Rules")).to_be_visible(timeout=PATIENCE)
    reader.wait_until_drawn()
    reader.page.pdf(path=tmp_path / "review.pdf", format="A4")
    text = " ".join(p.extract_text() for p in PdfReader(tmp_path / "review.pdf").pages)
    words = "Review|All integrations|Severity|Rule|Finds|New this week|Oldest|Exceptions|nothing"
    words += "|except for accounts that are Deleted"  # the end of a long definition
    for phrase in words.split("|"):
        assert phrase in text, phrase
    for control in ("Report", "Rule settings", "As of", "…"):
        assert control not in text, control


def test_a_list_prints_as_a_table_below_its_filters(
    app: Served, visit: Visit, tmp_path: Path
) -> None:
    reader = visit(f"{app.url}/users?integration=figma&state=Update+failed", scheme="dark")
    reader.expect_count("20 of 69")
    expect(reader.toggle("person58")).to_be_visible()
    expect(reader.page.locator(".print-only")).to_have_count(1)
    reader.wait_until_drawn()
    reader.page.pdf(path=tmp_path / "users.pdf", format="A4")
    text = " ".join(p.extract_text() for p in PdfReader(tmp_path / "users.pdf").pages)
    for phrase in ("20 of 69 accounts", "Update failed in figma", "Last updated", "person58"):
        assert phrase in text, phrase
    for control in ("Clear all", "Excel", "Longest open"):
        assert control not in text


def test_a_chart_can_be_downloaded_as_data_and_picture(app: Served, visit: Visit) -> None:
    page = visit(f"{app.url}/").page
    card = page.locator(".st-key-card_failing")
    expect(card.locator("svg.main-svg").first).to_be_visible(timeout=PATIENCE)
    with page.expect_download() as numbers:
        card.get_by_role("button", name="CSV").click()
    assert "operation" in numbers.value.path().read_text(encoding="utf-8-sig").splitlines()[0]
    with page.expect_download() as picture:
        card.locator(".modebar-btn").click()
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    card.get_by_text("Table", exact=True).click()
    expect(card.get_by_role("table")).to_be_visible()


def _frames_sent(reader: Reader) -> list[object]:
    """The frames that the page sends to Streamlit after the next load; grows."""
    frames: list[object] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: frames.append(frame))

    reader.page.on("websocket", listen)
    return frames


def test_a_cell_of_the_heatmap_opens_its_failed_accounts(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/?integration=figma")
    figure = reader.page.get_by_role("figure", name=re.compile("^Failures by integration"))
    cell = figure.locator(".scatterlayer .point").last
    expect(cell).to_be_attached(timeout=PATIENCE)
    reader.page.mouse.click(*reader.hover(cell, "20 of 60 accounts failed"))
    reader.expect_count("20 of 69")
    assert reader.params()["integration"] == ["figma"]
    states = {"Provisioning failed", "Update failed", "Delete failed"}
    assert set(reader.params()["state"]) == states


# ---- layout ------------------------------------------------------------------------------------


WATCH_SHIFTS = """addEventListener("load", () => { document.body.dataset.shift = 0; });
new PerformanceObserver((list) => { for (const { value, hadRecentInput } of list.getEntries())
  if (!hadRecentInput) document.body.dataset.shift = Number(document.body.dataset.shift) + value;
}).observe({ type: "layout-shift", buffered: true });"""


def test_ctrl_k_searches_from_every_page_and_pages_stand_still(app: Served, visit: Visit) -> None:
    """A shift below 0.1 is what browsers call good."""
    reader = visit(app.url)
    page = reader.page
    with page.add_init_script(WATCH_SHIFTS):
        for path in ("users", "snapshots", "review", "changes", "health"):
            page.goto(f"{app.url}/{path}")
            reader.wait_until_drawn()
            assert float(page.locator("body").get_attribute("data-shift") or 0) < 0.1, path
    page.keyboard.press("Control+k")
    page.keyboard.type("02, person", delay=30)
    best = page.get_by_role("listbox").get_by_role("option", selected=True)
    expect(best).to_contain_text("Person 02")
    page.keyboard.press("Enter")
    expect(reader.toggle("person02")).to_have_attribute("aria-expanded", "true")
    page.go_back()
    expect(page.get_by_role("heading", name="Health", exact=True)).to_be_visible()
