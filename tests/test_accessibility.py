"""Every page, read by axe-core as it stands in a real Chromium: what some readers cannot use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import PATIENCE, ColorScheme, Served, Visit, served
from dropped_files import Delivered, deliver
from playwright.sync_api import Page, expect

from data.home import Home

pytestmark = pytest.mark.browser

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OPTIONS = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}

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
    "users": ("/users", closed),
    "a panel": ("/users", opened),
    "a filtered list": ("/users?active=no&integration=figma", closed),
    "an empty result": ("/users?q=no+such+account", empty_result),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1440])
@pytest.mark.parametrize("view", VIEWS)
def test_a_page_has_nothing_that_some_cannot_use(
    app: Served, visit: Visit, view: str, width: int, scheme: ColorScheme
) -> None:
    path, ready = VIEWS[view]
    page = visit(f"{app.url}{path}", width=width, scheme=scheme).page
    ready(page)
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1440])
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
