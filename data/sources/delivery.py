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

from data.files.archive import unzipped
from data.files.encoding import Plain, as_plain
from data.files.errors import NotAListOfAccounts, UnreadableFile
from data.files.formats import JSON_LINES, ZIP, Reader, reader_of
from data.files.relation import MOST_HEADINGS, abbreviate
from data.sources import mapped
from data.sources.documents import Part
from data.sources.source import Said

LONGEST_SAID = 300  # characters of what DuckDB says


PATH = re.compile(r"/\S+/[^\s\"']+")
"""As DuckDB names files: the server's own affair, and of copies nobody else's."""


SEVERAL = (
    "{name} holds {files:,} files that are no pages of one source that Rollcall knows. Deliver a "
    "snapshot with Rollcall’s own columns as one file."
)


UNREADABLE = (
    duckdb.Error,
    DBAPIError,
    OSError,
    EOFError,
    zlib.error,
    csv.Error,
    UnicodeError,
    pyarrow.ArrowException,
)


class Opened(NamedTuple):
    """A file as its reader wants it; another product's as rows, and what there is to say."""

    path: Path
    plain: Plain
    reader: Reader
    said: Said


def opened(path: Path, integration: str = "") -> Opened:
    """Unpack a file, look through it, and make rows of it where it is another product's.

    Raises UnknownFormat, UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    reader_of(path)
    with telling_why(path):
        return _opened(path, integration)


@contextmanager
def telling_why(path: Path) -> Iterator[None]:
    """Raises UnreadableFile for what readers raise."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise  # no fault of the file's
    except UNREADABLE as fault:
        raise UnreadableFile(_why_unreadable(path, fault)) from fault


def headings_of(con: Connection, path: Path) -> tuple[str, ...]:
    """The headings of a file of somebody's own; none where another product's file is recognised.

    Raises what `opened` does.
    """
    file = opened(path)
    if file.said.source:
        return ()
    with telling_why(path):
        _, rows = file.reader.read(con, file.plain)
    return tuple(rows.cells)[:MOST_HEADINGS]


def _opened(path: Path, integration: str) -> Opened:
    delivered = unzipped(path) if path.suffix.lower() == ZIP else [Plain(path, path.name)]
    parts = [_part(plain) for plain in delivered]
    texts = [part for part in parts if isinstance(part, Part)]
    found = mapped(texts, path.name, integration) if len(texts) == len(parts) else None
    if found:
        return Opened(path, found.plain, JSON_LINES, found.said)
    if len(parts) > 1:
        raise NotAListOfAccounts(SEVERAL.format(name=path.name, files=len(parts)))
    plain = parts[0].plain if isinstance(parts[0], Part) else parts[0]
    return Opened(path, plain, reader_of(Path(plain.name)), Said())


def _part(plain: Plain) -> Part | Plain:
    """A file of text with its form; another one as it is."""
    reader = reader_of(Path(plain.name))
    if reader.form:
        return Part(as_plain(plain, reader.form), reader.form)
    return plain


def _why_unreadable(path: Path, fault: Exception) -> str:
    """DuckDB's first line says what is wrong; its path is the server's own affair."""
    cause = fault.orig if isinstance(fault, DBAPIError) else fault
    said = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    said = abbreviate(PATH.sub(path.name, said).split(": ", 1)[-1], LONGEST_SAID).rstrip(".")
    return f"{path.name} cannot be read; it may be cut off or damaged. The reader says: {said}."
