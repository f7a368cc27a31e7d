"""A real OpenID provider on loopback, the app behind its sign-in, and people who sign in."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browsing import Served, await_answer, free_port, served
from playwright.sync_api import Page

CLIENT = "rollcall"
SECRET = "a cookie secret of the tests, and of nobody else"

ROLES = {
    "owners": "Owner",
    "super-admins": "Super Admin",
    "admins": "Admin",
    "analysts": "Analyst",
    "managers": "Manager",
}
"""What the provider calls a role → what Rollcall does."""


@dataclass
class Provider:
    """An OpenID provider that believes whoever signs in, and says of them what it is told to."""

    url: str

    def says_of(self, sub: str, **claims: Any) -> None:
        """What its next token says of somebody; `aud` and `exp` go over its own."""
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.url}/users/{sub}",
            data=json.dumps(claims).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request).close()  # noqa: S310


@contextmanager
def a_provider() -> Iterator[Provider]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        provider = Provider(f"http://localhost:{port}")
        await_answer(f"{provider.url}/.well-known/openid-configuration", process)
        yield provider
    finally:
        process.kill()
        process.wait()


@contextmanager
def guarded(
    root: Path, provider: str, auth: Mapping[str, str] | None = None, **access: Any
) -> Iterator[Served]:
    """The app with sign-in at a provider, its roles those of ROLES."""
    port = free_port()
    settings = root / "settings" / ".streamlit"
    settings.mkdir(parents=True)
    auth = {
        "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
        "cookie_secret": SECRET,
        "client_id": CLIENT,
        "client_secret": "nobody asks for it",
        "server_metadata_url": f"{provider}/.well-known/openid-configuration",
    } | dict(auth or {})
    told = {"auth": auth, "access": {"claim": "groups", "roles": ROLES} | access}
    (settings / "secrets.toml").write_text(_toml(told), encoding="utf-8")
    with served(root, port, HOME=str(settings.parent)) as app:
        yield app


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """JSON's strings, numbers and lists are TOML's, too; tables stand on one line."""

    def value(told: Any) -> str:
        if isinstance(told, Mapping):
            pairs = (f"{json.dumps(k)} = {value(v)}" for k, v in told.items())
            return "{" + ", ".join(pairs) + "}"
        return json.dumps(told)

    return "\n".join(
        f"[{name}]\n" + "".join(f"{k} = {value(v)}\n" for k, v in told.items())
        for name, told in sections.items()
    )


def sign_in(page: Page, url: str, sub: str) -> None:
    """As a person does it, from the address that they want to see."""
    page.goto(url)
    page.get_by_role("link", name="Sign in").click()
    page.locator("input[name=sub]").fill(sub)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{url.rsplit('/', 1)[0]}/**", wait_until="commit")
