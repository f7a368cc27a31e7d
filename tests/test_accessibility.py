"""What every reader can use: pages as axe-core reads them, and the table by keyboard and zoomed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import PATIENCE, ColorScheme, Reader, Served, Visit, served
from dropped_files import HOSTILE, Delivered, deliver, hostile_accounts
from playwright.sync_api import Locator, Page, expect

from data.home import Home

pytestmark = pytest.mark.browser

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OPTIONS = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}

LOOKS: list[tuple[int, ColorScheme]] = [(1440, "light"), (420, "dark")]
"""Each width and each scheme once: colours do not depend on the width, nor sizes on the scheme."""

EXCUSED = {
    # Streamlit's own point on the line below a figure: Vega gives it a role, and no name. The
    # figure beside it says the same in words.
    "svg-img-alt": re.compile(r"\.metric_chart_\w+_highlighted_points_marks"),
}
"""Rule → the elements, not ours, that may break it."""

ROLES = [
    {"name": f"Role {n:03}", "description": "May do it", "via": "sg-it", "since": "2025-11-01"}
    for n in range(40)
]
ADA = Delivered(roles=json.dumps(ROLES), state="Update failed", reason="Seat limit reached")
"""Long enough in every part to scroll."""
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
    """Accounts in all sorts of states, one of them with a long past and a second account."""
    root = tmp_path_factory.mktemp("home")
    for day in range(1, 25):
        before = ADA._replace(state=("Update awaiting", "Update ongoing")[day % 2], reason="")
        deliver(Home(root), [before, *ACCOUNTS[1:]], taken_at=f"2025-12-{day:02}T06-00-00Z")
    deliver(Home(root), ACCOUNTS)
    deliver(Home(root), [ADA._replace(username="ada2")], integration="slack")
    deliver(Home(root), hostile_accounts(), integration="okta")
    with served(root) as app:
        yield app


def health(page: Page) -> None:
    expect(page.get_by_role("figure").last).to_be_visible(timeout=PATIENCE)


def closed(page: Page) -> None:
    expect(page.get_by_role("button", name="Details of nobody")).to_be_visible(timeout=PATIENCE)


def opened(page: Page) -> None:
    """One account that has a long list of everything, with all of it unfolded."""
    for name in ("ada", "p4"):
        page.get_by_role("button", name=f"Details of {name}", exact=True).click(timeout=PATIENCE)
    expect(page.get_by_text("Other accounts of the same person (1)")).to_be_visible()
    page.get_by_text("earlier").click()
    expect(page.get_by_text("First seen")).to_have_count(2)


def empty_result(page: Page) -> None:
    expect(page.get_by_text("No accounts match these filters")).to_be_visible(timeout=PATIENCE)


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "health": ("/", health),
    "users": ("/users?integration=figma", closed),
    "a panel": ("/users?integration=figma", opened),
    "a filtered list": ("/users?active=unknown&integration=figma", closed),
    "an empty result": ("/users?q=no+such+account", empty_result),
}


@pytest.mark.parametrize(
    ("view", "width", "scheme"),
    [
        *((view, width, scheme) for view in VIEWS for width, scheme in LOOKS),
        ("a panel", 1440, "dark"),
        ("a panel", 420, "light"),
    ],
)
def test_a_page_has_nothing_that_some_cannot_use(
    app: Served, visit: Visit, view: str, width: int, scheme: ColorScheme
) -> None:
    path, ready = VIEWS[view]
    page = visit(f"{app.url}{path}", width=width, scheme=scheme).page
    ready(page)
    assert violations(page) == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_an_empty_store_has_nothing_that_some_cannot_use(
    empty_app: Served, visit: Visit, width: int, scheme: ColorScheme
) -> None:
    page = visit(f"{empty_app.url}/users", width=width, scheme=scheme).page
    expect(page.get_by_role("heading", name="No snapshots yet")).to_be_visible(timeout=PATIENCE)
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    """Rule, place and what is wrong there, of all that axe-core finds."""
    page.locator("[data-test-script-state=notRunning]").wait_for()
    found: list[dict[str, Any]] = Axe().run(page, options=OPTIONS).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
        if not (rule["id"] in EXCUSED and EXCUSED[rule["id"]].fullmatch(str(node["target"][-1])))
    ]


# ---- the table, by hand --------------------------------------------------------------------------


def panel(reader: Reader, username: str) -> Locator:
    """The details of an account, opened."""
    toggle = reader.toggle(username)
    toggle.click()
    found = reader.page.locator(f"#{toggle.get_attribute('aria-controls')}")
    expect(found).to_contain_text("History")
    return found


def test_open_rows_stay_open_and_the_focus_stays_when_the_order_changes(
    app: Served, visit: Visit
) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    searched = panel(reader, "ada").get_by_role("searchbox")
    searched.fill("role 007")
    panel(reader, "p2")
    heading = reader.page.get_by_role("columnheader", name="Username in app").first
    for way in ("ascending", "descending"):
        heading.get_by_role("button").focus()
        reader.page.keyboard.press("Enter")
        expect(heading).to_have_attribute("aria-sort", way)
        expect(heading.get_by_role("button")).to_be_focused()
    for username in ("ada", "p2"):
        expect(reader.toggle(username)).to_have_attribute("aria-expanded", "true")
    expect(searched).to_have_value("role 007")
    expect(reader.page.get_by_text("1 of 40")).to_be_visible()


def test_open_rows_stay_open_as_far_as_a_filter_shows_them(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    panel(reader, "ada")
    panel(reader, "p2")
    search = reader.page.get_by_role("searchbox", name="Search", exact=True)
    search.fill("ada")
    search.press("Enter")
    reader.lists(["ada"])
    expect(reader.toggle("ada")).to_have_attribute("aria-expanded", "true")
    search.fill("")
    search.press("Enter")
    expect(reader.toggle("p2")).to_have_attribute("aria-expanded", "true")
    expect(reader.toggle("p1")).to_have_attribute("aria-expanded", "false")


def test_a_long_list_of_roles_is_searched_without_case_and_accents(
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


def test_escape_empties_a_search_and_then_closes_the_panel(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    search = panel(reader, "ada").get_by_role("searchbox")
    search.fill("role")
    search.press("Escape")
    expect(search).to_have_value("")
    expect(reader.toggle("ada")).to_have_attribute("aria-expanded", "true")
    search.press("Escape")
    expect(reader.toggle("ada")).to_have_attribute("aria-expanded", "false")
    expect(reader.toggle("ada")).to_be_focused()


def test_a_long_history_is_short_until_all_of_it_is_asked_for(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    history = panel(reader, "ada")
    moments = history.get_by_role("list").get_by_role("listitem")
    expect(moments).to_have_count(8)
    expect(history.get_by_text("First seen")).to_have_count(0)
    history.get_by_text("Show 17 earlier").focus()
    reader.page.keyboard.press("Enter")
    expect(moments).to_have_count(25)
    expect(history.get_by_text("First seen")).to_be_visible()


def test_a_filter_is_opened_chosen_and_left_by_keyboard_alone(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=slack")
    press, button = reader.page.keyboard.press, reader.page.get_by_role("button", name="User").first
    button.focus()
    press("Enter")
    offered = reader.page.get_by_role("dialog", name="User", exact=True)
    expect(offered).to_be_focused()
    expect(offered.get_by_text("matched").first).to_be_visible()
    press("Tab")
    assert offered.evaluate("dialog => dialog.contains(document.activeElement)")
    press("Shift+Tab")
    expect(button).to_be_focused()
    press("Escape")
    expect(offered).to_have_count(0)


def test_another_account_of_the_person_is_one_click_away(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=figma")
    panel(reader, "ada").get_by_role("link", name="ada2", exact=True).click()
    reader.lists(["ada2"])
    assert reader.asked() == {"integration": ["slack"], "q": ["ada2"]}


def test_the_headings_stay_in_sight_below_the_pages(app: Served, visit: Visit) -> None:
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


@pytest.mark.parametrize("width", [420, 720, 2560])
def test_nothing_is_wider_than_the_window_whatever_the_names(
    app: Served, visit: Visit, width: int
) -> None:
    """720 is a window of 1,440 at twice the size."""
    reader = visit(f"{app.url}/users?integration=okta", width=width)
    for number, text in enumerate(HOSTILE):
        panel(reader, f"{text}{number}")
    reader.fits()


EXPOSED = """(root) => {
  const found = [], texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (!texts.currentNode.data.includes("\u202e")) continue;
    if (getComputedStyle(parent).unicodeBidi === "normal") found.push(parent.outerHTML);
  }
  return found;
}"""


def test_a_text_that_turns_the_direction_round_turns_no_other(app: Served, visit: Visit) -> None:
    reader = visit(f"{app.url}/users?integration=okta")
    number, text = next((n, text) for n, text in enumerate(HOSTILE) if "\u202e" in text)
    panel(reader, f"{text}{number}")
    table = reader.page.get_by_role("table", name="Users")
    expect(table).to_contain_text(text)
    assert table.evaluate(EXPOSED) == []
