"""Files as other products give them: recognised by their content, mapped into a snapshot's rows.

A source is one module here and one line in SOURCES. See docs/sources.md.
"""

from __future__ import annotations

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
    """How a source is asked for its accounts."""

    pages: Callable[[PullConfig, ApiClient], Iterator[Any]]  # one JSON document after another
    url: str = ""  # where, unless the section says so


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
"""The first that knows a file is asked for its accounts."""

PULLERS: dict[str, Puller] = {
    "scim": Puller(scim.pull_accounts),
    "okta": Puller(okta.pull_accounts),
    "okta-users": Puller(okta.pull_users),
    "entra": Puller(entra_pull.pull_accounts, entra_pull.GRAPH_URL),
    "entra-users": Puller(entra_pull.pull_users, entra_pull.GRAPH_URL),
}
"""`source` of a section `[pull.NAME]` → what asks for it."""


class MappedRows(NamedTuple):
    """A delivery as the rows of a snapshot."""

    unpacked: InputFile  # NDJSON; a row stands on the line that its record's number names
    report: SourceReport


def detect_source(documents: Sequence[Document]) -> Source | None:
    """The source that all the files are of; None where they are a snapshot's own columns."""
    documents_by_source = {
        source: [p for p in documents if source.detect(p.prefix)] for source in SOURCES
    }
    if complete_matches := [
        source
        for source, recognized in documents_by_source.items()
        if len(recognized) == len(documents)
    ]:
        return complete_matches[0]
    for source, recognized in documents_by_source.items():
        if recognized:
            unrecognized = next(document for document in documents if document not in recognized)
            raise NotAListOfAccounts(
                f"{unrecognized.name} does not belong to {recognized[0].name}, which is "
                f"{source.name}: all "
                "files of one snapshot come from one source."
            )
    return None


def map_to_rows(documents: Sequence[Document], name: str, integration: str) -> MappedRows | None:
    """The accounts of the files, where a source knows them. `name`: of the delivery.

    Raises UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    source = detect_source(documents)
    if not source:
        return None
    report = SourceReport(integration, source=source.name)
    try:
        unpacked = write_copy(
            InputFile(documents[0].unpacked.path, name), _ndjson_lines(source, documents, report)
        )
    except NotAListOfAccounts as rejection:
        raise NotAListOfAccounts(f"{name}: {rejection}") from rejection
    file_count = f", of {len(documents):,} files" if len(documents) > 1 else ""
    report.remarks.insert(0, f"Read as {source.name}{file_count}.")
    notes = dict.fromkeys(note for document in documents for note in document.unpacked.notes)
    return MappedRows(unpacked._replace(notes=tuple(notes)), report)


def _ndjson_lines(
    source: Source, documents: Sequence[Document], report: SourceReport
) -> Iterator[bytes]:
    for row in source.read_accounts(documents, report):
        text = "" if row is None else json.dumps(row, ensure_ascii=False)
        yield f"{text}\n".encode(errors="replace")  # half a surrogate pair is no text
