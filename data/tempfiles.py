"""Temporary files, and files that take their name once they are complete."""

import atexit
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@cache
def temporary_folder() -> Path:
    """The private folder of this process; it is deleted when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="rollcall-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class TemporaryFile:
    """A file in the private folder, deleted together with this object."""

    def __init__(self) -> None:
        number, name = tempfile.mkstemp(dir=temporary_folder())
        os.close(number)
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place at the end of the block.

    So nobody sees half a file, and an error leaves an earlier file in place. Only the owner can
    read the file, and a link that somebody put at the temporary path is not followed.
    """
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
