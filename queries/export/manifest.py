"""Describes an exported list of accounts: filters, snapshots, row count and file name."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from data.formatting import file_stamp, iso_z, utc_now
from data.schema import integration, snapshot
from queries.export.columns import LISTING_COLUMNS
from queries.export.listing import Listing
from queries.filter_sentence import filter_phrases, filter_sentence
from queries.filters import Filters
from queries.scope import newest_snapshots
from queries.users.accounts import count_accounts

MAX_FILTERS_LENGTH = 80
"""Characters of the filters in a file name."""

MAX_VALUES_IN_NAME = 3
"""Integrations, states or roles that a file name lists. For more, it gives their number."""


class SnapshotSource(NamedTuple):
    """A snapshot that the list comes from."""

    integration: str
    taken_at: datetime
    file_name: str
    sha256: str

    def as_dict(self) -> dict[str, str]:
        """The source as JSON values."""
        return self._asdict() | {"taken_at": iso_z(self.taken_at)}


@dataclass(frozen=True)
class ListManifest:
    """The description of an exported list. Times are naive UTC."""

    accounts: str  # the filters in words
    file_name_words: list[str]
    filters: dict[str, list[str]]  # as parameters
    sort: str
    as_of: datetime | None
    made_at: datetime
    columns: list[str]
    rows: int
    loads_as: str  # what becomes of the list where Rollcall loads it
    snapshots: list[SnapshotSource]

    def as_dict(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        values = asdict(self)
        values.pop("file_name_words")
        return values | {
            "as_of": iso_z(self.as_of, "auto") if self.as_of else None,
            "made_at": iso_z(self.made_at),
            "snapshots": [source.as_dict() for source in self.snapshots],
        }

    def facts(self) -> dict[str, str]:
        """The manifest for people: a label and its text, the title first."""
        title = self.accounts if self.accounts[0].isupper() else f"Accounts {self.accounts}"
        column = self.sort.removeprefix("-")
        heading = LISTING_COLUMNS.get(column, LISTING_COLUMNS["user_name"]).heading
        moment = words_of(self.as_of) if self.as_of else "the newest snapshots"
        period = self.filters.get("during")
        return {
            "List": title,
            **({"Period": f"{period[0]} (UTC)"} if period else {"As of": moment}),
            "Sorted by": f"{heading}, descending" if column != self.sort else heading,
            "Accounts": f"{self.rows:,}",
            "Columns": ", ".join(self.columns),
            "Made at": words_of(self.made_at),
            "Load again": self.loads_as,
        }

    def file_name(self, extension: str) -> str:
        """`users-figma-update-failed-2026-11-23T06-00-00Z.csv`."""
        newest = max((source.taken_at for source in self.snapshots), default=self.made_at)
        filters_slug = slug("-".join(self.file_name_words))[:MAX_FILTERS_LENGTH].strip("-")
        parts = ("users", filters_slug, file_stamp(self.as_of or newest))
        return "-".join(filter(None, parts)) + f".{extension}"


def words_of(moment: datetime) -> str:
    """A naive UTC moment for people, with its zone."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def build_manifest(listing: Listing) -> ListManifest:
    """The description of the list, from the same moment of the store."""
    request = listing.request
    snapshots = snapshot_sources(listing.con, request.filters.integration, request.filters.moment)
    params: dict[str, list[str]] = {}
    for name, value in request.filters.params():
        params.setdefault(name, []).append(value)
    return ListManifest(
        accounts=_describe_filters(request.filters),
        file_name_words=_file_name_words(request.filters),
        filters=params,
        sort=request.sort or "user",
        as_of=request.filters.as_of,
        made_at=utc_now().replace(microsecond=0),
        columns=[column.heading for column in listing.columns],
        rows=count_accounts(listing.con, request.filters),
        loads_as=loads_as(listing, {source.integration for source in snapshots}),
        snapshots=snapshots,
    )


def loads_as(listing: Listing, integrations: Collection[str]) -> str:
    """What becomes of the list where Rollcall loads it again, in a sentence."""
    if not listing.is_complete:
        return "Not for loading: it does not have all columns."
    if listing.request.filters.during:
        return "Not for loading: it lists the accounts of a period, not of one moment."
    if len(integrations) > 1:
        return "Not for loading: it lists several integrations."
    if {name for name, _ in listing.request.filters.params()} - {"integration", "as_of"}:
        return "Loads as the same accounts, but filters leave out others of the snapshot."
    return "Loads as the same accounts."


def _describe_filters(filters: Filters) -> str:
    """`Update failed in figma or slack, active, as of 2026-11-23 06:00:00 UTC`."""
    text = filter_sentence(filters) or "All accounts"
    if filters.during:
        return f"{text}, at any time {filters.during.text()}"
    return f"{text}, as of {words_of(filters.as_of)}" if filters.as_of else text


def snapshot_sources(
    con: Connection, integrations: Sequence[str], as_of: datetime | None
) -> list[SnapshotSource]:
    """The latest snapshot of each integration by then; of all integrations if none is named."""
    latest = newest_snapshots(as_of)
    query = (
        select(integration.c.name, snapshot.c.taken_at, snapshot.c.file_name, snapshot.c.sha256)
        .join_from(snapshot, integration, integration.c.integration_id == snapshot.c.integration_id)
        .join(
            latest,
            (latest.c.integration_id == snapshot.c.integration_id)
            & (latest.c.at == snapshot.c.taken_at),
        )
        .order_by(func.lower(integration.c.name))
    )
    if integrations:
        query = query.where(integration.c.name.in_(integrations))
    return [SnapshotSource(*row) for row in con.execute(query)]


def _file_name_words(filters: Filters) -> list[str]:
    """The filters in words, the integration first; the moment goes to the end of the name."""
    words_by_filter: dict[str, list[str]] = {"integration": []}
    if filters.during:
        words_by_filter["during"] = [filters.during.text()]
    for phrase in filter_phrases(filters):
        words_by_filter.setdefault(phrase.name, []).append(phrase.text)
    return [
        word
        for name, values in words_by_filter.items()
        for word in (values if len(values) <= MAX_VALUES_IN_NAME else [f"{len(values)}-{name}s"])
    ]


def slug(text: str) -> str:
    """The text's letters and digits of any script, with dashes between; never part of a path."""
    return re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text).casefold()).strip("-")


MANIFEST_FORMAT = "about.json"
