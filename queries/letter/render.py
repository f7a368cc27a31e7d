"""A letter as text, as HTML and as data."""

from html import escape
from typing import Any

from data.formatting import iso_z
from queries.letter.letter import Item, Letter


def letter_subject(letter: Letter) -> str:
    """One line: the worst of the letter in words."""
    return "Rollcall: " + (", ".join(item.text for item in letter.items[:2]) or "all is well")


def letter_text(letter: Letter, base_url: str) -> str:
    """Plain text for a terminal, a mail or a chat: a line per item, its address below."""
    return "\n".join(
        f"{item.text}{item.detail}\n  {item.link.url(base_url) if item.link else ''}"
        for item in letter.shown
    )


def letter_html(letter: Letter, base_url: str) -> str:
    """A whole HTML document for a mail; nothing in it comes from another server."""
    return f"<!doctype html><pre>{escape(letter_text(letter, base_url))}</pre>"


def letter_data(letter: Letter, base_url: str) -> dict[str, Any]:
    """The letter as JSON has it; docs/letter.md describes it."""
    return {
        "subject": letter_subject(letter),
        "since": iso_z(letter.since),
        "until": iso_z(letter.until),
        "items": [_item_data(item, base_url) for item in letter.items],
    }


def _item_data(item: Item, base_url: str) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "key": item.key,
        "severity": item.severity,
        "text": item.text + item.detail,
        "count": item.count,
        "url": item.link.url(base_url) if item.link else None,
        "integration": item.integration,
        "ongoing": item.is_ongoing,
    }
