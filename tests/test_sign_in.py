"""People who sign in at a real OpenID provider, in a real browser, and what each one gets."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from browsing import PATIENCE, Served, free_port, new_context
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account
from patience import wait_until
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect
from signing_in import CLIENT, Provider, a_provider, a_strict_provider, guarded, sign_in

from data.home import Home

pytestmark = pytest.mark.browser

MARK = "zzmarkzz"
PAGES_OF = {
    "owners": [
        *("Health", "Users", "People", "Changes", "Review", "Matching", "Snapshots"),
        *("Audit", "Definitions"),
    ],
    "analysts": ["Users", "People", "Changes", "Definitions"],
    "managers": ["Health", "People", "Definitions"],
}
EXPORTS = {
    "export/users.csv": {"owners", "analysts"},
    "export/changes.csv?list=joined": {"owners", "analysts"},
    "export/evidence.zip": {"owners"},
    "export/users.evidence.zip": {"owners"},
    "export/audit.ndjson": {"owners"},
    "export/rejected.csv?integration=figma&taken_at=2026-11-23T06:00:00Z": {"owners"},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Served]:
    """Two integrations of marked people, some of whom fail for a reason that names them."""
    root = tmp_path_factory.mktemp("home")
    for name in ("figma", "slack"):
        for at in (YESTERDAY, TODAY):
            people = [
                an_account(
                    f"{MARK}{n}",
                    user=f"{MARK} of {name} {n}",
                    email=f"{MARK}{n}@{name}.io",
                    upstream_id=f"{MARK}-{n}",
                    state="Update failed" if n % 2 else "Update awaiting",
                    reason=f"{MARK} has no licence",
                )
                for n in range(2 + (at == TODAY))
            ]
            a_snapshot_file(Home(root).inbox, people, integration=name, at=at)
    only = {"figma-only": ["figma"]}
    roles = {"integrations": only, "contact": "it@x.io"}
    with guarded(root, provider.url, **roles) as app:
        yield app


@dataclass
class Person:
    """Somebody who has signed in, and all that their browser was sent."""

    page: Page
    context: BrowserContext
    sent: list[bytes] = field(default_factory=list)

    def leaves(self, app: Served) -> None:
        """The next person starts without cookies, in a page that has compiled the scripts."""
        for other in self.context.pages:
            if other is not self.page:
                other.close()
        self.page.goto(f"{app.url}/healthz")
        self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        self.context.clear_cookies()
        self.sent.clear()

    def listens(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: self.sent.append(_bytes(frame)))

    def asks(self, url: str, **headers: str) -> int:
        """A request with this browser's cookies; answers with the status."""
        return self.context.request.get(url, headers=headers).status


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


Enter = Callable[..., Person]


@pytest.fixture(scope="module")
def person(browser: Browser, app: Served) -> Iterator[Person]:
    """One after the other, as only the first needs long to compile the scripts."""
    context = new_context(browser)
    person = Person(context.new_page(), context)
    person.page.set_viewport_size({"width": 1440, "height": 900})
    person.page.set_default_timeout(PATIENCE)
    person.page.on("websocket", person.listens)
    yield person
    context.close()


@pytest.fixture
def enter(person: Person, app: Served, provider: Provider) -> Enter:
    """Signs somebody in at an address; whoever was there before has left."""
    numbers = count()

    def enter(group: str, at: str = "/", **claims: Any) -> Person:
        sub = f"{group}{next(numbers)}"
        user_claims = {"email": f"{sub}@x.io", "email_verified": True, "groups": [group]}
        provider.says_of(sub, **user_claims | claims)
        person.leaves(app)
        sign_in(person.page, app.url + at, sub)
        return person

    return enter


def sees_pages(page: Page, *titles: str) -> None:
    links = page.get_by_test_id("stTopNavLink")
    words = [re.compile(f"{title}$") for title in titles]  # before it, the icon
    expect(links).to_have_text(words, timeout=PATIENCE)


def has_drawn_health(page: Page) -> None:
    expect(page.get_by_text("Change is over the selected period")).to_be_visible(
        timeout=4 * PATIENCE
    )
    page.locator("[data-test-script-state=notRunning]").wait_for(timeout=4 * PATIENCE)


def is_shut_out(page: Page) -> None:
    expect(page.get_by_role("link", name="Sign in", exact=True)).to_be_visible()


@pytest.mark.parametrize("group", PAGES_OF)
def test_each_role_gets_its_pages_and_its_downloads(enter: Enter, app: Served, group: str) -> None:
    """What each page gives to whom is in `test_every_page_checks_permissions`."""
    person = enter(group)
    sees_pages(person.page, *PAGES_OF[group])
    person.page.goto(f"{app.url}/snapshots")
    title = "Snapshots" if group == "owners" else "No access"
    expect(person.page.get_by_role("heading", name=title, level=1)).to_be_visible()
    for path, groups in EXPORTS.items():
        assert person.asks(f"{app.url}/{path}") == (200 if group in groups else 403), path


def test_the_browser_of_a_manager_never_receives_a_name(enter: Enter, app: Served) -> None:
    manager = enter("managers")
    tile = manager.page.locator(".st-key-tile_Accounts")
    expect(tile).to_contain_text("6", timeout=PATIENCE)
    has_drawn_health(manager.page)
    for path in ("users?q=zz", "review"):
        manager.page.goto(f"{app.url}/{path}")
        expect(manager.page.get_by_text("No access")).to_be_visible()
    received = b"".join(manager.sent)
    assert b"figma" in received, "what was sent can be read here"
    assert MARK.encode() not in received
    owner = enter("owners", "/users")
    toggle = owner.page.get_by_role("button", name=f"Details of {MARK}1")
    expect(toggle.first).to_be_visible(timeout=PATIENCE)
    assert MARK.encode() in b"".join(owner.sent), "others do"


def test_a_person_limited_to_one_integration_sees_no_other(enter: Enter, app: Served) -> None:
    person = enter("analysts", "/users?integration=slack", groups=["analysts", "figma-only"])
    expect(person.page.get_by_text("3 accounts", exact=True)).to_be_visible(timeout=PATIENCE)
    person.page.get_by_role("button", name=f"Details of {MARK}1").click()
    expect(person.page.get_by_text("Assigned roles")).to_be_visible()
    listed = person.context.request.get(f"{app.url}/export/users.csv?integration=slack").text()
    everything = person.context.request.get(f"{app.url}/export/users.csv").text()
    assert MARK not in listed
    assert f"{MARK}0@figma.io" in everything
    assert "slack" not in everything
    assert b"slack.io" not in b"".join(person.sent)


def test_people_without_a_role_see_whom_to_ask(enter: Enter, app: Served) -> None:
    for claims in ({"groups": ["sales"]}, {"groups": None}, {"groups": "owners-of-nothing"}):
        stranger = enter("nobody", **claims)
        expect(stranger.page.get_by_text("To get a role, ask it@x.io.")).to_be_visible()
        assert stranger.asks(f"{app.url}/export/users.csv") == 403
        assert stranger.asks(f"{app.url}/_stcore/health") == 403
    owner = enter("owners", "/definitions")

    def are_logged() -> bool:
        audit = owner.context.request.get(f"{app.url}/export/audit.ndjson").text()
        events = [json.loads(line) for line in audit.splitlines()]
        wanted = {("nobody0@x.io", "was denied access"), ("owners3@x.io", "signed in")}
        return wanted <= {(event["actor"], event["action"]) for event in events}

    wait_until(are_logged)


def test_a_token_for_another_app_opens_nothing(enter: Enter, app: Served) -> None:
    person = enter("owners", aud=["another app"], azp=CLIENT)  # Authlib lets it pass
    is_shut_out(person.page)
    assert person.asks(f"{app.url}/export/users.csv") == 401


def test_an_open_page_ends_with_its_token(enter: Enter, app: Served) -> None:
    person = enter("owners", "/users?q=zzmarkzz1", exp=time.time() + 15)
    expect(person.page.get_by_role("button", name=f"Details of {MARK}1").first).to_be_visible()
    expect(person.page.get_by_text("Your session has ended")).to_be_visible(timeout=60_000)
    expect(person.page.get_by_text(MARK)).to_have_count(0)
    assert person.asks(f"{app.url}/export/users.csv") == 401
    person.page.get_by_role("link", name="Sign in again").click()
    is_shut_out(person.page)


def test_signing_out_in_one_tab_ends_the_session_in_the_other(enter: Enter, app: Served) -> None:
    person = enter("analysts", "/users")
    expect(person.page.get_by_role("button", name=f"Details of {MARK}1").first).to_be_visible()
    stolen = person.context.cookies(app.url)
    other = person.context.new_page()
    other.goto(f"{app.url}/users")
    other.get_by_role("button", name="Account", exact=True).click()
    other.get_by_role("button", name="Sign out").click()
    expect(person.page.get_by_text("Your session has ended")).to_be_visible(timeout=30_000)
    expect(person.page.get_by_text(MARK)).to_have_count(0)
    header = "; ".join(f"{each['name']}={each['value']}" for each in stolen)  # pyright: ignore
    with pytest.raises(HTTPError, match="401"):
        urlopen(Request(f"{app.url}/export/users.csv", headers={"Cookie": header}))  # noqa: S310


def test_a_tampered_cookie_opens_nothing(enter: Enter, app: Served) -> None:
    person = enter("managers")
    sees_pages(person.page, *PAGES_OF["managers"])
    (mine,) = [c for c in person.context.cookies(app.url) if c.get("name") == "_streamlit_user"]
    value = str(mine.get("value"))
    for at in (5, len(value) // 2, len(value) - 3):
        changed = value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]
        person.context.add_cookies([{"name": "_streamlit_user", "value": changed, "url": app.url}])
        person.page.goto(f"{app.url}/")
        is_shut_out(person.page)


def test_a_certified_provider_signs_people_in_and_out_and_ends_their_sessions(
    browser: Browser, tmp_path: Path
) -> None:
    """It insists on PKCE, and tells Rollcall by back-channel logout that a session has ended."""
    port = free_port()
    with (
        a_strict_provider(port) as provider,
        guarded(tmp_path, provider, port, prompt="login") as app,
    ):
        page = new_context(browser).new_page()
        page.set_default_timeout(PATIENCE)

        def sign_in_there() -> None:
            page.goto(f"{app.url}/users")
            page.get_by_role("link", name="Sign in").click()
            page.locator("input[name=login]").fill("admins")
            page.locator("input[name=password]").fill("any")
            page.get_by_role("button", name="Sign-in").click()
            page.get_by_role("button", name="Continue").click()
            expect(page.get_by_text("No snapshots yet")).to_be_visible()

        sign_in_there()
        sees_pages(page, *(title for title in PAGES_OF["owners"] if title != "Audit"))
        elsewhere = page.context.new_page()
        elsewhere.goto(f"{provider}/session/end")
        elsewhere.get_by_role("button", name="Yes, sign me out").click()
        expect(page.get_by_text("Your session has ended")).to_be_visible()
        sign_in_there()
        page.get_by_role("button", name="Account", exact=True).click()
        expect(page.get_by_text("admins@x.io")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Yes, sign me out").click()
        is_shut_out(page)
        page.context.close()


def test_the_log_contains_no_names(app: Served) -> None:
    """After all that the tests before have done."""
    log = (app.home.root / "log.txt").read_text()
    for personal in (MARK, "@x.io", "code=", "eyJ"):
        assert personal not in log
