"""A real OpenID provider on loopback, the app behind its sign-in, and people who sign in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browsing import ROOT, Served, free_port, served, usual_port, wait_for_answer
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
    """An OpenID provider that lets anybody sign in, with the claims that a test sets."""

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
        wait_for_answer(f"{provider.url}/.well-known/openid-configuration", process)
        yield provider
    finally:
        process.kill()
        process.wait()


STRICT = "oidc-provider@9.13.3"
PACKAGES = ROOT / ".venv" / "strict-provider"


@contextmanager
def a_strict_provider(app_port: int) -> Iterator[str]:
    """A certified provider that insists on PKCE and knows one address of ours; its own address.

    It is installed once. Where it cannot be, the test is skipped, and says why.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node.js and npm are not installed: nothing was tried with oidc-provider.")
    if not (PACKAGES / "node_modules" / "oidc-provider").exists():
        install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(PACKAGES), STRICT]
        done = subprocess.run(install, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install {STRICT}: {done.stderr[-300:]}")
    port = free_port()
    redirect = f"http://127.0.0.1:{app_port}/oauth2callback"
    script = Path(__file__).parent / "strict_provider.mjs"
    command = ["node", str(script), str(PACKAGES / "node_modules"), str(port), redirect]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_answer(f"http://localhost:{port}/.well-known/openid-configuration", process)
        yield f"http://localhost:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def guarded(
    root: Path,
    provider: str,
    port: int = 0,
    prompt: str = "select_account",
    origin: str = "",
    environment: Mapping[str, str] | None = None,
    **access: Any,
) -> Iterator[Served]:
    """The app with sign-in at a provider, its roles those of ROLES; `origin`: of a proxy."""
    port = port or usual_port()
    secrets = root / "settings" / "secrets.toml"
    secrets.parent.mkdir()
    auth = {
        "redirect_uri": f"{origin or f'http://127.0.0.1:{port}'}/oauth2callback",
        "cookie_secret": SECRET,
        "client_id": CLIENT,
        "client_secret": "nobody asks for it",
        "server_metadata_url": f"{provider}/.well-known/openid-configuration",
        "client_kwargs": {"prompt": prompt},
    }
    settings = {"auth": auth, "access": {"claim": "groups", "roles": ROLES} | access}
    secrets.write_text(_toml(settings), encoding="utf-8")
    with served(root, port, ROLLCALL_SECRETS=str(secrets), **(environment or {})) as app:
        yield app


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """JSON's strings, numbers and lists are TOML's, too; tables stand on one line."""

    def value(settings: Any) -> str:
        if isinstance(settings, Mapping):
            pairs = (f"{json.dumps(k)} = {value(v)}" for k, v in settings.items())
            return "{" + ", ".join(pairs) + "}"
        return json.dumps(settings)

    return "\n".join(
        f"[{name}]\n" + "".join(f"{k} = {value(v)}\n" for k, v in settings.items())
        for name, settings in sections.items()
    )


def sign_in(page: Page, url: str, sub: str) -> None:
    """As a person does it, from the address that they want to see."""
    page.goto(url)
    page.get_by_role("link", name="Sign in").click()
    page.locator("input[name=sub]").fill(sub)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{url.rsplit('/', 1)[0]}/**", wait_until="commit")
