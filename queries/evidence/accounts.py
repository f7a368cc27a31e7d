"""A list of accounts as evidence: what a reader filtered on the Users page.

Every row follows from the pack's snapshots, filters, match overrides and notes. “Now” is the moment
of the request, so a filter by how long accounts wait always gives the same answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from data.records.decisions import MATCH_OVERRIDES, NOTES
from data.states import STATES
from queries.evidence.pack import (
    SNAPSHOTS_FILE,
    EvidenceKind,
    EvidencePack,
    json_bytes,
    parse_time,
    snapshot_entries,
    to_json_value,
)
from queries.evidence.people import (
    NOTES_FILE,
    OVERRIDES_FILE,
    decisions_json,
    people_members,
    restore_people,
    with_directories,
)
from queries.export.columns import ALL_COLUMNS
from queries.export.formats import write_json, write_safe_csv
from queries.export.listing import Listing, ListRequest
from queries.export.manifest import build_manifest
from queries.filters import Filters
from queries.people.history import history_of, write_history_csv, write_history_json
from queries.scope import now_or_newest

ROWS_FILE, HISTORY_FILE = "accounts.json", "history.json"

PACK_COLUMNS = tuple(name for name in ALL_COLUMNS if name != "last_sign_in")


def is_provable(filters: Filters) -> bool:
    """Whether the snapshots up to the moment of the filters decide which accounts are listed."""
    return not (filters.moment and filters.last_sign_in)


def accounts_listing(con: Connection, filters: Filters, now: datetime) -> Listing:
    """The list of a pack: all columns, by account ID, at a fixed moment (naive UTC).

    The last sign-in is not in it: it is as of the newest snapshot, not of the moment.
    """
    fixed = replace(filters, as_of=filters.moment or now_or_newest(con, now))
    names = PACK_COLUMNS
    if filters.during:
        fixed, names = filters, (*PACK_COLUMNS, "stretches")
    return Listing(con, ListRequest(fixed, sort="account_id", columns=names))


def accounts_pack(listing: Listing, made_at: datetime) -> EvidencePack:
    """The pack of a list of accounts."""
    con, filters, manifest = listing.con, listing.request.filters, build_manifest(listing)
    moment, names = filters.moment, filters.integration
    records = {OVERRIDES_FILE: decisions_json(con, MATCH_OVERRIDES, names, moment)}
    if filters.note:
        records[NOTES_FILE] = decisions_json(con, NOTES, names, moment)
    if filters.person or filters.of_person:
        records |= people_members(con, names, moment)
        names = with_directories(con, names)
    snapshots = snapshot_entries(con, names, moment)
    params = replace(filters, as_of=None).params()
    return EvidencePack(
        kind="accounts",
        file_name=f"evidence-{manifest.file_name('zip')}",
        made_at=made_at,
        members={
            "README.txt": README.format(accounts=manifest.accounts, states=_state_texts()).encode(),
            "states.json": json_bytes(STATE_DEFINITIONS),
            SNAPSHOTS_FILE: json_bytes(snapshots),
            **records,
            ROWS_FILE: partial(write_json, listing),
            "accounts.csv": partial(write_safe_csv, listing),
            **_history_members(con, filters),
        },
        manifest_fields=lambda: {
            "as_of": to_json_value(filters.as_of),
            "filter": {name: [v for n, v in params if n == name] for name, _ in params},
            "accounts": manifest.accounts,
            "counts": {"accounts": manifest.rows},
        },
    )


def _history_members(con: Connection, filters: Filters) -> dict[str, Callable[[Path], None]]:
    """For the accounts of one person: all their versions up to the moment."""
    if not filters.of_person:
        return {}
    rows = history_of(con, filters)
    return {
        HISTORY_FILE: partial(write_history_json, rows),
        "history.csv": partial(write_history_csv, rows),
    }


def _from_manifest(con: Connection, manifest: Mapping[str, Any]) -> EvidencePack:
    filters = replace(Filters.from_params(manifest["filter"]), as_of=parse_time(manifest["as_of"]))
    made_at = parse_time(manifest["made_at"])
    return accounts_pack(accounts_listing(con, filters, made_at), made_at)


ACCOUNTS = EvidenceKind(
    rows_files={
        ROWS_FILE: ("integration", "account_id"),
        HISTORY_FILE: ("from", "integration", "account_id"),
    },
    row_noun="account",
    stages={SNAPSHOTS_FILE: restore_people},
    from_manifest=_from_manifest,
)

STATE_DEFINITIONS = [{"state": state.name, "definition": state.definition} for state in STATES]


def _state_texts() -> str:
    return "\n".join(f"{state.name}\n  {state.definition}" for state in STATES)


README = """Accounts in Rollcall: {accounts}.

accounts.csv, accounts.json  One row per account, by integration and account ID, with all columns.
                             The CSV is safe to open in a spreadsheet. Of a period, each
                             account is as it last met the filters, with its stretches.
snapshots.json               The snapshots that the rows follow from, with their hashes.
history.csv, history.json    If the list is of one person: every version of these accounts up to
                             the moment, with the roles.
match_overrides.json         The owners that people assigned to accounts without a user.
people.json                  If the rows depend on people: the directories and the grace period.
notes.json                   If the rows depend on notes: those in force.
states.json                  The definitions of the provisioning states.
manifest.json                The filters, the row count and the SHA-256 of every file in the pack.

To verify the pack on a machine with the archive:  rollcall verify PACK

That proves that every row follows from the snapshots and that none is missing. It cannot prove the
snapshots themselves, which are what the integrations reported, nor the match overrides and notes,
which are as they were recorded. All times are UTC.

The provisioning states

{states}
"""
