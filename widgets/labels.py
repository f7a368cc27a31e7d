"""Text from the data as a label: never markup."""

from __future__ import annotations

import re

LONGEST_LABEL = 60
"""Characters of a text from the data on a button or beside a box; its end is left out."""


MARKDOWN = re.compile(r"[!-/:-@\[-`{-~]")
"""What may mean something in markdown; no letter and no digit does."""


def plain_label(text: str) -> str:
    """The text as a label, which is markdown, shows it as it is; cut off where it is too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = line if len(line) <= LONGEST_LABEL else f"{line[:LONGEST_LABEL]}…"
    return MARKDOWN.sub(r"\\\g<0>", cut)
