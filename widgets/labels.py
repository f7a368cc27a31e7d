"""Labels of text from the data, in which no markup is active."""

import re

MAX_LABEL_LENGTH = 60
"""Characters of a label; longer text is cut off."""

MARKDOWN_CHARACTERS = re.compile(r"[!-/:-@\[-`{-~]")
"""All ASCII punctuation: what can be markup in Markdown."""


def escape_label(text: str, most: int = MAX_LABEL_LENGTH) -> str:
    """The text as one short line, escaped: Streamlit reads labels as Markdown."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    shortened = line if len(line) <= most else f"{line[:most]}…"
    return MARKDOWN_CHARACTERS.sub(r"\\\g<0>", shortened)


def screen_reader_text(text: str) -> str:
    """Text on a button for screen readers; page.css hides small text from the eye."""
    return f":small[{text}]"
