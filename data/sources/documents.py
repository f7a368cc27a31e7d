"""The files of one delivery as a source reads them: JSON documents, JSON lines, or CSV rows."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

from data.files.encoding import MEGABYTE, InputFile, TextFormat, read_head
from data.files.errors import TooLarge, UnreadableFile
from data.files.json import json_error_place
from data.files.record_lines import guess_delimiter
from data.files.sheets import LINE_BREAK

MAX_DOCUMENT_MB = 256
"""Of a JSON document that is parsed at once, which takes about five times its size of memory."""

PREFIX_BYTES = MEGABYTE // 4
"""Bytes at the beginning of a file that show what it is."""

WHITESPACE = re.compile(r"[ \t\r\n\ufeff]*")
DECODER = json.JSONDecoder()

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
    headings: tuple[str, ...] = ()  # of CSV

    @property
    def first_record(self) -> dict[str, Any]:
        """The first record, in a list or alone."""
        return self.first_in_list if self.first_in_list or self.list_key else self.keys


class Page(NamedTuple):
    """One JSON document: a list with the object around it, or a record alone."""

    envelope: dict[str, Any]
    records: list[Any]
    is_list: bool


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
            return Prefix(headings=tuple(next(iter(self.cells()), (0, []))[1]))
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

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """The first line of each CSV row, and its cells by heading."""
        csv_rows = self.cells()
        headings = next(csv_rows, (0, []))[1]
        for line, cells in csv_rows:
            if any(cells):
                yield line, dict(zip(headings, cells, strict=False))

    def _parse(self, text: str, position: int, line: int = 0) -> tuple[Any, int]:
        """The JSON value at the position, and the position after it. Raises UnreadableFile."""
        try:
            if line:
                return json.loads(text), len(text)
            return DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            place = f"line {line:,}" if line else json_error_place(text, error)
            raise UnreadableFile(f"{self.name} is not valid JSON ({place}).") from error

    def cells(self) -> Iterator[tuple[int, list[str]]]:
        """The first line of each CSV record, and its cells, from the first one with content on."""
        with self.unpacked.path.open(encoding="utf-8-sig", newline="") as file:
            lines = iter(partial(file.readline, PREFIX_BYTES), "")
            delimiter = guess_delimiter(next(filter(str.strip, lines), ""))
            file.seek(0)
            reader, line, has_started = csv.reader(file, delimiter=delimiter), 1, False
            for cells in reader:
                has_started = has_started or any(cells)
                if has_started:
                    yield line, [cell.strip().replace(LINE_BREAK, "\n") for cell in cells]
                line = reader.line_num + 1


def read_pages(documents: Iterable[Document], key: str) -> Iterator[Page]:
    """Each document as a page: a list, an object with a list under the key, or a record alone.

    A list of pages, as `jq --slurp` makes one, gives as many pages.
    """
    for document in documents:
        for payload in document.payloads():
            if isinstance(payload, list) and payload and _make_page(payload[0], key).is_list:
                yield from (_make_page(page, key) for page in payload)
            elif payload is not None:
                yield _make_page(payload, key)


def _make_page(payload: Any, key: str) -> Page:
    if isinstance(payload, list):
        return Page({}, payload, is_list=True)
    if not isinstance(payload, dict):
        return Page({}, [payload], is_list=False)
    list_key = next((name for name in payload if name.casefold() == key.casefold()), None)
    if list_key is None or not isinstance(payload[list_key], list | None):
        return Page(payload, [payload], is_list=False)
    return Page(payload, payload[list_key] or [], is_list=True)


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
            if text.startswith("[", position) and (record := _first_object(text, position + 1)):
                return Prefix(keys, key, record)
            keys[key], position = DECODER.raw_decode(text, position)
            position = _skip_separator(text, position)
    except (ValueError, RecursionError):
        pass  # longer than the prefix, or broken; reading it raises the error
    return Prefix(keys)


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
