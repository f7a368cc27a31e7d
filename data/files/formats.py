"""The formats that Rollcall reads: by the content of a file, or else by the ending of its name."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

from sqlalchemy import Connection

from data.files.archive import archive_names
from data.files.conversion import copy_list, read_sheet
from data.files.csv import read_csv
from data.files.encoding import (
    COMPRESSIONS,
    InputFile,
    TextFormat,
    as_utf8,
    clean_text,
    read_head,
    reject_other_kinds,
    unpack,
)
from data.files.errors import UnknownFormat, UnreadableFile
from data.files.json import read_json_array, read_json_lines
from data.files.parquet import read_parquet
from data.files.record_lines import guess_delimiter
from data.files.relation import FileRows


def _reject_nested_archive(_: Connection, input_file: InputFile) -> tuple[InputFile, FileRows]:
    raise UnknownFormat(f"{input_file.name} is a ZIP archive in a ZIP archive. Unpack it first.")


class Reader(NamedTuple):
    """How to read one kind of file."""

    name: str  # as in “Read as …”
    read: Callable[[Connection, InputFile], tuple[InputFile, FileRows]]
    text_format: TextFormat | None  # None where the format is not text
    row_noun: str = "record"  # what the number of a rejected row counts
    convert: Callable[[InputFile, str], InputFile] | None = None
    """Makes a copy that is CSV of the sheet with this name, or of the best one."""


CSV_TEXT = TextFormat("CSV", has_json_escapes=False, needs_one_line_break=True)
JSON_TEXT = TextFormat("JSON", has_json_escapes=True, needs_one_line_break=False)
CSV = Reader("CSV", read_csv, CSV_TEXT, "line")
JSON = Reader("JSON", read_json_array, JSON_TEXT)
JSON_LINES = Reader("NDJSON", read_json_lines, JSON_TEXT._replace(label="NDJSON"), "line")
PARQUET = Reader("Parquet", read_parquet, None)
HTML = Reader("a web page", read_sheet, CSV_TEXT, "row", partial(copy_list, ".html"))
WORKBOOKS = {
    ending: Reader("a workbook", read_sheet, CSV_TEXT, "row", partial(copy_list, ending))
    for ending in (".xlsx", ".xlsb", ".xls", ".ods")
}
JOINED = Reader("a list", read_sheet, CSV_TEXT, "row")
ZIP = Reader("a ZIP archive", _reject_nested_archive, None)

READERS = {
    ".csv": CSV,
    ".tsv": CSV,
    ".txt": CSV,
    ".json": JSON,
    ".ndjson": JSON_LINES,
    ".jsonl": JSON_LINES,
    ".parquet": PARQUET,
    **WORKBOOKS,
    ".xlsm": WORKBOOKS[".xlsx"],
    ".html": HTML,
    ".htm": HTML,
    ".zip": ZIP,
}
"""Ending of a file's name → reader. A new format is a function, and a line here."""

OLE_SIGNATURE = b"\xd0\xcf\x11\xe0"
"""Of workbooks before 2007, and of encrypted ones since."""

WORKBOOK_PARTS = {"xl/workbook.xml": ".xlsx", "xl/workbook.bin": ".xlsb", "content.xml": ".ods"}
"""Name in a ZIP archive → ending of the workbook that it is."""

MARKUP = re.compile(r"<(?:!doctype|html|head|body|table|meta|style|div|\?xml|!--)", re.IGNORECASE)
JSON_START = re.compile(r'\[\s*(?:[\[{\]"]|-?\d)|\{\s*["}]')
JSON_OBJECT_LINE = re.compile(r"\{.*\}")

MAX_HEAD_LINES, MAX_LINE_PART = 20, 65_536
"""Lines, and characters of each, that show the format of a text."""

OTHER_FORMAT = "Read as {found}, although the file’s name ends in {ending}."


class PreparedFile(NamedTuple):
    """A file that its reader can read."""

    file: InputFile
    reader: Reader


def find_reader(path: Path) -> Reader:
    """The reader for a file's name. Raises UnknownFormat."""
    reader = READERS.get(_ending(path))
    if reader is None:
        endings = ", ".join(READERS)
        raise UnknownFormat(f"{path.name} has no known ending; expected one of {endings}.")
    return reader


def has_known_ending(name: str) -> bool:
    """Whether a format has the ending of the name."""
    return _ending(Path(name)) in READERS


def prepare_file(delivered_file: InputFile, sheet: str = "") -> PreparedFile:
    """Unpack a file, find its format by its content, and make text of it where possible.

    Raises UnknownFormat, UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    name = Path(delivered_file.name)
    expected = find_reader(name)
    file = unpack(delivered_file)
    if not (reader := _detect_binary(file, expected)):
        file, reader = _prepare_text(file, expected)
    if reader.name != expected.name:
        remark = OTHER_FORMAT.format(found=reader.name, ending=_ending(name))
        file = file._replace(remarks=(*file.remarks, remark))
    return PreparedFile(reader.convert(file, sheet) if reader.convert else file, reader)


def _ending(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _detect_binary(file: InputFile, expected: Reader) -> Reader | None:
    """The reader of a file that is not text."""
    head = read_head(file.path)
    if head.startswith(b"PAR1"):
        return PARQUET
    if head.startswith(OLE_SIGNATURE):
        return WORKBOOKS[".xls"]
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        names = archive_names(file)
        marks = WORKBOOK_PARTS.items()
        return next((WORKBOOKS[ending] for part, ending in marks if part in names), ZIP)
    reject_other_kinds(file, expected.name)
    return None


def _prepare_text(file: InputFile, expected: Reader) -> PreparedFile:
    """The file in UTF-8; where its name says that it is no text, its text has to say what it is."""
    is_text = expected is HTML or (expected.text_format and not expected.convert)
    try:
        file = as_utf8(file)
    except UnreadableFile as error:
        if is_text:
            raise
        raise UnreadableFile(_damaged_message(file, expected)) from error
    with file.path.open(encoding="utf-8-sig") as text:
        lines = [line for part in islice(_parts(text), MAX_HEAD_LINES) if (line := part.strip())]
    reader = _detect_text(lines, expected)
    if not lines and not is_text:
        raise UnreadableFile(f"{file.name} is empty.")
    if not is_text and reader is CSV and len(_first_cells(lines)) < 2:
        raise UnreadableFile(_damaged_message(file, expected))
    return PreparedFile(clean_text(file, reader.text_format or CSV_TEXT), reader)


def _parts(text: TextIO) -> Iterator[str]:
    """The lines of a text, long ones in parts."""
    return iter(partial(text.readline, MAX_LINE_PART), "")


def _damaged_message(file: InputFile, expected: Reader) -> str:
    return f"{file.name} cannot be read as {expected.name}. It may be cut off or damaged."


def _detect_text(lines: list[str], expected: Reader) -> Reader:
    """The reader for a text with these first lines, without blank ones."""
    first = lines[0] if lines else ""
    if MARKUP.match(first):
        return HTML
    if JSON_START.match(first + "".join(lines[1:2])):
        is_lines = first.startswith("{") and all(map(JSON_OBJECT_LINE.fullmatch, lines[:2]))
        if first.startswith("{") and (expected is JSON_LINES or (is_lines and len(lines) > 1)):
            return JSON_LINES
        return JSON
    has_cells = len(_first_cells(lines)) > 1
    has_json = any(line.startswith(("{", "[")) for line in lines)
    is_json = expected in (JSON, JSON_LINES) and (has_json or not has_cells)
    return expected if is_json or not lines else CSV


def _first_cells(lines: list[str]) -> list[str]:
    return lines[0].split(guess_delimiter(lines[0])) if lines else []
