"""Where in a CSV file its records begin: asked only where some of them are rejected."""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import NamedTuple

WITHIN_QUOTES = re.compile(rb'(?:[^"]+|"")*')


class Starts(NamedTuple):
    """Of the records after the headings, in the file's order."""

    lines: array[int]  # from 1
    offsets: array[int]  # bytes before
    is_open: bool  # the last one does not end: a quote is missing


def starts_of_records(path: Path, delimiter: str, headings_end: int) -> Starts:
    """Blank lines begin no record, lines within quotes none either.

    `headings_end` is the line on which the headings end.
    """
    lines, offsets, offset, is_open = array("q"), array("q"), 0, False
    with path.open("rb") as raw:
        for number, line in enumerate(raw, start=1):
            if number > headings_end:
                if not is_open and line.strip(b"\r\n"):
                    lines.append(number)
                    offsets.append(offset)
                if is_open or b'"' in line:
                    is_open = _ends_open(line, delimiter.encode(), is_open=is_open)
            offset += len(line)
    return Starts(lines, offsets, is_open)


def _ends_open(line: bytes, delimiter: bytes, *, is_open: bool) -> bool:
    """Whether a quoted cell goes on after the line; `is_open`: one goes on into it."""
    at = 0
    while True:
        if is_open or line.startswith(b'"', at):
            found = WITHIN_QUOTES.match(line, at if is_open else at + 1)
            if found is None or found.end() == len(line):
                return True
            at, is_open = found.end(), False
        at = line.find(delimiter, at) + 1
        if not at:
            return False
