"""A letter as text, as HTML and as data.

Texts of items can quote the data. Nothing in them comes alive: no markup, no mention, no emoji
code and no address, in a mail as in a chat.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

from data.formatting import iso_z
from data.letters.message import Message
from queries.letter.letter import MAX_LINES, Item, Letter, Link
from queries.letter.template import COLORS, DOCUMENT, FONT, LINK, ROW
from queries.period import to_local

ALL_IS_WELL = "All is well: no new failures, nothing silent, nothing waiting for you."

NOTE = "Each number opens its list, after sign-in."

MAX_SUBJECT_LENGTH = 120

MAX_URL_LENGTH = 1_500
"""Characters. Windows cuts an address off after 2,083, and Teams takes 28 KB for a whole letter."""

MARKS = {"alarm": "!", "bad": "•", "note": "•", "good": "✓"}
"""Severity → what an item begins with, in text."""

LOOK_ALIKES = str.maketrans(
    "<>@*`~|[]\\", "\u2039\u203a\uff20\u2217\u02cb\u223c\u2223\uff3b\uff3d\uff3c"
)
"""What can be markup, or begin a mention, in a mail, Slack or Teams → what only looks like it."""

LOW_MACRON = "\N{MODIFIER LETTER LOW MACRON}"
"""Looks like `_`, which Apprise escapes for Slack as for Markdown, and so changes."""

WORD_JOINER = "\N{WORD JOINER}"
"""Has no width, and keeps a text from being an emoji code or an address."""


def render(letter: Letter, base_url: str) -> Message:
    """The letter in every form that a channel needs."""
    text, html = letter_text(letter, base_url), letter_html(letter, base_url)
    lines, data = letter_lines(letter, base_url), letter_data(letter, base_url)
    return Message(letter_subject(letter), text, html, lines, data)


def letter_subject(letter: Letter) -> str:
    """One line: the worst of the letter in words."""
    worst = ", ".join(_inert(item.text) for item in letter.items[:2]) or "all is well"
    subject = f"Rollcall: {worst}"
    cut = subject[:MAX_SUBJECT_LENGTH]
    return subject if subject == cut else f"{cut}…"


def letter_text(letter: Letter, base_url: str) -> str:
    """Plain text for a terminal, a mail or a chat: a line per item, its address below."""
    lines = [f"Rollcall, {_period(letter)}", ""]
    for item in letter.shown:
        lines.append(f"{MARKS[item.severity]} {_inert(item.text + item.detail)}")
        lines += [f"  {url}"] if (url := _url(letter, item, base_url)) else []
    if not letter.items:
        lines.append(ALL_IS_WELL)
    if letter.remaining:
        lines.append(": ".join(_rest(letter, base_url)))
    return "\n".join(lines) + "\n"


def letter_html(letter: Letter, base_url: str) -> str:
    """A whole HTML document for a mail; nothing in it comes from another server."""
    rows = [
        _row(item.severity, item.text, _url(letter, item, base_url), item.detail)
        for item in letter.shown
    ]
    if not letter.items:
        rows.append(_row("good", ALL_IS_WELL, ""))
    if letter.remaining:
        rows.append(_row("note", *_rest(letter, base_url)))
    return DOCUMENT.substitute(
        font=FONT,
        subject=escape(letter_subject(letter)),
        period=escape(_period(letter)),
        rows="".join(rows),
        note=NOTE if any(item.count for item in letter.shown) else "",
        home=escape(Link("").url(base_url)),
    )


def letter_data(letter: Letter, base_url: str) -> dict[str, Any]:
    """The letter as JSON has it; docs/letter.md describes it. It has all items."""
    return {
        "subject": letter_subject(letter),
        "since": iso_z(letter.since),
        "until": iso_z(letter.until),
        "items": [_item_data(item, base_url) for item in letter.items],
    }


def letter_lines(letter: Letter, base_url: str) -> list[tuple[str, str]]:
    """The lines of a chat message, each with the address that it opens, which can be empty."""
    lines = [
        (_inert(item.text + item.detail).replace("_", LOW_MACRON), _url(letter, item, base_url))
        for item in letter.shown
    ]
    if letter.remaining:
        lines.append(_rest(letter, base_url))
    return lines or [(ALL_IS_WELL, "")]


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


def _row(severity: str, text: str, url: str, detail: str = "") -> str:
    text, detail, url = escape(_inert(text)), escape(_inert(detail)), escape(url)
    head = LINK.substitute(url=url, text=text) if url else f"<b>{text}</b>"
    return ROW.substitute(font=FONT, color=COLORS[severity], text=head + detail)


def _url(letter: Letter, item: Item, base_url: str) -> str:
    """What the item opens, or the page with the item if that is too long; empty without a link."""
    url = item.link.url(base_url) if item.link else ""
    return url if len(url) <= MAX_URL_LENGTH else _page(letter, [item]).url(base_url)


def _rest(letter: Letter, base_url: str) -> tuple[str, str]:
    """The items for which the letter has no room: how many, and their page; or that of all."""
    url = _page(letter, letter.items[MAX_LINES:]).url(base_url)
    if len(url) > MAX_URL_LENGTH:
        return "see all", _page(letter, ()).url(base_url)
    return f"and {letter.remaining:,} more", url


def _page(letter: Letter, items: Sequence[Item]) -> Link:
    return Link("letter", (*letter.params(), *(("item", item.key) for item in items)))


def _period(letter: Letter) -> str:
    """`29 Nov 07:30 → 30 Nov 07:30, Europe/Berlin`."""
    since, until = (_moment(at, letter.zone) for at in (letter.since, letter.until))
    return f"{since} → {until}, {letter.zone}"


def _moment(moment: datetime, zone: str) -> str:
    return f"{to_local(moment, zone):%-d %b %H:%M}"


def _inert(text: str) -> str:
    """The text with nothing in it that a mail program or a chat would make a link or a mention."""
    text = text.translate(LOOK_ALIKES)
    text = re.sub(r"(?<!\w)_|_(?!\w)", "\uff3f", text)
    return re.sub(r"([.:])(?=\S)", rf"\1{WORD_JOINER}", text)
