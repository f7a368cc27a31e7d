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
    CHUNK,
    DECOMPRESSION_BOMB,
    MAX_UNPACK_RATIO,
    MEGABYTE,
    RATIO_EXEMPT_MB,
    TOO_LARGE,
    InputFile,
    max_unpacked_bytes,
    write_copy,
)
from data.files.errors import TooLarge, UnreadableFile

MAX_FILES = 10_000
"""A million accounts in pages of a hundred."""

MAX_DIRECTORY_BYTES = 1024 * MAX_FILES
"""Bytes of an archive's list of its files, which `zipfile` reads at once, whatever it says."""

SYSTEM_FILES = re.compile(r"(^|/)(__MACOSX/|\.|Thumbs\.db$|desktop\.ini$)")
"""What systems put into an archive by themselves."""


def extract_files(path: Path) -> list[InputFile]:
    """Copies of the files in the archive, by name, `page-2` before `page-10`.

    Raises UnreadableFile, or TooLarge for a decompression bomb.
    """
    try:
        with _BoundedReader(FileIO(path)) as binary_file, zipfile.ZipFile(binary_file) as archive:
            members = [
                member
                for member in archive.infolist()
                if not member.is_dir() and not SYSTEM_FILES.search(member.filename)
            ]
            _reject_implausible(path, members)
            return [
                _extract_member(archive, member)
                for member in sorted(members, key=_natural_sort_key)
            ]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UnreadableFile(
            f"{path.name} cannot be unpacked; it may be cut off, damaged or encrypted."
        ) from error


def create_archive(paths: Iterable[Path], archive_path: Path) -> None:
    """Put files into one archive that is the same for the same files."""
    with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, path in enumerate(paths, start=1):
            member = zipfile.ZipInfo(f"{number:04}-{path.name}")
            member.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(member, "w") as target:
                shutil.copyfileobj(source, target)


class _BoundedReader(BufferedReader):
    """A file of which nobody reads a list of files that is beyond measure."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size and size > MAX_DIRECTORY_BYTES:
            name = Path(self.name).name
            raise TooLarge(f"{name} has too many files; Rollcall reads {MAX_FILES:,}.")
        return super().read(size)


def _reject_implausible(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise UnreadableFile(f"{path.name} is a ZIP archive without files.")
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableFile(f"{path.name} is encrypted; deliver it without a password.")
    if len(members) > MAX_FILES:
        raise TooLarge(f"{path.name} has {len(members):,} files; Rollcall reads {MAX_FILES:,}.")
    size, packed_size = sum(member.file_size for member in members), path.stat().st_size
    if size > max_unpacked_bytes():
        raise TooLarge(TOO_LARGE.format(name=path.name, most=max_unpacked_bytes() // MEGABYTE))
    if size > max(packed_size * MAX_UNPACK_RATIO, RATIO_EXEMPT_MB * MEGABYTE):
        raise TooLarge(DECOMPRESSION_BOMB.format(name=path.name, ratio=MAX_UNPACK_RATIO))


def _extract_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> InputFile:
    name = PurePosixPath(member.filename).name
    return write_copy(InputFile(Path(name), name), _chunks(archive, member))


def _chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """What unpacks to more than the archive says fails its own check: `zipfile` reads no more."""
    with archive.open(member) as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _natural_sort_key(member: zipfile.ZipInfo) -> list[tuple[int, str]]:
    """Numbers in a name by their value."""
    parts = re.findall(r"\d+|\D+", member.filename)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
