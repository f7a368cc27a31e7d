"""How a file leaves the inbox: Rollcall copies what a regular file contains, then removes the file.

Whoever can write to the inbox could put a link there to a file that only Rollcall can read, or keep
a second name of a file and change it after the load. So no link is followed, and all other folders
of the home have files of Rollcall's own.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from data.files.errors import SnapshotRejected
from data.home import MAX_NAME_BYTES, Home, printable
from data.tempfiles import write_atomically

MAX_ENDING_BYTES = 24
"""Bytes that a shortened name keeps of its ending."""


class NotARegularFile(SnapshotRejected):
    """A link, a pipe or a device: its content is not in the inbox."""


def inbox_files(home: Home) -> list[Path]:
    """The files of the inbox, without those that are still being written under a temporary name.

    Links are among them, and folders that cannot be read, because both need a person.
    """
    found: list[Path] = []

    def add_unreadable(error: OSError) -> None:
        found.append(Path(error.filename))

    for folder, folder_names, names in os.walk(home.inbox, onerror=add_unreadable):
        folder_names[:] = [name for name in folder_names if not name.startswith(".")]
        links = [name for name in folder_names if Path(folder, name).is_symlink()]
        found += (
            Path(folder, name)
            for name in (*names, *links)
            if not name.startswith(".") and not name.endswith((".part", ".tmp"))
        )
    return sorted(found)


def make_inbox_folder(folder: Path) -> None:
    """Create an integration's folder in the inbox. Raises NotARegularFile where it is a link."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise NotARegularFile(f"{folder} is a link. Replace it by a folder.")


def reject_other_than_files(path: Path) -> None:
    """Raises NotARegularFile for a link and the like, OSError for a folder that is unreadable."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        os.scandir(path).close()
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
        raise NotARegularFile(
            f"{printable(path.name)} is {kind}. Rollcall reads no content from outside of the "
            "inbox. Put the file itself there."
        )


def copy_delivered(home: Home, path: Path, target: Path) -> None:
    """Copy a file of the inbox, with its time. Raises NotARegularFile or OSError."""
    reject_other_than_files(path)
    with _open_folder(home, path) as folder:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        source = os.fdopen(os.open(path.name, flags, dir_fd=folder), "rb")
    with source, write_atomically(target) as partial:
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotARegularFile(f"{printable(path.name)} is no regular file.")
        with partial.open("wb") as output:
            shutil.copyfileobj(source, output, 1 << 20)
            output.flush()
            os.fsync(output.fileno())  # the delivered file is removed next
        # One that goes back to the inbox is complete, and does not wait until it is old enough.
        os.utime(partial, ns=(status.st_atime_ns, status.st_mtime_ns))


def take_delivered(home: Home, path: Path, target: Path) -> None:
    """Move a file out of the inbox. Of a link, only the text remains that says where it leads."""
    try:
        copy_delivered(home, path, target)
    except NotARegularFile:
        with write_atomically(target) as partial:
            partial.write_bytes(os.fsencode(path.readlink()) if path.is_symlink() else b"")
    remove_delivered(home, path)


def remove_delivered(home: Home, path: Path) -> None:
    """Remove a file from the inbox. Rollcall has its own copy."""
    with _open_folder(home, path) as folder:
        os.unlink(path.name, dir_fd=folder)


def storable_name(name: str) -> str:
    """A delivered file's name as every folder and database can hold it.

    A name that is too long, is not UTF-8 or would name a folder is shortened: it keeps its start
    and its ending, and a hash of the whole name keeps it unique.
    """
    readable = printable(name).replace("/", "\ufffd")
    if readable == name and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    ending = "".join(Path(readable).suffixes[-2:]).encode()[-MAX_ENDING_BYTES:]
    mark = f"~{sha256(os.fsencode(name)).hexdigest()[:12]}".encode()
    start = readable.encode()[: MAX_NAME_BYTES - len(mark) - len(ending)].removesuffix(ending)
    return (start + mark + ending).decode(errors="ignore")


@contextmanager
def _open_folder(home: Home, path: Path) -> Iterator[int]:
    """The folder of a file of the inbox, opened without following a link on the way."""
    folder = os.open(home.inbox, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in path.parent.relative_to(home.inbox).parts:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            parent, folder = folder, os.open(name, flags, dir_fd=folder)
            os.close(parent)
        yield folder
    finally:
        os.close(folder)
