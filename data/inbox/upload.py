"""The way of an uploaded file into the inbox: identify, preview, deliver.

Each step takes a value and returns one. None of them needs a browser.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from data.files.formats import find_reader
from data.files.mapping import ColumnMapping
from data.files.naming import MOMENT_PATTERN, SnapshotFile, parse_moment
from data.files.proposal import Proposal
from data.formatting import utc_now
from data.history.preview import Preview, preview
from data.home import Home, printable
from data.inbox.inbox import put_into_inbox
from data.inbox.quarantine import target_path
from data.sources.delivery import read_proposal
from data.store.engine import open_store

FILE_NAME_PATTERN = re.compile(
    rf"(?P<integration>[^/\\]*?)[\s_~-]*(?P<moment>{MOMENT_PATTERN.pattern})(?:\..*)?"
)
"""`figma 2026-11-23T06-00-00Z`: how people name a file that is in no folder."""


@dataclass(frozen=True)
class Upload:
    """A file that a browser sent. No path is made of its name, except for a known extension."""

    id: str
    name: str
    content: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """A short text that identifies the upload among all others."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:12]

    @property
    def base_name(self) -> Path:
        """The name without folders. Raises UnknownFormat if no format has its extension."""
        path = Path(printable_name(re.split(r"[/\\]", self.name)[-1]))
        find_reader(path)
        return path


@dataclass(frozen=True)
class IdentifiedUpload:
    """An upload, the integration that it lists, and when it was taken (naive UTC)."""

    upload: Upload
    integration: str
    taken_at: datetime


@dataclass(frozen=True)
class ConfirmedUpload:
    """An upload that a person wants to load."""

    identified: IdentifiedUpload
    replace: bool  # it replaces the file that is loaded for its moment
    confirmed: bool  # it is loaded although it removes many accounts


@dataclass(frozen=True)
class DeliveredUpload:
    """An upload that was put into the inbox."""

    upload_id: str
    name: str
    integration: str
    taken_at: datetime  # naive UTC
    sha256: str
    delivered_at: datetime  # naive UTC


def printable_name(name: str) -> str:
    """A file name as one line of at most 121 characters; the extension stays."""
    line = printable(name)
    return line if len(line) <= 120 else f"{line[:100]}…{line[-20:]}"


def parse_file_name(name: str) -> tuple[str, datetime | None]:
    """Integration and moment (naive UTC) of `figma/2026-11-23T06-00-00Z.csv` and the like.

    Both can be missing. They are suggestions for a person: no path is made of them.
    """
    *folders, base_name = re.split(r"[/\\]", name)
    match = FILE_NAME_PATTERN.fullmatch(base_name)
    if not match:
        return "", None
    integration = match["integration"].strip() or next(iter(folders[-1:]), "")
    return "" if integration.startswith(".") else integration, parse_moment(match["moment"])


def propose_upload(home: Home, upload: Upload, saved: ColumnMapping) -> Proposal | None:
    """How the columns of the upload would be read; None for a file of a known product.

    Raises SnapshotRejected if the file cannot be read.
    """
    identified = IdentifiedUpload(upload, "headings", datetime.min)  # noqa: DTZ901 - any moment
    with (
        _temporary_copy(home, identified) as file,
        open_store("duckdb:///:memory:").connect() as con,
    ):
        return read_proposal(con, file.path, file.name, saved)


def preview_upload(
    engine: sa.Engine, home: Home, identified: IdentifiedUpload, mapping: ColumnMapping | None
) -> Preview:
    """Show what loading the upload would change. Raises SnapshotRejected."""
    with _temporary_copy(home, identified, mapping) as file:
        return preview(engine, file)


def deliver_upload(home: Home, upload: ConfirmedUpload) -> DeliveredUpload:
    """Put the upload into the inbox, from which the keeper loads it.

    Raises SnapshotRejected, OtherContentLoaded among them, or OSError.
    """
    identified, source = upload.identified, upload.identified.upload
    with _temporary_copy(home, identified) as file:
        put_into_inbox(home, file, replace=upload.replace, confirmed=upload.confirmed)
    return DeliveredUpload(
        source.id,
        source.name,
        identified.integration,
        identified.taken_at,
        hashlib.sha256(source.content).hexdigest(),
        utc_now(),
    )


@contextmanager
def _temporary_copy(
    home: Home, identified: IdentifiedUpload, mapping: ColumnMapping | None = None
) -> Iterator[SnapshotFile]:
    """The upload as a file in the home, under a name of our own, for the length of the block.

    Raises UnknownFormat, or UnknownSnapshot if the integration cannot be a folder's name.
    """
    snapshot_key = identified.integration, identified.taken_at
    named = SnapshotFile(identified.upload.base_name, *snapshot_key)
    with TemporaryDirectory(prefix=".upload-", dir=home.root) as folder:
        path = Path(folder) / target_path(home.inbox, named).name
        path.write_bytes(identified.upload.content)
        given_name = identified.upload.base_name.name
        yield SnapshotFile(path, *snapshot_key, mapping, given_name=given_name)
