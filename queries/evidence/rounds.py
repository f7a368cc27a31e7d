"""A review round as evidence: what was frozen, what was decided, and what became of it.

The list follows from the snapshots that were loaded when it was frozen, the outcomes from those of
now. The decisions follow from the audit log, which also has a hash of how the round was started.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.people.directories import save_directories
from data.records.audit_log import Event, first_invalid_number
from data.records.decisions import MATCH_OVERRIDES, NOTES, InvalidInput
from data.records.exceptions import RuleSettings, save_rule_settings
from data.records.rounds import close_round, decide, decisions_in, insert_population
from data.records.tables import audit_event, review_item, review_round
from data.store.engine import write_transaction
from queries.audit import event_from_json, event_to_json
from queries.evidence.findings import (
    EXCEPTIONS_FILE,
    exceptions_by_then,
    restore_exceptions,
)
from queries.evidence.pack import (
    SNAPSHOTS_FILE,
    EvidenceKind,
    EvidencePack,
    NotProved,
    ReadJson,
    json_bytes,
    parse_time,
    row_from_json,
    row_to_json,
    snapshot_entries,
    write_rows,
)
from queries.evidence.people import NOTES_FILE, OVERRIDES_FILE, decisions_json, restore_people
from queries.export.manifest import slug
from queries.filters import Filters
from queries.review.duration import View
from queries.rounds.files import RoundFile, write_round_csv, write_round_workbook
from queries.rounds.items import count_outcomes
from queries.rounds.lists import Round, find_round, frozen_snapshots
from queries.rounds.population import DIRECTORIES, LIMITS, freeze_again, rule_in

ROWS_FILE, ROUND_FILE, FROZEN_FILE = "decisions.json", "round.json", "frozen_snapshots.json"
EVENTS_FILE = "audit.json"

ROW_COLUMNS = (
    *(column.name for column in review_item.c if column.name != "round_id"),
    "decision",
    "note",
    "decided_by",
    "decided_at",
    "outcome",
    "proved_at",
    "proved_by",
)
"""The columns of the file with a row per account or role."""

ROUND_EVENTS = (Event.ROUND_STARTED, Event.ROUND_DECIDED, Event.ROUND_CLOSED)

NOW = {
    "replaced": "The snapshot of {} at {} was replaced after the list was frozen.",
    "removed": "The snapshot of {} at {} was removed after the list was frozen.",
}


# ---- the pack ------------------------------------------------------------------------------------


def round_pack(con: Connection, round_: Round, made_at: datetime) -> EvidencePack:
    """The pack of a round, with all that the reader sees of it."""
    started, closed = _round_facts(con, round_.round_id)
    frozen = frozen_snapshots(con, round_.round_id, with_older=True)
    names = sorted({each.integration for each in frozen})
    file = RoundFile.read(con, round_, ())
    rows = [row_to_json({c: getattr(item, c) for c in ROW_COLUMNS}) for item in file.items]
    rows.sort(key=lambda row: (row["integration"], row["account_id"], row["role"]))
    return EvidencePack(
        kind="round",
        file_name=f"evidence-{slug(round_.name)}.zip",
        made_at=made_at,
        members={
            "README.txt": README.format(name=round_.name, accounts=round_.population).encode(),
            ROUND_FILE: json_bytes({"started": started, "closed": closed}),
            FROZEN_FILE: json_bytes([row_to_json(each._asdict()) for each in frozen]),
            SNAPSHOTS_FILE: json_bytes(snapshot_entries(con, names, None)),
            **_records(con, round_, names),
            EVENTS_FILE: json_bytes(_round_events(con, round_.round_id)),
            ROWS_FILE: partial(write_rows, rows),
            "decisions.csv": partial(write_round_csv, file),
            "decisions.xlsx": partial(write_round_workbook, file),
        },
        manifest_fields=lambda: {
            "round": round_.round_id,
            "name": round_.name,
            "counts": count_outcomes(con, round_),
        },
    )


def start_hash(con: Connection, round_id: str) -> str:
    """The SHA-256 of all that was frozen and said at the start, for the audit log."""
    frozen = frozen_snapshots(con, round_id, with_older=True)
    return _start_hash(_round_facts(con, round_id)[0], [each[:3] for each in frozen])


def _start_hash(started: Mapping[str, Any], frozen: Iterable[Sequence[Any]]) -> str:
    snapshots = [[name, f"{taken_at}", sha256] for name, taken_at, sha256 in frozen]
    return hashlib.sha256(json_bytes([started, sorted(snapshots)])).hexdigest()


def _round_facts(con: Connection, round_id: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What was said at the start, and by whom and when the round was closed."""
    row = con.execute(select(review_round).where(review_round.c.round_id == round_id)).mappings()
    facts = row_to_json(row.one())
    closed = {name: facts.pop(name) for name in ("closed_by", "closed_at")}
    return facts, closed if closed["closed_at"] else None


def _records(con: Connection, round_: Round, names: Sequence[str]) -> dict[str, bytes]:
    """What people had recorded when the list was frozen, as far as the list depends on it."""
    moment = min(round_.frozen_at, round_.started_at)
    files = {OVERRIDES_FILE: decisions_json(con, MATCH_OVERRIDES, names, moment)}
    if rule := rule_in(round_.address):
        rows = exceptions_by_then(con, View(integration=tuple(names), as_of=moment), [rule])
        files[EXCEPTIONS_FILE] = json_bytes(rows)
    elif Filters.from_params(parse_qs(round_.address)).note:
        files[NOTES_FILE] = decisions_json(con, NOTES, names, moment)
    return files


def _round_events(con: Connection, round_id: str) -> list[dict[str, Any]]:
    """The events of the audit log about a round, oldest first."""
    is_about_rounds = audit_event.c.action.in_([each.value for each in ROUND_EVENTS])
    query = select(audit_event).where(is_about_rounds).order_by(audit_event.c.number)
    events = (event_to_json(row) for row in con.execute(query).mappings())
    return [each for each in events if _is_about(each, round_id)]


def _is_about(event: Mapping[str, Any], round_id: str) -> bool:
    return event["action"] in ROUND_EVENTS and event["details"].get("id") == round_id


# ---- the proof -----------------------------------------------------------------------------------


def _restore_frozen(engine: sa.Engine, read_json: ReadJson) -> None:
    """Freeze the list again, from the snapshots and records of then."""
    restore_people(engine, read_json)
    restore_exceptions(engine, read_json)
    started = row_from_json(review_round, read_json(ROUND_FILE)["started"])
    recorded = json.loads(started["settings"])
    save_rule_settings(engine, RuleSettings.from_dict(recorded[LIMITS]))
    save_directories(engine, recorded[DIRECTORIES])
    by_role, moment = started["is_by_role"], started["frozen_at"]
    freeze = freeze_again(started["address"], moment, recorded, is_by_role=by_role)
    with write_transaction(engine) as con:
        con.execute(sa.insert(review_round), started)
        insert_population(con, freeze(con, started["round_id"]))


def _restore_decisions(engine: sa.Engine, read_json: ReadJson) -> None:
    """Decide again, as the audit log says. Raises NotProved where nobody could have done it."""
    events = read_json(EVENTS_FILE)
    rows = [event_from_json(each) for each in events]
    by_action = {each["action"]: each["details"] for each in events}
    round_id = read_json(ROUND_FILE)["started"]["round_id"]
    with write_transaction(engine) as con:
        con.execute(sa.insert(audit_event), rows) if rows else None
        recorded = by_action.get(Event.ROUND_STARTED, {}).get("sha256")
        if recorded != start_hash(con, round_id):
            raise NotProved(
                f"{ROUND_FILE} or {FROZEN_FILE} is not what the audit log recorded at the start."
            )
    for each in events:
        details = each["details"]
        try:
            if each["action"] == Event.ROUND_DECIDED:
                at = parse_time(details["decided_at"])
                decide(engine, round_id, decisions_in(details), details["by"], decided_at=at)
        except InvalidInput as error:
            raise NotProved(f"Event {each['number']} of the audit log: {error}") from error
    if closed := by_action.get(Event.ROUND_CLOSED):
        close_round(engine, round_id, closed["by"], closed_at=parse_time(closed["closed_at"]))


def _from_manifest(con: Connection, manifest: Mapping[str, Any]) -> EvidencePack:
    round_ = find_round(con, manifest["round"])
    if round_ is None:
        raise NotProved(f"The manifest names another round than {ROUND_FILE}.")
    return round_pack(con, round_, parse_time(manifest["made_at"]))


def _log_problems(
    read_json: ReadJson, manifest: Mapping[str, Any], log: Iterable[dict[str, Any]]
) -> list[str]:
    """Why the audit log does not have exactly the events of the pack."""
    in_log: dict[int, dict[str, Any]] = {}

    def noted() -> Iterator[dict[str, Any]]:
        for event in log:
            as_json = event_to_json(event)
            if _is_about(as_json, manifest["round"]):
                in_log[event["number"]] = as_json
            yield event

    made_at, problems = parse_time(manifest["made_at"]), []
    if (number := first_invalid_number(noted())) is not None:
        problems.append(f"The audit log was changed at or after event {number:,}.")
    in_pack = {each["number"]: each for each in read_json(EVENTS_FILE)}
    for number in sorted(in_pack.keys() | in_log.keys()):
        if number not in in_pack and parse_time(in_log[number]["occurred_at"]) <= made_at:
            problems.append(f"Event {number:,} of the audit log is missing from the pack.")
        elif number in in_pack and in_log.get(number) != in_pack[number]:
            problems.append(f"Event {number:,} of the pack is not in the audit log.")
    return problems


def _remarks(read_json: ReadJson) -> list[str]:
    return [
        NOW[each["now"]].format(each["integration"], each["taken_at"])
        for each in read_json(FROZEN_FILE)
        if each["now"] in NOW
    ]


ROUNDS = EvidenceKind(
    rows_files={ROWS_FILE: ("role", "integration", "account_id")},
    row_noun="decision",
    stages={FROZEN_FILE: _restore_frozen, SNAPSHOTS_FILE: _restore_decisions},
    from_manifest=_from_manifest,
    remarks=_remarks,
    log_problems=_log_problems,
)


README = """The review round “{name}” in Rollcall: {accounts}.

decisions.xlsx, .csv, .json  One row per account, or per role of an account, as it was when the
                             list was frozen: what was decided, by whom and when, the outcome, and
                             the snapshot that proves it, with its hash. Excel and CSV are safe to
                             open in a spreadsheet.
round.json                   What was said at the start, and who closed the round.
frozen_snapshots.json        The snapshots that the list follows from, with their hashes, and
                             whether they were replaced or removed since.
snapshots.json               The snapshots that the outcomes follow from, with their hashes.
audit.json                   The events of the audit log about the round, with their checksums.
match_overrides.json         The owners that people had assigned to accounts without a user.
exceptions.json, notes.json  If the list depends on them: those that had been recorded.
manifest.json                The outcomes in numbers, and the SHA-256 of every file in the pack.

To verify the pack on a machine with the archive and the audit log:  rollcall verify PACK
Where Rollcall is running, download the log on Audit first:  rollcall verify PACK --log FILE

That proves that the list is complete, that every outcome follows from the snapshots, and that the
decisions are those of the audit log. It cannot prove the snapshots themselves, which are what the
integrations reported. All times are UTC.
"""
