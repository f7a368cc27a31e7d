"""A running app, a real Chromium, and a reader in front of it who finds things by their labels."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)

from data.home import Home

ROOT = Path(__file__).parent.parent
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 15_000
"""Milliseconds that a condition may take to come true; a file to be loaded and shown, too."""

ColorScheme = Literal["light", "dark"]

PROBE = re.compile(r"/\w+/_stcore/(health|host-config)$")
"""Below a page's path Streamlit looks for itself, in vain, before it looks at the root."""


@dataclass
class Served:
    """A running app: its address, and the home that it serves."""

    url: str
    home: Home
    process: subprocess.Popen[str]

    def stop(self) -> int:
        """As a service manager does it; answers with the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


@contextmanager
def served(root: Path, port: int = 0, **more: str) -> Iterator[Served]:
    """The app as `python app.py` serves it, with `more` in its environment, for the block."""
    port = port or free_port()
    environment = os.environ | {
        "PORT": str(port),
        "ROLLCALL_HOME": str(root),
        "ROLLCALL_NO_SAMPLE": "1",
        **more,
    }
    log = (root / "log.txt").open("w+")
    process = subprocess.Popen(
        [sys.executable, ROOT / "app.py"], env=environment, stdout=log, stderr=log, text=True
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await_answer(f"{url}/healthz", process)
        yield Served(url, Home(root), process)
        assert "Traceback" not in (root / "log.txt").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def await_answer(url: str, process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
                return
        except OSError:
            assert process.poll() is None, "the app has ended"
            assert time.monotonic() < give_up, "the app does not answer"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"none of these is installed: {', '.join(BROWSERS)}"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


TOO_WIDE = """() => Math.max(...[...document.querySelectorAll("html, main")]
    .map((e) => e.scrollWidth - e.clientWidth))"""


@dataclass
class Reader:
    """Somebody at a browser of their own, and what went wrong there."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("request", lambda request: self._went_to(request.url))
        self.page.on("websocket", lambda socket: self._went_to(socket.url))
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))

    def _went_to(self, url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob"):
            self.hosts.add(urlsplit(url).netloc)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not PROBE.search(message.location["url"]):
            self.faults.append(f"{message.text} ({message.location['url']})")

    # -- what a reader sees and does

    def row(self, username: str) -> Locator:
        button = self.page.get_by_role("button", name=f"Details of {username}", exact=True)
        return self.page.get_by_role("row").filter(has=button)

    def toggle(self, username: str) -> Locator:
        return self.page.get_by_role("button", name=f"Details of {username}", exact=True)

    def lists(self, usernames: list[str]) -> None:
        """These are the rows, in this order."""
        toggles = self.page.get_by_role("button", name=re.compile("^Details of "))
        expect(toggles).to_have_count(len(usernames))
        for number, username in enumerate(usernames):
            expect(toggles.nth(number)).to_have_accessible_name(f"Details of {username}")

    def sees(self, count: str) -> None:
        """The list is there, with so many accounts."""
        words = re.compile(rf"^{count} accounts$")
        expect(self.page.get_by_text(words)).to_be_visible()

    def is_still(self) -> None:
        """While the page is being drawn anew, it takes no click."""
        self.page.locator("[data-test-script-state=notRunning]").wait_for()

    def middle_of(self, mark: Locator) -> tuple[float, float]:
        """Where a mark of a chart is pointed at: what takes the mouse there lies above it."""
        self.is_still()
        mark.scroll_into_view_if_needed()
        box = mark.bounding_box()
        assert box
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def points_at(self, mark: Locator, words: str) -> tuple[float, float]:
        """Where the mouse is when a chart tells of the mark; before, it may miss a click."""
        told = self.page.locator(".hoverlayer").get_by_text(words)
        give_up = time.monotonic() + PATIENCE / 1000
        while True:
            x, y = self.middle_of(mark)
            self.page.mouse.move(x - 1, y)
            self.page.mouse.move(x, y)
            self.page.wait_for_timeout(100)
            if told.count():
                return x, y
            assert time.monotonic() < give_up, f"nothing tells of {words}"

    def fits(self) -> None:
        """Nothing is wider than the window, once charts have taken the width that is left them."""
        self.is_still()
        give_up = time.monotonic() + PATIENCE / 1000
        while too_wide := self.page.evaluate(TOO_WIDE):
            assert time.monotonic() < give_up, f"{too_wide} pixels wider than the window"
            self.page.wait_for_timeout(50)

    def opened(self, label: str) -> Locator:
        """What a filter's button opens."""
        self.is_still()
        self.page.get_by_role("button", name=label, exact=True).first.click()
        return self.page.get_by_role("dialog", name=label, exact=True)

    def choose(self, label: str, *options: str) -> None:
        """Choices of a filter, each beside its count."""
        dialog = self.opened(label)
        for option in options:
            words, before = re.compile(rf"^{re.escape(option)} [\d,]+$", re.I), self.page.url
            dialog.locator("button").filter(has_text=words).click()
            expect(self.page).not_to_have_url(before)
            self.is_still()
        self.page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()

    def asked(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.page.url).query)


@pytest.fixture(scope="module")
def used_browser(browser: Browser) -> BrowserContext:
    """One that has visited before, and need not fetch Streamlit again."""
    return browser.new_context(viewport={"width": 1440, "height": 900})


Visit = Callable[..., Reader]


@pytest.fixture
def visit(browser: Browser, used_browser: BrowserContext) -> Iterator[Visit]:
    """Opens an address, `afresh` as somebody else; at the end nothing has gone wrong."""
    readers: list[tuple[Reader, str]] = []

    def open_(
        url: str, *, afresh: bool = False, width: int = 1440, scheme: ColorScheme = "light"
    ) -> Reader:
        reader = Reader((browser.new_context() if afresh else used_browser).new_page())
        reader.page.set_viewport_size({"width": width, "height": 900})
        reader.page.emulate_media(color_scheme=scheme)
        readers.append((reader, urlsplit(url).netloc))
        reader.page.goto(url)
        return reader

    yield open_
    for reader, host in readers:
        reader.page.close()
        assert reader.hosts == {host}, "a request left the machine"
        assert reader.faults == []
