"""A delivered file as the database reads text: unpacked, UTF-8, lines that end in one way.

Most files are so already, and are read where they are. Of any other a copy is made below the
system's temporary folder, in a stream, and deleted when nobody needs it any more.
"""

from __future__ import annotations

import codecs
import gzip
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow

from data.files.errors import TooLarge, UnreadableFile
from data.tempfiles import TemporaryFile

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
CHUNK = 256 * 1024  # bytes read at a time: they stay in the processor's cache while looked at
MEGABYTE = 1024 * 1024

DEFAULT_MAX_UNPACKED_MB = 2048
"""Eight times a million accounts as JSON. `ROLLCALL_MAX_UNPACKED_MB` sets another bound."""
MAX_UNPACK_RATIO = 200
"""Unpacked size / packed size. Lists of accounts pack to a 5th, monotonous ones to a 50th."""
RATIO_EXEMPT_MB = 64
"""Up to here the ratio does not matter: small files of few, equal lines pack far better."""

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UTF16_PATTERNS = {
    re.compile(rb"(?:[\t\r\n -~]\0){4,}"): "utf-16-le",
    re.compile(rb"(?:\0[\t\r\n -~]){4,}"): "utf-16-be",
}
"""Four characters of ASCII in two bytes each: no other text begins so."""

NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""As JSON spells it. An even number of backslashes before it are characters of their own."""

NUL_DETECTORS: dict[bool, Callable[[bytes], object]] = {
    False: lambda chunk: b"\0" in chunk,
    True: lambda chunk: b"\0" in chunk or (b"\\u0000" in chunk and NUL_ESCAPE.search(chunk)),
}
"""Whether the text spells characters as JSON does → whether a chunk of it holds NUL."""

LINE_BREAK = re.compile(rb"\r\n|\n|\r")
NOT_ASCII = re.compile(r"[^\x00-\x7f]")
NOT_WINDOWS_1252 = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\x81\x8d\x8f\x90\x9d]")
"""Bytes that no text in Windows-1252 has: it leaves five unassigned, and few control anything."""

WINDOWS_1252_NOTE = (
    "The file is not UTF-8; it was read as Windows-1252 (Latin-1): check names with accents."
)
NO_BYTE_ORDER_MARK_NOTE = (
    "The file has no byte order mark; it was read as {encoding}: check that names look right."
)
NUL_NOTE = "The file holds NUL characters, which no text has; each was read as “\ufffd”."
MIXED_LINE_BREAKS_NOTE = (
    "The file ends its lines in several ways; each was taken for the end of a line."
)

NOT_UTF8 = (
    "{name} is neither UTF-8 nor Windows-1252 text. "
    "Save or export it as UTF-8 (in Excel: “CSV UTF-8”)."
)
PARTLY_UTF8 = (
    "{name} is UTF-8 text up to byte {byte:,}, which is not: it is cut off or damaged there, or "
    "put together from files in different encodings. Export it anew, as UTF-8."
)
NOT_ENCODED = "{name} begins like {encoding} text but is not; it may be cut off or damaged."
TOO_LARGE = (
    "{name} unpacks to more than {most:,} MB, which is the most that Rollcall reads. "
    "ROLLCALL_MAX_UNPACKED_MB sets another bound."
)
DECOMPRESSION_BOMB = (
    "{name} unpacks to more than {ratio} times its size, which no list of accounts does: it looks "
    "like a decompression bomb. If it is none, deliver it unpacked."
)
WRONG_KIND = "{name} looks like {thing}, not {wanted}. {advice}"

SIGNATURES = {
    b"\x1f\x8b": ("a gzip file", "Pack a list once, and let its name end in .gz."),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "Pack a list once, and let its name end in .zst."),
    b"PAR1": ("a Parquet file", "Then its name should end in .parquet."),
    b"PK\x03\x04": ("an Excel workbook or another ZIP archive", "Save the list as CSV UTF-8."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the list as CSV UTF-8."),
    b"%PDF-": ("a PDF document", "Export the list as CSV."),
    b"SQLite format 3\0": ("an SQLite database", "Export the list as CSV."),
    b"\xfd7zXZ\0": ("an XZ file", "Unpack it, or pack it with gzip."),
}
"""How files of other kinds begin → what they are, and what to do."""
MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)


class TextFormat(NamedTuple):
    """What a file's name says it is."""

    label: str  # as in “looks like …, not like …”
    has_json_escapes: bool  # whether it spells characters as JSON does
    needs_one_line_break: bool  # whether the kind of line break matters


class InputFile(NamedTuple):
    """A file of text, ready for the database."""

    path: Path  # of the file itself, or of a copy
    name: str  # of the file as delivered
    notes: tuple[str, ...] = ()  # what a person should know of how it was read
    copies: tuple[object, ...] = ()  # the copies are deleted when these are gone


def prepare_text(delivered_file: InputFile, text_format: TextFormat) -> InputFile:
    """The file, or a copy, as UTF-8 text without what the database cannot read.

    Raises UnreadableFile where it is something else, TooLarge for a decompression bomb.
    """
    input_file, compression = delivered_file, compression_of(delivered_file.path)
    if compression:
        input_file = write_copy(input_file, _unpacked_chunks(input_file.path, compression))
    _reject_other_kinds(input_file, text_format)
    if _is_clean_utf8(input_file, text_format):
        return input_file
    encoding, notes = _detect_encoding(input_file)
    if encoding != "utf-8":
        input_file = write_copy(input_file, _as_utf8(input_file, encoding), *notes)
    if _any_chunk(input_file, NUL_DETECTORS[text_format.has_json_escapes]):
        input_file = write_copy(input_file, _without_nul(input_file, text_format), NUL_NOTE)
    breaks = _line_breaks(input_file) if text_format.needs_one_line_break else set()
    if len(breaks) > 1:
        input_file = write_copy(
            input_file, _with_uniform_line_breaks(input_file), MIXED_LINE_BREAKS_NOTE
        )
    elif breaks == {b"\r"}:  # lines by which nothing else counts
        input_file = write_copy(
            input_file, (c.replace(b"\r", b"\n") for c in _chunks(input_file.path))
        )
    return input_file


def compression_of(path: Path) -> str | None:
    """How the file is packed, by its name."""
    return COMPRESSIONS.get(path.suffix.lower())


def read_head(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as binary_file:
        return binary_file.read(size)


def read_tail(path: Path, size: int = 4096) -> bytes:
    """The last bytes of a file."""
    with path.open("rb") as binary_file:
        binary_file.seek(max(0, path.stat().st_size - size))
        return binary_file.read()


def copy_range(input_file: InputFile, start: int, end: int, note: str) -> InputFile:
    """The bytes from `start` up to `end`, as a file of its own."""

    def chunks() -> Iterator[bytes]:
        with input_file.path.open("rb") as binary_file:
            binary_file.seek(start)
            while chunk := binary_file.read(min(CHUNK, end - binary_file.tell())):
                yield chunk

    return write_copy(input_file, chunks(), note)


def reject_signature(name: str, head: bytes, expected: str) -> None:
    """Raises UnreadableFile where the file begins like one of another kind."""
    for signature, (kind, advice) in SIGNATURES.items():
        if head.startswith(signature):
            raise UnreadableFile(
                WRONG_KIND.format(name=name, thing=kind, wanted=expected, advice=advice)
            )


def max_unpacked_bytes() -> int:
    """Bytes to which a file may unpack."""
    return int(os.environ.get("ROLLCALL_MAX_UNPACKED_MB") or DEFAULT_MAX_UNPACKED_MB) * MEGABYTE


# ---- copies -------------------------------------------------------------------------------------


def write_copy(input_file: InputFile, chunks: Iterator[bytes], *notes: str) -> InputFile:
    """A copy that takes the place of a file, with these chunks in it."""
    copy = TemporaryFile()
    with copy.path.open("wb") as out:
        for chunk in chunks:
            out.write(chunk)
    return InputFile(copy.path, input_file.name, input_file.notes + notes, (copy,))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as binary_file:
        while chunk := binary_file.read(CHUNK):
            yield chunk


def _safe_chunks(path: Path) -> Iterator[bytes]:
    """Chunks that end within no escape and within no line break."""
    remainder = b""
    for chunk in _chunks(path):
        chunk = remainder + chunk
        end = _safe_end(chunk) if len(chunk) < 2 * CHUNK else len(chunk)
        remainder = chunk[end:]
        yield chunk[:end]
    yield remainder


def _safe_end(chunk: bytes) -> int:
    last_backslash = chunk.rfind(b"\\", -len("\\u000"))
    if last_backslash >= 0:
        return len(chunk[: last_backslash + 1].rstrip(b"\\"))
    return len(chunk) - chunk.endswith(b"\r")


def _any_chunk(input_file: InputFile, predicate: Callable[[bytes], object]) -> bool:
    return any(map(predicate, _safe_chunks(input_file.path)))


# ---- unpacking ----------------------------------------------------------------------------------


@contextmanager
def _open_compressed(path: Path, compression: str) -> Iterator[Any]:
    if compression == "zstd":
        with pyarrow.input_stream(str(path), compression="zstd") as stream:
            yield stream
    else:
        with gzip.open(path) as stream:
            yield stream


def _unpacked_chunks(path: Path, compression: str) -> Iterator[bytes]:
    """To the end, as a file that is cut off says so only there."""
    max_bytes, packed_bytes, unpacked_bytes = max_unpacked_bytes(), path.stat().st_size, 0
    with _open_compressed(path, compression) as stream:
        while chunk := stream.read(CHUNK):
            unpacked_bytes += len(chunk)
            if unpacked_bytes > max_bytes:
                raise TooLarge(TOO_LARGE.format(name=path.name, most=max_bytes // MEGABYTE))
            if unpacked_bytes > max(packed_bytes * MAX_UNPACK_RATIO, RATIO_EXEMPT_MB * MEGABYTE):
                raise TooLarge(DECOMPRESSION_BOMB.format(name=path.name, ratio=MAX_UNPACK_RATIO))
            yield chunk


# ---- kinds of files -----------------------------------------------------------------------------


def _reject_other_kinds(input_file: InputFile, text_format: TextFormat) -> None:
    head = read_head(input_file.path)
    reject_signature(input_file.name, head, text_format.label)
    if MARKUP.match(head):
        raise UnreadableFile(
            WRONG_KIND.format(
                name=input_file.name,
                thing="a web page or XML",
                wanted=text_format.label,
                advice="It may be a page for logging in, or an error, of where it comes from.",
            )
        )


def _is_clean_utf8(input_file: InputFile, text_format: TextFormat) -> bool:
    """Whether one quick look at the whole file finds nothing that asks for a closer one."""
    decoder, holds_nul = (
        codecs.getincrementaldecoder("utf-8")(),
        NUL_DETECTORS[text_format.has_json_escapes],
    )
    try:
        for chunk in _safe_chunks(input_file.path):
            if holds_nul(chunk) or (text_format.needs_one_line_break and b"\r" in chunk):
                return False
            if not chunk.isascii() or decoder.getstate()[0]:
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


# ---- encodings ----------------------------------------------------------------------------------


def _detect_encoding(input_file: InputFile) -> tuple[str, tuple[str, ...]]:
    """The encoding of the whole file, and what to say of it."""
    head = read_head(input_file.path)
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding, ()
    for pattern, encoding in UTF16_PATTERNS.items():
        if pattern.match(head):
            return encoding, (NO_BYTE_ORDER_MARK_NOTE.format(encoding=encoding.upper()),)
    if _first_invalid_byte(input_file.path) is None:
        return "utf-8", ()
    _reject_unless_windows_1252(input_file)
    return "cp1252", (WINDOWS_1252_NOTE,)


def _first_invalid_byte(path: Path) -> int | None:
    """The first byte, counted from 1, that is not UTF-8; None where all are."""
    decoder, offset = codecs.getincrementaldecoder("utf-8")(), 0
    for chunk in chain(_chunks(path), [b""]):
        pending_bytes = len(decoder.getstate()[0])
        try:
            if pending_bytes or not chunk.isascii() or not chunk:
                decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return offset - pending_bytes + error.start + 1
        offset += len(chunk)
    return None


def _reject_unless_windows_1252(input_file: InputFile) -> None:
    """Not where most of it is UTF-8, of which Windows-1252 would make gibberish."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    valid_count = invalid_count = 0
    for chunk in _chunks(input_file.path):
        text = decoder.decode(chunk)
        if not text.isascii():
            replacements = text.count("\ufffd")
            invalid_count += replacements
            valid_count += len(NOT_ASCII.findall(text)) - replacements
    invalid_count += bool(decoder.getstate()[0])
    if valid_count >= invalid_count:
        byte = _first_invalid_byte(input_file.path)
        raise UnreadableFile(PARTLY_UTF8.format(name=input_file.name, byte=byte))
    if _any_chunk(input_file, NOT_WINDOWS_1252.search):
        raise UnreadableFile(NOT_UTF8.format(name=input_file.name))


def _as_utf8(input_file: InputFile, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chain(_chunks(input_file.path), [b""]):
            yield decoder.decode(chunk, final=not chunk).encode()
    except UnicodeError as error:
        raise UnreadableFile(
            NOT_ENCODED.format(name=input_file.name, encoding=encoding.upper())
        ) from error


# ---- characters ---------------------------------------------------------------------------------


def _without_nul(input_file: InputFile, text_format: TextFormat) -> Iterator[bytes]:
    for chunk in _safe_chunks(input_file.path):
        text = chunk.replace(b"\0", "\ufffd".encode())
        yield NUL_ESCAPE.sub(rb"\1\\ufffd", text) if text_format.has_json_escapes else text


def _line_breaks(input_file: InputFile) -> set[bytes]:
    """What lines end in; breaks within quotes are content, and end none."""
    breaks: set[bytes] = set()
    for is_quoted, text in _split_by_quotes(input_file):
        if not is_quoted:
            breaks.update(LINE_BREAK.findall(text))
    return breaks


def _with_uniform_line_breaks(input_file: InputFile) -> Iterator[bytes]:
    for is_quoted, text in _split_by_quotes(input_file):
        yield text if is_quoted else LINE_BREAK.sub(b"\n", text)


def _split_by_quotes(input_file: InputFile) -> Iterator[tuple[bool, bytes]]:
    """The file in pieces, the quotes among the quoted ones: whether quoted, and the text."""
    is_quoted = False
    for chunk in _safe_chunks(input_file.path):
        first_piece, *pieces = chunk.split(b'"')
        yield is_quoted, first_piece
        for text in pieces:
            yield True, b'"'
            is_quoted = not is_quoted
            yield is_quoted, text
