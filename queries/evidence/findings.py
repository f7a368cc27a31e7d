"""Findings as evidence: the chosen rules, asked of the accounts of a moment.

Every row follows from the snapshots that the pack names, from the rules and their limits. What
people accepted is theirs to say; it is in the pack, and in the rows as they said it.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Self

from sqlalchemy import Connection, Engine, insert, select

from data.records.exceptions import RuleSettings
from data.schema import exception
from queries.evidence.pack import (
    Evidence,
    ReadJson,
    json_bytes,
    parse_time,
    row_to_json,
    snapshot_entries,
    to_json_value,
)
from queries.export.formats import escape_formula
from queries.review.duration import View
from queries.review.findings import (
    ACCOUNT_COLUMNS,
    EXCEPTION_COLUMNS,
    all_findings,
    count_findings,
)
from queries.review.rules import RULE_BY_NAME, RULES, Rule

BATCH_SIZE = 1_000
"""Findings that are written at a time."""

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
"""What the files say of a finding."""


@dataclass(frozen=True)
class FindingsEvidence(Evidence):
    """What the chosen rules find, accepted or not."""

    kind: ClassVar[str] = "findings"
    rows_file: ClassVar[str] = "findings.json"
    row_noun: ClassVar[str] = "finding"
    key_columns: ClassVar[tuple[str, ...]] = ("rule", "integration", "account_id")

    view: View
    rules: tuple[Rule, ...] = RULES
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Rule → how many findings count, and how many are accepted; known once they are written."""

    @classmethod
    def from_manifest(cls, con: Connection, manifest: Mapping[str, Any]) -> Self:
        """The evidence that a manifest tells of, asked of another store."""
        filters = manifest["filter"]
        view = View(
            integration=tuple(filters["integration"]),
            as_of=parse_time(manifest["as_of"]),
            limits=RuleSettings.from_dict(manifest["limits"]),
            evaluated_at=parse_time(manifest["made_at"]),
        )
        return cls(con, view, tuple(RULE_BY_NAME[name] for name in filters["rule"]))

    @classmethod
    def restore_records(cls, engine: Engine, read_json: ReadJson) -> None:
        """Say again what people have said of findings."""
        rows = [
            {name: _parse_value(name, row[name]) for name in row}
            for row in read_json("accepted.json")
        ]
        with engine.begin() as con:
            con.execute(insert(exception), rows) if rows else None

    @property
    def made_at(self) -> datetime:
        """When it was asked for; naive UTC."""
        return self.view.evaluated_at

    def members(self) -> dict[str, Callable[[], Iterable[bytes]]]:
        """File name → what makes the file."""
        view = self.view
        return {
            "README.txt": lambda: [self._readme().encode()],
            "rules.json": lambda: [json_bytes(self._rule_definitions())],
            "snapshots.json": lambda: [
                json_bytes(snapshot_entries(self.con, view.integration, view.as_of))
            ],
            "accepted.json": lambda: [json_bytes(self._exceptions())],
            self.rows_file: self._json_chunks,
            "findings.csv": self._csv_chunks,
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """One per finding, accepted or not: by rule, integration and account."""
        for rule in self.rules:
            counter = self.counts[rule.name] = Counter(open=0, accepted=0)
            stream = self.con.execution_options(stream_results=True)
            results = stream.execute(all_findings(self.view, rule)).mappings()
            for batch in results.partitions(BATCH_SIZE):
                for row in batch:
                    counter["accepted" if row["reason"] else "open"] += 1
                    values = {"rule": rule.name, "severity": rule.severity, **row}
                    yield {name: to_json_value(values[name]) for name in FINDING_COLUMNS}

    def count_rows(self) -> int:
        """How many findings there are, before they are written."""
        return sum(sum(count_findings(self.con, self.view, rule)) for rule in self.rules)

    def manifest_fields(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {
            "as_of": to_json_value(self.view.as_of),
            "filter": {
                "integration": list(self.view.integration),
                "rule": [rule.name for rule in self.rules],
            },
            "limits": self.view.limits.to_dict(),
            "counts": self.counts,
        }

    def file_name(self) -> str:
        """`evidence-2026-11-23T06-00-00Z.zip`, by the moment that it is of."""
        rule_suffix = f"-{self.rules[0].name.replace('_', '-')}" if len(self.rules) == 1 else ""
        moment = self.view.as_of or self.view.evaluated_at
        return f"evidence{rule_suffix}-{moment:%Y-%m-%dT%H-%M-%SZ}.zip"

    def _json_chunks(self) -> Iterator[bytes]:
        separator = b"[\n"
        for row in self.rows():
            yield separator + json.dumps(row, ensure_ascii=False).encode()
            separator = b",\n"
        yield b"[]\n" if separator == b"[\n" else b"\n]\n"

    def _csv_chunks(self) -> Iterator[bytes]:
        """For a spreadsheet, in which no text comes alive as a formula."""
        yield "\ufeff".encode() + _csv_line(FINDING_COLUMNS)
        for row in self.rows():
            yield _csv_line([_cell_text(row[name]) for name in FINDING_COLUMNS])

    def _rule_definitions(self) -> list[dict[str, str]]:
        return [
            {
                "rule": rule.name,
                "title": rule.title,
                "severity": rule.severity,
                "in_words": rule.describe(self.view.limits),
            }
            for rule in self.rules
        ]

    def _exceptions(self) -> list[dict[str, Any]]:
        """All that was said of findings of the rules by then, in the order in which it was said."""
        columns, view = exception.c, self.view
        rows = self.con.execute(
            select(exception)
            .where(
                view.includes(exception),
                columns.rule.in_([rule.name for rule in self.rules]),
                columns.accepted_at <= view.records_until(),
            )
            .order_by(columns.accepted_at, columns.integration, columns.rule, columns.account_id)
        )
        return [row_to_json(row) for row in rows.mappings()]

    def _readme(self) -> str:
        rules = "\n".join(
            f"{definition['title']} ({definition['severity']})\n  {definition['in_words']}\n"
            for definition in self._rule_definitions()
        )
        integrations = ", ".join(self.view.integration) or "all integrations"
        as_of = self.view.as_of or self.view.evaluated_at
        return README.format(named=integrations, at=f"{as_of:%Y-%m-%d %H:%M:%S}", rules=rules)


README = """Findings of Rollcall in {named}, as of {at} UTC.

findings.csv, findings.json  One row per finding: the account, since when, and if it is accepted,
                             why, by whom and until when. The CSV is safe to open in a spreadsheet.
snapshots.json               The snapshots that the findings follow from, with their hashes.
rules.json                   The rules in words, with their limits.
accepted.json                All that people have said of such findings, withdrawn or not.
manifest.json                What the pack is of, and the SHA-256 of every file in it.

To prove it, on a machine with the archive:  rollcall verify PACK

That proves the findings: each follows from the snapshots. Who accepted which of them, when and why,
follows from no snapshot: it is what was recorded, under the name that was given, and nobody signed
it. Whoever can write the store, or make a pack anew, can change it without a trace. Where it has to
be beyond doubt, keep packs where nobody can exchange them, and compare.

“Since” is the first snapshot from which a finding has held without interruption. Spans are measured
up to the newest snapshot of the account's integration. All times are UTC.

The rules

{rules}"""


def select_rules(names: Sequence[str], severities: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of these names and severities; none named means all."""
    named_rules = [rule for rule in RULES if rule.name in names] or list(RULES)
    return tuple(rule for rule in named_rules if not severities or rule.severity in severities)


def _parse_value(name: str, value: Any) -> Any:
    """A value of what people said, from its JSON."""
    if name in ("snapshot_taken_at", "accepted_at", "withdrawn_at"):
        return parse_time(value)
    return date.fromisoformat(value) if name == "until" and value else value


def _csv_line(cells: Iterable[Any]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue().encode()


def _cell_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    text = "; ".join(value) if isinstance(value, list) else str(value)
    return escape_formula(text)
