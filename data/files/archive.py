"""ZIP archives: several files, e.g. pages of a list, that are one snapshot.

Members are copied out under temporary names, so no name in an archive becomes a path.
"""

import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path, PurePosixPath

from data.files.encoding import InputFile, read_chunks, reject_too_large, write_copy
from data.files.errors import TooLarge, UnreadableFile

MAX_FILES = 10_000
"""A million accounts in pages of a hundred."""

MAX_DIRECTORY_BYTES = 1024 * MAX_FILES
"""Bytes of an archive's directory. `zipfile` reads it at once, however large it claims to be."""

SYSTEM_FILES = re.compile(r"(^|/)(__MACOSX/|\.|Thumbs\.db$|desktop\.ini$)")
"""Files that operating systems add to an archive."""


def extract_files(file: InputFile) -> list[InputFile]:
    """Copies of the files in the archive, sorted by name, `page-2` before `page-10`.

    Raises UnreadableFile, or TooLarge for a decompression bomb.
    """
    with _open_archive(file) as (zip_file, members):
        return [
            _extract_member(zip_file, member) for member in sorted(members, key=_natural_sort_key)
        ]


def archive_names(file: InputFile) -> set[str]:
    """The names in an archive. Raises the same errors as `extract_files`."""
    with _open_archive(file) as (_, members):
        return {member.filename for member in members}


@contextmanager
def _open_archive(file: InputFile) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    try:
        with _BoundedReader(FileIO(file.path)) as stream, zipfile.ZipFile(stream) as zip_file:
            members = [
                member
                for member in zip_file.infolist()
                if not member.is_dir() and not SYSTEM_FILES.search(member.filename)
            ]
            _reject_implausible(file, members)
            yield zip_file, members
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UnreadableFile(
            f"{file.name} cannot be unpacked. It may be cut off, damaged or encrypted."
        ) from error


def create_archive(paths: Iterable[Path], archive_path: Path) -> None:
    """Put files into an archive; the same files give the same bytes."""
    with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_DEFLATED) as zip_file:
        for number, path in enumerate(paths, start=1):
            member = zipfile.ZipInfo(f"{number:04}-{path.name}")
            member.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, zip_file.open(member, "w") as target:
                shutil.copyfileobj(source, target)


class _BoundedReader(BufferedReader):
    """A file that does not read an oversized directory at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size and size > MAX_DIRECTORY_BYTES:
            raise TooLarge(f"{Path(self.name).name} has more than {MAX_FILES:,} files, the limit.")
        return super().read(size)


def _reject_implausible(file: InputFile, members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise UnreadableFile(f"{file.name} is a ZIP archive without files.")
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableFile(f"{file.name} is encrypted. Deliver it without a password.")
    if len(members) > MAX_FILES:
        raise TooLarge(f"{file.name} has {len(members):,} files; the limit is {MAX_FILES:,}.")
    unpacked_bytes = sum(member.file_size for member in members)
    reject_too_large(file.name, unpacked_bytes, file.path.stat().st_size)


def _extract_member(zip_file: zipfile.ZipFile, member: zipfile.ZipInfo) -> InputFile:
    """`zipfile` reads no more than the directory claims, and then checks the checksum."""
    name = PurePosixPath(member.filename).name
    with zip_file.open(member) as stream:
        return write_copy(InputFile(Path(name), name), read_chunks(stream))


def _natural_sort_key(member: zipfile.ZipInfo) -> list[tuple[int, str]]:
    """Compares the numbers in a name by value."""
    parts = re.findall(r"\d+|\D+", member.filename)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
