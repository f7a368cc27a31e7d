"""Behind nginx as deploy/nginx.conf sets it up: TLS, sign-in, and a session over its WebSocket."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
import trustme
from browsing import PATIENCE, ROOT, free_port
from dropped_files import Delivered, deliver
from playwright.sync_api import Browser, Page, expect
from servers import Server
from signing_in import a_provider, guarded, sign_in

from data.home import Home

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
TOKEN = "a token of the tests, and of nobody else"


@contextmanager
def nginx(root: Path, apps: Sequence[int], plain: int, secure: int) -> Iterator[None]:
    """The documented configuration, with ports and a certificate of its own.

    It writes down which process answers what.
    """
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        root / "cert.pem"
    )
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for ours, theirs in (
        (r"/etc/ssl/rollcall/\w+\.pem", f"{root}/cert.pem"),
        (r"listen 80;", f"listen 127.0.0.1:{plain};"),
        (r"listen 443 ", f"listen 127.0.0.1:{secure} "),
        (r"rollcall\.example\.com", "localhost"),
        (r"server 127\.0\.0\.1:8501;", " ".join(f"server 127.0.0.1:{app};" for app in apps)),
        (r"access_log off;", f"access_log {root}/answers answers;"),
    ):
        text, found = re.subn(ours, theirs, text)
        assert found, ours
    temporary = " ".join(
        f"{kind}_temp_path {root}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"daemon off; pid {root}/pid; error_log {root}/error; events {{}}\n"
    answers = "log_format answers '$browser $upstream_addr';"
    (root / "nginx.conf").write_text(f"{whole}http {{ {temporary}\n{answers}\n{text} }}")
    process = subprocess.Popen([str(NGINX), "-e", f"{root}/error", "-c", f"{root}/nginx.conf"])
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(not NGINX, reason="nginx is not installed: nothing was tried with it")
def test_a_session_through_the_proxy(browser: Browser, tmp_path: Path) -> None:
    app, plain, secure = free_port(), free_port(), free_port()
    origin = f"https://localhost:{secure}"
    settings = {"origin": origin, "metrics_token": TOKEN}
    with (
        a_provider() as provider,
        nginx(tmp_path, [app], plain, secure),
        guarded(tmp_path, provider.url, app, **settings),
    ):
        provider.says_of("olga", groups=["owners"], email="olga@x.io", email_verified=True)
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        sign_in(page, f"{origin}/users", "olga")
        expect(page.get_by_text("No snapshots yet")).to_be_visible()
        assert sockets
        assert all(url.startswith(f"wss://localhost:{secure}/") for url in sockets)
        cookies = {each.get("name"): each for each in context.cookies()}
        assert "_streamlit_user" in cookies
        for name, cookie in cookies.items():
            assert (cookie.get("secure"), cookie.get("sameSite")) == (True, "Lax"), name
            assert cookie.get("httpOnly") is (name != "_streamlit_xsrf"), "pages send that one back"
        context.close()

        assert status(f"{origin}/readyz") == 200
        assert status(f"{origin}/export/users.csv") == 401
        assert status(f"{origin}/metrics", token=TOKEN) == 404, "not from outside"
        assert status(f"http://127.0.0.1:{app}/metrics", token=TOKEN) == 200
        assert status(f"http://127.0.0.1:{app}/metrics") == 421
        assert status(f"http://127.0.0.1:{plain}/export/users.csv") == 403


@pytest.mark.skipif(not NGINX, reason="nginx is not installed: nothing was tried with it")
def test_two_processes_serve_one_team_and_a_browser_keeps_its_process(
    browser: Browser, tmp_path: Path, postgresql: Server
) -> None:
    home, url = tmp_path / "shared", postgresql.new_store()
    shared = {"ROLLCALL_HOME": str(home), "ROLLCALL_DATABASE_URL": url}
    apps, plain, secure = (free_port(), free_port()), free_port(), free_port()
    origin = f"https://localhost:{secure}"
    with (
        a_provider() as provider,
        nginx(tmp_path, apps, plain, secure),
        guarded(folder(tmp_path / "one"), provider.url, apps[0], origin=origin, environment=shared),
        guarded(folder(tmp_path / "two"), provider.url, apps[1], origin=origin, environment=shared),
    ):
        provider.says_of("olga", groups=["owners"], email="olga@x.io", email_verified=True)
        pages: list[Page] = []
        while len(serving(tmp_path, pages)) < 2:
            assert len(pages) < 20, "all browsers are with one process"
            pages.append(browser.new_context(ignore_https_errors=True).new_page())
            pages[-1].set_default_timeout(PATIENCE)
            pages[-1].goto(f"{origin}/healthz")
        both = [next(p for p in pages if serving(tmp_path, [p]) == {app}) for app in
                sorted(serving(tmp_path, pages))]  # fmt: skip
        for page in both:
            sign_in(page, f"{origin}/users", "olga")
            expect(page.get_by_text("No snapshots yet")).to_be_visible()
        deliver(Home(home), [Delivered("Ada Lovelace <ada@x.io>", "ada")])
        for page in both:
            expect(page.get_by_role("button", name="Details of ada")).to_be_visible()
        assert len(serving(tmp_path, [both[0]])) == len(serving(tmp_path, [both[1]])) == 1


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def serving(root: Path, pages: Sequence[Page]) -> set[str]:
    """The processes that have answered these browsers, each lines by its cookie."""
    names = {
        each.get("value")
        for page in pages
        for each in page.context.cookies()
        if each.get("name") == "rollcall_process"
    }
    lines = (root / "answers").read_text().splitlines() if names else []
    return {line.split()[1] for line in lines if line.split()[0] in names}


def status(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    how = ssl._create_unverified_context()  # noqa: S323 - our own
    try:
        with urllib.request.urlopen(request, context=how) as answer:  # noqa: S310
            return answer.status
    except HTTPError as fault:
        return fault.code
