"""Findings as evidence: the results of the chosen rules at one moment.

Every row follows from the pack's snapshots, the rules and their settings. Exceptions are as people
recorded them: in the pack, and in the rows.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select

from data.formatting import file_stamp
from data.records.exceptions import PERSON_RULE, RuleSettings
from data.records.tables import exception
from data.store.output import BYTE_ORDER_MARK, escape_formula
from data.tempfiles import TemporaryFile
from queries.evidence.pack import (
    SNAPSHOTS_FILE,
    EvidenceKind,
    EvidencePack,
    ReadJson,
    json_bytes,
    parse_time,
    row_from_json,
    row_to_json,
    snapshot_entries,
    to_json_value,
    write_rows,
)
from queries.evidence.people import people_members, restore_people, with_directories
from queries.review.duration import View
from queries.review.findings import (
    ACCOUNT_COLUMNS,
    EXCEPTION_COLUMNS,
    all_findings,
    exception_rules,
    execute_for_all,
)
from queries.review.rules import RULE_BY_NAME, RULES, Rule
from queries.scope import in_integrations

ROWS_FILE, EXCEPTIONS_FILE = "findings.json", "exceptions.json"

BATCH_SIZE = 1_000
"""Findings to fetch at a time."""

FINDING_COLUMNS = (
    "rule",
    "severity",
    "integration",
    "account_id",
    *ACCOUNT_COLUMNS,
    "since",
    "detail",
    *EXCEPTION_COLUMNS,
)
"""The columns of the files."""


@dataclass(frozen=True)
class Findings:
    """The findings of some rules, including those with an exception.

    The CSV is written from a copy of the JSON: a rule takes longer to find accounts than to name
    them.
    """

    con: Connection
    view: View
    rules: Sequence[Rule] = RULES
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Rule → open findings and exceptions; complete once the rows are read."""
    _json_copy: TemporaryFile = field(default_factory=TemporaryFile)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per finding, by rule, integration and account."""
        for rule in self.rules:
            counter = self.counts[rule.name] = Counter(open=0, exceptions=0)
            query = all_findings(self.view, rule)
            results = execute_for_all(self.con, query, stream_results=True).mappings()
            for batch in results.partitions(BATCH_SIZE):
                for row in batch:
                    counter["exceptions" if row["reason"] else "open"] += 1
                    values = {"rule": rule.name, "severity": rule.severity, **row}
                    yield {name: to_json_value(values[name]) for name in FINDING_COLUMNS}

    def write_json(self, path: Path) -> None:
        """Write a JSON list with one finding per line."""
        write_rows(self.rows(), path)
        shutil.copyfile(path, self._json_copy.path)

    def write_csv(self, path: Path) -> None:
        """Write the JSON, which is there, as a CSV in which no text is a formula."""
        with (
            self._json_copy.path.open(encoding="utf-8") as lines,
            path.open("w", encoding="utf-8", newline="") as file,
        ):
            file.write(BYTE_ORDER_MARK)
            writer = csv.writer(file)
            writer.writerow(FINDING_COLUMNS)
            rows = (json.loads(line.rstrip(",\n")) for line in lines if line.startswith("{"))
            writer.writerows(map(_cell_text, row.values()) for row in rows)


def findings_pack(findings: Findings) -> EvidencePack:
    """The pack of some findings."""
    con, view, rules = findings.con, findings.view, findings.rules
    definitions = [_definition(rule, view) for rule in rules]
    names, people = view.integration, {}
    if any(rule.reads_people for rule in rules):
        people = people_members(con, names, view.as_of)
        names = with_directories(con, names)
    return EvidencePack(
        kind="findings",
        file_name=_file_name(view, rules),
        made_at=view.evaluated_at,
        members={
            "README.txt": _readme(view, definitions).encode(),
            "rules.json": json_bytes(definitions),
            SNAPSHOTS_FILE: json_bytes(snapshot_entries(con, names, view.as_of)),
            EXCEPTIONS_FILE: json_bytes(exceptions_by_then(con, view, rules)),
            **people,
            ROWS_FILE: findings.write_json,
            "findings.csv": findings.write_csv,
        },
        manifest_fields=lambda: {
            "as_of": to_json_value(view.as_of),
            "filter": {
                "integration": list(view.integration),
                "rule": [rule.name for rule in rules],
            },
            "limits": view.limits.to_dict(),
            "counts": findings.counts,
        },
    )


def select_rules(names: Sequence[str], severities: Sequence[str]) -> tuple[Rule, ...]:
    """The rules with these names and severities; all if none is named."""
    named_rules = [rule for rule in RULES if rule.name in names] or list(RULES)
    return tuple(rule for rule in named_rules if not severities or rule.severity in severities)


def _from_manifest(con: Connection, manifest: Mapping[str, Any]) -> EvidencePack:
    filters = manifest["filter"]
    view = View(
        integration=tuple(filters["integration"]),
        as_of=parse_time(manifest["as_of"]),
        limits=RuleSettings.from_dict(manifest["limits"]),
        evaluated_at=parse_time(manifest["made_at"]),
    )
    return findings_pack(Findings(con, view, [RULE_BY_NAME[name] for name in filters["rule"]]))


def _restore_records(engine: sa.Engine, read_json: ReadJson) -> None:
    restore_exceptions(engine, read_json)
    restore_people(engine, read_json)


def restore_exceptions(engine: sa.Engine, read_json: ReadJson) -> None:
    """Put what a pack has of exceptions into a store that holds its snapshots."""
    with suppress(KeyError), engine.begin() as con:
        rows = [row_from_json(exception, row) for row in read_json(EXCEPTIONS_FILE)]
        con.execute(sa.insert(exception), rows) if rows else None


FINDINGS = EvidenceKind(
    rows_files={ROWS_FILE: ("rule", "integration", "account_id")},
    row_noun="finding",
    stages={SNAPSHOTS_FILE: _restore_records},
    from_manifest=_from_manifest,
)


def _file_name(view: View, rules: Sequence[Rule]) -> str:
    """`evidence-2026-11-23T06-00-00Z.zip`; with the rule's name if there is only one."""
    rule_suffix = f"-{rules[0].name.replace('_', '-')}" if len(rules) == 1 else ""
    return f"evidence{rule_suffix}-{file_stamp(view.as_of or view.evaluated_at)}.zip"


def _definition(rule: Rule, view: View) -> dict[str, str]:
    return {
        "rule": rule.name,
        "title": rule.title,
        "severity": rule.severity,
        "description": rule.describe(view.limits),
    }


def exceptions_by_then(con: Connection, view: View, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """One entry per exception of the rules by then, withdrawn or not, in the order of recording."""
    columns = exception.c
    directories = with_directories(con, view.integration)
    rows = con.execute(
        select(exception)
        .where(
            in_integrations(exception, directories),
            view.includes(exception) | (columns.rule == PERSON_RULE),
            columns.rule.in_(exception_rules(rules)),
            columns.accepted_at <= view.records_until(),
        )
        .order_by(columns.accepted_at, columns.integration, columns.rule, columns.account_id)
    )
    return [row_to_json(row) for row in rows.mappings()]


def _cell_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return escape_formula("; ".join(value) if isinstance(value, list) else str(value))


def _readme(view: View, definitions: Sequence[Mapping[str, str]]) -> str:
    rules = "\n".join(
        f"{rule['title']} ({rule['severity']})\n  {rule['description']}\n" for rule in definitions
    )
    integrations = ", ".join(view.integration) or "all integrations"
    moment = view.as_of or view.evaluated_at
    return README.format(integrations=integrations, moment=f"{moment:%Y-%m-%d %H:%M:%S}") + rules


README = """Rollcall findings in {integrations}, as of {moment} UTC.

findings.csv, findings.json  One row per finding: the account, since when, and its exception, if
                             any, with reason, person and end date. The CSV is safe to open in a
                             spreadsheet.
snapshots.json               The snapshots that the findings follow from, with their hashes.
rules.json                   The descriptions of the rules, with their settings.
people.json                  If a rule is about people: the directories and the grace period.
exceptions.json              All exceptions of these rules, withdrawn or not.
manifest.json                The filters and the SHA-256 of every file in the pack.

To verify the pack on a machine with the archive:  rollcall verify PACK

That proves the findings: each follows from the snapshots. Exceptions follow from no snapshot. They
are as recorded, under the names that people entered, and nobody signed them. Anybody who can write
to the store, or make a new pack, can change them without a trace. If they have to be beyond doubt,
keep packs where nobody can replace them, and compare.

“Since” is the first snapshot from which a finding holds without interruption. Durations end at the
latest snapshot of the account's integration. All times are UTC.

The rules

"""
