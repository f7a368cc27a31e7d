"""The formats that Rollcall reads, by the ending of a file's name."""

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


def _reject_nested_archive(_: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    raise UnknownFormat(f"{input_file.name} is a ZIP archive in a ZIP archive. Unpack it first.")


class Reader(NamedTuple):
    """How to read files with a certain ending."""

    read: Callable[[Connection, InputFile], tuple[InputFile, FileRows]]
    text_format: TextFormat | None  # None where the format is not text
    counts_lines: bool = True


CSV = Reader(read_csv, TextFormat("CSV", has_json_escapes=False, needs_one_line_break=True))
JSON_TEXT = TextFormat("JSON", has_json_escapes=True, needs_one_line_break=False)
JSON_LINES = Reader(read_json_lines, JSON_TEXT._replace(label="NDJSON"))
ZIP = ".zip"

READERS = {
    ".csv": CSV,
    ".tsv": CSV,
    ".json": Reader(read_json_array, JSON_TEXT, counts_lines=False),
    ".ndjson": JSON_LINES,
    ".jsonl": JSON_LINES,
    ".parquet": Reader(read_parquet, None, counts_lines=False),
    ZIP: Reader(_reject_nested_archive, None, counts_lines=False),
}
"""Ending of a file's name → reader. A new format is a function, and a line here."""


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


def row_noun(file_name: str) -> str:
    """What the number of a rejected row counts: `line`, or `record` in formats without lines."""
    return "line" if find_reader(Path(file_name)).counts_lines else "record"
