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
from data.tempfiles import TemporaryCopy

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
CHUNK = 256 * 1024  # bytes read at a time: they stay in the processor's cache while looked at
MEGABYTE = 1024 * 1024

MOST_UNPACKED_MB = 2048
"""Eight times a million accounts as JSON. `ROLLCALL_MAX_UNPACKED_MB` sets another bound."""
MOST_RATIO = 200
"""Unpacked size / packed size. Lists of accounts pack to a 5th, monotonous ones to a 50th."""
UNSUSPICIOUS_MB = 64
"""Up to here the ratio does not matter: small files of few, equal lines pack far better."""

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WITHOUT_MARK = {
    re.compile(rb"(?:[\t\r\n -~]\0){4,}"): "utf-16-le",
    re.compile(rb"(?:\0[\t\r\n -~]){4,}"): "utf-16-be",
}
"""Four characters of ASCII in two bytes each: no other text begins so."""

NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""As JSON spells it. An even number of backslashes before it are characters of their own."""

NUL_IN: dict[bool, Callable[[bytes], object]] = {
    False: lambda chunk: b"\0" in chunk,
    True: lambda chunk: b"\0" in chunk or (b"\\u0000" in chunk and NUL_ESCAPE.search(chunk)),
}
"""Whether the text spells characters as JSON does → whether a chunk of it holds NUL."""

BREAK = re.compile(rb"\r\n|\n|\r")
NOT_ASCII = re.compile(r"[^\x00-\x7f]")
NOT_WINDOWS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\x81\x8d\x8f\x90\x9d]")
"""Bytes that no text in Windows-1252 has: it leaves five unassigned, and few control anything."""

WINDOWS = "The file is not UTF-8; it was read as Windows-1252 (Latin-1): check names with accents."
NO_MARK = "The file has no byte order mark; it was read as {encoding}: check that names look right."
NULS = "The file holds NUL characters, which no text has; each was read as “\ufffd”."
MIXED_BREAKS = "The file ends its lines in several ways; each was taken for the end of a line."

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
BOMB = (
    "{name} unpacks to more than {ratio} times its size, which no list of accounts does: it looks "
    "like a decompression bomb. If it is none, deliver it unpacked."
)
LOOKS_LIKE = "{name} looks like {thing}, not {wanted}. {advice}"

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


class Form(NamedTuple):
    """What a file's name says it is."""

    words: str  # as in “looks like …, not like …”
    escapes: bool  # whether it spells characters as JSON does
    ends_lines: bool  # whether the kind of line break matters


class Plain(NamedTuple):
    """A file of text, ready for the database."""

    path: Path  # of the file itself, or of a copy
    name: str  # of the file as delivered
    notes: tuple[str, ...] = ()  # what a person should know of how it was read
    copies: tuple[object, ...] = ()  # the copies are deleted when these are gone


def as_plain(delivered: Plain, form: Form) -> Plain:
    """The file, or a copy, as UTF-8 text without what the database cannot read.

    Raises UnreadableFile where it is something else, TooLarge for a decompression bomb.
    """
    plain, compression = delivered, compression_of(delivered.path)
    if compression:
        plain = copied(plain, _unpacked(plain.path, compression))
    _refuse_other_kinds(plain, form)
    if _is_usual(plain, form):
        return plain
    encoding, notes = _encoding_of(plain)
    if encoding != "utf-8":
        plain = copied(plain, _as_utf8(plain, encoding), *notes)
    if _any(plain, NUL_IN[form.escapes]):
        plain = copied(plain, _without_nul(plain, form), NULS)
    breaks = _line_breaks(plain) if form.ends_lines else set()
    if len(breaks) > 1:
        plain = copied(plain, _with_one_break(plain), MIXED_BREAKS)
    elif breaks == {b"\r"}:  # lines by which nothing else counts
        plain = copied(plain, (c.replace(b"\r", b"\n") for c in _chunks(plain.path)))
    return plain


def compression_of(path: Path) -> str | None:
    """How the file is packed, by its name."""
    return COMPRESSIONS.get(path.suffix.lower())


def head_of(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as raw:
        return raw.read(size)


def tail_of(path: Path, size: int = 4096) -> bytes:
    """The last bytes of a file."""
    with path.open("rb") as raw:
        raw.seek(max(0, path.stat().st_size - size))
        return raw.read()


def part_of(plain: Plain, start: int, end: int, note: str) -> Plain:
    """The bytes from `start` up to `end`, as a file of its own."""

    def chunks() -> Iterator[bytes]:
        with plain.path.open("rb") as raw:
            raw.seek(start)
            while chunk := raw.read(min(CHUNK, end - raw.tell())):
                yield chunk

    return copied(plain, chunks(), note)


def refuse_signature(name: str, head: bytes, wanted: str) -> None:
    """Raises UnreadableFile where the file begins like one of another kind."""
    for signature, (thing, advice) in SIGNATURES.items():
        if head.startswith(signature):
            raise UnreadableFile(
                LOOKS_LIKE.format(name=name, thing=thing, wanted=wanted, advice=advice)
            )


def most_unpacked() -> int:
    """Bytes to which a file may unpack."""
    return int(os.environ.get("ROLLCALL_MAX_UNPACKED_MB") or MOST_UNPACKED_MB) * MEGABYTE


# ---- copies -------------------------------------------------------------------------------------


def copied(plain: Plain, chunks: Iterator[bytes], *notes: str) -> Plain:
    """A copy that takes the place of a file, with these chunks in it."""
    copy = TemporaryCopy()
    with copy.path.open("wb") as out:
        for chunk in chunks:
            out.write(chunk)
    return Plain(copy.path, plain.name, plain.notes + notes, (copy,))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as raw:
        while chunk := raw.read(CHUNK):
            yield chunk


def _unsplit(path: Path) -> Iterator[bytes]:
    """Chunks that end within no escape and within no line break."""
    rest = b""
    for chunk in _chunks(path):
        chunk = rest + chunk
        end = _end_of_whole(chunk) if len(chunk) < 2 * CHUNK else len(chunk)
        rest = chunk[end:]
        yield chunk[:end]
    yield rest


def _end_of_whole(chunk: bytes) -> int:
    last = chunk.rfind(b"\\", -len("\\u000"))
    if last >= 0:
        return len(chunk[: last + 1].rstrip(b"\\"))
    return len(chunk) - chunk.endswith(b"\r")


def _any(plain: Plain, holds: Callable[[bytes], object]) -> bool:
    return any(map(holds, _unsplit(plain.path)))


# ---- unpacking ----------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path, compression: str) -> Iterator[Any]:
    if compression == "zstd":
        with pyarrow.input_stream(str(path), compression="zstd") as raw:
            yield raw
    else:
        with gzip.open(path) as raw:
            yield raw


def _unpacked(path: Path, compression: str) -> Iterator[bytes]:
    """To the end, as a file that is cut off says so only there."""
    most, packed, so_far = most_unpacked(), path.stat().st_size, 0
    with _opened(path, compression) as raw:
        while chunk := raw.read(CHUNK):
            so_far += len(chunk)
            if so_far > most:
                raise TooLarge(TOO_LARGE.format(name=path.name, most=most // MEGABYTE))
            if so_far > max(packed * MOST_RATIO, UNSUSPICIOUS_MB * MEGABYTE):
                raise TooLarge(BOMB.format(name=path.name, ratio=MOST_RATIO))
            yield chunk


# ---- kinds of files -----------------------------------------------------------------------------


def _refuse_other_kinds(plain: Plain, form: Form) -> None:
    head = head_of(plain.path)
    refuse_signature(plain.name, head, form.words)
    if MARKUP.match(head):
        raise UnreadableFile(
            LOOKS_LIKE.format(
                name=plain.name,
                thing="a web page or XML",
                wanted=form.words,
                advice="It may be a page for logging in, or an error, of where it comes from.",
            )
        )


def _is_usual(plain: Plain, form: Form) -> bool:
    """Whether one quick look at the whole file finds nothing that asks for a closer one."""
    decoder, holds_nul = codecs.getincrementaldecoder("utf-8")(), NUL_IN[form.escapes]
    try:
        for chunk in _unsplit(plain.path):
            if holds_nul(chunk) or (form.ends_lines and b"\r" in chunk):
                return False
            if not chunk.isascii() or decoder.getstate()[0]:
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


# ---- encodings ----------------------------------------------------------------------------------


def _encoding_of(plain: Plain) -> tuple[str, tuple[str, ...]]:
    """The encoding of the whole file, and what to say of it."""
    head = head_of(plain.path)
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding, ()
    for pattern, encoding in WITHOUT_MARK.items():
        if pattern.match(head):
            return encoding, (NO_MARK.format(encoding=encoding.upper()),)
    if _first_fault(plain.path) is None:
        return "utf-8", ()
    _refuse_unless_windows(plain)
    return "cp1252", (WINDOWS,)


def _first_fault(path: Path) -> int | None:
    """The first byte, counted from 1, that is not UTF-8; None where all are."""
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    for chunk in chain(_chunks(path), [b""]):
        pending = len(decoder.getstate()[0])
        try:
            if pending or not chunk.isascii() or not chunk:
                decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as fault:
            return before - pending + fault.start + 1
        before += len(chunk)
    return None


def _refuse_unless_windows(plain: Plain) -> None:
    """Not where most of it is UTF-8, of which Windows-1252 would make gibberish."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    right = wrong = 0
    for chunk in _chunks(plain.path):
        text = decoder.decode(chunk)
        if not text.isascii():
            faults = text.count("\ufffd")
            wrong += faults
            right += len(NOT_ASCII.findall(text)) - faults
    wrong += bool(decoder.getstate()[0])
    if right >= wrong:
        byte = _first_fault(plain.path)
        raise UnreadableFile(PARTLY_UTF8.format(name=plain.name, byte=byte))
    if _any(plain, NOT_WINDOWS.search):
        raise UnreadableFile(NOT_UTF8.format(name=plain.name))


def _as_utf8(plain: Plain, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chain(_chunks(plain.path), [b""]):
            yield decoder.decode(chunk, final=not chunk).encode()
    except UnicodeError as fault:
        raise UnreadableFile(
            NOT_ENCODED.format(name=plain.name, encoding=encoding.upper())
        ) from fault


# ---- characters ---------------------------------------------------------------------------------


def _without_nul(plain: Plain, form: Form) -> Iterator[bytes]:
    for chunk in _unsplit(plain.path):
        text = chunk.replace(b"\0", "\ufffd".encode())
        yield NUL_ESCAPE.sub(rb"\1\\ufffd", text) if form.escapes else text


def _line_breaks(plain: Plain) -> set[bytes]:
    """What lines end in; breaks within quotes are content, and end none."""
    kinds: set[bytes] = set()
    for is_quoted, text in _quoted_and_not(plain):
        if not is_quoted:
            kinds.update(BREAK.findall(text))
    return kinds


def _with_one_break(plain: Plain) -> Iterator[bytes]:
    for is_quoted, text in _quoted_and_not(plain):
        yield text if is_quoted else BREAK.sub(b"\n", text)


def _quoted_and_not(plain: Plain) -> Iterator[tuple[bool, bytes]]:
    """The file in pieces, the quotes among the quoted ones: whether quoted, and the text."""
    is_quoted = False
    for chunk in _unsplit(plain.path):
        first, *others = chunk.split(b'"')
        yield is_quoted, first
        for text in others:
            yield True, b'"'
            is_quoted = not is_quoted
            yield is_quoted, text
