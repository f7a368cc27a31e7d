"""Sources that are only a declaration: the columns of a product, its words, and its proof.

A `Product` is data, and one reader reads the records of all of them, from CSV or JSON.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

from data.files.errors import NotAListOfAccounts
from data.files.headers import heading_key
from data.files.relation import shorten
from data.sources.documents import Document, Prefix
from data.sources.pages import Page, read_pages
from data.sources.source import (
    Row,
    Source,
    SourceReport,
    as_dict,
    as_dicts,
    as_list,
    join_names,
    make_account,
    make_resource_role,
    split_names,
)

Field = str | tuple[str, ...]
"""Where a value is: a heading or key, in any case and with any separators. `a.b` is `b` within `a`,
and `a[c=d].b` only within those whose `c` is `d`; `a + b` joins two names. Of several fields, the
first one with a value counts."""

SELECTION = re.compile(r"(.+)\[(\w+)=(\w+)\]")

DELETED = "deleted"
"""The meaning of a word of `active` that says that the account is deleted."""

NO_VALUES = ("", "n/a", "none", "null", "no_information", "not_supported")
"""What products write for no value, in lower case."""
MAX_NO_VALUE = max(map(len, NO_VALUES))

NAME_KEYS = ("displayName", "display", "name", "value", "id")
"""Keys of a role that is an object, the best name first."""

YES_NO = {True: "yes", False: "no"}
MAX_PROOF_SHOWN = 3

MAX_NARROW = 2
"""Columns of a table in which a row with a single value can be an account."""

fold = lru_cache(maxsize=4096)(heading_key)


@dataclass(frozen=True)
class Proof:
    """What only files of one product have, all of it."""

    names: tuple[str, ...] = ()  # headings of CSV, or keys of the first record
    values: Mapping[str, str] = field(default_factory=dict)
    """Key of the first record, or `@key` of the object around the list → pattern of its value."""

    def find(self, prefix: Prefix) -> str:
        """The reason for a person; empty without proof."""
        if prefix.rows:
            found = not self.values and self.heading_row(prefix) is not None
            return f"columns {self._shown()}" if found else ""
        record = _folded(prefix.first_record)
        if any(_find(record, name) is _MISSING for name in self.names):
            return ""
        envelope = _folded(prefix.keys)
        values = {
            name: _first(envelope if name.startswith("@") else record, name.removeprefix("@"))
            for name in self.values
        }
        if not all(re.fullmatch(self.values[name], str(found)) for name, found in values.items()):
            return ""
        reasons = [
            f"{name.removeprefix('@')} {shorten(str(found))}" for name, found in values.items()
        ]
        return ", ".join([f"keys {self._shown()}"] * bool(self.names) + reasons)

    def heading_row(self, prefix: Prefix) -> int | None:
        """The number of the first row that has all the headings."""
        keys = set(map(fold, self.names))
        rows = enumerate(prefix.rows)
        return next((number for number, row in rows if keys <= set(map(fold, row))), None)

    def _shown(self) -> str:
        return ", ".join(self.names[:MAX_PROOF_SHOWN])


class RoleField(NamedTuple):
    """A field with roles: a name, a list of names or objects, or yes for the role `name`."""

    field: Field
    kind: str = "Role"
    name: str = ""
    words: Mapping[str, str] = {}  # value, lower case → name of the role; empty: no role
    resource: Field = ""  # what the role is on
    separator: str = ""  # between several roles in one text


@dataclass(frozen=True, kw_only=True)
class Product:
    """The accounts of one product."""

    key: str  # a short name, for `--as` and mappings
    name: str  # as in “Read as …”
    proofs: tuple[Proof, ...]  # each is enough
    username: Field
    account_id: Field = ()  # immutable, if the product has such an ID
    user_name: Field = ()
    user_email: Field = ()
    upstream_id: Field = ()
    roles: tuple[RoleField, ...] = ()
    active: Field = ()
    active_words: Mapping[str, bool | str | None] = field(default_factory=dict)
    """Word of `active`, lower case → its meaning; `*`: that of all others."""
    inactive: tuple[str, ...] = ()  # fields that say yes where the account is not active
    deleted: Field = ()  # has a value, such as a time, where the account is deleted
    reason: Field = ()
    last_updated: Field = ()
    last_sign_in: Field = ()
    attributes: Mapping[str, Field] = field(default_factory=dict)  # label → field
    remark: str = ""
    other_lists: Mapping[str, tuple[Proof, ...]] = field(default_factory=dict)
    """What files of the product list that are no accounts, as in “lists …” → proofs."""

    def as_source(self) -> Source:
        """The declaration as a source."""
        formats = ("CSV", "JSON", "NDJSON")
        return Source(self.key, self.name, self._detect, self._read_accounts, formats)

    def _detect(self, prefix: Prefix) -> str:
        return _find_any(self.proofs, prefix) or next(
            filter(None, (_find_any(proofs, prefix) for proofs in self.other_lists.values())), ""
        )

    def _read_accounts(
        self, documents: Sequence[Document], report: SourceReport
    ) -> Iterator[Row | None]:
        for document in documents:
            for content, proofs in self.other_lists.items():
                if _find_any(proofs, document.prefix):
                    raise NotAListOfAccounts(f"The file lists {content}.")
        if self.remark:
            report.remarks.append(self.remark)
        csv_documents = [document for document in documents if document.form.label == "CSV"]
        for document in csv_documents:
            yield from self._read_csv(document, has_lines=len(documents) == 1)
        others = [document for document in documents if document not in csv_documents]
        for page in read_pages(others, report) if others else ():
            for record in _records(page):
                yield self.map_record(_folded(record)) if record else {}

    def _read_csv(self, document: Document, *, has_lines: bool) -> Iterator[Row | None]:
        """One row per row of the file; `has_lines`: the number of a row is its line."""
        rows = (proof.heading_row(document.prefix) for proof in self.proofs)
        heading_row = next((number for number in rows if number is not None), 0)
        previous_line = 0
        for line, cells in document.rows(heading_row, fold):
            if has_lines:
                yield from [None] * (line - previous_line - 1)
            previous_line = line
            texts = [text for text in cells.values() if text]
            is_footer = len(texts) == 1 and len(document.prefix.rows[heading_row]) > MAX_NARROW
            yield {"Text": texts[0]} if is_footer else self.map_record(cells)

    def map_record(self, record: Row) -> Row:
        """A record, with folded keys, as a row."""
        get = partial(_scalar, record)
        active, is_deleted = self._activity(record)
        return make_account(
            get(self.username),
            account_id=get(self.account_id),
            name=get(self.user_name),
            email=get(self.user_email),
            roles=[role for spec in self.roles for role in _roles(record, spec)],
            active=active,
            upstream_id=get(self.upstream_id),
            state="Deleted" if is_deleted else "Onboarded",
            state_source="reported" if is_deleted else "inferred",
            reason=get(self.reason),
            last_updated=get(self.last_updated),
            last_sign_in=get(self.last_sign_in),
            attributes={
                label: YES_NO.get(value, value) if isinstance(value, bool) else value
                for label, spec in self.attributes.items()
                if (value := _all(record, spec)) is not None
            },
        )

    def _activity(self, record: Row) -> tuple[Any, bool]:
        """Whether the account is active, and whether it is deleted."""
        active = stated = _scalar(record, self.active)
        if self.active_words and stated is not None:
            meaning = self.active_words.get("*", stated)
            active = self.active_words.get(str(stated).casefold(), meaning)
        is_deleted = active == DELETED or _first(record, self.deleted) is not None
        flags = [flag for name in self.inactive if (flag := _scalar(record, name)) is not None]
        if active == DELETED or any(map(_is_yes, flags)):
            return False, is_deleted
        return True if flags and stated is None else active, is_deleted


def _find_any(proofs: tuple[Proof, ...], prefix: Prefix) -> str:
    return next(filter(None, (proof.find(prefix) for proof in proofs)), "")


def _records(page: Page) -> Iterator[Row]:
    """The records of a page. In JSON:API, what they refer to is in the list `included`."""
    included = {_reference(item): item for item in as_dicts(page.envelope.get("included"))}
    for record in map(as_dict, page.records):
        if included:
            for relation in map(as_dict, as_dict(record.get("relationships")).values()):
                items = as_dicts(relation.get("data"))
                relation["data"] = [included.get(_reference(item), item) for item in items]
        yield record


def _reference(item: Row) -> tuple[str, str]:
    return str(item.get("type")), str(item.get("id"))


_MISSING: Any = object()


def _folded(value: Row) -> Row:
    return {fold(key): item for key, item in value.items()}


def _find(record: Row, path: str) -> Any:
    """The value at a path of a record with folded keys; `_MISSING` where there is none."""
    key = fold(path)
    if key in record:
        return record[key]
    head, _, rest = path.partition(".")
    if not rest:
        return _MISSING
    if selection := SELECTION.fullmatch(head):
        head, name, wanted = selection.groups()
        items = as_dicts(record.get(fold(head)))
        return _find_within([v for v in items if str(_first(_folded(v), name)) == wanted], rest)
    return _find_within(record.get(fold(head)), rest)


def _find_within(value: Any, path: str) -> Any:
    if isinstance(value, list):
        found = (_find_within(item, path) for item in value)
        return [item for item in found if item is not _MISSING] or _MISSING
    return _find(_folded(value), path) if isinstance(value, dict) else _MISSING


def _values(found: Any) -> list[Any]:
    """What was found as a list, without values that say nothing."""
    if not isinstance(found, list):
        return [] if _is_blank(found) else [found]
    items = (item for value in found for item in (value if isinstance(value, list) else [value]))
    return [item for item in items if not _is_blank(item)]


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_NO_VALUE and _says_nothing(value)
    return value is None or value is _MISSING or value in ({}, [])


@lru_cache(maxsize=4096)
def _says_nothing(text: str) -> bool:
    return text.strip().casefold() in NO_VALUES


class _Path(NamedTuple):
    text: str
    key: str  # folded
    is_nested: bool
    names: tuple[str, ...]  # the parts of `a + b`


@lru_cache(maxsize=4096)
def _paths(spec: Field) -> tuple[_Path, ...]:
    paths = (spec,) if isinstance(spec, str) else spec
    return tuple(
        _Path(path, fold(path), "." in path, tuple(path.split(" + ")) if " + " in path else ())
        for path in paths
    )


def _all(record: Row, spec: Field) -> Any:
    """All values of the first field that has some: one alone, or a list."""
    for path in _paths(spec):
        found = record.get(path.key, _MISSING)
        if isinstance(found, str) and not path.names:  # the usual case, and the fastest
            if len(found) > MAX_NO_VALUE or not _says_nothing(found):
                return found
            continue
        if path.names:
            found = join_names(*(_first(record, name) for name in path.names))
        elif path.is_nested and found is _MISSING:
            found = _find(record, path.text)
        if values := _values(found):
            return values[0] if len(values) == 1 else values
    return None


def _first(record: Row, spec: Field) -> Any:
    found = _all(record, spec)
    return found[0] if isinstance(found, list) else found


def _scalar(record: Row, spec: Field) -> Any:
    """The first value; of an object its `value`, as where an API gives the text to show, too."""
    found = _first(record, spec)
    return found.get("value") if isinstance(found, dict) else found


def _is_yes(value: Any) -> bool:
    return str(value).casefold() in ("true", "yes", "1")


def _roles(record: Row, spec: RoleField) -> Iterator[Row]:
    resource = _first(record, spec.resource)
    for value in as_list(_all(record, spec.field)):
        if spec.name:
            names = [spec.name] * _is_yes(value)
        elif isinstance(value, dict):
            names = as_list(_first(_folded(value), NAME_KEYS))
        else:
            parts = split_names(value, spec.separator) if spec.separator else [value]
            names = [spec.words.get(str(part).casefold(), part) for part in parts]
        yield from (make_resource_role(name, resource, spec.kind, "") for name in names if name)
