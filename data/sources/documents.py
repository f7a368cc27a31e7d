"""The files of one delivery as a source reads them: JSON documents, JSON lines, or CSV rows."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from data.files.encoding import MEGABYTE, InputFile, TextFormat, read_head
from data.files.errors import TooLarge, UnreadableFile
from data.files.json import json_error_place
from data.files.record_lines import DELIMITERS, guess_delimiter
from data.files.sheets import FROM_COPY

MAX_DOCUMENT_MB = 256
"""Of a JSON document that is parsed at once, which takes about five times its size of memory."""

PREFIX_BYTES = MEGABYTE // 4
"""Bytes at the beginning of a file that show what it is."""

PREFIX_ROWS = 10
"""Rows at the beginning of a CSV file that are searched for the headings."""

HAS_DELIMITER = re.compile(f"[{DELIMITERS}]")
WHITESPACE = re.compile(r"[ \t\r\n\ufeff]*")
DECODER = json.JSONDecoder(parse_float=str, parse_constant=str)  # 1.10 stays as it is written

DOCUMENT_TOO_LARGE = (
    "{name} is one JSON document of more than {most:,} MB. Deliver it as NDJSON, or as a ZIP "
    "archive of its pages."
)


@dataclass(frozen=True)
class Prefix:
    """The beginning of a file: enough to recognize its source, however long it is."""

    keys: dict[str, Any] = field(default_factory=dict)  # of the first object, before its list
    list_key: str = ""  # the key of its list of objects; empty for a list at the top
    first_in_list: dict[str, Any] = field(default_factory=dict)  # first object of the list
    is_object: bool = False  # whether JSON starts with an object, not with a list
    rows: tuple[list[str], ...] = ()  # the first ones of CSV

    @property
    def headings(self) -> list[str]:
        """The first row of CSV."""
        return self.rows[0] if self.rows else []

    @property
    def first_record(self) -> dict[str, Any]:
        """The first record, in a list or alone."""
        return self.first_in_list if self.first_in_list or self.list_key else self.keys


@dataclass(frozen=True)
class Document:
    """One file of a delivery, unpacked and in UTF-8."""

    unpacked: InputFile
    form: TextFormat

    @property
    def name(self) -> str:
        """The name of the delivered file."""
        return self.unpacked.name

    @cached_property
    def prefix(self) -> Prefix:
        """The beginning of the file; of broken text, as much as is readable."""
        if self.form.label == "CSV":
            return Prefix(rows=tuple(self._first_rows()))
        text = read_head(self.unpacked.path, PREFIX_BYTES).decode("utf-8", "ignore")
        return _parse_prefix(text)

    def payloads(self) -> Iterator[Any]:
        """The JSON documents of the file. Raises UnreadableFile where one is broken, TooLarge."""
        if self.form.label == "NDJSON":
            with self.unpacked.path.open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, start=1):
                    yield self._parse(line, 0, number)[0] if line.strip() else None
            return
        if self.unpacked.path.stat().st_size > MAX_DOCUMENT_MB * MEGABYTE:
            raise TooLarge(DOCUMENT_TOO_LARGE.format(name=self.name, most=MAX_DOCUMENT_MB))
        text = self.unpacked.path.read_text(encoding="utf-8-sig")
        position = _skip_whitespace(text, 0)
        while position < len(text):
            value, position = self._parse(text, position)
            yield value
            position = _skip_whitespace(text, position)

    def rows(
        self, heading_row: int = 0, name_of: Callable[[str], str] = str
    ) -> Iterator[tuple[int, dict[str, str]]]:
        """The first line of each CSV row after that with the headings, and its cells by heading.

        `name_of` gives a heading the name that the cells have.
        """
        csv_rows = islice(self.cells(), heading_row, None)
        headings = list(map(name_of, next(csv_rows, (0, []))[1]))
        for line, cells in csv_rows:
            if any(cells):
                yield line, dict(zip(headings, cells, strict=False))

    def _first_rows(self) -> Iterator[list[str]]:
        with suppress(csv.Error):  # reading the file raises it again
            yield from (cells for _, cells in islice(self.cells(), PREFIX_ROWS))

    def _parse(self, text: str, position: int, line: int = 0) -> tuple[Any, int]:
        """The JSON value at the position, and the position after it. Raises UnreadableFile."""
        try:
            if line:
                return DECODER.decode(text), len(text)
            return DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            place = f"line {line:,}" if line else json_error_place(text, error)
            raise UnreadableFile(f"{self.name} is not valid JSON ({place}).") from error

    def cells(self) -> Iterator[tuple[int, list[str]]]:
        """The first line of each CSV record, and its cells, from the first one with content on."""
        with self.unpacked.path.open(encoding="utf-8-sig", newline="") as file:
            first_lines = [file.readline(PREFIX_BYTES) for _ in range(PREFIX_ROWS)]
            delimiter = guess_delimiter(next(filter(HAS_DELIMITER.search, first_lines), ""))
            file.seek(0)
            reader, line, has_started = csv.reader(file, delimiter=delimiter), 1, False
            for cells in reader:
                has_started = has_started or any(cells)
                if has_started:
                    yield line, [cell.translate(FROM_COPY).strip() for cell in cells]
                line = reader.line_num + 1


def _parse_prefix(text: str) -> Prefix:
    position = _skip_whitespace(text, 0)
    if text.startswith("[", position):
        while text.startswith("[", position):  # maybe a list of pages
            position = _skip_whitespace(text, position + 1)
        return Prefix(first_in_list=_first_object(text, position))
    keys: dict[str, Any] = {}
    if not text.startswith("{", position):
        return Prefix(keys)
    try:
        position = _skip_whitespace(text, position + 1)
        while text.startswith('"', position):
            key, position = DECODER.raw_decode(text, position)
            position = _skip_separator(text, position)
            is_list = text.startswith("[", position) and key.casefold() != "links"
            if is_list and (record := _first_object(text, position + 1)):
                return Prefix(keys, key, record, is_object=True)
            keys[key], position = DECODER.raw_decode(text, position)
            position = _skip_separator(text, position)
    except (ValueError, RecursionError):
        pass  # longer than the prefix, or broken; reading it raises the error
    return Prefix(keys, is_object=True)


def _first_object(text: str, position: int) -> dict[str, Any]:
    """The first object of a list that is not empty."""
    try:
        while text.startswith("{", position := _skip_whitespace(text, position)):
            value, position = DECODER.raw_decode(text, position)
            if value:
                return value
            position = _skip_separator(text, position)
    except (ValueError, RecursionError):
        pass
    return {}


def _skip_separator(text: str, position: int) -> int:
    """The position after a comma or colon, and the white space around it."""
    return _skip_whitespace(text, _skip_whitespace(text, position) + 1)


def _skip_whitespace(text: str, position: int) -> int:
    whitespace = WHITESPACE.match(text, position)
    return whitespace.end() if whitespace else position
