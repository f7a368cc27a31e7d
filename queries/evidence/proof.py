"""Verifies an evidence pack: the snapshots in the archive have to give the same rows."""

import csv
import hashlib
import io
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import sqlalchemy as sa
from python_calamine import CalamineWorkbook

from data.files.errors import SnapshotRejected
from data.files.mapping import read_mapping
from data.files.naming import SnapshotFile
from data.formatting import first_of
from data.history.load import load
from data.history.remove import remove_snapshot
from data.history.session import sha256_of
from data.home import Home, database_url
from data.records.audit_log import flush_pending
from data.service.archive_check import SnapshotKey, archive_key, archived_files, removed_files
from data.store.adapter import adapter_for
from data.store.engine import close_store, open_store
from data.store.errors import StoreError
from queries.audit import event_from_json, stream_events
from queries.evidence.accounts import ACCOUNTS
from queries.evidence.findings import FINDINGS
from queries.evidence.pack import (
    CHECKSUM_FILE,
    MANIFEST_FILE,
    PACK_FORMAT,
    SNAPSHOTS_FILE,
    EvidenceKind,
    NotProved,
    parse_time,
    write_pack,
)
from queries.evidence.rounds import ROUNDS

EVIDENCE_KINDS = {"findings": FINDINGS, "accounts": ACCOUNTS, "round": ROUNDS}
"""Value of `of` in the manifest → the kind."""

MAX_DIFFERENCES = 10
"""Differences to name. For more, a sentence gives their number."""

MAX_CELLS_SHOWN = 10
"""Cells that name the row of a table."""

Progress = Callable[[int, int], None]
"""Called after each snapshot that is loaded, with its number and the number of snapshots."""


class PackFiles(NamedTuple):
    """The files of a pack."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    def read_json(self, name: str) -> Any:
        """The JSON value of a file."""
        return json.loads(self.files[name])


Files = Mapping[SnapshotKey, Path]


class InvalidPack(ValueError):
    """The file is not a readable evidence pack; the message says why."""


class Verified(NamedTuple):
    """What the verification of a pack found, in sentences."""

    problems: list[str]  # why the archive does not prove it
    remarks: list[str]


def verify(path: Path, home: Home, progress: Progress, log: Path | None = None) -> Verified:
    """Why the home's archive and audit log do not prove the pack.

    `log` is a downloaded audit log, in place of that in the store. Raises InvalidPack.
    """
    pack, problems = _read_pack(path)
    problems += _checksum_problems(pack)
    try:
        kind = EVIDENCE_KINDS[pack.manifest["of"]]
        stages, missing = _snapshot_files(kind, pack, home)
        if missing:
            problems += first_of(missing, MAX_DIFFERENCES)
        else:
            problems += _differences(kind, pack, home, stages, progress)
        problems += _log_problems(kind, pack, home, log)
        return Verified(problems, kind.remarks(pack.read_json))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problems.append(f"A file of the pack has an unexpected content: {error!r}.")
    except SnapshotRejected as error:
        problems.append(f"A snapshot in the archive cannot be loaded. {error}")
    return Verified(problems, [])


# ---- the pack itself -----------------------------------------------------------------------------


def _read_pack(path: Path) -> tuple[PackFiles, list[str]]:
    """The pack, and the problems of the zip file."""
    try:
        with ZipFile(path) as pack:
            names = pack.namelist()
            files = {name: pack.read(name) for name in names}
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidPack(f"{path.name} is not a readable zip file: {error}.") from error
    except OSError as error:
        raise InvalidPack(f"{path} cannot be read: {error.strerror}.") from error
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


def _snapshot_files(
    kind: EvidenceKind, pack: PackFiles, home: Home
) -> tuple[list[Files], list[str]]:
    """The snapshots' files of each stage, and the problems of those that the archive lacks.

    A snapshot of an earlier moment can have been replaced or removed since.
    """
    archived, removed = _by_key(archived_files(home)), _by_key(removed_files(home))
    stages: list[Files] = []
    problems: list[str] = []
    for file in kind.stages:
        paths: dict[SnapshotKey, Path] = {}
        for entry in pack.read_json(file):
            key = SnapshotKey(entry["integration"], parse_time(entry["taken_at"]))
            places = [*archived[key], *(removed[key] if file != SNAPSHOTS_FILE else ())]
            path = next((p for p in places if sha256_of(p) == entry["sha256"]), None)
            if key in paths:
                problems.append(f"{file} names the snapshot of {key} twice.")
            elif path:
                paths[key] = path
            elif archived[key]:
                problems.append(f"The archive’s snapshot of {key} has another hash than in {file}.")
            else:
                problems.append(f"The archive has no snapshot of {key}, which {file} names.")
        stages.append(paths)
    return stages, problems


def _by_key(paths: Sequence[Path]) -> Mapping[SnapshotKey | None, list[Path]]:
    by_key: dict[SnapshotKey | None, list[Path]] = defaultdict(list)
    for path in paths:
        by_key[archive_key(path)].append(path)
    return by_key


# ---- its rows ------------------------------------------------------------------------------------


def _differences(
    kind: EvidenceKind, pack: PackFiles, home: Home, stages: Sequence[Files], progress: Progress
) -> list[str]:
    """Load the snapshots into a store of their own, make the pack again, and compare."""
    with TemporaryDirectory(prefix="rollcall-verify-") as folder:
        url, path = database_url(Path(folder) / "store.duckdb"), Path(folder) / "pack.zip"
        try:
            engine = open_store(url)
            loaded: Files = {}
            for restore, files in zip(kind.stages.values(), stages, strict=True):
                _load_exactly(engine, home, files, loaded, progress)
                restore(engine, pack.read_json)
                loaded = files
            with engine.connect() as con:
                write_pack(kind.from_manifest(con, pack.manifest), path)
        except NotProved as error:
            return [str(error)]
        finally:
            close_store(url)
        return _compare(kind, _read_pack(path)[0], pack)


def _load_exactly(
    engine: sa.Engine, home: Home, files: Files, loaded: Files, progress: Progress
) -> None:
    """Bring a store from some snapshots to others."""
    for key in loaded.keys() - files.keys():
        remove_snapshot(engine, *key)
    added = {key: path for key, path in files.items() if loaded.get(key) != path}
    for number, (key, path) in enumerate(added.items(), start=1):
        with _named_as_loaded(path) as named:
            file = SnapshotFile(named, *key, read_mapping(home, key.integration))
            load(engine, file, replace=key in loaded, confirmed=True)
        progress(number, len(added))


@contextmanager
def _named_as_loaded(path: Path) -> Iterator[Path]:
    """The file, or a copy with its former name: a second removed file of a name is `name~2`."""
    name = path.name.split("~")[0]
    if name == path.name:
        yield path
        return
    with TemporaryDirectory(prefix="rollcall-verify-") as folder:
        yield Path(shutil.copy(path, Path(folder) / name))


def _compare(kind: EvidenceKind, expected: PackFiles, actual: PackFiles) -> list[str]:
    problems = []
    for name in expected.manifest["files"]:
        found = actual.files.get(name)
        if expected.files[name] != found and found is not None:
            problems += _file_differences(kind, name, expected, actual)
        elif found is None:
            problems.append(f"{name} does not follow from the snapshots.")
    for name in sorted({*expected.manifest, *actual.manifest} - {"rollcall", "files"}):
        if expected.manifest.get(name) != actual.manifest.get(name):
            problems.append(f"“{name}” in the manifest does not follow from the snapshots.")
    return problems


def _file_differences(
    kind: EvidenceKind, name: str, expected: PackFiles, actual: PackFiles
) -> list[str]:
    """A file that differs and, of one with rows, which. Excel files are compared by their cells."""
    sentence = f"{name} does not follow from the snapshots."
    if name in kind.rows_files:
        return [sentence, *_row_differences(kind, name, expected, actual)]
    read = TABLE_READERS.get(Path(name).suffix)
    if not read:
        return [sentence]
    differences = _table_differences(name, read(expected.files[name]), read(actual.files[name]))
    if name.endswith(".xlsx") and not differences:
        return []
    return [sentence, *first_of(differences, MAX_DIFFERENCES)]


Table = list[tuple[str, ...]]


def _csv_rows(content: bytes) -> Table:
    return [tuple(row) for row in csv.reader(io.StringIO(content.decode("utf-8-sig")))]


def _excel_rows(content: bytes) -> Table:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    sheets = (book.get_sheet_by_name(name).to_python() for name in book.sheet_names)
    return [tuple(map(str, row)) for sheet in sheets for row in sheet]


TABLE_READERS: dict[str, Callable[[bytes], Table]] = {".csv": _csv_rows, ".xlsx": _excel_rows}


def _table_differences(name: str, expected: Table, actual: Table) -> list[str]:
    """The rows that one table has and the other has not, by their first cells."""
    added, lost = Counter(actual) - Counter(expected), Counter(expected) - Counter(actual)
    return [
        *(f"{name}: no row “{_row_text(row)}” follows from the snapshots." for row in added),
        *(f"{name}: the row “{_row_text(row)}” is missing." for row in lost),
    ]


def _row_text(row: Sequence[str]) -> str:
    return ", ".join(filter(None, row[:MAX_CELLS_SHOWN]))


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
    *others, integration, account_id = key  # a rule, a role, or the start of a version
    return ", ".join([*filter(None, others), f"account {account_id} of {integration}"])


# ---- the audit log -------------------------------------------------------------------------------


def _log_problems(kind: EvidenceKind, pack: PackFiles, home: Home, log: Path | None) -> list[str]:
    """Why the audit log does not prove the pack; none for a kind that does not follow from it."""
    if kind.log_problems is None:
        return []
    try:
        with _audit_log(home, log) as events:
            problems = kind.log_problems(pack.read_json, pack.manifest, events)
    except (StoreError, OSError) as error:
        return [f"The audit log cannot be read: {error} Download it on Audit, and use --log FILE."]
    return first_of(problems, MAX_DIFFERENCES)


@contextmanager
def _audit_log(home: Home, log: Path | None) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of the file, or of the store."""
    if log:
        with log.open(encoding="utf-8") as file:
            yield (event_from_json(json.loads(line)) for line in file)
    elif adapter_for(home.database_url).exists(home.database_url):
        engine = open_store(home.database_url)
        flush_pending(engine, home)
        with engine.connect() as con:
            yield stream_events(con)
    else:
        yield iter(())
