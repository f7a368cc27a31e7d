"""Snapshot files as an integration delivers them, with the headings of the table on the page."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from data.home import Home

NEW_YEAR = "2026-01-01T06-00-00Z"
"""When a snapshot was taken where a test does not care."""


class Delivered(NamedTuple):
    """One row of a snapshot file; the fields are in the order of HEADINGS."""

    user: str = "Ada Lovelace <ada@x.io>"
    username: str = "ada"
    roles: str = "Editor"
    active: str = "yes"
    upstream_id: str = "00u1"
    state: str = "Onboarded"
    last_updated: str = "2025-12-31T10:00:00Z"
    reason: str = ""


HEADINGS = (
    "User",
    "Username in app",
    "App access",
    "Active in app",
    "Upstream user ID",
    "Provisioning state",
    "Last updated",
    "Reason",
)

HOSTILE = (
    '=HYPERLINK("http://evil.example","x")',
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "**bold** [x](javascript:alert(1)) ![p](http://evil.example/p.png)",
    "O'Brien; DROP TABLE account",
    "$\\LaTeX$ :smile: :red[red] `code`",
    "مرحبا \u202eexe.fdp",
    "+1 & -1 %s {0} \\n",
    "x" * 10_000,
)
"""Names that a page must show as what they are: text."""


def hostile_accounts() -> list[Delivered]:
    """Each hostile text as a user, a username, a role, an upstream ID and a reason."""
    return [
        Delivered(
            user=text,
            username=f"{text}{number}",
            roles=f'["{_escaped(text)}", "Viewer"]',
            upstream_id=text,
            state="Update failed",
            reason=text,
        )
        for number, text in enumerate(HOSTILE)
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def deliver(
    home: Home,
    accounts: Iterable[Delivered],
    *,
    integration: str = "figma",
    taken_at: str = NEW_YEAR,
) -> Path:
    """Drop a snapshot file into the inbox, written under a temporary name and renamed."""
    path = home.inbox / integration / f"{taken_at}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        writer.writerows(accounts)
    return partial.rename(path)
