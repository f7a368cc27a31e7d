"""Pages without a browser, as a reader sees them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copies import load_inbox_once
from dropped_files import Delivered, deliver
from patience import PATIENCE
from streamlit.testing.v1 import AppTest

from data.home import Home
from data.inbox.inbox import Quarantined
from data.store.engine import open_store

PAGES = Path(__file__).parent.parent / "pages"
OF_ACCOUNTS = {path.name for path in PAGES.glob("*.py")} - {"definitions.py", "audit.py"}
TODAY, YESTERDAY = "2026-01-02T06-00-00Z", "2026-01-01T06-00-00Z"


@dataclass
class Page:
    """A page as a reader sees it."""

    run: AppTest

    @property
    def table(self) -> dict[str, Any]:
        components = [json.loads(c.proto.json) for c in self.run.get("bidi_component")]
        return next(data for data in components if "rows" in data)

    @property
    def usernames(self) -> list[str]:
        return [row["label"] for row in self.table["rows"]]

    @property
    def headings(self) -> list[str]:
        return [column["label"] for column in self.table["columns"]]

    @property
    def count(self) -> str:
        return next(m.value for m in self.run.markdown if "accounts" in m.value)

    @property
    def removable(self) -> list[str]:
        """The labels of the buttons that remove one filter each."""
        buttons = [b for b in self.run.button if b.key and b.key.startswith("remove_")]
        return [in_plain_words(b.label) for b in buttons]

    @property
    def ignored(self) -> str:
        notes = [in_plain_words(m.value) for m in self.run.markdown]
        return next((note for note in notes if note.startswith("This link contains")), "")

    def choices(self, name: str, within: str = "") -> Any:
        """The choices of a filter, opened."""
        self.add_filter(name)
        return self.run.pills(key=f"choose_{name}{within}")

    def add_filter(self, name: str) -> None:
        """Choose a filter from the menu, which opens it."""
        if f"remove_{name}" not in [button.key for button in self.run.button]:
            self.run.session_state["adding_filter"] = name
        self.run.session_state[f"filter_{name}"] = True
        self.run.run()
        assert not self.run.exception

    def counts(self, name: str, within: str = "") -> list[str]:
        return [in_plain_words(option) for option in self.choices(name, within).options]

    @property
    def address(self) -> dict[str, Any]:
        return dict(self.run.query_params)

    def panel(self, username: str) -> list[dict[str, Any]]:
        """The blocks of an account, its row opened."""
        id_ = next(row["id"] for row in self.table["rows"] if row["label"] == username)
        self.run.session_state["users"] = {"open": [id_]}
        self.run.run()
        return self.table["details"][id_]


def in_plain_words(label: str) -> str:
    """A label without its markdown."""
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\):\w+\[(.*?)(?<!\\)\]", r"\1", label))


def page(name: str, **params: Any) -> Page:
    run = AppTest.from_file(PAGES / name, default_timeout=PATIENCE)
    for param, value in params.items():
        run.query_params[param] = value
    run.run()
    assert not run.exception, [error.message for error in run.exception]
    return Page(run)


def users(**params: Any) -> Page:
    return page("users.py", **params)


def load_all(home: Home, *accounts: Delivered, **delivery: str) -> None:
    """Deliver a snapshot, and load it."""
    deliver(home, accounts, **delivery)
    outcomes = load_inbox_once(open_store(home.database_url), home)
    assert not [outcome.reason for outcome in outcomes if isinstance(outcome, Quarantined)]


def accounts(count: int, **same: str) -> list[Delivered]:
    return [
        Delivered(user=f"User {n:03} <u{n}@x.io>", username=f"user{n:03}", **same)
        for n in range(count)
    ]


ADA = Delivered("Ada Lovelace <ada@x.io>", "ada", "Admin; Editor", "yes", "00u1", "Onboarded")
BOB = Delivered("Bob <bob@x.io>", "bob", "Editor", "no", "00u2", "Update failed")
CY = Delivered("", "cy", "", "", "", "Deleted")


def tile(shown: Page, label: str) -> list[str]:
    """The number on a tile, and its change."""
    parts = list(shown.run.get_by_key(f"tile_{label.replace(' ', '_')}"))
    (number,) = [part.proto.label for part in parts if part.type == "page_link"]
    change = next(part.proto.body for part in parts if part.type == "html")
    return [number, re.sub("<[^>]*>", "", change)]


def metric(shown: Page, label: str) -> str:
    return tile(shown, label)[0]


def alt(shown: Page, name: str) -> str:
    """The text that describes a chart to screen readers."""
    return next(c.proto.alt for c in shown.run.get("plotly_chart") if c.proto.alt.startswith(name))
