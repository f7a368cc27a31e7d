"""Where in a CSV file its records begin: asked only where some of them are rejected."""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import NamedTuple


class Starts(NamedTuple):
    """Of the records after the headings, in the file's order."""

    lines: array[int]  # from 1
    offsets: array[int]  # bytes before
    is_open: bool  # the last one does not end: a quote is missing


def starts_of_records(path: Path, delimiter: str, headings_end: int) -> Starts:
    """Blank lines begin no record, lines within quotes none either.

    `headings_end` is the line on which the headings end.
    """
    begins, goes_on = _closed(re.escape(delimiter.encode()))
    lines, offsets, offset, is_open = array("q"), array("q"), 0, False
    with path.open("rb") as raw:
        for number, line in enumerate(raw, start=1):
            if number > headings_end:
                if not is_open and line.strip(b"\r\n"):
                    lines.append(number)
                    offsets.append(offset)
                if is_open or b'"' in line:
                    is_open = not (goes_on if is_open else begins).fullmatch(line)
            offset += len(line)
    return Starts(lines, offsets, is_open)


def _closed(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """What a line looks like after which no quoted cell goes on: where none does into it, and one.

    A line at once, as Python takes a second for a million steps; nothing is ever tried twice (`+`).
    """
    quoted = rb'(?:[^"]+|"")*+"'
    rest = rb"[^%b]*+" % delimiter
    cell = rb'(?:"%b|(?!"))%b' % (quoted, rest)
    more = rb"(?:%b%b)*+" % (delimiter, cell)
    return re.compile(cell + more), re.compile(quoted + rest + more)
