"""Temporary files of this process, deleted when it ends or when nothing refers to them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path


@cache
def temporary_folder() -> Path:
    """The folder in which this process, and nobody else, keeps copies for as long as it runs."""
    folder = Path(tempfile.mkdtemp(prefix="rollcall-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class TemporaryFile:
    """A temporary file that is deleted when nothing refers to this object any more."""

    def __init__(self) -> None:
        number, name = tempfile.mkstemp(dir=temporary_folder())
        os.close(number)
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)
