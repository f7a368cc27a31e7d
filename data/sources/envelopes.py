"""Opens the object around the list of a table without a source.

A list alone is read where it is. An object is parsed, so that its totals and next pages are seen.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from data.files.encoding import InputFile
from data.files.errors import NotAListOfAccounts, UnreadableFile
from data.files.relation import MAX_HEADINGS_SHOWN, shorten
from data.sources.documents import Document
from data.sources.pages import PageCounter, make_page
from data.sources.source import SourceReport

EXPECTED_LIST = "a list of accounts: [{…}, {…}]"
MAX_DEPTH = 4
"""Objects around a list that are looked into for it."""
UNWRAPPED_NOTE = "The file is a JSON object; the accounts are the list under “{key}”, its only key."
UNSTATED_NOTE = (
    "The file is a JSON object with a list, and does not say whether that is complete. Check that "
    "it is."
)


def open_envelopes(documents: Sequence[Document], report: SourceReport) -> Iterator[Any]:
    """The records in the lists of JSON objects, in the order of the documents.

    Raises UnreadableFile, TooLarge, or NotAListOfAccounts where an object has no such list.
    """
    counter, keys = PageCounter(), set[str]()
    for document in documents:
        payloads = list(document.payloads())
        if len(payloads) > 1:
            raise UnreadableFile(
                f"{document.name} has one JSON object after another, not a list. "
                "If each has a line of its own, end its name in .ndjson."
            )
        for payload in payloads:
            page = make_page(payload)
            if not page.is_list:
                raise NotAListOfAccounts(_no_list_message(document.unpacked, payload))
            keys |= {*page.envelope}
            counter.add(page)
            yield from page.records
    counter.finish(report)
    if len(keys) == 1:
        report.warnings.append(UNWRAPPED_NOTE.format(key=shorten(keys.pop())))
    elif not counter.is_stated_complete and not report.incomplete_reason:
        report.warnings.append(UNSTATED_NOTE)


def _no_list_message(file: InputFile, payload: dict[str, Any]) -> str:
    if payload.get("type") == "object" and isinstance(payload.get("properties"), dict):
        return f"{file.name} is a JSON Schema, which describes data. Expected {EXPECTED_LIST}."
    keys = ", ".join(map(shorten, list(payload)[:MAX_HEADINGS_SHOWN])) or "none"
    paths = list(_list_paths(payload))
    advice = ""
    if len(paths) == 1:
        advice = f" If “{shorten(paths[0])}” is the complete list, deliver that list alone."
    return f"{file.name} is one JSON object; expected {EXPECTED_LIST}. Its keys: {keys}.{advice}"


def _list_paths(value: dict[str, Any], depth: int = MAX_DEPTH) -> Iterator[str]:
    """Where lists are within an object: `data.users.edges`."""
    for key, item in value.items():
        if isinstance(item, list):
            yield key
        elif isinstance(item, dict) and depth:
            yield from (f"{key}.{path}" for path in _list_paths(item, depth - 1))
