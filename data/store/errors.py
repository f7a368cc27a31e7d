"""Why a store cannot be used: one exception per cause."""

import errno
from pathlib import Path


class StoreError(Exception):
    """The store cannot be used now. The message says why, and what to do."""

    summary = "The log of Rollcall says why."
    """The same for everybody: without the names of files, servers and people."""


class StoreInUse(StoreError):
    """Another process has the store open. DuckDB allows only one."""

    summary = "Another process uses its database. End that process, or wait for it."

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid  # None where DuckDB does not report it


class StoreUnreachable(StoreError):
    """The store cannot be opened or created: the folder is read-only or the server is down."""

    summary = (
        "Its database cannot be reached. Check that the database server runs, or that Rollcall may "
        "write to its folder."
    )


class StoreBusy(StoreError):
    """Too many people ask at once. The store itself is fine."""

    def __init__(self) -> None:
        super().__init__("Many people are using Rollcall at the moment. Try again in a minute.")


class StoreTooNew(StoreError):
    """A newer DuckDB made the file. The newer Rollcall can read it."""

    summary = "A newer Rollcall made it. Start that version again."


class DiskFull(StoreError):
    """The disk is full, or the file may not grow. Committed data is safe."""

    summary = "The disk is full. Free some space; no loaded data is lost."

    @classmethod
    def of_folder(cls, folder: Path) -> "DiskFull":
        """The disk of this folder is full."""
        return cls(
            f"The disk of {folder} is full, so nothing can be loaded. No loaded data is lost. "
            "Free some space; files in the inbox are then loaded."
        )


DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full_disk(error: BaseException) -> bool:
    """Whether an error of the store or of a file means it."""
    is_file_error = isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS
    return is_file_error or isinstance(error, DiskFull)


class OutOfMemory(StoreError):
    """DuckDB reached its memory limit and could not spill. Committed data is safe."""

    summary = "Its memory limit is too low. Set ROLLCALL_MEMORY_LIMIT higher."


class StoreInterrupted(StoreError):
    """DuckDB stopped after an error. Committed data is safe. The store must be reopened."""


class StoreUnusable(StoreError):
    """The store must be rebuilt from the archive."""

    name = "unusable"  # in the name under which the old store is kept


class StoreDamaged(StoreUnusable):
    """The file is truncated, overwritten or not a database."""

    name = "damaged"


class StoreOutdated(StoreUnusable):
    """Another version of Rollcall, or of DuckDB, made the store."""

    name = "outdated"
