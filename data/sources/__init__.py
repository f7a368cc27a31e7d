"""Files and APIs of other products: detected by content, and mapped to the rows of a snapshot.

A source is a declaration in `products/`, or one module here and one line in SOURCES. See
docs/sources.md.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from data.files.encoding import InputFile, write_copy
from data.files.errors import InvalidMapping, NotAListOfAccounts
from data.sources import entra_pull, okta, scim
from data.sources.baton import BATON
from data.sources.conductorone import CONDUCTORONE
from data.sources.documents import Document
from data.sources.entra import ENTRA
from data.sources.http import ApiClient
from data.sources.okta import OKTA
from data.sources.products import PRODUCTS
from data.sources.scim import SCIM
from data.sources.settings import PullConfig
from data.sources.source import Row, Source, SourceReport


class Puller(NamedTuple):
    """How to pull accounts from a source's API."""

    pages: Callable[[PullConfig, ApiClient], Iterator[Any]]  # one JSON document after another
    url: str = ""  # the API's address, unless the section has one


SOURCES: tuple[Source, ...] = (
    SCIM,
    OKTA,
    ENTRA,
    BATON,
    CONDUCTORONE,
    *(product.as_source() for product in PRODUCTS),
)
"""The first source that detects all files of a delivery reads them."""

TABLE = "table"
"""In place of a source's key: the file is a table of the person's own."""

PULLERS: dict[str, Puller] = {
    "scim": Puller(scim.pull_accounts),
    "okta": Puller(okta.pull_accounts),
    "okta-users": Puller(okta.pull_users),
    "entra": Puller(entra_pull.pull_accounts, entra_pull.GRAPH_URL),
    "entra-users": Puller(entra_pull.pull_users, entra_pull.GRAPH_URL),
}
"""`source` of a section `[pull.NAME]` → puller."""

ENCODER = json.JSONEncoder(ensure_ascii=False)

NO_USERNAMES = "no record has a username where the product has it"


class Recognition(NamedTuple):
    """How a file is read."""

    key: str  # of the source, or TABLE
    name: str  # as in “Read as …”
    reason: str  # what proves it, or that a person chose it
    is_chosen: bool = False

    @property
    def sentence(self) -> str:
        """For a person, e.g. “Read as Slack member list (columns userid, has-2fa)”."""
        return f"Read as {self.name} ({self.reason})."


class MappedRows(NamedTuple):
    """A delivery as the rows of a snapshot."""

    unpacked: InputFile  # NDJSON; the line of a row is the number of its record
    report: SourceReport


def source_choices() -> dict[str, str]:
    """Key → name of all that a file can be read as, for a person who chooses; TABLE is the last."""
    return {source.key: source.name for source in SOURCES} | {TABLE: "a table of your own"}


def recognize(documents: Sequence[Document], choice: str = "") -> Recognition:
    """How the files are read: as chosen, else by their content.

    Raises InvalidMapping for an unknown choice, NotAListOfAccounts where only some of the files are
    of a source.
    """
    names = source_choices()
    if choice:
        if choice not in names:
            expected = ", ".join(names)
            raise InvalidMapping(f"read_as is “{choice}”; expected one of {expected}.")
        return Recognition(choice, names[choice], "as chosen", is_chosen=True)
    for source in SOURCES:
        reasons = [source.detect(document.prefix) for document in documents]
        if documents and all(reasons):
            return Recognition(source.key, source.name, reasons[0])
    for source in SOURCES:
        own = [document for document in documents if source.detect(document.prefix)]
        if own:
            other = next(document for document in documents if document not in own)
            raise NotAListOfAccounts(
                f"{other.name} does not belong to {own[0].name}, which is {source.name}. "
                "All files of a snapshot must come from one source."
            )
    return Recognition(TABLE, names[TABLE], "no product’s own columns or keys")


def map_to_rows(
    documents: Sequence[Document], name: str, integration: str, recognition: Recognition
) -> MappedRows:
    """The accounts of the files, read by the recognized source. `name` is the delivery's.

    Raises UnreadableFile, TooLarge or NotAListOfAccounts.
    """
    source = next(source for source in SOURCES if source.key == recognition.key)
    report = SourceReport(integration, source=source.name)
    try:
        rows = source.read_accounts(documents, report)
        if recognition.is_chosen:
            rows = _require_accounts(documents, rows, source)
        unpacked = write_rows(documents, name, rows)
    except NotAListOfAccounts as error:
        raise NotAListOfAccounts(f"{name}: {error}") from error
    file_count = f"{len(documents):,} files, " if len(documents) > 1 else ""
    sentence = recognition._replace(reason=file_count + recognition.reason).sentence
    report.remarks.insert(0, sentence)
    return MappedRows(unpacked, report)


def write_rows(documents: Sequence[Document], name: str, rows: Iterable[Any]) -> InputFile:
    """The rows as a temporary NDJSON file in place of the documents; None is a blank line."""
    first_file = InputFile(documents[0].unpacked.path, name)
    unpacked = write_copy(first_file, _ndjson_lines(rows))
    notes = dict.fromkeys(note for document in documents for note in document.unpacked.notes)
    return unpacked._replace(notes=tuple(notes))


def _require_accounts(
    documents: Sequence[Document], rows: Iterable[Row | None], source: Source
) -> Iterator[Row | None]:
    """The rows of a source that a person chose. Raises NotAListOfAccounts without an account."""
    row_count = account_count = 0
    if other := next((d.form.label for d in documents if d.form.label not in source.formats), ""):
        expected = " or ".join(source.formats)
        raise NotAListOfAccounts(_wrong_choice(source, f"expected {expected}, found {other}"))
    try:
        for row in rows:
            row_count += row is not None
            account_count += bool(row and row.get("username_in_app"))
            yield row
    except (AttributeError, KeyError, TypeError) as error:
        raise NotAListOfAccounts(_wrong_choice(source, NO_USERNAMES)) from error
    if row_count and not account_count:
        raise NotAListOfAccounts(_wrong_choice(source, NO_USERNAMES))


def _wrong_choice(source: Source, details: str) -> str:
    return (
        f"It cannot be read as {source.name}, as chosen: {details}. "
        "Choose another product, or “table” for a table of your own."
    )


def _ndjson_lines(rows: Iterable[Any]) -> Iterator[bytes]:
    for row in rows:
        text = "" if row is None else ENCODER.encode(row)
        yield f"{text}\n".encode(errors="replace")  # half a surrogate pair cannot be encoded
