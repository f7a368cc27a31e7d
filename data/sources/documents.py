"""The files of one delivery, as a source reads them: JSON documents, JSON lines, or CSV rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from data.files.encoding import MEGABYTE, InputFile, TextFormat, read_head
from data.files.errors import TooLarge, UnreadableFile

MAX_DOCUMENT_BYTES = 256 * MEGABYTE
"""Of JSON that is taken apart at once, in some five times its size of memory."""

PREFIX_BYTES = MEGABYTE // 4
"""Bytes at the beginning of a file that tell what it is."""

WHITESPACE = re.compile(r"[ \t\r\n\ufeff]*")
DECODER = json.JSONDecoder()
DELIMITERS = ",;\t|"

TOO_LARGE_MESSAGE = (
    "{name} is one JSON document of more than {most:,} MB. Deliver it in pages, as a ZIP archive "
    "of them, or as NDJSON."
)


@dataclass(frozen=True)
class Prefix:
    """What a file begins with: enough to recognise it, however long it is."""

    keys: dict[str, Any] = field(default_factory=dict)  # of the first object, before its list
    list_key: str = ""  # the key of its list of objects; empty for a list at the top
    first_in_list: dict[str, Any] = field(default_factory=dict)  # the first in the list
    headings: tuple[str, ...] = ()  # of CSV

    @property
    def first_record(self) -> dict[str, Any]:
        """The first record, whether in a list or alone."""
        return self.first_in_list if self.first_in_list or self.list_key else self.keys


class Page(NamedTuple):
    """One JSON document: a list, and what is said around it; or a record alone."""

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
        """Its name, as delivered."""
        return self.unpacked.name

    @cached_property
    def prefix(self) -> Prefix:
        """Of broken text, as much as can be told."""
        if self.form.label == "CSV":
            return Prefix(headings=tuple(next(iter(self._parse_cells()), (0, []))[1]))
        text = read_head(self.unpacked.path, PREFIX_BYTES).decode("utf-8", "ignore")
        return _parse_prefix(text)

    def payloads(self) -> Iterator[Any]:
        """Its JSON documents. Raises UnreadableFile where one is broken, TooLarge."""
        is_ndjson = self.form.label == "NDJSON"
        for number, payload in enumerate(
            self._parse_lines() if is_ndjson else self._parse_values(), start=1
        ):
            if isinstance(payload, ValueError | RecursionError):
                place = f"line {number:,}" if is_ndjson else "its text"
                raise UnreadableFile(
                    f"{self.name} cannot be read: {place} is no JSON. It may be cut off or damaged."
                ) from payload
            yield payload

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """The line that each CSV row begins on, and its cells by their headings."""
        csv_rows = self._parse_cells()
        headings = next(csv_rows, (0, []))[1]
        for line, cells in csv_rows:
            if any(cells):
                yield line, dict(zip(headings, cells, strict=False))

    def _parse_lines(self) -> Iterator[Any]:
        with self.unpacked.path.open(encoding="utf-8-sig") as file:
            for line in file:
                try:
                    yield json.loads(line) if line.strip() else None
                except (ValueError, RecursionError) as error:
                    yield error

    def _parse_values(self) -> Iterator[Any]:
        if self.unpacked.path.stat().st_size > MAX_DOCUMENT_BYTES:
            max_megabytes = MAX_DOCUMENT_BYTES // MEGABYTE
            raise TooLarge(TOO_LARGE_MESSAGE.format(name=self.name, most=max_megabytes))
        text = self.unpacked.path.read_text(encoding="utf-8-sig")
        position = _skip_whitespace(text, 0)
        while position < len(text):
            try:
                value, position = DECODER.raw_decode(text, position)
            except (ValueError, RecursionError) as error:
                yield error
                return
            yield value
            position = _skip_whitespace(text, position)

    def _parse_cells(self) -> Iterator[tuple[int, list[str]]]:
        with self.unpacked.path.open(encoding="utf-8-sig", newline="") as file:
            first_line = file.readline(PREFIX_BYTES)
            delimiter = max(DELIMITERS, key=re.sub(r'"[^"]*"?', "", first_line).count)
            file.seek(0)
            reader, line = csv.reader(file, delimiter=delimiter), 1
            for cells in reader:
                yield line, [cell.strip() for cell in cells]
                line = reader.line_num + 1


def read_pages(documents: Iterable[Document], key: str) -> Iterator[Page]:
    """Every document as a page: a list, an object with a list under the key, or a record alone.

    A list of pages, as `jq --slurp` makes one, is as many pages.
    """
    for part in documents:
        for payload in part.payloads():
            if isinstance(payload, list) and payload and _make_page(payload[0], key).is_list:
                yield from (_make_page(page_payload, key) for page_payload in payload)
            elif payload is not None:
                yield _make_page(payload, key)


def read_records(documents: Iterable[Document], key: str) -> Iterator[Any]:
    """Every record of every page."""
    for page in read_pages(documents, key):
        yield from page.records


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
        while text.startswith("[", position):  # a list of pages, perhaps
            position = _skip_whitespace(text, position + 1)
        return Prefix(first_in_list=_first_object(text, position))
    keys: dict[str, Any] = {}
    try:
        position = (
            _skip_whitespace(text, position + 1) if text.startswith("{", position) else len(text)
        )
        while text.startswith('"', position):
            key, position = DECODER.raw_decode(text, position)
            position = _skip_whitespace(text, _skip_whitespace(text, position) + 1)
            if text.startswith("[", position) and (record := _first_object(text, position + 1)):
                return Prefix(keys, key, record)
            keys[key], position = DECODER.raw_decode(text, position)
            position = _skip_whitespace(text, _skip_whitespace(text, position) + 1)
    except (ValueError, RecursionError):
        pass  # it goes on behind what is looked at, or is broken: who reads it will say
    return Prefix(keys)


def _first_object(text: str, position: int) -> dict[str, Any]:
    """The first object of a list that has something in it."""
    try:
        while text.startswith("{", position := _skip_whitespace(text, position)):
            value, position = DECODER.raw_decode(text, position)
            if value:
                return value
            position = _skip_whitespace(text, position) + 1
    except (ValueError, RecursionError):
        pass
    return {}


def _skip_whitespace(text: str, position: int) -> int:
    whitespace = WHITESPACE.match(text, position)
    return whitespace.end() if whitespace else position
