"""What every evidence pack is: a zip file whose manifest says what it is of, and seals its files.

Every row in it follows from the snapshots that it names by their hashes.
"""

from __future__ import annotations

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from typing import Any, ClassVar, Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sqlalchemy import Connection, Engine, select

from data.schema import integration, snapshot
from queries.export.formats import Chunks

PACK_FORMAT = "rollcall evidence 2"
MANIFEST_FILE, CHECKSUM_FILE = "manifest.json", "manifest.sha256"

ReadJson = Callable[[str], Any]
"""What a file of a pack that was read says in JSON, by the file's name."""


@dataclass(frozen=True)
class Evidence(ABC):
    """What a pack is of, asked of one connection, which is one moment of the store."""

    con: Connection

    kind: ClassVar[str]
    """The kind of evidence, as the manifest says it."""
    rows_file: ClassVar[str]
    """The file that holds the rows as a JSON list."""
    row_noun: ClassVar[str]
    """What a row is, in a word."""
    key_columns: ClassVar[tuple[str, ...]]
    """The columns that name a row of it."""

    @classmethod
    @abstractmethod
    def from_manifest(cls, con: Connection, manifest: Mapping[str, Any]) -> Self:
        """The evidence that a manifest says its pack is of, asked of another store."""

    @classmethod
    @abstractmethod
    def restore_records(cls, engine: Engine, read_json: ReadJson) -> None:
        """Put into an empty store what the pack tells and no snapshot does: what people said."""

    @property
    @abstractmethod
    def made_at(self) -> datetime:
        """When it was asked for; naive UTC."""

    @abstractmethod
    def members(self) -> dict[str, Callable[[], Iterable[bytes]]]:
        """File name → what makes the file, of all that the manifest seals."""

    @abstractmethod
    def manifest_fields(self) -> dict[str, Any]:
        """What the manifest says of this kind; known once the members are made."""

    @abstractmethod
    def file_name(self) -> str:
        """The file's name: of what, and of when."""

    def manifest(self) -> dict[str, Any]:
        """What the manifest says, but for the files."""
        return {
            "format": PACK_FORMAT,
            "of": self.kind,
            "rollcall": version("rollcall"),
            "made_at": to_json_value(self.made_at),
            **self.manifest_fields(),
        }


def pack_chunks(evidence: Evidence) -> Chunks:
    """The zip file, piece by piece; the manifest comes last, when all hashes are known."""
    sink, file_entries = _ZipBuffer(), {}
    with ZipFile(sink, "w", ZIP_DEFLATED) as pack:
        for name, write_chunks in evidence.members().items():
            digest, size = hashlib.sha256(), 0
            with pack.open(_zip_entry(name, evidence), "w", force_zip64=True) as file:
                for chunk in write_chunks():
                    digest.update(chunk)
                    size += file.write(chunk)
                    yield sink.drain()
            file_entries[name] = {"sha256": digest.hexdigest(), "bytes": size}
        manifest = json_bytes(evidence.manifest() | {"files": file_entries})
        pack.writestr(_zip_entry(MANIFEST_FILE, evidence), manifest)
        pack.writestr(_zip_entry(CHECKSUM_FILE, evidence), hashlib.sha256(manifest).hexdigest())
    yield sink.drain()


def snapshot_entries(
    con: Connection, integrations: Sequence[str], until: datetime | None
) -> list[dict[str, Any]]:
    """Every snapshot that rows may follow from, oldest first: history counts, too.

    Of all integrations where none is named, and of all moments without `until` (naive UTC).
    """
    query = select(
        integration.c.name.label("integration"), snapshot.c.taken_at, snapshot.c.sha256
    ).join_from(snapshot, integration, integration.c.integration_id == snapshot.c.integration_id)
    if integrations:
        query = query.where(integration.c.name.in_(integrations))
    if until:
        query = query.where(snapshot.c.taken_at <= until)
    rows = con.execute(query.order_by(snapshot.c.taken_at, integration.c.name))
    return [row_to_json(row) for row in rows.mappings()]


class _ZipBuffer(io.RawIOBase):
    """Takes what a zip file is made of, until somebody takes it away."""

    def __init__(self) -> None:
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        self._content += content
        return len(content)

    def drain(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


def _zip_entry(name: str, evidence: Evidence) -> ZipInfo:
    entry = ZipInfo(name, max(evidence.made_at, datetime(1980, 1, 1)).timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    return entry


def row_to_json(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as JSON can say it."""
    return {name: to_json_value(value) for name, value in row.items()}


def to_json_value(value: Any) -> Any:
    """A value as JSON can say it; moments are naive UTC."""
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return value.isoformat() if isinstance(value, date) else value


def json_bytes(value: Any) -> bytes:
    """A file of it, to be read by people, too."""
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()


def parse_time(text: str | None) -> Any:
    """Naive UTC of what a pack says; None stays."""
    return datetime.fromisoformat(text.removesuffix("Z")) if text else None
