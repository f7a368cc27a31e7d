"""Opens a delivered file: unpacks it, detects its source, and chooses the reader."""

import csv
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from data.files.archive import extract_files
from data.files.encoding import InputFile, prepare_text
from data.files.errors import NotAListOfAccounts, UnreadableFile
from data.files.formats import JSON_LINES, ZIP, Reader, find_reader
from data.files.mapping import NO_MAPPING, ColumnMapping
from data.files.relation import MAX_HEADINGS, shorten
from data.sources import TABLE, Recognition, map_to_rows, recognize, write_rows
from data.sources.documents import Document
from data.sources.envelopes import open_envelopes
from data.sources.source import SourceReport

MAX_ERROR_LENGTH = 300  # characters of a reader's message

FILE_PATH_PATTERN = re.compile(r"/\S+/[^\s\"']+")
"""A path in DuckDB's messages; it is the server's, or that of a copy."""

UNRELATED_FILES = (
    "{name} has {files:,} files that are not pages of one source. "
    "Deliver a list with Rollcall’s own columns as one file."
)

READ_ERRORS = (
    duckdb.Error,
    DBAPIError,
    OSError,
    EOFError,
    zlib.error,
    csv.Error,
    UnicodeError,
    pyarrow.ArrowException,
)


class OpenedFile(NamedTuple):
    """A file that is ready for its reader. Other products' files are rows by now."""

    name: str  # as the person named it
    input_file: InputFile
    reader: Reader
    source_info: SourceReport


def open_file(
    path: Path, integration: str = "", name: str = "", mapping: ColumnMapping = NO_MAPPING
) -> OpenedFile:
    """Unpack and check a file, and map it to rows where it comes from another product.

    Raises UnknownFormat, UnreadableFile, TooLarge or NotAListOfAccounts, which name the file by
    `name`, or by the name of its path.
    """
    find_reader(path)
    file = InputFile(path, name or path.name)
    with wrap_read_errors(file.name):
        return _open_file(file, integration, mapping)


@contextmanager
def wrap_read_errors(name: str) -> Iterator[None]:
    """Turn the errors of readers into UnreadableFile."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise  # not the file's fault
    except READ_ERRORS as error:
        raise UnreadableFile(_unreadable_message(name, error)) from error


def read_headings(
    con: Connection, path: Path, mapping: ColumnMapping = NO_MAPPING
) -> tuple[str, ...]:
    """The headings of a file with columns of its own; none of another product's file.

    Raises the same errors as `open_file`.
    """
    file = open_file(path, mapping=mapping)
    if file.source_info.source:
        return ()
    with wrap_read_errors(file.name):
        _, rows = file.reader.read(con, file.input_file)
    return tuple(rows.cells)[:MAX_HEADINGS]


def identify(path: Path, name: str = "", mapping: ColumnMapping = NO_MAPPING) -> Recognition:
    """How a file would be read, and why. Raises the same errors as `open_file`."""
    find_reader(path)
    file = InputFile(path, name or path.name)
    with wrap_read_errors(file.name):
        return _recognize(file.name, _prepare_all(file), mapping)


def _open_file(file: InputFile, integration: str, mapping: ColumnMapping) -> OpenedFile:
    prepared = _prepare_all(file)
    recognition, report = _recognize(file.name, prepared, mapping), SourceReport()
    documents = [member for member in prepared if isinstance(member, Document)]
    if recognition.key != TABLE:
        mapped = map_to_rows(documents, file.name, integration, recognition)
        return OpenedFile(file.name, mapped.unpacked, JSON_LINES, mapped.report)
    if recognition.is_chosen:
        report.remarks.append(recognition.sentence)
    if len(documents) == len(prepared) and all(_has_envelope(document) for document in documents):
        rows = write_rows(documents, file.name, open_envelopes(documents, report))
        return OpenedFile(file.name, rows, JSON_LINES, report)
    if len(prepared) > 1:
        raise NotAListOfAccounts(UNRELATED_FILES.format(name=file.name, files=len(prepared)))
    [member] = prepared
    report.can_be_page = isinstance(member, Document) and member.form.label == "JSON"
    input_file = member.unpacked if isinstance(member, Document) else member
    return OpenedFile(file.name, input_file, find_reader(Path(input_file.name)), report)


def _recognize(
    name: str, prepared: list[Document | InputFile], mapping: ColumnMapping
) -> Recognition:
    documents = [member for member in prepared if isinstance(member, Document)]
    if len(documents) == len(prepared):
        return recognize(documents, mapping.read_as)
    recognition = recognize([], mapping.read_as)
    if recognition.key != TABLE:
        raise NotAListOfAccounts(
            f"{name} cannot be read as {recognition.name}, as chosen: expected CSV or JSON."
        )
    return recognition


def _has_envelope(document: Document) -> bool:
    return document.form.label == "JSON" and document.prefix.is_object


def _prepare_all(file: InputFile) -> list[Document | InputFile]:
    is_archive = file.path.suffix.lower() == ZIP
    return [_prepare(member) for member in (extract_files(file) if is_archive else [file])]


def _prepare(file: InputFile) -> Document | InputFile:
    """A text file as a document; any other file unchanged."""
    text_format = find_reader(Path(file.name)).text_format
    return Document(prepare_text(file, text_format), text_format) if text_format else file


def _unreadable_message(name: str, error: Exception) -> str:
    """The first line of the reader's message, without paths of the server."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    message = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    details = FILE_PATH_PATTERN.sub(name, message).split(": ", 1)[-1]
    return (
        f"{name} cannot be read. It may be cut off or damaged. "
        f"Details: {shorten(details, MAX_ERROR_LENGTH).rstrip('.')}."
    )
