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
from data.files.encoding import InputFile
from data.files.errors import NotAListOfAccounts, SnapshotRejected, UnreadableFile
from data.files.formats import (
    CSV,
    CSV_TEXT,
    HTML,
    JOINED,
    JSON,
    JSON_LINES,
    ZIP,
    PreparedFile,
    Reader,
    find_reader,
    has_known_ending,
    prepare_file,
)
from data.files.mapping import NO_MAPPING, ColumnMapping
from data.files.proposal import Proposal
from data.files.propose import propose_mapping
from data.files.relation import reject_too_many_headings, shorten
from data.files.sheets import account_score
from data.sources import TABLE, Recognition, map_to_rows, recognize, write_rows
from data.sources.documents import Document
from data.sources.envelopes import open_envelopes
from data.sources.joined import join_lists
from data.sources.source import SourceReport

MAX_ERROR_LENGTH = 300  # characters of a reader's message

FILE_PATH_PATTERN = re.compile(r"/\S+/[^\s\"']+")
"""A path in DuckDB's messages; it is the server's, or that of a copy."""

NO_LIST = "{name} has no file that could list accounts. Its files: {files}."
NOT_READ = "Not read, as they are no lists: {files}."

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


class Inspection(NamedTuple):
    """What a file is, before anything is loaded."""

    recognition: Recognition
    sheets: tuple[str, ...] = ()  # of a workbook
    sheet: str = ""  # the one that is read
    proposal: Proposal | None = None  # how its columns are read; None for another product's file
    error: str = ""  # why it cannot be read as what it is recognized as


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
        parts, delivered = _prepare_all(file, mapping.sheet)
        recognition = _recognize(file.name, parts, mapping)
        return _open_parts(file.name, parts, delivered, recognition, integration)


@contextmanager
def wrap_read_errors(name: str) -> Iterator[None]:
    """Turn the errors of readers into UnreadableFile."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise  # not the file's fault
    except READ_ERRORS as error:
        raise UnreadableFile(_unreadable_message(name, error)) from error


def inspect_file(
    con: Connection, path: Path, name: str = "", mapping: ColumnMapping = NO_MAPPING
) -> Inspection:
    """How a file would be read, and why. Raises the errors of `open_file` for a broken file."""
    find_reader(path)
    file = InputFile(path, name or path.name)
    with wrap_read_errors(file.name):
        parts, delivered = _prepare_all(file, mapping.sheet)
        recognition = _recognize(file.name, parts, mapping)
    found = Inspection(recognition, delivered.sheets, parts[0].file.sheet)
    try:
        with wrap_read_errors(file.name):
            opened = _open_parts(file.name, parts, delivered, recognition)
            _, rows = opened.reader.read(con, opened.input_file)
            reject_too_many_headings(file.name, len(rows.cells))
            if opened.source_info.source:
                return found
            return found._replace(proposal=propose_mapping(con, rows, mapping, with_words=True))
    except SnapshotRejected as error:
        return found._replace(error=str(error))


def _open_parts(
    name: str,
    parts: list[PreparedFile],
    delivered: InputFile,
    recognition: Recognition,
    integration: str = "",
) -> OpenedFile:
    documents = _documents(parts)
    noun = parts[0].reader.row_noun if len(parts) == 1 else "record"
    mapped_reader, report = JSON_LINES._replace(row_noun=noun), SourceReport()
    if recognition.key != TABLE:
        mapped = map_to_rows(documents, name, integration, recognition)
        input_file, reader, report = mapped.unpacked, mapped_reader, mapped.report
    elif len(documents) == len(parts) and all(map(_has_envelope, documents)):
        rows = open_envelopes(documents, report)
        input_file, reader = write_rows(documents, name, rows), mapped_reader
    elif len(parts) == 1:
        [(input_file, reader)] = parts
        report.can_be_page = reader is JSON
    else:
        names = [part.file.name for part in parts]
        input_file, reader = join_lists(documents, names, name), JOINED
        report.add_file(input_file)
    if recognition.is_chosen and recognition.key == TABLE:
        report.remarks.append(recognition.sentence)
    report.add_file(delivered)
    return OpenedFile(name, input_file, reader, report)


def _recognize(name: str, parts: list[PreparedFile], mapping: ColumnMapping) -> Recognition:
    documents = _documents(parts)
    if len(documents) == len(parts):
        return recognize(documents, mapping.read_as)
    recognition = recognize([], mapping.read_as)
    if recognition.key != TABLE:
        raise NotAListOfAccounts(
            f"{name} cannot be read as {recognition.name}, as chosen: expected a table or JSON."
        )
    return recognition


def _documents(parts: list[PreparedFile]) -> list[Document]:
    return [
        Document(part.file, part.reader.text_format) for part in parts if part.reader.text_format
    ]


def _has_envelope(document: Document) -> bool:
    return document.form.label == "JSON" and document.prefix.is_object


def _prepare_all(file: InputFile, sheet: str) -> tuple[list[PreparedFile], InputFile]:
    """The parts of a delivery, and the delivery with what their reading found."""
    prepared = prepare_file(file, sheet)
    if prepared.reader is ZIP:
        return _archived_parts(prepared.file, sheet)
    return [prepared], prepared.file


def _archived_parts(archive: InputFile, sheet: str) -> tuple[list[PreparedFile], InputFile]:
    """The lists in an archive; the archive, with a remark on the files that are none."""
    members, parts, others = extract_files(archive), list[PreparedFile](), list[str]()
    for member in members:
        try:
            part = prepare_file(member, sheet) if has_known_ending(member.name) else None
        except SnapshotRejected as error:
            if find_reader(Path(member.name)) is not HTML or len(members) == 1:
                raise type(error)(f"{archive.name}: {error}") from error
            part = None
        if part and not (len(members) > 1 and _is_prose(part)):
            parts.append(part)
        else:
            others.append(shorten(member.name))
    if not parts:
        raise NotAListOfAccounts(NO_LIST.format(name=archive.name, files=", ".join(others)))
    return parts, _with_members(archive, [part.file for part in parts], others)


def _with_members(archive: InputFile, files: list[InputFile], others: list[str]) -> InputFile:
    """The archive, with what the reading of its files found."""
    remarks = files[0].remarks if len(files) == 1 else ()
    if others:
        remarks += (NOT_READ.format(files=", ".join(others)),)
    return archive._replace(
        remarks=archive.remarks + remarks,
        incomplete_reason=next(filter(None, (file.incomplete_reason for file in files)), ""),
        sheets=files[0].sheets,
    )


def _is_prose(part: PreparedFile) -> bool:
    """Whether it is a text without columns, like a README."""
    if part.reader is not CSV:
        return False
    rows = Document(part.file, CSV_TEXT).prefix.rows
    return all(len(cells) < 2 for cells in rows) and not account_score(rows)[0]


def _unreadable_message(name: str, error: Exception) -> str:
    """The first line of the reader's message, without paths of the server."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    message = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    details = FILE_PATH_PATTERN.sub(name, message).split(": ", 1)[-1]
    return (
        f"{name} cannot be read. It may be cut off or damaged. "
        f"Details: {shorten(details, MAX_ERROR_LENGTH).rstrip('.')}."
    )
