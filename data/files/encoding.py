"""Turns a delivered file into text for the database: unpacked, UTF-8, one kind of line break.

Most files are like that and are read where they are. Any other file is copied, in a stream, into
the folder of temporary files; the copy is deleted when nothing uses it any more.
"""

import codecs
import gzip
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow

from data.files.errors import TooLarge, UnreadableFile
from data.tempfiles import TemporaryFile

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
COMPRESSION_SIGNATURES = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
CHUNK = 256 * 1024  # bytes read at a time: they stay in the processor's cache
MEGABYTE = 1024 * 1024

DEFAULT_MAX_UNPACKED_MB = 2048
"""Eight times a million accounts as JSON. `ROLLCALL_MAX_UNPACKED_MB` sets another limit."""
MAX_UNPACK_RATIO = 200
"""Unpacked size / packed size. Lists of accounts shrink to a 5th, monotonous ones to a 50th."""
RATIO_EXEMPT_MB = 64
"""Up to this size the ratio does not matter: small files with equal lines shrink far more."""

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
"""Four ASCII characters of two bytes each; no text in another encoding starts like this."""

NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""NUL in JSON. Backslashes in pairs before it are characters themselves."""

LINE_BREAK = re.compile(rb"\r\n|\n|\r")
NOT_ASCII = re.compile(r"[^\x00-\x7f]")
SHIFT_JIS_KANA = re.compile(rb"(?:\x82[\x9f-\xf1]|\x83[\x40-\x7e\x80-\x96]){2}")
"""Two letters as Excel saves them in Japan; in Windows-1252, the bytes are quotes and ƒ."""
NOT_WINDOWS_1252 = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\x81\x8d\x8f\x90\x9d]")
"""Bytes that no text in Windows-1252 has: control characters and five unassigned ones."""

DECLARED_ENCODING = re.compile(
    rb"<[^>]*\b(?:charset|encoding)\s*=\s*[\"']?"
    rb"(windows-125\d|iso-8859-\d\d?|koi8-[ru]|shift_jis|euc-jp|iso-2022-jp|gb\d+|gbk|big5|euc-kr)\b",
    re.IGNORECASE,
)
"""What a web page or XML says of itself."""

WINDOWS_1252_NOTE = (
    "The file is not UTF-8; it was read as Windows-1252 (Latin-1): check names with accents."
)
SHIFT_JIS_NOTE = "The file is not UTF-8; it was read as Shift JIS: check that names look right."
NO_BYTE_ORDER_MARK_NOTE = (
    "The file has no byte order mark; it was read as {encoding}: check that names look right."
)
NUL_NOTE = "The file contains NUL characters; each was read as “\ufffd”."
MIXED_LINE_BREAKS_NOTE = "The file has several kinds of line breaks; each was read as a line break."

NOT_UTF8 = (
    "{name} is neither UTF-8 nor Windows-1252 text. "
    "Save or export it as UTF-8 (in Excel: “CSV UTF-8”)."
)
PARTLY_UTF8 = (
    "{name} is UTF-8 text up to byte {byte:,}, but not there. It is damaged or cut off, or joined "
    "from files in different encodings. Export it again as UTF-8."
)
NOT_ENCODED = "{name} starts like {encoding} text but is not. It may be cut off or damaged."
TOO_LARGE = (
    "{name} unpacks to more than {most:,} MB, the limit. ROLLCALL_MAX_UNPACKED_MB sets another one."
)
DECOMPRESSION_BOMB = (
    "{name} unpacks to more than {ratio} times its size, like a decompression bomb. "
    "If it is a real list, deliver it unpacked, or as CSV instead of Parquet."
)
WRONG_KIND = "{name} looks like {kind}, not {expected}. {advice}"

OTHER_KINDS = {
    b"%PDF-": ("a PDF document", "Export the list as CSV."),
    b"SQLite format 3\0": ("an SQLite database", "Export the list as CSV."),
    b"\xfd7zXZ\0": ("an XZ file", "Unpack it, or compress it with gzip."),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "Unpack it, or make it a ZIP archive."),
    b"\x89PNG": ("an image", "Export the list as CSV."),
    b"\xff\xd8\xff": ("an image", "Export the list as CSV."),
}
"""The first bytes of files that are no list → kind, and advice."""


class TextFormat(NamedTuple):
    """What the ending of a file's name says about its text."""

    label: str  # as in “looks like …, not CSV”
    has_json_escapes: bool  # whether it can spell characters as JSON does
    needs_one_line_break: bool  # whether the kind of line break matters


class InputFile(NamedTuple):
    """A file of text that the database can read."""

    path: Path  # of the file itself, or of a copy
    name: str  # of the delivered file
    notes: tuple[str, ...] = ()  # what a person should know about how it was read
    copies: tuple[object, ...] = ()  # copies are deleted together with these
    remarks: tuple[str, ...] = ()  # what is worth knowing, but needs no check
    incomplete_reason: str = ""  # why the file cannot be the complete list
    sheets: tuple[str, ...] = ()  # names of a workbook's sheets
    sheet: str = ""  # the one that is read


def unpack(file: InputFile) -> InputFile:
    """The content of a compressed file, as its first bytes show it; other files as they are.

    Raises UnreadableFile or TooLarge.
    """
    head = read_head(file.path)
    for signature, compression in COMPRESSION_SIGNATURES.items():
        if head.startswith(signature):
            unpacked = write_copy(file, _unpacked_chunks(file, compression))
            if read_head(unpacked.path).startswith(tuple(COMPRESSION_SIGNATURES)):
                raise UnreadableFile(f"{file.name} is compressed twice. Compress a list once.")
            return unpacked
    if file.path.suffix.lower() in COMPRESSIONS:  # the database would trust the name
        return write_copy(file, _chunks(file.path))
    return file


def as_utf8(file: InputFile) -> InputFile:
    """The file, or a copy of it, as UTF-8. Raises UnreadableFile where it is not text."""
    encoding, notes = _detect_encoding(file)
    return file if encoding == "utf-8" else write_copy(file, _as_utf8(file, encoding), *notes)


def clean_text(file: InputFile, text_format: TextFormat) -> InputFile:
    """The file, or a copy of it, without what the database cannot read."""
    has_escapes = text_format.has_json_escapes
    if _any_chunk(file, partial(_has_nul, has_json_escapes=has_escapes)):
        file = write_copy(file, _without_nul(file, has_json_escapes=has_escapes), NUL_NOTE)
    if text_format.needs_one_line_break and _any_chunk(file, lambda chunk: b"\r" in chunk):
        file = _unify_line_breaks(file)
    return file


def read_head(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as binary_file:
        return binary_file.read(size)


def read_tail(path: Path, size: int = 4096) -> bytes:
    """The last bytes of a file."""
    with path.open("rb") as binary_file:
        binary_file.seek(max(0, path.stat().st_size - size))
        return binary_file.read()


def unfinished_line(path: Path) -> bytes:
    """The last line of a file of several lines, if it has no line break."""
    _, line_break, line = read_tail(path, 65_536).rpartition(b"\n")
    return line.strip() if line_break else b""


# ---- copies -------------------------------------------------------------------------------------


def write_copy(file: InputFile, chunks: Iterator[bytes], *notes: str) -> InputFile:
    """A temporary file with these chunks in place of the file."""
    copy = TemporaryFile()
    with copy.path.open("wb") as output:
        output.writelines(chunks)
    return file._replace(path=copy.path, notes=file.notes + notes, copies=(copy,))


def copy_range(file: InputFile, start: int, end: int, *notes: str) -> InputFile:
    """The bytes from `start` up to `end`, as a file of their own."""

    def chunks() -> Iterator[bytes]:
        with file.path.open("rb") as binary_file:
            binary_file.seek(start)
            while chunk := binary_file.read(min(CHUNK, end - binary_file.tell())):
                yield chunk

    return write_copy(file, chunks(), *notes)


def read_chunks(stream: Any) -> Iterator[bytes]:
    """A binary stream in chunks."""
    while chunk := stream.read(CHUNK):
        yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as binary_file:
        yield from read_chunks(binary_file)


def _safe_chunks(path: Path) -> Iterator[bytes]:
    """Chunks that do not end within an escape or a line break."""
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


def _any_chunk(file: InputFile, predicate: Callable[[bytes], object]) -> bool:
    return any(map(predicate, _safe_chunks(file.path)))


# ---- unpacking ----------------------------------------------------------------------------------


def _unpacked_chunks(file: InputFile, compression: str) -> Iterator[bytes]:
    """To the end of the file, as only the end shows that a file is cut off."""
    packed_bytes, unpacked_bytes, path = file.path.stat().st_size, 0, str(file.path)
    is_gzip = compression == "gzip"
    with gzip.open(path) if is_gzip else pyarrow.input_stream(path, compression) as stream:
        for chunk in read_chunks(stream):
            unpacked_bytes += len(chunk)
            reject_too_large(file.name, unpacked_bytes, packed_bytes)
            yield chunk


def max_unpacked_mb() -> int:
    """The limit of ROLLCALL_MAX_UNPACKED_MB."""
    return int(os.environ.get("ROLLCALL_MAX_UNPACKED_MB") or DEFAULT_MAX_UNPACKED_MB)


def reject_too_large(name: str, unpacked_bytes: int, packed_bytes: int | None = None) -> None:
    """Raises TooLarge where a file unpacks to too much, or to too many times its packed size."""
    limit = max_unpacked_mb()
    if unpacked_bytes > limit * MEGABYTE:
        raise TooLarge(TOO_LARGE.format(name=name, most=limit))
    if packed_bytes is not None and unpacked_bytes > max(
        packed_bytes * MAX_UNPACK_RATIO, RATIO_EXEMPT_MB * MEGABYTE
    ):
        raise TooLarge(DECOMPRESSION_BOMB.format(name=name, ratio=MAX_UNPACK_RATIO))


# ---- kinds of files -----------------------------------------------------------------------------


def reject_other_kinds(file: InputFile, expected: str) -> None:
    """Raises UnreadableFile where the file starts like one that is no list."""
    head = read_head(file.path)
    for signature, (kind, advice) in OTHER_KINDS.items():
        if head.startswith(signature):
            raise UnreadableFile(
                WRONG_KIND.format(name=file.name, kind=kind, expected=expected, advice=advice)
            )


# ---- encodings ----------------------------------------------------------------------------------


def _detect_encoding(file: InputFile) -> tuple[str, tuple[str, ...]]:
    """The encoding of the whole file, and notes about it.

    Not by a library: charset-normalizer takes “Jürgen” in a short list for cp775, and 50 MB take
    it 12 seconds.
    """
    head = read_head(file.path)
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding, ()
    for pattern, encoding in UTF16_PATTERNS.items():
        if pattern.match(head):
            return encoding, (NO_BYTE_ORDER_MARK_NOTE.format(encoding=encoding.upper()),)
    if (byte := _first_invalid_byte(file.path)) is None:
        return "utf-8", ()
    if head.lstrip().startswith(b"<") and (declared := DECLARED_ENCODING.search(head)):
        name = declared[1].decode().lower()
        return "cp1252" if name == "iso-8859-1" else name, ()
    if _is_mostly_utf8(file.path):  # Windows-1252 would turn its characters into gibberish
        raise UnreadableFile(PARTLY_UTF8.format(name=file.name, byte=byte))
    if _any_chunk(file, SHIFT_JIS_KANA.search) and _can_decode(file.path, "cp932"):
        return "cp932", (SHIFT_JIS_NOTE,)
    if _any_chunk(file, NOT_WINDOWS_1252.search):
        raise UnreadableFile(NOT_UTF8.format(name=file.name))
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


def _can_decode(path: Path, encoding: str) -> bool:
    try:
        for _ in _decoded_chunks(path, encoding):
            pass
    except UnicodeError:
        return False
    return True


def _is_mostly_utf8(path: Path) -> bool:
    """Whether at least half of the characters beyond ASCII are valid UTF-8."""
    character_count = invalid_count = 0
    for text in _decoded_chunks(path, "utf-8", errors="replace"):
        character_count += len(NOT_ASCII.findall(text))
        invalid_count += text.count("\ufffd")
    return character_count >= 2 * invalid_count


def _as_utf8(file: InputFile, encoding: str) -> Iterator[bytes]:
    try:
        for text in _decoded_chunks(file.path, encoding):
            yield text.encode()
    except UnicodeError as error:
        message = NOT_ENCODED.format(name=file.name, encoding=encoding.upper())
        raise UnreadableFile(message) from error


def _decoded_chunks(path: Path, encoding: str, errors: str = "strict") -> Iterator[str]:
    with path.open(encoding=encoding, errors=errors, newline="") as text_file:
        yield from iter(partial(text_file.read, CHUNK), "")


# ---- characters ---------------------------------------------------------------------------------


def _has_nul(chunk: bytes, *, has_json_escapes: bool) -> bool:
    has_escape = has_json_escapes and b"\\u0000" in chunk and NUL_ESCAPE.search(chunk)
    return b"\0" in chunk or bool(has_escape)


def _without_nul(file: InputFile, *, has_json_escapes: bool) -> Iterator[bytes]:
    for chunk in _safe_chunks(file.path):
        text = chunk.replace(b"\0", "\ufffd".encode())
        yield NUL_ESCAPE.sub(rb"\1\\ufffd", text) if has_json_escapes else text


def _unify_line_breaks(file: InputFile) -> InputFile:
    """Give the lines one ending that the database knows. Breaks within quotes are content."""
    breaks = {
        line_break
        for is_quoted, text in _split_by_quotes(file)
        if not is_quoted
        for line_break in LINE_BREAK.findall(text)
    }
    if len(breaks) > 1:
        pieces = _split_by_quotes(file)
        unified = (text if quoted else LINE_BREAK.sub(b"\n", text) for quoted, text in pieces)
        return write_copy(file, unified, MIXED_LINE_BREAKS_NOTE)
    if breaks == {b"\r"}:
        return write_copy(file, (chunk.replace(b"\r", b"\n") for chunk in _chunks(file.path)))
    return file


def _split_by_quotes(file: InputFile) -> Iterator[tuple[bool, bytes]]:
    """The file in pieces: whether a piece is quoted, and its text. Quotes count as quoted."""
    is_quoted = False
    for chunk in _safe_chunks(file.path):
        first_piece, *pieces = chunk.split(b'"')
        yield is_quoted, first_piece
        for text in pieces:
            yield True, b'"'
            is_quoted = not is_quoted
            yield is_quoted, text
