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

from data.records.matches import link_account_keys
from data.schema import match_override, snapshot
from data.states import STATES
from data.store.engine import write_transaction
from queries.evidence.pack import (
    Evidence,
    ReadJson,
    json_bytes,
    parse_time,
    row_to_json,
    snapshot_entries,
    to_json_value,
)
from queries.export.formats import csv_chunks, json_list_chunks
from queries.export.listing import LISTING_COLUMNS, Listing, ListRequest
from queries.export.manifest import ListManifest, build_manifest
from queries.filters import Filters
from queries.owners import OVERRIDE_COLUMNS, active_overrides


@dataclass(frozen=True)
class AccountsEvidence(Evidence):
    """All accounts that the filters leave, at the moment that the filters name."""

    kind: ClassVar[str] = "accounts"
    rows_file: ClassVar[str] = "accounts.json"
    row_noun: ClassVar[str] = "account"
    key_columns: ClassVar[tuple[str, ...]] = ("integration", "account_id")

    filters: Filters
    requested_at: datetime  # naive UTC

    @classmethod
    def from_filters(cls, con: Connection, filters: Filters) -> Self:
        """What the filters leave; now, where they name no moment."""
        now = datetime.now(UTC).replace(tzinfo=None)
        newest = con.scalar(select(func.max(snapshot.c.taken_at))) or now
        return cls(con, replace(filters, as_of=filters.as_of or max(now, newest)), now)

    @property
    def made_at(self) -> datetime:
        """When it was asked for; naive UTC."""
        return self.requested_at

    @classmethod
    def from_manifest(cls, con: Connection, manifest: Mapping[str, Any]) -> Self:
        """The evidence that a manifest tells of, asked of another store."""
        filters = replace(
            Filters.from_params(manifest["filter"]), as_of=parse_time(manifest["as_of"])
        )
        return cls(con, filters, parse_time(manifest["made_at"]))

    @classmethod
    def restore_records(cls, engine: Engine, read_json: ReadJson) -> None:
        """Say again whose people have said that accounts are."""
        rows = [
            {name: row[name] for name in OVERRIDE_COLUMNS}
            | {"decided_at": parse_time(row["decided_at"])}
            for row in read_json("matches.json")
        ]
        with write_transaction(engine) as con:
            con.execute(insert(match_override), rows) if rows else None
            link_account_keys(con)

    def members(self) -> dict[str, Callable[[], Iterable[bytes]]]:
        """File name → what makes the file."""
        listing, as_of = self._listing, self.filters.as_of
        return {
            "README.txt": lambda: [self._readme().encode()],
            "states.json": lambda: [json_bytes(STATE_DEFINITIONS)],
            "snapshots.json": lambda: [
                json_bytes(snapshot_entries(self.con, self.filters.integration, as_of))
            ],
            "matches.json": lambda: [json_bytes(self._match_overrides())],
            self.rows_file: lambda: json_list_chunks(listing.json_batches(tuple(LISTING_COLUMNS))),
            "accounts.csv": lambda: csv_chunks(listing),
        }

    @cached_property
    def list_manifest(self) -> ListManifest:
        """What the list is of, and how many rows it has."""
        return build_manifest(self._listing)

    @cached_property
    def _listing(self) -> Listing:
        request = ListRequest(self.filters, sort="account_id", columns=tuple(LISTING_COLUMNS))
        return Listing(self.con, request)

    def manifest_fields(self) -> dict[str, Any]:
        """What the manifest says of it."""
        params = replace(self.filters, as_of=None).params()
        values_by_filter = {name: [value for n, value in params if n == name] for name, _ in params}
        return {
            "as_of": to_json_value(self.filters.as_of),
            "filter": values_by_filter,
            "accounts": self.list_manifest.accounts,
            "counts": {"accounts": self.list_manifest.rows},
        }

    def file_name(self) -> str:
        """`evidence-users-figma-2026-11-23T06-00-00Z.zip`, as the list's other files are called."""
        return f"evidence-{self.list_manifest.file_name('zip')}"

    def _match_overrides(self) -> list[dict[str, Any]]:
        """What held at the moment of what people have said, in the integrations of the list."""
        rows = active_overrides(self.con, self.filters.integration, self.filters.as_of)
        return [row_to_json(row) for row in rows]

    def _readme(self) -> str:
        states = "\n".join(
            f"{definition['state']}\n  {definition['definition']}"
            for definition in STATE_DEFINITIONS
        )
        return README.format(accounts=self.list_manifest.accounts, states=states)


STATE_DEFINITIONS = [{"state": state.name, "definition": state.definition} for state in STATES]

README = """Accounts in Rollcall: {accounts}.

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
