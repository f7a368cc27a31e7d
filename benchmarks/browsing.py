"""What the Users page costs: its questions beside the bare statements, and what a person waits."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from playwright.sync_api import Page
from sqlalchemy import Connection, Engine, insert, literal, select, text

from benchmarks.made import START, Accounts
from benchmarks.serving import Server, a_browser, serving
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.schema import account_version
from data.states import FAILED_STATES, OPEN_STATES
from data.store.engine import close_store, open_store
from queries.export.formats import FORMATS
from queries.filters import Filters
from queries.users.accounts import count_accounts, page_of_accounts
from queries.users.facets import list_choices

ROOT = Path(__file__).parent.parent
STEP = timedelta(days=30)
"""Between two versions of an account."""


def a_home(folder: Path, accounts: int, versions: int) -> Path:
    """A home whose store has so many accounts, and so many versions of each."""
    home = folder / "home"
    home.mkdir()
    url = f"duckdb:///{home}/rollcall.duckdb"
    path = Accounts(accounts).write(folder / "accounts.csv")
    engine = open_store(url)
    load(engine, SnapshotFile(path, "app", START))
    for number in range(1, versions):
        _add_older_versions(engine, number)
    close_store(url)
    return home


def deliver(home: Path, made: Accounts) -> None:
    """Put a list of the accounts, some of them in another state, before the app's eyes."""
    made.change()
    inbox = Home(home).inbox / "app"
    inbox.mkdir(parents=True, exist_ok=True)
    written = made.write(home / "next.csv")
    written.rename(inbox / f"{START + timedelta(days=1):%Y-%m-%dT%H-%M-%SZ}.csv")


def _add_older_versions(engine: Engine, number: int) -> None:
    """Every account, in another state, for the stretch before the ones that are there."""
    version = account_version
    until = START - STEP * (number - 1)
    columns: dict[str, Any] = {c.name: c for c in version.c}
    columns |= {
        "provisioning_state": literal(FAILED_STATES[number % 3]),
        "state_since": literal(until - STEP),
        "previous_state": literal(FAILED_STATES[(number + 1) % 3]),
        "valid_from": literal(until - STEP),
        "valid_to": literal(until),
    }
    here = version.c.valid_from == START
    with engine.begin() as con:
        con.execute(
            insert(version).from_select(list(columns), select(*columns.values()).where(here))
        )


NEWEST = "FROM account_current"
THEN = (
    "FROM account_version JOIN account_profile USING (account_key, integration_id, content_since) "
    "WHERE valid_from <= '{at}'::TIMESTAMP_S AND valid_to > '{at}'::TIMESTAMP_S"
)
BY_USER = "ORDER BY lower(coalesce(user_name, user_email)) NULLS LAST, account_key LIMIT 50"
BY_TIME = "ORDER BY last_updated DESC NULLS LAST, account_key LIMIT 50"
IN_FAILED = f"provisioning_state IN {FAILED_STATES}"


def questions(at: datetime, accounts: int) -> list[tuple[str, Callable[[Connection], object], str]]:
    """What is asked, how a page asks it, and the bare statement."""
    page, count = page_of_accounts.__wrapped__, count_accounts.__wrapped__  # type: ignore[attr-defined]
    then = THEN.format(at=at)

    def rows(filters: Filters, sort: str, number: int = 1) -> Callable[[Connection], object]:
        return lambda con: page(con, filters, sort=sort, descending=sort != "user", page=number)

    failed, found = Filters(state=FAILED_STATES), Filters(q="first12 last9")
    search = "contains(search, 'first12') AND contains(search, 'last9')"
    texts = "user_name, user_email, username_in_app, upstream_user_id"
    text_then = f"strip_accents(lower(concat_ws(' ', {texts})))"
    search_then = f"contains({text_then}, 'first12') AND contains({text_then}, 'last9')"
    return [
        ("Failed, newest change first", rows(failed, "last_updated"),
         f"SELECT * {NEWEST} WHERE {IN_FAILED} {BY_TIME}"),
        ("All, by user", rows(Filters(), "user"), f"SELECT * {NEWEST} {BY_USER}"),
        ("All, by user, in the middle", rows(Filters(), "user", accounts // 100),
         f"SELECT * {NEWEST} {BY_USER}"),
        ("Search, by user", rows(found, "user"), f"SELECT * {NEWEST} WHERE {search} {BY_USER}"),
        ("Count of a search", lambda con: count(con, found),
         f"SELECT count(*) {NEWEST} WHERE {search}"),
        ("Count of all", lambda con: count(con, Filters()), f"SELECT count(*) {NEWEST}"),
        ("Failed, as of long ago", rows(Filters(state=FAILED_STATES, as_of=at), "last_updated"),
         f"SELECT * {then} AND {IN_FAILED} {BY_TIME}"),
        ("All, by user, as of long ago", rows(Filters(as_of=at), "user"),
         f"SELECT * {then} {BY_USER}"),
        ("Search, as of long ago", rows(Filters(q="first12 last9", as_of=at), "user"),
         f"SELECT * {then} AND {search_then} {BY_USER}"),
        ("Accounts per state of a search", lambda con: list_choices(con, found, "state"),
         f"SELECT provisioning_state, count(*) {NEWEST} WHERE {search} GROUP BY ALL"),
    ]  # fmt: skip


def time_questions(home: Path, rounds: int) -> list[str]:
    """Table rows: each question beside its bare statement, in turns."""
    engine = open_store(f"duckdb:///{home}/rollcall.duckdb")
    rows = []
    with engine.connect() as con:
        accounts = count_accounts(con, Filters())
        for what, ask, bare in questions(START - STEP * 2, accounts):
            ask(con), con.execute(text(bare)).all()
            pairs = [
                (_seconds(lambda ask=ask: ask(con)),
                 _seconds(lambda bare=bare: con.execute(text(bare)).all()))
                for _ in range(rounds)
            ]  # fmt: skip
            ratio = median(ours / theirs for ours, theirs in pairs)
            rows.append(
                f"| {what} | {ratio:.2f} | {1000 * median(p[0] for p in pairs):.0f} ms "
                f"| {1000 * median(p[1] for p in pairs):.0f} ms |"
            )
    close_store(f"duckdb:///{home}/rollcall.duckdb")
    return rows


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def felt(url: str) -> list[str]:
    """Table rows: from an act in a real browser to the frame that shows other rows."""
    with a_browser() as page:
        page.goto(f"{url}/users")
        page.locator("table tbody tr.row").first.wait_for(timeout=60_000)
        page.wait_for_timeout(2_000)
        page.evaluate(WATCH)
        return [
            _felt(page, "Sort by a heading", _sorts(page)),
            _felt(page, "Turn the page", [page.get_by_label("Next page").click] * 10),
            _felt(page, "Choose a preset", _presets(page)),
            _felt(page, "Type a letter of a search", _searches(page)),
            _felt(page, "Open a row", _toggles(page)),
            _felt(page, "Choose a state in an open filter", _choices(page)),
        ]


def _sorts(page: Page) -> list[Callable[[], None]]:
    names = (
        "Username in app",
        "Last updated (UTC)",
        "Provisioning state",
        "Upstream user ID",
        "User",
    )
    return [
        page.locator("table thead").get_by_role("button", name=name, exact=True).click
        for name in names * 3
    ]


def _presets(page: Page) -> list[Callable[[], None]]:
    names = ("Failed", "Unmatched", "Longest open", "Deleted but still active")
    buttons = [page.get_by_role("button", name=re.compile(f"^{name} [\\d,]+$")) for name in names]
    return [button.first.click for button in buttons * 3]


def _searches(page: Page) -> list[Callable[[], None]]:
    """Each key finds other accounts, without Enter: `first1`, `first12`, `first1`, `first13` …"""
    box = page.get_by_label("Search").first
    box.fill("first")
    page.wait_for_timeout(2_000)
    keys = ["1", *(key for digit in "23456" for key in (digit, "Backspace"))]
    return [lambda key=key: box.press(key) for key in keys]


def _toggles(page: Page) -> list[Callable[[], None]]:
    page.get_by_role("button", name="Clear all").click()
    page.wait_for_timeout(2_000)
    toggles = page.get_by_role("button", name=re.compile("^Details of "))
    return [toggles.nth(number).click for number in range(12)]


def _choices(page: Page) -> list[Callable[[], None]]:
    """Each of the states is chosen besides those before."""
    page.get_by_role("button", name="Filter").first.click()
    page.get_by_role("menuitem", name="Provisioning state", exact=True).click()
    page.wait_for_timeout(2_000)
    offered = page.get_by_role("dialog", name="Provisioning state", exact=True)
    return [
        offered.locator("button").filter(has_text=re.compile(rf"^{name} [\d,]+$")).click
        for name in ("Deleted", *FAILED_STATES, *OPEN_STATES)
    ]


def _felt(page: Page, what: str, acts: list[Callable[[], None]]) -> str:
    waits = []
    for act in acts:
        page.evaluate("watchRows()")
        act()
        waits.append(page.evaluate("rowsChanged"))
        page.wait_for_timeout(400)
    known = [wait for wait in waits if wait is not None]
    worst = quantiles(known, n=20)[-1]
    return f"| {what} | {median(known):.0f} ms | {worst:.0f} ms | {len(known)} of {len(waits)} |"


WATCH = """() => {
function shownRows() {
  const find = (node) => node.shadowRoot ? find(node.shadowRoot) : [...node.children].map((child) =>
    child.matches("table.main") ? [...child.querySelectorAll("tr.row")].map((row) => row.dataset.id).join()
      + child.querySelectorAll(".timeline").length : find(child)).find(Boolean);
  return find(document.body);
}
window.watchRows = () => {
  const before = shownRows();
  let began;
  addEventListener("pointerdown", () => { began ??= performance.now(); }, { once: true, capture: true });
  addEventListener("keydown", () => { began ??= performance.now(); }, { once: true, capture: true });
  window.rowsChanged = new Promise((resolve) => {
    const given = performance.now();
    const look = (now) => {
      const rows = shownRows();
      if (began && rows && rows !== before) resolve(performance.now() - began);
      else if (now - given > 10000) resolve(null);
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
};
}
"""  # noqa: E501 - JavaScript


def served(home: Path) -> AbstractContextManager[Server]:
    """The app on the home; there as soon as its store is open."""
    command = [sys.executable, str(ROOT / "app.py")]
    return serving(command, "export/users.about.json", ROLLCALL_HOME=str(home))


def downloaded(server: Server) -> list[str]:
    """Table rows: the whole list in each format, and the memory that this takes."""
    rows = []
    for form in ("csv", "raw.csv", "parquet", "json"):
        server.forget_most()
        held = server.memory()
        took = _seconds(lambda form=form: server.get(f"export/users.{form}"))
        rows.append(
            f"| {FORMATS[form].label} | {took:.1f} s | {server.memory(most=True) - held:,} MB |"
        )
    return rows


@contextmanager
def counting(home: Path) -> Iterator[Callable[[str], object]]:
    """How many accounts with a text are in each state, as the page asks it of a home's store."""
    url = f"duckdb:///{home}/rollcall.duckdb"
    with open_store(url).connect() as con:
        yield lambda words: list_choices(con, Filters(q=words), "state")
    close_store(url)
