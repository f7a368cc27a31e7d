"""Text from the data as a label: never markup."""

from __future__ import annotations

import re

MAX_LABEL_LENGTH = 60
"""Characters of a text from the data on a button or beside a box; its end is left out."""


MARKDOWN_CHARACTERS = re.compile(r"[!-/:-@\[-`{-~]")
"""What may mean something in markdown; no letter and no digit does."""


def escape_label(text: str, most: int = MAX_LABEL_LENGTH) -> str:
    """The text as a label, which is markdown, shows it as it is; cut off where it is too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    shortened = line if len(line) <= most else f"{line[:most]}…"
    return MARKDOWN_CHARACTERS.sub(r"\\\g<0>", shortened)
