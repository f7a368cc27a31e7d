"""Writes an evidence pack: a zip file whose manifest holds the hash of each other file.

Every row in it follows from the snapshots that it names by their hashes.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.formatting import iso_z
from data.schema import integration, snapshot
from data.tempfiles import TemporaryFile
from queries.scope import in_integrations

PACK_FORMAT = "rollcall evidence 2"
MANIFEST_FILE, CHECKSUM_FILE = "manifest.json", "manifest.sha256"
SNAPSHOTS_FILE = "snapshots.json"

ReadJson = Callable[[str], Any]
"""File name → the JSON value of that file of a pack."""


class EvidencePack(NamedTuple):
    """The content of a pack, from one moment of the store."""

    kind: str  # `of` in the manifest
    file_name: str
    made_at: datetime  # naive UTC
    members: Mapping[str, bytes | Callable[[Path], None]]  # file name → content, or its writer
    manifest_fields: Callable[[], Mapping[str, Any]]  # complete once the members are written

    def manifest(self) -> dict[str, Any]:
        """The manifest without the hashes."""
        return {
            "format": PACK_FORMAT,
            "of": self.kind,
            "rollcall": version("rollcall"),
            "made_at": to_json_value(self.made_at),
            **self.manifest_fields(),
        }


class EvidenceKind(NamedTuple):
    """How `rollcall verify` makes a pack of this kind again."""

    rows_files: Mapping[str, tuple[str, ...]]
    """File with rows as a JSON list → the columns that identify a row."""
    row_noun: str
    stages: Mapping[str, Callable[[sa.Engine, ReadJson], None]]
    """File that names snapshots → what puts the pack's human decisions into a store with exactly
    these, as no snapshot has them. Where the pack is of two moments, the earlier one is first."""
    from_manifest: Callable[[Connection, Mapping[str, Any]], EvidencePack]
    """The pack that a manifest describes, from another store."""
    remarks: Callable[[ReadJson], list[str]] = lambda _: []
    """What else there is to say of a pack that is proved, in sentences."""
    log_problems: (
        Callable[[ReadJson, Mapping[str, Any], Iterable[dict[str, Any]]], list[str]] | None
    ) = None
    """Why these events of an audit log do not prove the pack, in sentences."""


class NotProved(Exception):
    """The pack contradicts itself; the message says where."""


def write_pack(
    pack: EvidencePack, path: Path, on_member: Callable[[], None] = lambda: None
) -> None:
    """Write the zip file; the manifest comes last, when all hashes are known.

    `on_member` runs before each file and can raise to stop.
    """
    files: dict[str, dict[str, Any]] = {}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, member in pack.members.items():
            on_member()
            files[name] = _add_member(archive, _zip_entry(name, pack), member)
        manifest = json_bytes(pack.manifest() | {"files": files})
        archive.writestr(_zip_entry(MANIFEST_FILE, pack), manifest)
        archive.writestr(_zip_entry(CHECKSUM_FILE, pack), hashlib.sha256(manifest).hexdigest())


def _add_member(
    archive: ZipFile, entry: ZipInfo, member: bytes | Callable[[Path], None]
) -> dict[str, Any]:
    """Add a file; returns its entry in the manifest."""
    copy = TemporaryFile()
    copy.path.write_bytes(member) if isinstance(member, bytes) else member(copy.path)
    with copy.path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        source.seek(0)
        with archive.open(entry, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target)
    return {"sha256": digest, "bytes": copy.path.stat().st_size}


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write a JSON list with one row per line."""
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    with path.open("w", encoding="utf-8") as file:
        file.write("[\n" + next(lines, ""))
        file.writelines(f",\n{line}" for line in lines)
        file.write("\n]\n")


def snapshot_entries(
    con: Connection, integrations: Sequence[str], until: datetime | None
) -> list[dict[str, Any]]:
    """One entry per snapshot that rows can follow from, oldest first, including history.

    All integrations if none is named; all moments without `until` (naive UTC).
    """
    query = (
        select(integration.c.name.label("integration"), snapshot.c.taken_at, snapshot.c.sha256)
        .join_from(snapshot, integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(in_integrations(snapshot, integrations))
        .order_by(snapshot.c.taken_at, integration.c.name)
    )
    if until:
        query = query.where(snapshot.c.taken_at <= until)
    return [row_to_json(row) for row in con.execute(query).mappings()]


def _zip_entry(name: str, pack: EvidencePack) -> ZipInfo:
    entry = ZipInfo(name, max(pack.made_at, datetime(1980, 1, 1)).timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    return entry


def row_to_json(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as JSON values."""
    return {name: to_json_value(value) for name, value in row.items()}


def row_from_json(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table from JSON values."""
    python_types = {name: table.c[name].type.python_type for name in row}
    return {
        name: python_types[name].fromisoformat(value.removesuffix("Z"))
        if value and issubclass(python_types[name], date)
        else value
        for name, value in row.items()
    }


def to_json_value(value: Any) -> Any:
    """The value for JSON; moments are naive UTC."""
    if isinstance(value, datetime):
        return iso_z(value, "auto")
    return value.isoformat() if isinstance(value, date) else value


def json_bytes(value: Any) -> bytes:
    """The value as an indented JSON file."""
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()


def parse_time(text: str | None) -> Any:
    """The naive UTC moment in a pack; None stays None."""
    return datetime.fromisoformat(text.removesuffix("Z")) if text else None
