"""Files and APIs of other products: detected by content, and mapped to the rows of a snapshot.

A source is one module here and one line in SOURCES. See docs/sources.md.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from data.files.encoding import InputFile, write_copy
from data.files.errors import NotAListOfAccounts
from data.sources import entra_pull, okta, scim
from data.sources.baton import BATON
from data.sources.cerby import CERBY
from data.sources.conductorone import CONDUCTORONE
from data.sources.documents import Document
from data.sources.entra import ENTRA, ENTRA_USERS
from data.sources.google import GOOGLE
from data.sources.http import ApiClient
from data.sources.okta import OKTA, OKTA_USERS
from data.sources.sailpoint import SAILPOINT
from data.sources.scim import SCIM
from data.sources.settings import PullConfig
from data.sources.source import Source, SourceReport


class Puller(NamedTuple):
    """How to pull accounts from a source's API."""

    pages: Callable[[PullConfig, ApiClient], Iterator[Any]]  # one JSON document after another
    url: str = ""  # the API's address, unless the section has one


SOURCES = (
    SCIM,
    OKTA,
    OKTA_USERS,
    ENTRA,
    ENTRA_USERS,
    GOOGLE,
    CERBY,
    BATON,
    CONDUCTORONE,
    SAILPOINT,
)
"""The first source that detects all files of a delivery reads them."""

PULLERS: dict[str, Puller] = {
    "scim": Puller(scim.pull_accounts),
    "okta": Puller(okta.pull_accounts),
    "okta-users": Puller(okta.pull_users),
    "entra": Puller(entra_pull.pull_accounts, entra_pull.GRAPH_URL),
    "entra-users": Puller(entra_pull.pull_users, entra_pull.GRAPH_URL),
}
"""`source` of a section `[pull.NAME]` → puller."""


class MappedRows(NamedTuple):
    """A delivery as the rows of a snapshot."""

    unpacked: InputFile  # NDJSON; the line of a row is the number of its record
    report: SourceReport


def detect_source(documents: Sequence[Document]) -> Source | None:
    """The source of all the files; None for files with Rollcall's own columns.

    Raises NotAListOfAccounts where only some of the files are of a source.
    """
    detected = {source: [p for p in documents if source.detect(p.prefix)] for source in SOURCES}
    for source, own in detected.items():
        if len(own) == len(documents):
            return source
    for source, own in detected.items():
        if own:
            other = next(document for document in documents if document not in own)
            raise NotAListOfAccounts(
                f"{other.name} does not belong to {own[0].name}, which is {source.name}. "
                "All files of a snapshot must come from one source."
            )
    return None


def map_to_rows(documents: Sequence[Document], name: str, integration: str) -> MappedRows | None:
    """The accounts of the files; None where no source detects them. `name` is the delivery's.

    Raises UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    source = detect_source(documents)
    if not source:
        return None
    report = SourceReport(integration, source=source.name)
    first_file = InputFile(documents[0].unpacked.path, name)
    try:
        unpacked = write_copy(first_file, _ndjson_lines(source, documents, report))
    except NotAListOfAccounts as error:
        raise NotAListOfAccounts(f"{name}: {error}") from error
    file_count = f", {len(documents):,} files" if len(documents) > 1 else ""
    report.remarks.insert(0, f"Read as {source.name}{file_count}.")
    notes = dict.fromkeys(note for document in documents for note in document.unpacked.notes)
    return MappedRows(unpacked._replace(notes=tuple(notes)), report)


def _ndjson_lines(
    source: Source, documents: Sequence[Document], report: SourceReport
) -> Iterator[bytes]:
    for row in source.read_accounts(documents, report):
        text = "" if row is None else json.dumps(row, ensure_ascii=False)
        yield f"{text}\n".encode(errors="replace")  # half a surrogate pair cannot be encoded
