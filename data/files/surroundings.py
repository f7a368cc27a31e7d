"""What is around the rows of CSV text: titles and comments before the headings, totals after them.

Text that only looks like a table of cells – Markdown, the output of a console, quotes after
spaces – is rewritten as CSV, line by line, so that every row stays on its line.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from data.files.encoding import InputFile, read_chunks, read_tail, write_copy
from data.files.errors import NoUsernameColumn
from data.files.headers import ranks_of
from data.files.other_rows import NOT_AN_ACCOUNT, footer_pattern
from data.files.record_lines import guess_delimiter
from data.files.relation import MAX_LINE_SIZE
from data.files.text import WHITESPACE

PROBE_LINES = 60
"""Lines at the start of a file that are searched for the headings."""

TAIL_BYTES = 64 * 1024
"""Bytes at the end of a file that are searched for what follows the rows."""

DELIMITER_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line of some exports, for Excel."""

DIVIDER = re.compile(r"[\s|+:=-]*(?:-{3,}|={3,}|:-+:?|\|\s*-+)[\s|+:=-]*")
"""A line of a Markdown table or a console that separates the headings from the rows."""

SPACED_QUOTE = re.compile(r'[^"]*"[^"]*"[,;|\t] +"')
"""`"a", "b"`, which is not CSV."""

FOOTER = re.compile(r"\S+(?:\s+\S+){2,}")
"""The only cell of a line that is about the file. No username has three words."""

EMPTY_LINE = "The row is empty."


class FirstRecord(NamedTuple):
    """Where the table of a file starts."""

    headings: list[str]
    delimiter: str
    skipped_lines: int  # lines before the headings
    title_lines: int  # those with a text
    heading_end_line: int  # the line on which the headings end


class OutsideLines(NamedTuple):
    """The lines after the rows."""

    end: int  # bytes before the first of them
    lines: list[tuple[int, str, str]]  # line, text, reason


# ---- before the rows -----------------------------------------------------------------------------


def read_first_record(input_file: InputFile) -> FirstRecord:
    """Find the headings and the delimiter. Raises NoUsernameColumn where the file is empty."""
    with input_file.path.open(encoding="utf-8-sig", newline="") as text:
        lines = iter(partial(text.readline, MAX_LINE_SIZE), "")
        probe = [*islice(lines, PROBE_LINES)]
        start, delimiter = _find_headings(probe)
        if start is None:
            raise NoUsernameColumn(f"{input_file.name} is empty.")
        delimiter = delimiter or guess_delimiter(probe[start])
        reader = csv.reader(chain(probe[start:], lines), delimiter=delimiter)
        headings, heading_end_line = next(reader), start + reader.line_num
        next_row = next((row for row in reader if row), headings)
    headings = _fit_headings(headings, next_row)
    titles = sum(bool(line.strip(WHITESPACE)) for line in probe[:start])
    titles -= bool(start and DELIMITER_LINE.match(probe[0]))
    return FirstRecord(headings, delimiter, start, titles, heading_end_line)


def _fit_headings(headings: list[str], row: list[str]) -> list[str]:
    """Drop or add an empty last heading, as a delimiter at the end of lines makes one."""
    if len(row) == len(headings) - 1 and not headings[-1].strip(WHITESPACE):
        return headings[:-1]
    if len(row) == len(headings) + 1 and not row[-1].strip(WHITESPACE):
        return [*headings, ""]
    return headings


def _find_headings(probe: Sequence[str]) -> tuple[int | None, str]:
    """The line of the headings, counted from 0, and the delimiter that the file names."""
    delimiter, candidates = "", list[int]()
    for number, line in enumerate(probe):
        if named := DELIMITER_LINE.fullmatch(line.rstrip("\r\n")) if not candidates else None:
            delimiter = named[1]
        elif line.strip(WHITESPACE):
            candidates.append(number)
    if not candidates:
        return None, delimiter
    for number, below in zip(candidates, [*candidates[1:], candidates[-1]], strict=True):
        if _is_heading_line(probe, number, delimiter):
            found = [_names_accounts(probe[n], delimiter) for n in (number, below)]
            return below if found == [False, True] else number, delimiter
    return candidates[0], delimiter


def _names_accounts(line: str, delimiter: str) -> bool:
    """Whether the line has headings of accounts; the one above can have titles over several."""
    ranks = [*filter(None, map(ranks_of, _texts(line, delimiter or guess_delimiter(line))))]
    return len(ranks) > 1 and any({"username_in_app", "user_email"} & rank.keys() for rank in ranks)


def _is_heading_line(probe: Sequence[str], number: int, delimiter: str) -> bool:
    """Whether most cells of the line have a text, as many as the lines below have cells."""
    line = probe[number]
    delimiter = delimiter or guess_delimiter(line)
    texts = _texts(line, delimiter)
    is_known = texts and all(map(ranks_of, texts))
    if is_known or DIVIDER.fullmatch(line):
        return bool(is_known)
    if line.startswith("#") and not any(map(ranks_of, texts)):
        return False
    counts = Counter(len(split_line(other, delimiter)) for other in probe[number + 1 :])
    widths = [width for width, count in counts.items() if width > 1 and count > 1]
    width = max(widths, key=lambda width: (counts[width], width), default=1)
    return len(texts) > width / 2


def _texts(line: str, delimiter: str) -> list[str]:
    """The cells of a line that have a text."""
    return [cell for cell in map(str.strip, split_line(line, delimiter)) if cell]


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of one line, however it is quoted."""
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return [line]


# ---- what only looks like a table ----------------------------------------------------------------


def rewrite_table(input_file: InputFile, first_record: FirstRecord) -> InputFile | None:
    """The file as CSV, with each row on its line; None where it is CSV already."""
    start = first_record.skipped_lines
    with input_file.path.open(encoding="utf-8-sig", newline="") as text:
        lines = [*islice(iter(partial(text.readline, MAX_LINE_SIZE), ""), start, start + 3)]
    has_divider = any(DIVIDER.fullmatch(line) for line in lines[1:])
    is_boxed = first_record.delimiter == "|" and (
        has_divider or all(line.strip().startswith("|") for line in lines if line.strip())
    )
    if is_boxed:
        return write_copy(input_file, _unboxed_lines(input_file.path))
    if SPACED_QUOTE.match(lines[0]):
        return write_copy(input_file, _unspaced_lines(input_file.path, first_record.delimiter))
    return None


def _unboxed_lines(path: Path) -> Iterator[bytes]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        for line in text:
            inner = line.strip()
            if DIVIDER.fullmatch(line) or not inner:
                yield b"\n"
                continue
            if inner.startswith("|"):  # the console of PostgreSQL draws no bars around its rows
                inner = inner[1:]
                inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
            cells = re.split(r"(?<!\\)\|", inner)
            yield _csv_line([cell.strip().replace("\\|", "|") for cell in cells])


def _unspaced_lines(path: Path, delimiter: str) -> Iterator[bytes]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
        yield from map(_csv_line, rows)


def _csv_line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


# ---- after the rows ------------------------------------------------------------------------------


def find_outside_lines(path: Path, first_record: FirstRecord) -> OutsideLines | None:
    """The lines at the end of a file that are no rows; None where the last line is one."""
    size = path.stat().st_size
    tail = read_tail(path, TAIL_BYTES)
    if size > len(tail):
        tail = tail[tail.find(b"\n") + 1 :]
    end, found = size, list[tuple[bytes, str]]()
    for line in reversed(tail.splitlines(keepends=True)):
        reason = _outside_reason(line, first_record)
        if reason is None:
            break
        end -= len(line)
        found.append((line, reason))
    first_line = _count_lines(path, end) + 1 if any(reason for _, reason in found) else 0
    lines = [
        (first_line + number, line.decode(errors="replace").strip(), reason)
        for number, (line, reason) in enumerate(reversed(found))
        if reason and first_line + number > first_record.heading_end_line
    ]
    return OutsideLines(end, lines) if lines else None


def _outside_reason(line: bytes, first_record: FirstRecord) -> str | None:
    """Why a line is no row; empty for a blank line, None for a row."""
    width = len(first_record.headings)
    if not line.strip():
        return ""
    if line.count(b'"') % 2:  # the end of a cell of several lines
        return None
    cells = split_line(line.decode(errors="replace"), first_record.delimiter)
    texts = [cell.strip(WHITESPACE) for cell in cells if cell.strip(WHITESPACE)]
    if not texts:
        return EMPTY_LINE if width > 1 else None
    ids = [n for n, name in enumerate(first_record.headings) if "account_id" in ranks_of(name)]
    has_id = any(cells[n].strip(WHITESPACE) for n in ids if n < len(cells) == width)
    is_outside = re.fullmatch(footer_pattern(width - len(ids), has_id=has_id), "\n".join(texts))
    is_sentence = len(texts) == 1 and width > 1 and FOOTER.fullmatch(texts[0])
    return NOT_AN_ACCOUNT if is_outside or is_sentence else None


def _count_lines(path: Path, end: int) -> int:
    """The number of line breaks in the first bytes of a file."""
    count, position = 0, 0
    with path.open("rb") as binary_file:
        for chunk in read_chunks(binary_file):
            count += chunk[: max(0, end - position)].count(b"\n")
            position += len(chunk)
            if position >= end:
                break
    return count
