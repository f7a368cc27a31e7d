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

FORMAT = "rollcall evidence 2"
MANIFEST, SEAL = "manifest.json", "manifest.sha256"

Told = Callable[[str], Any]
"""What a file of a pack that was read says in JSON, by the file's name."""


@dataclass(frozen=True)
class Evidence(ABC):
    """What a pack is of, asked of one connection, which is one moment of the store."""

    con: Connection

    of: ClassVar[str]
    """The kind of evidence, as the manifest says it."""
    rows_in: ClassVar[str]
    """The file that holds the rows as a JSON list."""
    one_row: ClassVar[str]
    """What a row is, in a word."""
    named_by: ClassVar[tuple[str, ...]]
    """The columns that name a row of it."""

    @classmethod
    @abstractmethod
    def again(cls, con: Connection, manifest: Mapping[str, Any]) -> Self:
        """The evidence that a manifest says its pack is of, asked of another store."""

    @classmethod
    @abstractmethod
    def say_again(cls, engine: Engine, told: Told) -> None:
        """Put into an empty store what the pack tells and no snapshot does: what people said."""

    @property
    @abstractmethod
    def made_at(self) -> datetime:
        """When it was asked for; naive UTC."""

    @abstractmethod
    def members(self) -> dict[str, Callable[[], Iterable[bytes]]]:
        """File name → what makes the file, of all that the manifest seals."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the manifest says of this kind; known once the members are made."""

    @abstractmethod
    def file_name(self) -> str:
        """The file's name: of what, and of when."""

    def manifest(self) -> dict[str, Any]:
        """What the manifest says, but for the files."""
        return {
            "format": FORMAT,
            "of": self.of,
            "rollcall": version("rollcall"),
            "made_at": plain(self.made_at),
            **self.facts(),
        }


def chunks_of(evidence: Evidence) -> Chunks:
    """The zip file, piece by piece; the manifest comes last, when all hashes are known."""
    sink, sealed = _Sink(), {}
    with ZipFile(sink, "w", ZIP_DEFLATED) as pack:
        for name, made in evidence.members().items():
            seal, size = hashlib.sha256(), 0
            with pack.open(_entry(name, evidence), "w", force_zip64=True) as file:
                for chunk in made():
                    seal.update(chunk)
                    size += file.write(chunk)
                    yield sink.taken()
            sealed[name] = {"sha256": seal.hexdigest(), "bytes": size}
        manifest = as_json(evidence.manifest() | {"files": sealed})
        pack.writestr(_entry(MANIFEST, evidence), manifest)
        pack.writestr(_entry(SEAL, evidence), hashlib.sha256(manifest).hexdigest())
    yield sink.taken()


def snapshots_of(
    con: Connection, integrations: Sequence[str], until: datetime | None
) -> list[dict[str, Any]]:
    """Every snapshot that rows may follow from, oldest first: history counts, too.

    Of all integrations where none is named, and of all moments without `until` (naive UTC).
    """
    listed = select(
        integration.c.name.label("integration"), snapshot.c.taken_at, snapshot.c.sha256
    ).join_from(snapshot, integration, integration.c.integration_id == snapshot.c.integration_id)
    if integrations:
        listed = listed.where(integration.c.name.in_(integrations))
    if until:
        listed = listed.where(snapshot.c.taken_at <= until)
    found = con.execute(listed.order_by(snapshot.c.taken_at, integration.c.name))
    return [told(row) for row in found.mappings()]


class _Sink(io.RawIOBase):
    """Takes what a zip file is made of, until somebody takes it away."""

    def __init__(self) -> None:
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        self._content += content
        return len(content)

    def taken(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


def _entry(name: str, evidence: Evidence) -> ZipInfo:
    entry = ZipInfo(name, max(evidence.made_at, datetime(1980, 1, 1)).timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    return entry


def told(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as JSON can say it."""
    return {name: plain(value) for name, value in row.items()}


def plain(value: Any) -> Any:
    """A value as JSON can say it; moments are naive UTC."""
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return value.isoformat() if isinstance(value, date) else value


def as_json(value: Any) -> bytes:
    """A file of it, to be read by people, too."""
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()


def moment(text: str | None) -> Any:
    """Naive UTC of what a pack says; None stays."""
    return datetime.fromisoformat(text.removesuffix("Z")) if text else None
