"""A list of accounts as evidence: what a reader filtered on the Users page.

Every row follows from the snapshots that the pack names, from the filters, and from what people
have said of whose accounts without a user are, which is in the pack. “Now” is the moment
at which it was asked for, so that a filter by how long accounts wait answers the same for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Self

from sqlalchemy import Connection, Engine, func, insert, select

from data.records.matches import find_keys
from data.schema import matched, snapshot
from data.states import STATES
from data.store.engine import changing
from queries.evidence.pack import Evidence, Told, as_json, moment, plain, snapshots_of, told
from queries.export.formats import csv_chunks, json_of
from queries.export.listing import COLUMNS, Listing, Wanted
from queries.export.manifest import About, about
from queries.filters import Filters
from queries.owners import SAID, what_holds


@dataclass(frozen=True)
class Accounts(Evidence):
    """All accounts that the filters leave, at the moment that the filters name."""

    of: ClassVar[str] = "accounts"
    rows_in: ClassVar[str] = "accounts.json"
    one_row: ClassVar[str] = "account"
    named_by: ClassVar[tuple[str, ...]] = ("integration", "account_id")

    filters: Filters
    asked_at: datetime  # naive UTC

    @classmethod
    def asked(cls, con: Connection, filters: Filters) -> Self:
        """What the filters leave; now, where they name no moment."""
        now = datetime.now(UTC).replace(tzinfo=None)
        newest = con.scalar(select(func.max(snapshot.c.taken_at))) or now
        return cls(con, replace(filters, as_of=filters.as_of or max(now, newest)), now)

    @property
    def made_at(self) -> datetime:
        """When it was asked for; naive UTC."""
        return self.asked_at

    @classmethod
    def again(cls, con: Connection, manifest: Mapping[str, Any]) -> Self:
        """The evidence that a manifest tells of, asked of another store."""
        filters = replace(Filters.from_params(manifest["filter"]), as_of=moment(manifest["as_of"]))
        return cls(con, filters, moment(manifest["made_at"]))

    @classmethod
    def say_again(cls, engine: Engine, told: Told) -> None:
        """Say again whose people have said that accounts are."""
        rows = [
            {name: row[name] for name in SAID} | {"decided_at": moment(row["decided_at"])}
            for row in told("matches.json")
        ]
        with changing(engine) as con:
            con.execute(insert(matched), rows) if rows else None
            find_keys(con)

    def members(self) -> dict[str, Callable[[], Iterable[bytes]]]:
        """File name → what makes the file."""
        listing, until = self._listing, self.filters.as_of
        return {
            "README.txt": lambda: [self._read_me().encode()],
            "states.json": lambda: [as_json(DEFINITIONS)],
            "snapshots.json": lambda: [
                as_json(snapshots_of(self.con, self.filters.integration, until))
            ],
            "matches.json": lambda: [as_json(self._matches())],
            self.rows_in: lambda: json_of(listing.objects(tuple(COLUMNS))),
            "accounts.csv": lambda: csv_chunks(listing),
        }

    @cached_property
    def about(self) -> About:
        """What the list is of, and how many rows it has."""
        return about(self._listing)

    @cached_property
    def _listing(self) -> Listing:
        wanted = Wanted(self.filters, sort="account_id", columns=tuple(COLUMNS))
        return Listing(self.con, wanted)

    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        asked = replace(self.filters, as_of=None).params()
        named = {name: [value for n, value in asked if n == name] for name, _ in asked}
        return {
            "as_of": plain(self.filters.as_of),
            "filter": named,
            "accounts": self.about.accounts,
            "counts": {"accounts": self.about.rows},
        }

    def file_name(self) -> str:
        """`evidence-users-figma-2026-11-23T06-00-00Z.zip`, as the list's other files are called."""
        return f"evidence-{self.about.file_name('zip')}"

    def _matches(self) -> list[dict[str, Any]]:
        """What held at the moment of what people have said, in the integrations of the list."""
        rows = what_holds(self.con, self.filters.integration, self.filters.as_of)
        return [told(row) for row in rows]

    def _read_me(self) -> str:
        states = "\n".join(f"{each['state']}\n  {each['definition']}" for each in DEFINITIONS)
        return READ_ME.format(accounts=self.about.accounts, states=states)


DEFINITIONS = [{"state": state.name, "definition": state.definition} for state in STATES]

READ_ME = """Accounts in Rollcall: {accounts}.

accounts.csv, accounts.json  One row per account, by integration and account ID, with everything
                             known of it. The CSV is safe to open in a spreadsheet.
snapshots.json               The snapshots that the rows follow from, with their hashes.
matches.json                 Whose people have said that accounts without a user are.
states.json                  What the provisioning states mean.
manifest.json                What the pack is of, its filters, and the SHA-256 of every file in it.

To prove it, on a machine with the archive:  rollcall verify PACK

That proves that every row follows from the snapshots, and that none is missing. It cannot prove the
snapshots: they are what the integrations said. Nor can it prove what people have said of whose
accounts are: it is what was recorded. All times are UTC.

The provisioning states

{states}
"""
