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
from data.files.proposal import Proposal, propose_mapping
from data.files.relation import reject_too_many_headings, shorten
from data.sources import map_to_rows
from data.sources.documents import Document
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


def read_proposal(
    con: Connection, path: Path, name: str = "", mapping: ColumnMapping = NO_MAPPING
) -> Proposal | None:
    """How the columns of a file would be read; None for another product's file.

    Raises the same errors as `open_file`.
    """
    file = open_file(path, name=name, mapping=mapping)
    if file.source_info.source:
        return None
    with wrap_read_errors(file.name):
        _, rows = file.reader.read(con, file.input_file)
        reject_too_many_headings(file.name, len(rows.cells))
        return propose_mapping(con, rows, mapping, with_words=True)


def _open_file(file: InputFile, integration: str, mapping: ColumnMapping) -> OpenedFile:
    is_archive = file.path.suffix.lower() == ZIP
    prepared = [_prepare(member) for member in (extract_files(file) if is_archive else [file])]
    documents = [member for member in prepared if isinstance(member, Document)]
    if len(documents) == len(prepared) and (
        mapped := map_to_rows(documents, file.name, integration)
    ):
        return OpenedFile(file.name, mapped.unpacked, JSON_LINES, mapped.report)
    if len(prepared) > 1:
        raise NotAListOfAccounts(UNRELATED_FILES.format(name=file.name, files=len(prepared)))
    [member] = prepared
    input_file = member.unpacked if isinstance(member, Document) else member
    return OpenedFile(file.name, input_file, find_reader(Path(input_file.name)), SourceReport())


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
