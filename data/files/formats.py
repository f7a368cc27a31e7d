"""The formats that can be read, by the ending of a file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from data.files.csv import read_separated
from data.files.encoding import COMPRESSIONS, Form, Plain
from data.files.errors import UnknownFormat
from data.files.json import read_json_array, read_json_lines
from data.files.parquet import read_parquet
from data.files.relation import Rows


def place_word(file_name: str) -> str:
    """What the line of a rejected row counts: lines, or records where those have no lines."""
    return "line" if reader_of(Path(file_name)).counts_lines else "record"


def _refuse_within(_: Connection, plain: Plain) -> tuple[Plain, Rows]:
    raise UnknownFormat(f"{plain.name}: a ZIP archive within a ZIP archive is not unpacked.")


class Reader(NamedTuple):
    """How files with a certain ending are read."""

    read: Callable[[Connection, Plain], tuple[Plain, Rows]]
    form: Form | None  # None: no text, to be read as it is
    counts_lines: bool = True


CSV = Reader(read_separated, Form("CSV", escapes=False, ends_lines=True))


ZIP = ".zip"


JSON_LINES = Reader(read_json_lines, Form("NDJSON", escapes=True, ends_lines=False))


READERS = {
    ".csv": CSV,
    ".tsv": CSV,
    ".json": Reader(
        read_json_array, Form("JSON", escapes=True, ends_lines=False), counts_lines=False
    ),
    ".ndjson": JSON_LINES,
    ".jsonl": JSON_LINES,
    ".parquet": Reader(read_parquet, None, counts_lines=False),
    ZIP: Reader(_refuse_within, None, counts_lines=False),
}
"""File name ending → reader. A new format is one function and one line here."""


def reader_of(path: Path) -> Reader:
    """The reader for a file's name. Raises UnknownFormat."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    reader = READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        known = ", ".join(READERS)
        raise UnknownFormat(f"{path.name} has no known ending; expected one of {known}.")
    return reader
