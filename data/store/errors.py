"""Why a store cannot be used, one class per cause."""

from __future__ import annotations

import re
from pathlib import Path

from data.store.limits import memory_limit


class StoreFault(Exception):
    """The store cannot be used now. The message tells a person why, and what to do."""


class StoreInUse(StoreFault):
    """Another process has the store open; DuckDB lets only one in."""

    def __init__(self, message: str, process: int | None = None) -> None:
        super().__init__(message)
        self.process = process  # which one, where DuckDB tells


class StoreUnreachable(StoreFault):
    """The file cannot be opened or made: a folder that is read-only or not there, say."""


class StoreTooNew(StoreFault):
    """A newer DuckDB made the file. It is not damaged: the newer Rollcall can read it."""


class NoRoom(StoreFault):
    """The disk is full, or the file may not grow. What was committed is safe."""


class NoMemory(StoreFault):
    """DuckDB needs more memory at a time than it may take, and cannot spill it. Nothing is lost."""


class StoreInterrupted(StoreFault):
    """DuckDB stopped after a fault; what was committed is safe. The store must be opened anew."""


class StoreUnusable(StoreFault):
    """The store must be made anew, from the archive."""

    name = "unusable"  # in the name of the file that is moved aside


class StoreDamaged(StoreUnusable):
    """The file is cut off, overwritten or no database at all."""

    name = "damaged"


class StoreOutdated(StoreUnusable):
    """Another version of Rollcall, or of DuckDB, made the store."""

    name = "outdated"


def fault_of(file: Path, said: str) -> StoreFault | None:
    """By DuckDB's own words, as it has no codes."""
    if re.search(r"No space left|File too large|quota exceeded", said):
        return NoRoom(
            f"There is no room left on the disk of {file.parent}: nothing can be loaded, and "
            "nothing that was loaded is lost. Make room; files that wait in the inbox are loaded "
            "then."
        )
    if "Out of Memory Error" in said:
        return NoMemory(
            f"DuckDB needs more memory than the {memory_limit()} that it may take, and gave up: "
            "nothing that was loaded is lost. ROLLCALL_MEMORY_LIMIT, as in 2GiB, lets it take more."
        )
    if "Conflicting lock" in said or "Could not set lock" in said:
        process = re.search(r"\(PID (\d+)\)", said)
        return StoreInUse(f"{file} is open in another process.", process and int(process[1]))
    if versions := re.search(r"version number (\d+), but .* between \d+ and (\d+)", said):
        if int(versions[1]) > int(versions[2]):
            return StoreTooNew(
                f"{file} was made by a newer DuckDB than this Rollcall has. Start the newer "
                "Rollcall, or make the store anew from the archive: rollcall rebuild."
            )
        return StoreOutdated(f"{file} was made by an older DuckDB.")
    if _speaks_of_damage(file, said):
        return StoreDamaged(f"{file} is damaged. DuckDB says: “{_shortened(said, file)}”.")
    if f'"{file}"' in said and said.startswith("IO Error"):
        return StoreUnreachable(
            f"{file} cannot be opened. DuckDB says: “{_shortened(said, file)}”."
        )
    return None


def _shortened(said: str, file: Path) -> str:
    return said.splitlines()[0].removeprefix("IO Error: ").replace(str(file), file.name)


def _speaks_of_damage(file: Path, said: str) -> bool:
    """Snapshot files that are read at the same time can be damaged too; the store need not be."""
    marks = r"not a valid DuckDB database|Corrupt (database|WAL) file|Failure while replaying WAL"
    cut_off = f'Could not read enough bytes from file "{file}' in said
    return cut_off or re.search(marks, said) is not None
