"""The files of one delivery, as a source reads them: JSON documents, JSON lines, or CSV rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from data.files.encoding import MEGABYTE, Form, Plain, head_of
from data.files.errors import TooLarge, UnreadableFile

LARGEST_DOCUMENT = 256 * MEGABYTE
"""Of JSON that is taken apart at once, in some five times its size of memory."""

LOOKED_AT = MEGABYTE // 4
"""Bytes at the beginning of a file that tell what it is."""

SPACE = re.compile(r"[ \t\r\n\ufeff]*")
DECODER = json.JSONDecoder()
DELIMITERS = ",;\t|"

TOO_LARGE = (
    "{name} is one JSON document of more than {most:,} MB. Deliver it in pages, as a ZIP archive "
    "of them, or as NDJSON."
)


@dataclass(frozen=True)
class Beginning:
    """What a file begins with: enough to recognise it, however long it is."""

    keys: dict[str, Any] = field(default_factory=dict)  # of the first object, before its list
    listed_under: str = ""  # the key of its list of objects; empty for a list at the top
    record: dict[str, Any] = field(default_factory=dict)  # the first in the list
    headings: tuple[str, ...] = ()  # of CSV

    @property
    def first(self) -> dict[str, Any]:
        """The first record, whether in a list or alone."""
        return self.record if self.record or self.listed_under else self.keys


class Page(NamedTuple):
    """One JSON document: a list, and what is said around it; or a record alone."""

    envelope: dict[str, Any]
    records: list[Any]
    is_list: bool


@dataclass(frozen=True)
class Part:
    """One file of a delivery, unpacked and in UTF-8."""

    plain: Plain
    form: Form

    @property
    def name(self) -> str:
        """Its name, as delivered."""
        return self.plain.name

    @cached_property
    def beginning(self) -> Beginning:
        """Of broken text, as much as can be told."""
        if self.form.words == "CSV":
            return Beginning(headings=tuple(next(iter(self._cells()), (0, []))[1]))
        text = head_of(self.plain.path, LOOKED_AT).decode("utf-8", "ignore")
        return _beginning_of(text)

    def documents(self) -> Iterator[Any]:
        """Its JSON documents. Raises UnreadableFile where one is broken, TooLarge."""
        is_lines = self.form.words == "NDJSON"
        for number, document in enumerate(self._lines() if is_lines else self._values(), start=1):
            if isinstance(document, ValueError | RecursionError):
                place = f"line {number:,}" if is_lines else "its text"
                raise UnreadableFile(
                    f"{self.name} cannot be read: {place} is no JSON. It may be cut off or damaged."
                ) from document
            yield document

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """The line that each CSV row begins on, and its cells by their headings."""
        records = self._cells()
        headings = next(records, (0, []))[1]
        for line, cells in records:
            if any(cells):
                yield line, dict(zip(headings, cells, strict=False))

    def _lines(self) -> Iterator[Any]:
        with self.plain.path.open(encoding="utf-8-sig") as text:
            for line in text:
                try:
                    yield json.loads(line) if line.strip() else None
                except (ValueError, RecursionError) as fault:
                    yield fault

    def _values(self) -> Iterator[Any]:
        if self.plain.path.stat().st_size > LARGEST_DOCUMENT:
            most = LARGEST_DOCUMENT // MEGABYTE
            raise TooLarge(TOO_LARGE.format(name=self.name, most=most))
        text = self.plain.path.read_text(encoding="utf-8-sig")
        at = _after_space(text, 0)
        while at < len(text):
            try:
                value, at = DECODER.raw_decode(text, at)
            except (ValueError, RecursionError) as fault:
                yield fault
                return
            yield value
            at = _after_space(text, at)

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        with self.plain.path.open(encoding="utf-8-sig", newline="") as text:
            first = text.readline(LOOKED_AT)
            delimiter = max(DELIMITERS, key=re.sub(r'"[^"]*"?', "", first).count)
            text.seek(0)
            reader, line = csv.reader(text, delimiter=delimiter), 1
            for cells in reader:
                yield line, [cell.strip() for cell in cells]
                line = reader.line_num + 1


def pages(parts: Iterable[Part], key: str) -> Iterator[Page]:
    """Every document as a page: a list, an object with a list under the key, or a record alone.

    A list of pages, as `jq --slurp` makes one, is as many pages.
    """
    for part in parts:
        for document in part.documents():
            if isinstance(document, list) and document and _page(document[0], key).is_list:
                yield from (_page(each, key) for each in document)
            elif document is not None:
                yield _page(document, key)


def records(parts: Iterable[Part], key: str) -> Iterator[Any]:
    """Every record of every page."""
    for page in pages(parts, key):
        yield from page.records


def _page(document: Any, key: str) -> Page:
    if isinstance(document, list):
        return Page({}, document, is_list=True)
    if not isinstance(document, dict):
        return Page({}, [document], is_list=False)
    found = next((each for each in document if each.casefold() == key.casefold()), None)
    if found is None or not isinstance(document[found], list | None):
        return Page(document, [document], is_list=False)
    return Page(document, document[found] or [], is_list=True)


def _beginning_of(text: str) -> Beginning:
    at = _after_space(text, 0)
    if text.startswith("[", at):
        while text.startswith("[", at):  # a list of pages, perhaps
            at = _after_space(text, at + 1)
        return Beginning(record=_first_object(text, at))
    found: dict[str, Any] = {}
    try:
        at = _after_space(text, at + 1) if text.startswith("{", at) else len(text)
        while text.startswith('"', at):
            key, at = DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
            if text.startswith("[", at) and (record := _first_object(text, at + 1)):
                return Beginning(found, key, record)
            found[key], at = DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
    except (ValueError, RecursionError):
        pass  # it goes on behind what is looked at, or is broken: who reads it will say
    return Beginning(found)


def _first_object(text: str, at: int) -> dict[str, Any]:
    """The first object of a list that has something in it."""
    try:
        while text.startswith("{", at := _after_space(text, at)):
            value, at = DECODER.raw_decode(text, at)
            if value:
                return value
            at = _after_space(text, at) + 1
    except (ValueError, RecursionError):
        pass
    return {}


def _after_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    return found.end() if found else at
