"""Verifies an evidence pack: the snapshots in the archive have to give the same rows."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import sqlalchemy as sa

from data.files.errors import SnapshotRejected
from data.files.mapping import read_mapping
from data.files.naming import SnapshotFile
from data.formatting import first_of
from data.history.load import load
from data.history.session import sha256_of
from data.home import Home, database_url
from data.service.archive_check import SnapshotKey, archive_key, archived_files
from data.store.engine import close_store, open_store
from queries.evidence.accounts import ACCOUNTS
from queries.evidence.findings import FINDINGS
from queries.evidence.pack import (
    CHECKSUM_FILE,
    MANIFEST_FILE,
    PACK_FORMAT,
    EvidenceKind,
    parse_time,
    write_pack,
)

EVIDENCE_KINDS = {"findings": FINDINGS, "accounts": ACCOUNTS}
"""Value of `of` in the manifest → the kind."""

MAX_DIFFERENCES = 10
"""Differences to name. For more, a sentence gives their number."""

Progress = Callable[[int, int], None]
"""Called after each snapshot that is loaded, with its number and the number of snapshots."""


class PackFiles(NamedTuple):
    """The files of a pack."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    def read_json(self, name: str) -> Any:
        """The JSON value of a file."""
        return json.loads(self.files[name])


class InvalidPack(ValueError):
    """The file is not a readable evidence pack; the message says why."""


def verify(path: Path, home: Home, progress: Progress) -> list[str]:
    """The reasons, in sentences, why the home's archive does not prove the pack; none if it does.

    Raises InvalidPack.
    """
    pack, problems = _read_pack(path)
    problems += _checksum_problems(pack)
    try:
        files = _snapshot_files(pack, home)
        missing = [problem for problem in files.values() if isinstance(problem, str)]
        if missing:
            return problems + first_of(missing, MAX_DIFFERENCES)
        return problems + _differences(pack, home, files, progress)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [*problems, f"A file of the pack has an unexpected content: {error!r}."]
    except SnapshotRejected as error:
        return [*problems, f"A snapshot in the archive cannot be loaded. {error}"]


# ---- the pack itself -----------------------------------------------------------------------------


def _read_pack(path: Path) -> tuple[PackFiles, list[str]]:
    """The pack, and the problems of the zip file."""
    try:
        with ZipFile(path) as pack:
            names = pack.namelist()
            files = {name: pack.read(name) for name in names}
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidPack(f"{path.name} is not a readable zip file: {error}.") from error
    except Exception as error:  # zlib's own error, which is no public class of zipfile
        raise InvalidPack(f"{path.name} is damaged: {error}.") from error
    try:
        manifest = json.loads(files[MANIFEST_FILE])
        pack_format = manifest["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidPack(f"{path.name} has no readable manifest.") from error
    if pack_format != PACK_FORMAT:
        raise InvalidPack(
            f"{path.name} has the format “{pack_format}”; this Rollcall reads “{PACK_FORMAT}”."
        )
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    return PackFiles(manifest, files), [
        f"{name} is in the pack more than once." for name in duplicates
    ]


def _checksum_problems(pack: PackFiles) -> list[str]:
    """The files that the manifest does not name, or names with another hash."""
    problems, entries = [], pack.manifest.get("files")
    entries = entries if isinstance(entries, dict) else {}
    checksum = pack.files.get(CHECKSUM_FILE, b"").decode(errors="replace")
    if checksum != _sha256(pack.files[MANIFEST_FILE]):
        problems.append(f"{MANIFEST_FILE} does not match its hash in {CHECKSUM_FILE}.")
    for name in sorted({*entries, *pack.files} - {MANIFEST_FILE, CHECKSUM_FILE}):
        content = pack.files.get(name)
        if content is None:
            problems.append(f"{name} is missing from the pack.")
        elif name not in entries:
            problems.append(f"{name} is in the pack, but not in its manifest.")
        elif entries[name] != {"sha256": _sha256(content), "bytes": len(content)}:
            problems.append(f"{name} does not match its hash in the manifest.")
    return problems


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- its snapshots -------------------------------------------------------------------------------


def _snapshot_files(pack: PackFiles, home: Home) -> dict[SnapshotKey, Path | str]:
    """The snapshot's file in the archive, or why there is none."""
    archived: dict[SnapshotKey | None, list[Path]] = defaultdict(list)
    for path in archived_files(home):
        archived[archive_key(path)].append(path)
    paths: dict[SnapshotKey, Path | str] = {}
    for entry in pack.read_json("snapshots.json"):
        key = SnapshotKey(entry["integration"], parse_time(entry["taken_at"]))
        matches = (path for path in archived[key] if sha256_of(path) == entry["sha256"])
        problem = f"The archive has no snapshot of {key}."
        if archived[key]:
            problem = f"The archive’s snapshot of {key} has another hash than in the pack."
        if key in paths:
            problem, matches = f"The pack names the snapshot of {key} twice.", iter(())
        paths[key] = next(matches, problem)
    return paths


# ---- its rows ------------------------------------------------------------------------------------


def _differences(
    pack: PackFiles, home: Home, files: dict[SnapshotKey, Path | str], progress: Progress
) -> list[str]:
    """Load the snapshots into a store of their own, make the pack again, and compare."""
    kind = EVIDENCE_KINDS[pack.manifest["of"]]
    with TemporaryDirectory(prefix="rollcall-verify-") as folder:
        url = database_url(Path(folder) / "store.duckdb")
        try:
            engine = open_store(url)
            for number, ((name, taken_at), path) in enumerate(files.items(), start=1):
                columns = read_mapping(home, name)
                load(engine, SnapshotFile(Path(path), name, taken_at, columns), confirmed=True)
                progress(number, len(files))
            expected = _rebuild_pack(kind, engine, pack, Path(folder) / "pack.zip")
        finally:
            close_store(url)
    return _compare(kind, expected, pack)


def _rebuild_pack(kind: EvidenceKind, engine: sa.Engine, pack: PackFiles, path: Path) -> PackFiles:
    kind.restore_records(engine, pack.read_json)
    with engine.connect() as con:
        write_pack(kind.from_manifest(con, pack.manifest), path)
    return _read_pack(path)[0]


def _compare(kind: EvidenceKind, expected: PackFiles, actual: PackFiles) -> list[str]:
    problems = []
    for name in expected.manifest["files"]:
        if expected.files[name] != actual.files.get(name):
            problems.append(f"{name} does not follow from the snapshots.")
    for name in kind.rows_files:
        if name in expected.files and expected.files[name] != actual.files.get(name):
            problems += _row_differences(kind, name, expected, actual)
    for name in sorted({*expected.manifest, *actual.manifest} - {"rollcall", "files"}):
        if expected.manifest.get(name) != actual.manifest.get(name):
            problems.append(f"“{name}” in the manifest does not follow from the snapshots.")
    return problems


def _row_differences(
    kind: EvidenceKind, name: str, expected: PackFiles, actual: PackFiles
) -> list[str]:
    """The rows of a file that the pack has too many, too few or with other values."""
    expected_rows, actual_rows = (
        {
            tuple(row[column] for column in kind.rows_files[name]): row
            for row in pack.read_json(name)
        }
        for pack in (expected, actual)
    )
    problems = []
    for key in dict.fromkeys([*actual_rows, *expected_rows]):
        label, row = _row_label(key), expected_rows.get(key)
        if row is None:
            problems.append(f"{label}: no such {kind.row_noun} follows from the snapshots.")
        elif key not in actual_rows:
            problems.append(f"{label}: the {kind.row_noun} is missing from the pack.")
        elif row != actual_rows[key]:
            columns = [name for name, value in row.items() if actual_rows[key].get(name) != value]
            problems.append(f"{label}: {', '.join(columns) or 'further columns'} differ.")
    return first_of(problems, MAX_DIFFERENCES)


def _row_label(key: tuple[str, ...]) -> str:
    *others, integration, account_id = key  # a rule, or the start of a version
    return ", ".join([*others, f"account {account_id} of {integration}"])
