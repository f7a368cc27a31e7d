"""The structure of CSV text: its delimiter, and the line on which each record starts."""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import NamedTuple

DELIMITERS = ",;\t|"


class RecordStarts(NamedTuple):
    """The records after the headings, in the order of the file."""

    lines: array[int]  # line numbers, from 1
    offsets: array[int]  # bytes before each record
    ends_in_quotes: bool  # the last record does not end: a quote is missing


def guess_delimiter(line: str) -> str:
    """The delimiter that a line has most of, outside of quotes."""
    return max(DELIMITERS, key=re.sub(r'"[^"]*"?', "", line).count)


def find_record_starts(path: Path, delimiter: str, heading_end_line: int) -> RecordStarts:
    """Find where records start after the line on which the headings end.

    No record starts on a blank line, or within quotes.
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
    """Patterns of a line that leaves no quote open, where it starts outside of one, and within one.

    They match a whole line at once, as Python takes a second for a million steps. Possessive
    quantifiers (`+`) keep them from trying anything twice.
    """
    quoted_cell = rb'(?:[^"]+|"")*+"'
    unquoted_rest = rb"[^%b]*+" % delimiter
    cell = rb'(?:"%b|(?!"))%b' % (quoted_cell, unquoted_rest)
    more_cells = rb"(?:%b%b)*+" % (delimiter, cell)
    return re.compile(cell + more_cells), re.compile(quoted_cell + unquoted_rest + more_cells)
