"""The way of an uploaded file into the inbox: identify, preview, deliver.

Each step takes a value and returns one. None of them needs a browser.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from data.files.formats import find_reader
from data.files.mapping import ColumnMapping, save_mapping
from data.files.naming import MOMENT_PATTERN, SnapshotFile, parse_moment, split_ending
from data.formatting import utc_now
from data.history.preview import Preview, preview
from data.home import Home, printable
from data.inbox.inbox import put_into_inbox
from data.inbox.quarantine import target_path
from data.sources import TABLE, Recognition
from data.sources.delivery import Inspection, inspect_file
from data.store.engine import open_store

NAMED_MOMENT = re.compile(rf"(?<!\d){MOMENT_PATTERN.pattern}(?!\d)")

NO_APP = frozenset(
    "access account accounts active activity all audit bulk copy data download employees export "
    "exported exports final full groups latest list login logins member members new of org "
    "organization people permissions report review role roles snapshot staff team test the user "
    "username users with".split()
)
"""Words in names of files that name no app."""


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
    mapping: ColumnMapping | None = None  # to save for the integration


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
    """Integration and moment (naive UTC) of `figma/2026-11-23T06-00-00Z.csv`, `Jira users.csv`.

    Both can be missing. They are suggestions for a person.
    """
    *folders, base_name = re.split(r"[/\\]", name)
    text, _ = split_ending(base_name)
    moment = None
    for match in NAMED_MOMENT.finditer(text):
        if moment := parse_moment(match[0]):
            text = text.replace(match[0], " ")
            break
    integration = _app_name(text) or next(iter(folders[-1:]), "")
    return "" if integration.startswith(".") else integration, moment


def _app_name(text: str) -> str:
    """The words of a text that can name an app: `slack` of `01-slack-member-list`."""
    words = re.split(r"([\W_]+)", text)
    words_left = [
        word + separator
        for word, separator in zip(words[::2], [*words[1::2], ""], strict=True)
        if not word.isdecimal() and word.casefold() not in NO_APP
    ]
    return re.sub(r"^[\W_]+|[\W_]+$", "", "".join(words_left))[:60]


def suggest_integration(upload: Upload, recognition: Recognition, known: Iterable[str]) -> str:
    """The integration that an upload seems to list: by its name, else by its product."""
    product = "" if recognition.key == TABLE else recognition.key
    suggested = parse_file_name(upload.name)[0] or _app_name(product)
    return next((name for name in known if name.casefold() == suggested.casefold()), suggested)


def inspect_upload(home: Home, upload: Upload, mapping: ColumnMapping) -> Inspection:
    """What the upload is, and how its columns would be read. Raises SnapshotRejected."""
    identified = IdentifiedUpload(upload, "upload", utc_now())
    with (
        _temporary_copy(home, identified) as file,
        open_store("duckdb:///:memory:").connect() as con,
    ):
        return inspect_file(con, file.path, upload.base_name.name, mapping)


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
        if upload.mapping:
            save_mapping(home, identified.integration, upload.mapping)
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
        yield SnapshotFile(path, *snapshot_key, mapping)
