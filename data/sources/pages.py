"""The pages of a list, and whether they are the whole list.

An answer of an API is a list, or an object around one: its envelope. Servers have many names for
the number of all records and for the next page. They are read here, for every source and for
tables without a source alike.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from data.formatting import count_of
from data.sources.documents import Document
from data.sources.source import Row, SourceReport, as_dict

LIST_KEYS = frozenset(
    "accounts contents content data elements employees entries identities items list members "
    "memberships nodes people persons principals records resources response result results rows "
    "seats users value values".split()
)
"""Keys of lists that can be lists of accounts."""

CONTAINER_KEYS = frozenset(
    "body cursor cursors d data embedded links meta metadata page pageinfo pages paging pagination "
    "response responsemetadata result".split()
)
"""Keys of objects in an envelope that describe the list, or contain it."""

TOTAL_KEYS = frozenset(
    "count odatacount recordcount resultcount total totalcount totalelements totalitems "
    "totalrecords totalresults totalrows totalsize totalusers totalavailable totalobjects "
    "totalsetsize totalseats totalmembers totalentries totalhits totalmatches".split()
)
NEXT_KEYS = frozenset(
    "continuationtoken next nextcontinuationtoken nextcursor nextkey nextlink nextmarker "
    "nextoffset nextpage nextpagelink nextpagetoken nextpageurl nextrecordsurl nexttoken nexturi "
    "nexturl odatanextlink paginationtoken".split()
)
MORE_KEYS = frozenset(
    "hasmore hasmoreitems hasmoreresults hasnext hasnextpage istruncated more moreresults "
    "truncated".split()
)
LAST_KEYS = frozenset("done islast islastpage last".split())
PAGE_COUNT_KEYS = frozenset("lastpage numpages pagecount pages totalpagecount totalpages".split())
START_KEYS = {"offset": 0, "skip": 0, "startat": 0, "startindex": 1, "pagenumber": 1, "page": 1}
"""Key → the greatest value that it has on the first page."""

PAGE_SIZES = (50, 100, 200, 250, 500, 999, 1000, 2000, 5000, 10_000)
"""Usual limits of one answer."""

MAX_DIGITS = 15
"""A longer number counts no records."""

MISSING_PAGES = "{key} is {total:,}, but the file has {count:,}; pages are missing"
MISSING_NEXT = "the last page names a next one ({key}), which is missing"
MISSING_MORE = "its last page says that there are more ({key})"
MISSING_START = "its first page is not the first of the list ({key} is {value:,})"
SINGLE_RECORD = "it has a single record, not the list of all"
FULL_PAGE = "The last page has {records}, which is a full page. Check that it is the complete list."


class Page(NamedTuple):
    """One JSON document: a list with the object around it, or a record alone."""

    envelope: Row
    records: list[Any]
    is_list: bool


def read_pages(
    documents: Iterable[Document],
    report: SourceReport,
    key: str = "",
    kind_of: Callable[[Page], str] = lambda _: "",
) -> Iterator[Page]:
    """Each JSON document as a page: a list, an object with a list, or a record alone.

    A list of pages, as `jq --slurp` makes one, gives as many pages. After the last one, the report
    says whether pages are missing. `key`: that of the list, where it can only be one; `kind_of`: of
    a page, where lists of several kinds have a total each.
    """
    counter = PageCounter()
    for page in iterate_pages(documents, key):
        counter.add(page, kind_of(page))
        yield page
    counter.finish(report)


def iterate_pages(documents: Iterable[Document], key: str = "") -> Iterator[Page]:
    """The pages, as `read_pages` gives them, without counting."""
    for document in documents:
        for payload in document.payloads():
            if isinstance(payload, list) and payload and _is_page(payload[0], key):
                yield from (make_page(page, key) for page in payload)
            elif payload is not None:
                yield make_page(payload, key)


def make_page(payload: Any, key: str = "") -> Page:
    """A JSON document as a page."""
    if isinstance(payload, list):
        return Page({}, payload, is_list=True)
    if not isinstance(payload, dict):
        return Page({}, [payload], is_list=False)
    found = find_list(payload, key)
    return Page(payload, [payload], is_list=False) if found is None else Page(payload, found, True)


def find_list(envelope: Row, key: str = "") -> list[Any] | None:
    """The list of an envelope: under the key, or the only one that can list accounts.

    None where there is none, or several.
    """
    if key:
        has_total = any(normalize_name(k) in TOTAL_KEYS for k in envelope)
        default = [] if has_total else 0  # SCIM leaves out an empty list
        found = next((v for k, v in envelope.items() if k.casefold() == key.casefold()), default)
        return found or [] if isinstance(found, list | None) else None
    lists = [
        v
        for k, v in envelope.items()
        if (normalize_name(k) in LIST_KEYS and _is_records(v))
        or (len(envelope) == 1 and isinstance(v, list))
    ]
    if not lists:
        nested = (v for k, v in envelope.items() if _is_container(k, v, envelope))
        lists = [found for v in nested if (found := find_list(v)) is not None]
    return lists[0] if len(lists) == 1 else None


class PageCounter:
    """Counts records, and compares them with the statements of their envelopes."""

    def __init__(self) -> None:
        self._ids: dict[str, set[str]] = {}  # kind of list → IDs of its records
        self._nameless: dict[str, int] = {}  # kind of list → records without an ID
        self._totals: dict[str, tuple[int, str]] = {}  # kind of list → largest total, and its key
        self._page_count: tuple[int, str] = (0, "")
        self._starts: dict[str, int] = {}  # key → smallest value
        self._last_page: dict[str, dict[str, str]] = {}
        """Kind of list → key → why its last page is not the last of the list; empty if it is."""
        self._last_size = self._lists = self._singles = 0
        self.is_stated_complete = False

    def add(self, page: Page, kind: str = "") -> None:
        """Count a page, in the order of the list."""
        ids = self._ids.setdefault(kind, set())
        for record in page.records:
            own_id = as_dict(record).get("id") or as_dict(record).get("Id")
            if isinstance(own_id, str | int):
                ids.add(str(own_id))
            else:
                self._nameless[kind] = self._nameless.get(kind, 0) + 1
        self._lists += page.is_list
        self._singles += not page.is_list
        if page.is_list:
            self._last_size, self._last_page[kind] = len(page.records), {}
            for key, name, value in _statements(page.envelope):
                self._note(kind, key, name, value)

    def finish(self, report: SourceReport) -> None:
        """Report missing pages, and a list that could lack some."""
        report.incomplete_reason = self._missing() or report.incomplete_reason
        if not report.incomplete_reason:
            report.warnings += full_page_warnings(self._last_size)

    def _note(self, kind: str, key: str, name: str, value: Any) -> None:
        number = _parse_count(value)
        if name in TOTAL_KEYS and number is not None:
            self._totals[kind] = max(self._totals.get(kind, (0, key)), (number, key))
        elif name in PAGE_COUNT_KEYS and number is not None:
            self._page_count = max(self._page_count, (number, key))
        elif name in START_KEYS and number is not None:
            self._starts[key] = min(self._starts.get(key, number), number)
        elif name in NEXT_KEYS:
            has_next = bool(value) and str(value).casefold() not in ("0", "false", "null", "none")
            self._last_page[kind][key] = MISSING_NEXT.format(key=key) if has_next else ""
        elif name in MORE_KEYS | LAST_KEYS and str(value).casefold() in ("true", "false"):
            has_more = (str(value).casefold() == "true") == (name in MORE_KEYS)
            self._last_page[kind][key] = MISSING_MORE.format(key=key) if has_more else ""

    def _missing(self) -> str:
        """Why pages are missing; empty where none are, as far as the envelopes say."""
        for kind, (total, key) in self._totals.items():
            count = len(self._ids.get(kind, ())) + self._nameless.get(kind, 0)
            if count < total:
                return MISSING_PAGES.format(key=key, total=total, count=count)
        statements = [reason for page in self._last_page.values() for reason in page.values()]
        self.is_stated_complete = bool(self._totals or statements)
        if reason := next(filter(None, statements), ""):
            return reason
        page_count, key = self._page_count
        if page_count > self._lists:
            return MISSING_PAGES.format(key=key, total=page_count, count=self._lists)
        for key, value in self._starts.items():
            if value > START_KEYS[_last_name(key)]:
                return MISSING_START.format(key=key, value=value)
        return SINGLE_RECORD if self._singles == 1 and not self._lists else ""


def full_page_warnings(count: int) -> list[str]:
    """A sentence where a page has exactly as many records as one answer usually can have."""
    return [FULL_PAGE.format(records=count_of(count, "record"))] if count in PAGE_SIZES else []


@lru_cache(maxsize=4096)
def normalize_name(name: str) -> str:
    """A name in lower case, letters and digits only."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _is_page(payload: Any, key: str) -> bool:
    is_envelope = isinstance(payload, dict) and find_list(payload, key) is not None
    return is_envelope or isinstance(payload, list)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and (not value or any(isinstance(v, dict) for v in value))


def _is_container(key: str, value: Any, envelope: Row) -> bool:
    """Whether an object in an envelope can contain the list, or describe it."""
    is_named = normalize_name(key) in CONTAINER_KEYS | LIST_KEYS or len(envelope) == 1
    return isinstance(value, dict) and is_named


def _statements(envelope: Row, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Key with its path, normalized key, and value, for what an envelope says about its list."""
    for key, value in envelope.items():
        name, full_key = normalize_name(key), f"{path}{key}"
        if name in NEXT_KEYS and isinstance(value, dict):
            yield full_key, name, any(value.values())
        elif _is_container(key, value, envelope):
            yield from _statements(value, f"{full_key}.")
        elif isinstance(value, list) and name == "links":
            yield from ((full_key, "next", True) for v in value if as_dict(v).get("rel") == "next")
        elif not isinstance(value, dict | list):
            yield full_key, name, value


def _last_name(key: str) -> str:
    return normalize_name(key.rpartition(".")[2])


def _parse_count(value: Any) -> int | None:
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None
