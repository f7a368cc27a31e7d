"""What a person waits for who reads a year of snapshots on Health, Changes and Review."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from playwright.sync_api import Page

from benchmarks.serving import a_browser

VISITS = 3
ROUNDS = 2

METRICS = "[class*=st-key-tile_] :is(a, [data-testid=stText])"
TILES = "[class*=st-key-tile_]"
SUMMARY = ".st-key-in_words"
PAGES = {
    "Health": ("health", METRICS),
    "Changes": ("changes", SUMMARY),
    "Review": ("review", ".st-key-rules"),
}
"""Page → its address, and what is there when it says something."""


def visited(url: str) -> list[str]:
    """Table rows: from an address to the page's title, and to its first numbers."""
    rows = []
    with a_browser() as page:
        for name, (path, content) in PAGES.items():
            page.goto(f"{url}/{path}")  # a first visit asks what nobody has asked since the load
            _settle(page)
            waits = [_visit(page, f"{url}/{path}", content) for _ in range(VISITS)]
            title, numbers = (median(each) for each in zip(*waits, strict=True))
            rows.append(f"| {name} | {title:.0f} ms | {numbers:.0f} ms |")
    return rows


def pressed(url: str) -> list[str]:
    """Table rows: from a press to the frame with another answer, at first and repeated."""
    rows = []
    with a_browser() as page:
        for what, path, shows, acts in ACTS:
            page.goto(f"{url}/{path}")
            _settle(page)
            first = [_press(page, act, shows) for act in acts]
            again = [_press(page, act, shows) for _ in range(ROUNDS) for act in acts]
            rows.append(f"| {what} | {median(first):.0f} ms | {median(again):.0f} ms |")
    return rows


def _button(name: str) -> Callable[[Page], Any]:
    return lambda page: page.get_by_role("button", name=name, exact=True).first.click()


def _text(name: str) -> Callable[[Page], Any]:
    return lambda page: page.get_by_text(name, exact=True).first.click()


ACTS: tuple[tuple[str, str, str, list[Callable[[Page], Any]]], ...] = (
    (
        "Health: another period",
        "health",
        TILES,
        [*map(_text, ("7 days", "90 days", "30 days"))],
    ),
    ("Health: the day before", "health", METRICS, [*map(_button, ["Previous snapshot"] * 4)]),
    (
        "Changes: other moments",
        "changes",
        SUMMARY,
        [*map(_button, ("7 days", "Last two snapshots"))],
    ),
    (
        "Review: a rule, and back",
        "review",
        "[data-testid=stMain]",
        [
            act
            for rule in ("Deleted but still active", "Active and unmatched")
            for act in (_text(rule), _button("All rules"))
        ],
    ),
)
"""What is done, where, what is watched for another answer, and how it is done."""


def _visit(page: Page, address: str, content: str) -> tuple[float, float]:
    """Milliseconds until there is a title, and until there are numbers."""
    page.goto("about:blank")
    page.goto(address, wait_until="commit")
    title, numbers = page.evaluate(APPEAR, content)
    _settle(page)
    return title, numbers


def _press(page: Page, act: Callable[[Page], Any], shows: str) -> float:
    """Milliseconds until what is shown there says something else."""
    page.evaluate(WATCH, shows)
    act(page)
    waited = page.evaluate("() => window.answered")
    _settle(page)
    return waited


def _settle(page: Page) -> None:
    page.locator("[data-test-script-state=notRunning]").wait_for(timeout=60_000)
    page.wait_for_timeout(700)


APPEAR = """(content) => new Promise((resolve, reject) => {
  let title;
  const look = () => {
    if (!title && document.querySelector("h1")) title = performance.now();
    if (title && document.querySelector(content)) resolve([title, performance.now()]);
    else if (performance.now() > 20000) reject(new Error(`no ${content}`));
    else requestAnimationFrame(look);
  };
  look();
})"""

WATCH = """(shows) => {
  const said = () => [...document.querySelectorAll(shows)].map((each) => each.textContent).join();
  const before = said(), given = performance.now();
  let began;
  const press = () => { began ??= performance.now(); };
  addEventListener("pointerdown", press, { once: true, capture: true });
  window.answered = new Promise((resolve) => {
    const look = (now) => {
      const told = said();
      if (began && told && told !== before) resolve(performance.now() - began);
      else if (now - given > 10000) resolve(NaN);
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}"""
