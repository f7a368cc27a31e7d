"""Where in a CSV file its records begin: asked only where some of them are rejected."""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import NamedTuple


class RecordStarts(NamedTuple):
    """Of the records after the headings, in the file's order."""

    lines: array[int]  # from 1
    offsets: array[int]  # bytes before
    ends_in_quotes: bool  # the last one does not end: a quote is missing


def find_record_starts(path: Path, delimiter: str, heading_end_line: int) -> RecordStarts:
    """Blank lines begin no record, lines within quotes none either.

    `headings_end` is the line on which the headings end.
    """
    unquoted_line, quoted_line = _line_patterns(re.escape(delimiter.encode()))
    lines, offsets, offset, in_quotes = array("q"), array("q"), 0, False
    with path.open("rb") as binary_file:
        for number, line in enumerate(binary_file, start=1):
            if number > heading_end_line:
                if not in_quotes and line.strip(b"\r\n"):
                    lines.append(number)
                    offsets.append(offset)
                if in_quotes or b'"' in line:
                    in_quotes = not (quoted_line if in_quotes else unquoted_line).fullmatch(line)
            offset += len(line)
    return RecordStarts(lines, offsets, in_quotes)


def _line_patterns(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """What a line looks like after which no quoted cell goes on: where none does into it, and one.

    A line at once, as Python takes a second for a million steps; nothing is ever tried twice (`+`).
    """
    quoted_cell = rb'(?:[^"]+|"")*+"'
    unquoted_rest = rb"[^%b]*+" % delimiter
    cell = rb'(?:"%b|(?!"))%b' % (quoted_cell, unquoted_rest)
    more_cells = rb"(?:%b%b)*+" % (delimiter, cell)
    return re.compile(cell + more_cells), re.compile(quoted_cell + unquoted_rest + more_cells)
