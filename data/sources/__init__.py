"""Files as other products give them: recognised by their content, mapped into a snapshot's rows.

A source is one module here and one line in SOURCES. See docs/sources.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from data.files.encoding import Plain, copied
from data.files.errors import NotAListOfAccounts
from data.sources import entra_pull, okta, scim
from data.sources.baton import BATON
from data.sources.cerby import CERBY
from data.sources.conductorone import CONDUCTORONE
from data.sources.documents import Part
from data.sources.entra import ENTRA, ENTRA_USERS
from data.sources.google import GOOGLE
from data.sources.http import Web
from data.sources.okta import OKTA, OKTA_USERS
from data.sources.sailpoint import SAILPOINT
from data.sources.scim import SCIM
from data.sources.settings import Pull
from data.sources.source import Said, Source


class Puller(NamedTuple):
    """How a source is asked for its accounts."""

    pages: Callable[[Pull, Web], Iterator[Any]]  # one JSON document after another
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
    "scim": Puller(scim.pull),
    "okta": Puller(okta.pull),
    "okta-users": Puller(okta.pull_users),
    "entra": Puller(entra_pull.pull, entra_pull.GRAPH),
    "entra-users": Puller(entra_pull.pull_users, entra_pull.GRAPH),
}
"""`source` of a section `[pull.NAME]` → what asks for it."""


class Mapped(NamedTuple):
    """A delivery as the rows of a snapshot."""

    plain: Plain  # NDJSON; a row stands on the line that its record's number names
    said: Said


def source_of(parts: Sequence[Part]) -> Source | None:
    """The source that all the files are of; None where they are a snapshot's own columns."""
    known = {source: [p for p in parts if source.knows(p.beginning)] for source in SOURCES}
    if whole := [source for source, of_it in known.items() if len(of_it) == len(parts)]:
        return whole[0]
    for source, of_it in known.items():
        if of_it:
            strange = next(part for part in parts if part not in of_it)
            raise NotAListOfAccounts(
                f"{strange.name} does not belong to {of_it[0].name}, which is {source.name}: all "
                "files of one snapshot come from one source."
            )
    return None


def mapped(parts: Sequence[Part], name: str, integration: str) -> Mapped | None:
    """The accounts of the files, where a source knows them. `name`: of the delivery.

    Raises UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    source = source_of(parts)
    if not source:
        return None
    said = Said(integration, source=source.name)
    try:
        plain = copied(Plain(parts[0].plain.path, name), _lines(source, parts, said))
    except NotAListOfAccounts as refusal:
        raise NotAListOfAccounts(f"{name}: {refusal}") from refusal
    files = f", of {len(parts):,} files" if len(parts) > 1 else ""
    said.remarks.insert(0, f"Read as {source.name}{files}.")
    notes = dict.fromkeys(note for part in parts for note in part.plain.notes)
    return Mapped(plain._replace(notes=tuple(notes)), said)


def _lines(source: Source, parts: Sequence[Part], said: Said) -> Iterator[bytes]:
    for row in source.accounts(parts, said):
        text = "" if row is None else json.dumps(row, ensure_ascii=False)
        yield f"{text}\n".encode(errors="replace")  # half a surrogate pair is no text
