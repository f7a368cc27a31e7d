"""Why a store cannot be used, one class per cause."""

from __future__ import annotations

import re
from pathlib import Path

from data.store.limits import memory_limit


class StoreError(Exception):
    """The store cannot be used now. The message tells a person why, and what to do."""


class StoreInUse(StoreError):
    """Another process has the store open; DuckDB lets only one in."""

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid  # which one, where DuckDB tells


class StoreUnreachable(StoreError):
    """The file cannot be opened or made: a folder that is read-only or not there, say."""


class StoreTooNew(StoreError):
    """A newer DuckDB made the file. It is not damaged: the newer Rollcall can read it."""


class DiskFull(StoreError):
    """The disk is full, or the file may not grow. What was committed is safe."""


class OutOfMemory(StoreError):
    """DuckDB needs more memory at a time than it may take, and cannot spill it. Nothing is lost."""


class StoreInterrupted(StoreError):
    """DuckDB stopped after a fault; what was committed is safe. The store must be opened anew."""


class StoreUnusable(StoreError):
    """The store must be made anew, from the archive."""

    name = "unusable"  # in the name of the file that is moved aside


class StoreDamaged(StoreUnusable):
    """The file is cut off, overwritten or no database at all."""

    name = "damaged"


class StoreOutdated(StoreUnusable):
    """Another version of Rollcall, or of DuckDB, made the store."""

    name = "outdated"


def classify_error(file: Path, message: str) -> StoreError | None:
    """By DuckDB's own words, as it has no codes."""
    if re.search(r"No space left|File too large|quota exceeded", message):
        return DiskFull(
            f"There is no room left on the disk of {file.parent}: nothing can be loaded, and "
            "nothing that was loaded is lost. Make room; files that wait in the inbox are loaded "
            "then."
        )
    if "Out of Memory Error" in message:
        return OutOfMemory(
            f"DuckDB needs more memory than the {memory_limit()} that it may take, and gave up: "
            "nothing that was loaded is lost. ROLLCALL_MEMORY_LIMIT, as in 2GiB, lets it take more."
        )
    if "Conflicting lock" in message or "Could not set lock" in message:
        pid = re.search(r"\(PID (\d+)\)", message)
        return StoreInUse(f"{file} is open in another process.", pid and int(pid[1]))
    if versions := re.search(r"version number (\d+), but .* between \d+ and (\d+)", message):
        if int(versions[1]) > int(versions[2]):
            return StoreTooNew(
                f"{file} was made by a newer DuckDB than this Rollcall has. Start the newer "
                "Rollcall, or make the store anew from the archive: rollcall rebuild."
            )
        return StoreOutdated(f"{file} was made by an older DuckDB.")
    if _reports_damage(file, message):
        return StoreDamaged(f"{file} is damaged. DuckDB says: “{_shorten_message(message, file)}”.")
    if f'"{file}"' in message and message.startswith("IO Error"):
        return StoreUnreachable(
            f"{file} cannot be opened. DuckDB says: “{_shorten_message(message, file)}”."
        )
    return None


def _shorten_message(message: str, file: Path) -> str:
    return message.splitlines()[0].removeprefix("IO Error: ").replace(str(file), file.name)


def _reports_damage(file: Path, message: str) -> bool:
    """Snapshot files that are read at the same time can be damaged too; the store need not be."""
    pattern = r"not a valid DuckDB database|Corrupt (database|WAL) file|Failure while replaying WAL"
    is_truncated = f'Could not read enough bytes from file "{file}' in message
    return is_truncated or re.search(pattern, message) is not None
