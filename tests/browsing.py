"""A running app, a real Chromium, and a reader who finds elements by their labels."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import patience
import pytest
from patience import wait_until
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    TimeoutError,
    expect,
    sync_playwright,
)
from processes import Process
from thorough import or_at_night

from data.home import Home

ROOT = Path(__file__).parent.parent
BROWSERS = (
    "chromium-headless-shell",  # a fifth faster, as it draws no windows
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
    "--font-render-hinting=none",  # else the words of a printed page have gaps
    "--in-process-gpu",
    "--process-per-site",  # a new page has the compiled scripts of the others
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 1000 * patience.PATIENCE
"""The same in milliseconds, as Playwright counts."""

ColorScheme = Literal["light", "dark"]

LOOKS: list[tuple[int, ColorScheme]] = or_at_night(
    [(1440, "light"), (420, "dark")], product((1440, 420), ("light", "dark"))
)
"""Each width and each scheme once: colors do not depend on the width, nor sizes on the scheme."""

DRAWN_IN_A_CALLBACK = "within a callback, displaying elements is not officially supported"
"""Streamlit logs this where a page can break: see `widgets.confirmation.decide`."""

PROBE = re.compile(r"(/\w+/_stcore/(health|host-config)|/favicon\.ico)$")
"""Streamlit first looks for its own endpoints below the path of a page, and gets a 404 there.

The icon of a page without Streamlit is the browser's own request, which can outlive the app."""


@dataclass
class Served:
    """A running app: its address, and the home that it serves."""

    url: str
    home: Home
    process: Process

    def stop(self) -> int:
        """Stop the app as a service manager does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=patience.PATIENCE)


@contextmanager
def served(root: Path, port: int = 0, **more: str) -> Iterator[Served]:
    """Run `python app.py` with `more` in its environment, for the length of the block.

    What is in the inbox is loaded before: each file would have the pages drawn again.
    """
    port = port or usual_port()
    environment = os.environ | {
        "PORT": str(port),
        "ROLLCALL_HOME": str(root),
        "ROLLCALL_NO_SAMPLE": "1",
        **more,
    }
    log = (root / "log.txt").open("w+")
    with log, Process("app.py", env=environment, stdout=log, stderr=log) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for_answer(f"{url}/healthz", process)
        wait_until(lambda: not any(Home(root).inbox.rglob("*.csv")))
        yield Served(url, Home(root), process)
        logged = (root / "log.txt").read_text()
        assert "Traceback" not in logged
        assert DRAWN_IN_A_CALLBACK not in logged


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


_usual: list[int] = []


def usual_port() -> int:
    """The same again if it is free: a browser has compiled the scripts of that address."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", _usual[0] if _usual else 0))
        except OSError:
            return free_port()
        _usual[:] = [tried.getsockname()[1]]
        return _usual[0]


def wait_for_answer(url: str, process: Process | subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=30):  # noqa: S310 - our own address
                return True
        except OSError:
            assert process.poll() is None, "the app has ended"
            return False

    wait_until(answers)


@dataclass
class Shared:
    """The browser that neighboring test files share, and its pages."""

    running: ExitStack
    browser: Browser
    browsing: Browsing


_shared: list[Shared] = []
"""At most one."""


def shared() -> Shared:
    """The browser; it starts with the first test that asks for it."""
    if not _shared:
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        assert path, f"none of these is installed: {', '.join(BROWSERS)}"
        expect.set_options(timeout=PATIENCE)
        running = ExitStack()
        playwright = running.enter_context(sync_playwright())
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        running.callback(chromium.close)
        _shared.append(Shared(running, chromium, Browsing(new_context(chromium))))
    return _shared[0]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Close the browser before a file that needs none: Playwright's loop occupies the thread."""
    goes_on = nextitem and (
        nextitem.path == item.path or "browser" in getattr(nextitem, "fixturenames", ())
    )
    if _shared and not goes_on:
        _shared.pop().running.close()


@pytest.fixture(scope="module")
def browser() -> Browser:
    return shared().browser


def new_context(browser: Browser) -> BrowserContext:
    """Cookies of its own; no animations, which are costly to draw without a graphics card."""
    return browser.new_context(reduced_motion="reduce")


TOO_WIDE = """() => Math.max(...[...document.querySelectorAll("html, main")]
    .map((e) => e.scrollWidth - e.clientWidth))"""


@dataclass
class Reader:
    """A person with a browser, and the errors that the browser reports."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("request", lambda request: self._record_host(request.url))
        self.page.on("websocket", lambda socket: self._record_host(socket.url))
        self.page.on("console", self._record_console_error)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))

    def _record_host(self, url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob"):
            self.hosts.add(urlsplit(url).netloc)

    def _record_console_error(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not PROBE.search(message.location["url"]):
            self.errors.append(f"{message.text} ({message.location['url']})")

    # -- what a reader sees and does

    def row(self, username: str) -> Locator:
        button = self.page.get_by_role("button", name=f"Details of {username}", exact=True)
        return self.page.get_by_role("row").filter(has=button)

    def toggle(self, username: str) -> Locator:
        return self.page.get_by_role("button", name=f"Details of {username}", exact=True)

    def expect_rows(self, usernames: list[str]) -> None:
        """Wait until exactly these rows are listed, in this order."""
        toggles = self.page.get_by_role("button", name=re.compile("^Details of "))
        expect(toggles).to_have_count(len(usernames))
        for number, username in enumerate(usernames):
            expect(toggles.nth(number)).to_have_accessible_name(f"Details of {username}")

    def expect_count(self, count: str) -> None:
        """Wait until the count above the list is this."""
        of_several_pages = rf"[\d,]+–[\d,]+ of {count.split(' of ')[0]}"
        words = re.compile(rf"^({count}|{of_several_pages}) accounts$")
        expect(self.page.get_by_text(words)).to_be_visible()

    def wait_until_drawn(self) -> None:
        """Wait until the page is drawn: before that, clicks can get lost."""
        self.page.locator("[data-test-script-state=notRunning]").wait_for()

    def look(self, width: int, scheme: ColorScheme) -> None:
        """Take a window of this width, in a light or dark system."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)

    def looks(self) -> Iterator[str]:
        """Show the page in each look in turn."""
        for width, scheme in LOOKS:
            self.look(width, scheme)
            self.wait_until_drawn()
            yield f"{width} {scheme}"

    def center_of(self, mark: Locator) -> tuple[float, float]:
        """The middle of a mark; an overlay covers it, so only the mouse can click there."""
        self.wait_until_drawn()
        mark.scroll_into_view_if_needed()
        box = mark.bounding_box()
        assert box
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def hover(self, mark: Locator, text: str) -> tuple[float, float]:
        """Point at a mark until its tooltip appears: before that, a click can miss it.

        A busy machine draws it late, and each move starts it again. So the pauses double.
        """
        tooltip = self.page.locator(".hoverlayer").get_by_text(text).first
        pause = 100
        while True:
            x, y = self.center_of(mark)
            self.page.mouse.move(x - 1, y)
            self.page.mouse.move(x, y)
            try:
                tooltip.wait_for(state="attached", timeout=pause)
            except TimeoutError:
                assert pause < PATIENCE, f"no tooltip shows {text}"
                pause *= 2
            else:
                return x, y

    def expect_no_overflow(self) -> None:
        """Wait until nothing is wider than the window; charts need a moment to shrink."""
        self.wait_until_drawn()
        deadline = time.monotonic() + PATIENCE / 1000
        while too_wide := self.page.evaluate(TOO_WIDE):
            assert time.monotonic() < deadline, f"{too_wide} pixels wider than the window"
            self.page.wait_for_timeout(50)

    def open_filter(self, label: str) -> Locator:
        """Open a filter, from the menu if it is not set; returns its dialog."""
        self.wait_until_drawn()
        button = self.page.get_by_role("button", name=label, exact=True)
        if (chip := self.page.get_by_test_id("stPopoverButton").and_(button)).count():
            chip.click()
        else:
            self.open_menu("Filter", label).click()
        return self.page.get_by_role("dialog", name=label, exact=True)

    def open_menu(self, name: str, option: str) -> Locator:
        """Open a menu with the keyboard; returns the option. A page that draws again closes it."""
        button = self.page.get_by_role("button", name=name, exact=True)
        item = self.page.get_by_role("menuitem", name=option, exact=True)
        deadline = time.monotonic() + PATIENCE / 1000
        while not item.is_visible():
            assert time.monotonic() < deadline, f"the menu {name} has no {option}"
            self.wait_until_drawn()
            button.press("Enter")
            self.page.wait_for_timeout(200)
        return item

    def choose(self, label: str, *options: str) -> None:
        """Select choices of a filter. Each label ends in its count."""
        dialog = self.open_filter(label)
        for option in options:
            label, before = re.compile(rf"^{re.escape(option)} [\d,]+$", re.I), self.page.url
            dialog.locator("button").filter(has_text=label).click()
            expect(self.page).not_to_have_url(before)
            self.wait_until_drawn()
        self.page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()

    def params(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.page.url).query)


@dataclass
class Browsing:
    """A browser with Streamlit in its cache, and its readers who have finished.

    The next one gets the page of one of them: a page that remains open keeps the compiled scripts,
    and compiling them is more than half of the work of opening an address.
    """

    context: BrowserContext
    free: list[Reader] = field(default_factory=list)

    def reader(self) -> Reader:
        return self.free.pop() if self.free else Reader(self.context.new_page())

    def release(self, reader: Reader, host: str) -> None:
        """Clear what the page remembers; where the app has ended, the page ends, too."""
        try:
            reader.page.goto(f"http://{host}/healthz")
            reader.page.evaluate("sessionStorage.clear(); localStorage.clear()")
        except Error:
            reader.page.close()
            return
        reader.hosts.clear()
        reader.errors.clear()
        self.free.append(reader)


@pytest.fixture(scope="module")
def browsing(browser: Browser) -> Browsing:
    return shared().browsing


Visit = Callable[..., Reader]


@pytest.fixture
def visit(browsing: Browsing) -> Iterator[Visit]:
    """Opens an address; at the end there must be no errors."""
    readers: list[tuple[Reader, str]] = []

    def open_(url: str, *, width: int = 1440, scheme: ColorScheme = "light") -> Reader:
        reader = browsing.reader()
        reader.look(width, scheme)
        readers.append((reader, urlsplit(url).netloc))
        reader.page.goto(url)
        return reader

    yield open_
    reports = [(reader.hosts - {host}, [*reader.errors]) for reader, host in readers]
    for reader, host in readers:
        browsing.release(reader, host)
    assert {host for hosts, _ in reports for host in hosts} == set(), "a request left the machine"
    assert [error for _, errors in reports for error in errors] == []
