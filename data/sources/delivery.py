"""Opens a delivered file: unpacks it, finds the product it comes from, has it read."""

from __future__ import annotations

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
from data.files.relation import MAX_HEADINGS, shorten
from data.sources import map_to_rows
from data.sources.documents import Document
from data.sources.source import SourceReport

MAX_ERROR_LENGTH = 300  # characters of what DuckDB says


FILE_PATH_PATTERN = re.compile(r"/\S+/[^\s\"']+")
"""As DuckDB names files: the server's own affair, and of copies nobody else's."""


UNRELATED_FILES = (
    "{name} holds {files:,} files that are no pages of one source that Rollcall knows. Deliver a "
    "snapshot with Rollcall’s own columns as one file."
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
    """A file as its reader wants it; another product's as rows, and what there is to say."""

    path: Path
    input_file: InputFile
    reader: Reader
    source_info: SourceReport


def open_file(path: Path, integration: str = "") -> OpenedFile:
    """Unpack a file, look through it, and make rows of it where it is another product's.

    Raises UnknownFormat, UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    find_reader(path)
    with wrap_read_errors(path):
        return _open_file(path, integration)


@contextmanager
def wrap_read_errors(path: Path) -> Iterator[None]:
    """Raises UnreadableFile for what readers raise."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise  # no fault of the file's
    except READ_ERRORS as error:
        raise UnreadableFile(_unreadable_message(path, error)) from error


def read_headings(con: Connection, path: Path) -> tuple[str, ...]:
    """The headings of a file of somebody's own; none where another product's file is recognised.

    Raises what `opened` does.
    """
    file = open_file(path)
    if file.source_info.source:
        return ()
    with wrap_read_errors(path):
        _, rows = file.reader.read(con, file.input_file)
    return tuple(rows.cells)[:MAX_HEADINGS]


def _open_file(path: Path, integration: str) -> OpenedFile:
    input_files = (
        extract_files(path) if path.suffix.lower() == ZIP else [InputFile(path, path.name)]
    )
    documents = [_as_document(input_file) for input_file in input_files]
    text_documents = [document for document in documents if isinstance(document, Document)]
    mapped_file = (
        map_to_rows(text_documents, path.name, integration)
        if len(text_documents) == len(documents)
        else None
    )
    if mapped_file:
        return OpenedFile(path, mapped_file.unpacked, JSON_LINES, mapped_file.report)
    if len(documents) > 1:
        raise NotAListOfAccounts(UNRELATED_FILES.format(name=path.name, files=len(documents)))
    input_file = documents[0].unpacked if isinstance(documents[0], Document) else documents[0]
    return OpenedFile(path, input_file, find_reader(Path(input_file.name)), SourceReport())


def _as_document(input_file: InputFile) -> Document | InputFile:
    """A file of text with its form; another one as it is."""
    reader = find_reader(Path(input_file.name))
    if reader.text_format:
        return Document(prepare_text(input_file, reader.text_format), reader.text_format)
    return input_file


def _unreadable_message(path: Path, error: Exception) -> str:
    """DuckDB's first line says what is wrong; its path is the server's own affair."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    message = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    message = shorten(
        FILE_PATH_PATTERN.sub(path.name, message).split(": ", 1)[-1], MAX_ERROR_LENGTH
    ).rstrip(".")
    return f"{path.name} cannot be read; it may be cut off or damaged. The reader says: {message}."
