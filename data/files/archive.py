"""Several files in one: a ZIP archive, of which each file is copied out, under no name of its own.

So many pages, or a log with the files beside it, are one snapshot: delivered, held, archived and
removed as one file.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from io import BufferedReader, FileIO
from pathlib import Path, PurePosixPath

from data.files.encoding import (
    BOMB,
    CHUNK,
    MEGABYTE,
    MOST_RATIO,
    TOO_LARGE,
    UNSUSPICIOUS_MB,
    Plain,
    copied,
    most_unpacked,
)
from data.files.errors import TooLarge, UnreadableFile

MOST_FILES = 10_000
"""A million accounts in pages of a hundred."""

LONGEST_LIST = 1024 * MOST_FILES
"""Bytes of an archive's list of its files, which `zipfile` reads at once, whatever it says."""

LEFT_OUT = re.compile(r"(^|/)(__MACOSX/|\.|Thumbs\.db$|desktop\.ini$)")
"""What systems put into an archive by themselves."""


def unzipped(path: Path) -> list[Plain]:
    """Copies of the files in the archive, by name, `page-2` before `page-10`.

    Raises UnreadableFile, or TooLarge for a decompression bomb.
    """
    try:
        with _Archive(FileIO(path)) as raw, zipfile.ZipFile(raw) as archive:
            found = [
                each
                for each in archive.infolist()
                if not each.is_dir() and not LEFT_OUT.search(each.filename)
            ]
            _refuse_implausible(path, found)
            return [_copy_of(archive, each) for each in sorted(found, key=_natural)]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as fault:
        raise UnreadableFile(
            f"{path.name} cannot be unpacked; it may be cut off, damaged or encrypted."
        ) from fault


def zip_together(paths: Iterable[Path], archive: Path) -> None:
    """Put files into one archive that is the same for the same files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for number, path in enumerate(paths, start=1):
            about = zipfile.ZipInfo(f"{number:04}-{path.name}")
            about.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as raw, made.open(about, "w") as packed:
                shutil.copyfileobj(raw, packed)


class _Archive(BufferedReader):
    """A file of which nobody reads a list of files that is beyond measure."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size and size > LONGEST_LIST:
            name = Path(self.name).name
            raise TooLarge(f"{name} has too many files; Rollcall reads {MOST_FILES:,}.")
        return super().read(size)


def _refuse_implausible(path: Path, found: list[zipfile.ZipInfo]) -> None:
    if not found:
        raise UnreadableFile(f"{path.name} is a ZIP archive without files.")
    if any(each.flag_bits & 1 for each in found):
        raise UnreadableFile(f"{path.name} is encrypted; deliver it without a password.")
    if len(found) > MOST_FILES:
        raise TooLarge(f"{path.name} has {len(found):,} files; Rollcall reads {MOST_FILES:,}.")
    size, packed = sum(each.file_size for each in found), path.stat().st_size
    if size > most_unpacked():
        raise TooLarge(TOO_LARGE.format(name=path.name, most=most_unpacked() // MEGABYTE))
    if size > max(packed * MOST_RATIO, UNSUSPICIOUS_MB * MEGABYTE):
        raise TooLarge(BOMB.format(name=path.name, ratio=MOST_RATIO))


def _copy_of(archive: zipfile.ZipFile, each: zipfile.ZipInfo) -> Plain:
    name = PurePosixPath(each.filename).name
    return copied(Plain(Path(name), name), _chunks(archive, each))


def _chunks(archive: zipfile.ZipFile, each: zipfile.ZipInfo) -> Iterator[bytes]:
    """What unpacks to more than the archive says fails its own check: `zipfile` reads no more."""
    with archive.open(each) as raw:
        while chunk := raw.read(CHUNK):
            yield chunk


def _natural(each: zipfile.ZipInfo) -> list[tuple[int, str]]:
    """Numbers in a name by their value."""
    parts = re.findall(r"\d+|\D+", each.filename)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
