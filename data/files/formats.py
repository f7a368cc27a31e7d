"""The formats that can be read, by the ending of a file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from data.files.csv import read_csv
from data.files.encoding import COMPRESSIONS, InputFile, TextFormat
from data.files.errors import UnknownFormat
from data.files.json import read_json_array, read_json_lines
from data.files.parquet import read_parquet
from data.files.relation import FileRows


def row_noun(file_name: str) -> str:
    """What the line of a rejected row counts: lines, or records where those have no lines."""
    return "line" if find_reader(Path(file_name)).counts_lines else "record"


def _reject_nested_archive(_: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    raise UnknownFormat(f"{input_file.name}: a ZIP archive within a ZIP archive is not unpacked.")


class Reader(NamedTuple):
    """How files with a certain ending are read."""

    read: Callable[[Connection, InputFile], tuple[InputFile, FileRows]]
    text_format: TextFormat | None  # None: no text, to be read as it is
    counts_lines: bool = True


CSV = Reader(read_csv, TextFormat("CSV", has_json_escapes=False, needs_one_line_break=True))


ZIP = ".zip"


JSON_LINES = Reader(
    read_json_lines, TextFormat("NDJSON", has_json_escapes=True, needs_one_line_break=False)
)


READERS = {
    ".csv": CSV,
    ".tsv": CSV,
    ".json": Reader(
        read_json_array,
        TextFormat("JSON", has_json_escapes=True, needs_one_line_break=False),
        counts_lines=False,
    ),
    ".ndjson": JSON_LINES,
    ".jsonl": JSON_LINES,
    ".parquet": Reader(read_parquet, None, counts_lines=False),
    ZIP: Reader(_reject_nested_archive, None, counts_lines=False),
}
"""File name ending → reader. A new format is one function and one line here."""


def find_reader(path: Path) -> Reader:
    """The reader for a file's name. Raises UnknownFormat."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    reader = READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        endings = ", ".join(READERS)
        raise UnknownFormat(f"{path.name} has no known ending; expected one of {endings}.")
    return reader
