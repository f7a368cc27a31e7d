"""What proves an evidence pack: the archive, whose snapshots must give the same rows again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from sqlalchemy import Engine

from data.files.errors import SnapshotRejected
from data.files.mapping import read_mapping
from data.files.naming import SnapshotFile
from data.history.load import load
from data.home import Home
from data.store.engine import close_store, open_store
from queries.evidence.accounts import AccountsEvidence
from queries.evidence.findings import FindingsEvidence
from queries.evidence.pack import CHECKSUM_FILE, MANIFEST_FILE, PACK_FORMAT, Evidence, parse_time

EVIDENCE_KINDS: dict[str, type[Evidence]] = {
    kind.kind: kind for kind in (FindingsEvidence, AccountsEvidence)
}
"""The kinds of evidence, by the manifest's word for them."""

MAX_DIFFERENCES = 10
"""Rows, files or snapshots that differ and are named; of more it is said how many."""

Progress = Callable[[int, int], None]
"""Told of every snapshot that is loaded: its number, and how many there are."""


class EvidencePack(NamedTuple):
    """A pack as it was read."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    def read_json(self, name: str) -> Any:
        """What a file of it says in JSON."""
        return json.loads(self.files[name])


class InvalidPack(ValueError):
    """The file cannot be read as an evidence pack; the message says why."""


def verify(path: Path, home: Home, progress: Progress) -> list[str]:
    """Why the pack is not proved by the archive of the home, in sentences; none where it is.

    Raises NoPack.
    """
    pack, problems = _read_pack(path)
    problems += _checksum_problems(pack)
    try:
        files = _snapshot_files(pack, home)
        missing_snapshots = [
            path_or_problem
            for path_or_problem in files.values()
            if isinstance(path_or_problem, str)
        ]
        if missing_snapshots:
            return problems + _truncate(missing_snapshots)
        return problems + _differences(pack, home, files, progress)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [*problems, f"The pack says something that cannot be understood: {error!r}."]
    except SnapshotRejected as error:
        return [*problems, f"A snapshot of the archive cannot be loaded. {error}"]


# ---- what the pack is ----------------------------------------------------------------------------


def _read_pack(path: Path) -> tuple[EvidencePack, list[str]]:
    """The pack, and what is wrong with it as a zip file."""
    try:
        with ZipFile(path) as pack:
            names = pack.namelist()
            files = {name: pack.read(name) for name in names}
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidPack(f"{path.name} is no zip file that can be read: {error}.") from error
    except Exception as error:  # zlib's own error, which is no public class of zipfile
        raise InvalidPack(f"{path.name} is damaged: {error}.") from error
    try:
        manifest = json.loads(files[MANIFEST_FILE])
        pack_format = manifest["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidPack(f"{path.name} has no manifest that can be read.") from error
    if pack_format != PACK_FORMAT:
        raise InvalidPack(
            f"{path.name} says that it is “{pack_format}”; this Rollcall reads “{PACK_FORMAT}”."
        )
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    return EvidencePack(manifest, files), [
        f"{name} is in the pack more than once." for name in duplicates
    ]


def _checksum_problems(pack: EvidencePack) -> list[str]:
    """The files whose hash is not what the manifest says, or which it does not name."""
    problems, file_entries = [], pack.manifest.get("files")
    file_entries = file_entries if isinstance(file_entries, dict) else {}
    if pack.files.get(CHECKSUM_FILE, b"").decode(errors="replace") != _sha256(
        pack.files[MANIFEST_FILE]
    ):
        problems.append(f"{MANIFEST_FILE} is not the file that {CHECKSUM_FILE} seals.")
    for name in sorted({*file_entries, *pack.files} - {MANIFEST_FILE, CHECKSUM_FILE}):
        if name not in pack.files:
            problems.append(f"{name} is missing from the pack.")
        elif name not in file_entries:
            problems.append(f"{name} is in the pack, and the manifest does not name it.")
        elif file_entries[name] != {
            "sha256": _sha256(pack.files[name]),
            "bytes": len(pack.files[name]),
        }:
            problems.append(f"{name} is not the file that the manifest seals.")
    return problems


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- what it follows from ------------------------------------------------------------------------

SnapshotKey = tuple[str, datetime]


def _snapshot_files(pack: EvidencePack, home: Home) -> dict[SnapshotKey, Path | str]:
    """Integration and moment → the snapshot's file in the archive, or why there is none."""
    paths: dict[SnapshotKey, Path | str] = {}
    for entry in pack.read_json("snapshots.json"):
        name, taken_at, sha256 = (
            entry["integration"],
            parse_time(entry["taken_at"]),
            entry["sha256"],
        )
        if (name, taken_at) in paths:
            paths[name, taken_at] = f"The snapshot of {name} at {taken_at} is named twice."
        else:
            paths[name, taken_at] = _find_in_archive(home, name, taken_at, sha256)
    return paths


def _find_in_archive(home: Home, name: str, taken_at: datetime, sha256: str) -> Path | str:
    folders = [p for p in home.archive.iterdir() if p.name == name] if home.archive.is_dir() else []
    files = [path for folder in folders for path in folder.glob(f"{taken_at:%Y-%m-%dT%H-%M-%SZ}.*")]
    for path in files:
        with path.open("rb") as raw:
            if hashlib.file_digest(raw, "sha256").hexdigest() == sha256:
                return path
    label = f"{name} at {taken_at:%Y-%m-%d %H:%M:%S} UTC"
    if files:
        return f"The archive’s snapshot of {label} has another hash than the pack names."
    return f"The archive has no snapshot of {label}."


# ---- whether it follows --------------------------------------------------------------------------


def _differences(
    pack: EvidencePack, home: Home, files: dict[SnapshotKey, Path | str], progress: Progress
) -> list[str]:
    """What comes out otherwise when the snapshots are loaded anew, in a place of their own."""
    with TemporaryDirectory(prefix="rollcall-verify-") as folder:
        url = f"duckdb:///{folder}/store.duckdb"
        try:
            engine = open_store(url)
            for number, ((name, taken_at), path) in enumerate(files.items(), start=1):
                columns = read_mapping(home, name)
                load(engine, SnapshotFile(Path(path), name, taken_at, columns), confirmed=True)
                progress(number, len(files))
            return _compare(EVIDENCE_KINDS[pack.manifest["of"]], engine, pack)
        finally:
            close_store(url)


def _compare(kind: type[Evidence], engine: Engine, pack: EvidencePack) -> list[str]:
    kind.restore_records(engine, pack.read_json)
    problems, rows_file = [], kind.rows_file
    with engine.connect() as con:
        evidence = kind.from_manifest(con, pack.manifest)
        contents = {name: b"".join(member()) for name, member in evidence.members().items()}
        manifest = evidence.manifest()
    for name, content in contents.items():
        if content != pack.files.get(name):
            problems.append(f"{name} does not follow from the snapshots.")
    if contents[rows_file] != pack.files[rows_file]:
        problems += _row_differences(
            kind, json.loads(contents[rows_file]), pack.read_json(rows_file)
        )
    pack_fields = {name: value for name, value in pack.manifest.items() if name != "files"}
    for name in sorted({*pack_fields, *manifest} - {"rollcall"}):
        if pack_fields.get(name) != manifest.get(name):
            problems.append(f"The manifest’s {name} is not what follows from the snapshots.")
    return problems


def _row_differences(
    kind: type[Evidence], expected: list[dict[str, Any]], actual: list[dict[str, Any]]
) -> list[str]:
    """Which rows the pack has too many, too few, or otherwise."""
    expected_rows, actual_rows = _by_key(kind, expected), _by_key(kind, actual)
    problems = []
    for key in [
        *actual_rows,
        *(row_key for row_key in expected_rows if row_key not in actual_rows),
    ]:
        label = _row_label(key)
        if key not in expected_rows:
            problems.append(f"{label}: no such {kind.row_noun} follows from the snapshots.")
        elif key not in actual_rows:
            problems.append(f"{label}: the {kind.row_noun} is missing from the pack.")
        elif expected_rows[key] != actual_rows[key]:
            columns = [
                n for n, value in expected_rows[key].items() if actual_rows[key].get(n) != value
            ]
            problems.append(f"{label}: {', '.join(columns) or 'further columns'} differ.")
    return _truncate(problems)


def _by_key(
    kind: type[Evidence], rows: list[dict[str, Any]]
) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(row[name] for name in kind.key_columns): row for row in rows}


def _row_label(key: tuple[str, ...]) -> str:
    *rule, integration, account_id = key
    return ", ".join([*rule, f"account {account_id} of {integration}"])


def _truncate(problems: list[str]) -> list[str]:
    remaining = len(problems) - MAX_DIFFERENCES
    return [*problems[:MAX_DIFFERENCES], f"And {remaining:,} more."] if remaining > 0 else problems
