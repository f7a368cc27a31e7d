"""Accessibility: pages checked by axe-core, and the table used by keyboard and zoomed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import PATIENCE, Reader, Served, Visit, served
from dropped_files import HOSTILE, Delivered, deliver, hostile_accounts
from playwright.sync_api import Locator, Page, expect

from data.home import Home

pytestmark = pytest.mark.browser

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OPTIONS = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}

ROLES = [
    {"name": f"Role {n:03}", "description": "May do it", "via": "sg-it", "since": "2025-11-01"}
    for n in range(40)
]
ADA = Delivered(roles=json.dumps(ROLES), state="Update failed", reason="Seat limit reached")
"""Long enough in every part to need scrolling."""
ACCOUNTS = [
    ADA,
    *(
        Delivered(f"P{n} <p{n}@x.io>", f"p{n}", "Viewer", active, f"u{n}", state, "not a time")
        for n, (state, active) in enumerate(
            [
                ("Onboarded", "yes"),
                ("Deleted", "no"),
                ("Update awaiting", ""),
                ("Provisioning ongoing", "perhaps"),
                ("half done", "no"),
            ]
        )
    ),
    Delivered("", "nobody", "", "", ""),
]


@pytest.fixture(scope="module")
def empty_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("empty")) as app:
        yield app


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Accounts in many states; ada has a long history and a second account."""
    root = tmp_path_factory.mktemp("home")
    for day in range(1, 11):
        before = ADA._replace(state=("Update awaiting", "Update ongoing")[day % 2], reason="")
        deliver(Home(root), [before, *ACCOUNTS[1:]], taken_at=f"2025-12-{day:02}T06-00-00Z")
    deliver(Home(root), ACCOUNTS)
    deliver(Home(root), [ADA._replace(username="ada2")], integration="slack")
    deliver(Home(root), hostile_accounts(), integration="okta")
    with served(root) as app:
        yield app


def health(page: Page) -> None:
    expect(page.get_by_role("figure").last).to_be_visible(timeout=PATIENCE)


def summary(page: Page) -> None:
    expect(page.get_by_role("button", name="Copy")).to_be_visible(timeout=PATIENCE)


def opened(page: Page) -> None:
    """Two open accounts among closed ones, with all history unfolded, and one that is marked."""
    expect(page.get_by_role("button", name="Details of nobody")).to_be_visible(timeout=PATIENCE)
    for name in ("ada", "p4"):
        page.get_by_role("button", name=f"Details of {name}", exact=True).click(timeout=PATIENCE)
    expect(page.get_by_text("Other accounts of the same person (1)")).to_be_visible()
    page.get_by_text(re.compile("^Show .* earlier$")).click()
    expect(page.get_by_text("First seen", exact=True)).to_have_count(2)
    page.get_by_role("checkbox", name="Mark ada", exact=True).check()
    expect(page.get_by_role("region", name="Marked rows")).to_contain_text("1 marked")


def empty_result(page: Page) -> None:
    expect(page.get_by_text("No accounts match")).to_be_visible(timeout=PATIENCE)


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "health": ("/", health),
    "changes": ("/changes", summary),
    "a panel": ("/users?integration=figma", opened),
    "an empty result": ("/users?q=no+such+account", empty_result),
}


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_accessible(app: Served, visit: Visit, view: str) -> None:
    path, ready = VIEWS[view]
    reader = visit(f"{app.url}{path}")
    ready(reader.page)
    assert violations(reader) == []


def test_an_empty_store_is_accessible(empty_app: Served, visit: Visit) -> None:
    reader = visit(f"{empty_app.url}/users")
    heading = reader.page.get_by_role("heading", name="No snapshots yet")
    expect(heading).to_be_visible(timeout=PATIENCE)
    assert violations(reader) == []


def violations(reader: Reader) -> list[str]:
    """One line per violation that axe-core reports in any look: rule, place and problem."""
    return [
        f"{look} {rule['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for look in reader.looks()
        for rule in Axe().run(reader.page, options=OPTIONS).response["violations"]
        for node in rule["nodes"]
    ]


# ---- the table by keyboard -----------------------------------------------------------------------


def panel(reader: Reader, username: str) -> Locator:
    """The details of an account, opened."""
    toggle = reader.toggle(username)
    toggle.click()
    details = reader.page.locator(f"#{toggle.get_attribute('aria-controls')}")
    expect(details).to_contain_text("History")
    return details


def test_sorting_keeps_open_rows_searches_and_focus(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    search = panel(reader, "ada").get_by_role("searchbox")
    search.fill("role 007")
    panel(reader, "p2")
    heading = reader.page.get_by_role("columnheader", name="Username in app").first
    for direction in ("ascending", "descending"):
        heading.get_by_role("button").focus()
        reader.page.keyboard.press("Enter")
        expect(heading).to_have_attribute("aria-sort", direction)
        expect(heading.get_by_role("button")).to_be_focused()
    for username in ("ada", "p2"):
        expect(reader.toggle(username)).to_have_attribute("aria-expanded", "true")
    expect(search).to_have_value("role 007")
    expect(reader.page.get_by_text("1 of 40")).to_be_visible()


def test_filtering_keeps_the_remaining_rows_open(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    panel(reader, "ada")
    panel(reader, "p2")
    search = reader.page.get_by_role("searchbox", name="Search", exact=True)
    search.fill("ada")
    search.press("Enter")
    reader.expect_rows(["ada"])
    expect(reader.toggle("ada")).to_have_attribute("aria-expanded", "true")
    search.fill("")
    search.press("Enter")
    expect(reader.toggle("p2")).to_have_attribute("aria-expanded", "true")
    expect(reader.toggle("p1")).to_have_attribute("aria-expanded", "false")


def test_a_long_list_of_roles_is_searched_ignoring_case_and_accents(
    app: Served, visit: Visit
) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    roles = panel(reader, "ada")
    search = roles.get_by_role("searchbox", name="Search Assigned roles (40)")
    search.fill("RÔLE 01")
    expect(roles.get_by_text("10 of 40")).to_be_visible()
    expect(roles.get_by_role("rowheader", name=re.compile("^Role"))).to_have_count(10)
    search.fill("nothing of the kind")
    expect(roles.get_by_text("No matches")).to_be_visible()


def test_escape_clears_a_search_and_then_closes_the_panel(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    search = panel(reader, "ada").get_by_role("searchbox")
    search.fill("role")
    search.press("Escape")
    expect(search).to_have_value("")
    expect(reader.toggle("ada")).to_have_attribute("aria-expanded", "true")
    search.press("Escape")
    expect(reader.toggle("ada")).to_have_attribute("aria-expanded", "false")
    expect(reader.toggle("ada")).to_be_focused()


def test_a_long_history_is_folded_until_it_is_opened(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    history = panel(reader, "ada")
    moments = history.get_by_role("list").get_by_role("listitem")
    expect(moments).to_have_count(8)
    expect(history.get_by_text("First seen", exact=True)).to_have_count(0)
    history.get_by_text("Show 3 earlier").focus()
    reader.page.keyboard.press("Enter")
    expect(moments).to_have_count(11)
    expect(history.get_by_text("First seen", exact=True)).to_be_visible()


def test_a_filter_can_be_used_with_the_keyboard_alone(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=slack")
    press = reader.page.keyboard.press
    reader.open_menu("Filter", "User").press("Enter")
    button = reader.page.get_by_role("button", name="User", exact=True).first
    dialog = reader.page.get_by_role("dialog", name="User", exact=True)
    expect(dialog).to_be_focused()
    expect(dialog.get_by_text("matched").first).to_be_visible()
    press("Tab")
    assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    press("Shift+Tab")
    expect(button).to_be_focused()
    press("Escape")
    expect(dialog).to_have_count(0)


def test_a_link_opens_another_account_of_the_person(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    panel(reader, "ada").get_by_role("link", name="ada2", exact=True).click()
    reader.expect_rows(["ada2"])
    assert reader.params() == {"integration": ["slack"], "q": ["ada2"]}


def test_the_headings_remain_visible_below_the_navigation(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    panel(reader, "ada")
    reader.page.set_viewport_size({"width": 1440, "height": 500})
    reader.toggle("p4").scroll_into_view_if_needed()
    reader.page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 600)")
    heading = reader.page.get_by_role("columnheader", name="Username in app").first
    bar = reader.page.get_by_test_id("stHeader").bounding_box()
    assert bar
    expect(heading).to_be_in_viewport(ratio=1)
    box = heading.bounding_box()
    assert box
    assert 0 <= box["y"] - (bar["y"] + bar["height"]) + 1 < 10
    on_top = "(th, [x, y]) => th.contains(th.getRootNode().elementFromPoint(x, y))"
    assert heading.evaluate(on_top, [box["x"] + 20, box["y"] + box["height"] / 2])


def test_no_name_makes_the_page_wider_than_the_window(app: Served, visit: Visit) -> None:
    """720 is a window of 1,440 at twice the size."""
    reader = visit(f"{app.url}/users?integration=okta", width=420)
    for number, text in enumerate(HOSTILE):
        panel(reader, f"{text}{number}")
    for width in (420, 720, 2560):
        reader.page.set_viewport_size({"width": width, "height": 900})
        reader.expect_no_overflow()


EXPOSED = """(root) => {
  const found = [], texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (!texts.currentNode.data.includes("\u202e")) continue;
    if (getComputedStyle(parent).unicodeBidi === "normal") found.push(parent.outerHTML);
  }
  return found;
}"""


def test_text_that_changes_the_writing_direction_affects_no_other_text(
    app: Served, visit: Visit
) -> None:
    reader = visit(f"{app.url}/users?integration=okta")
    number, text = next((n, text) for n, text in enumerate(HOSTILE) if "\u202e" in text)
    panel(reader, f"{text}{number}")
    table = reader.page.get_by_role("table", name="Users")
    expect(table).to_contain_text(text)
    assert table.evaluate(EXPOSED) == []
