"""What a file of accounts is of: in words, in a name, and as facts to check it by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from data.schema import integration, snapshot
from queries.export.listing import COLUMNS, Listing
from queries.filters import Filters, in_words
from queries.users.accounts import count_accounts

LONGEST_NAME = 80
"""Characters of a file's name that tell of the filters."""

MOST_NAMED = 3
"""Integrations, states or roles that a file's name lists; of more it says how many."""


class Source(NamedTuple):
    """A snapshot that the list came from."""

    integration: str
    taken_at: datetime
    file_name: str
    sha256: str

    def facts(self) -> dict[str, str]:
        """As JSON can say it."""
        return self._asdict() | {"taken_at": in_utc(self.taken_at)}


@dataclass(frozen=True)
class About:
    """What a file of accounts is of. Times are naive UTC."""

    accounts: str  # the filters in words
    words_of_name: list[str]
    filters: dict[str, list[str]]  # as parameters
    sort: str
    as_of: datetime | None
    made_at: datetime
    columns: list[str]
    rows: int
    snapshots: list[Source]

    def facts(self) -> dict[str, Any]:
        """As JSON can say it."""
        told = asdict(self)
        told.pop("words_of_name")
        return told | {
            "as_of": in_utc(self.as_of) if self.as_of else None,
            "made_at": in_utc(self.made_at),
            "snapshots": [source.facts() for source in self.snapshots],
        }

    def file_name(self, ending: str) -> str:
        """`users-figma-update-failed-2026-11-23T06-00-00Z.csv`: what, and of when."""
        newest = max((source.taken_at for source in self.snapshots), default=self.made_at)
        words = slug("-".join(self.words_of_name))[:LONGEST_NAME].strip("-")
        when = f"{self.as_of or newest:%Y-%m-%dT%H-%M-%SZ}"
        return "-".join(filter(None, ("users", words, when))) + f".{ending}"


def about(listing: Listing, columns: list[str] | None = None) -> About:
    """What the list is of; asked of the same moment of the store."""
    wanted = listing.wanted
    params: dict[str, list[str]] = {}
    for name, value in wanted.filters.params():
        params.setdefault(name, []).append(value)
    return About(
        accounts=_said(wanted.filters),
        words_of_name=_words_of_name(wanted.filters),
        filters=params,
        sort=wanted.sort or "user",
        as_of=wanted.filters.as_of,
        made_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        columns=columns or [c.heading for c in listing.columns(tuple(COLUMNS))],
        rows=count_accounts(listing.con, wanted.filters),
        snapshots=sources(listing.con, wanted.filters.integration, wanted.filters.as_of),
    )


def _said(filters: Filters) -> str:
    """`Update failed in figma or slack, active`, and of which moment."""
    parts = [
        f"{'' if part.lead == ',' else ' '}{part.lead} {part.words}" for part in in_words(filters)
    ]
    said = "".join(parts).strip() or "All accounts"
    return f"{said}, as of {filters.as_of:%Y-%m-%d %H:%M:%S} UTC" if filters.as_of else said


def sources(con: Connection, integrations: Sequence[str], as_of: datetime | None) -> list[Source]:
    """The newest snapshot of each integration, of all where none is named, at the moment."""
    newest = select(snapshot.c.integration_id, func.max(snapshot.c.taken_at).label("taken_at"))
    if as_of:
        newest = newest.where(snapshot.c.taken_at <= as_of)
    last = newest.group_by(snapshot.c.integration_id).subquery("last")
    found = (
        select(integration.c.name, snapshot.c.taken_at, snapshot.c.file_name, snapshot.c.sha256)
        .join_from(snapshot, integration, integration.c.integration_id == snapshot.c.integration_id)
        .join(
            last,
            (last.c.integration_id == snapshot.c.integration_id)
            & (last.c.taken_at == snapshot.c.taken_at),
        )
        .order_by(func.lower(integration.c.name))
    )
    if integrations:
        found = found.where(integration.c.name.in_(integrations))
    return [Source(*row) for row in con.execute(found)]


def _words_of_name(filters: Filters) -> list[str]:
    """The filters in words, the integration first; a moment stands at the name's end."""
    words: dict[str, list[str]] = {"integration": []}
    for part in in_words(filters):
        words.setdefault(part.name, []).append(part.words)
    return [
        word
        for name, said in words.items()
        for word in (said if len(said) <= MOST_NAMED else [f"{len(said)}-{name}s"])
    ]


def slug(text: str) -> str:
    """Letters and digits of any script; dashes for all else, so never part of a path."""
    return re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text).casefold()).strip("-")


def in_utc(moment: datetime) -> str:
    """`2026-11-23T06:00:00Z`, of naive UTC."""
    return f"{moment.isoformat()}Z"


ABOUT = "about.json"
