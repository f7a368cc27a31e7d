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

from sqlalchemy import Connection, Engine, insert, select, true

from data.records.exceptions import Limits
from data.schema import accepted
from queries.evidence.pack import Evidence, Told, as_json, moment, plain, snapshots_of, told
from queries.export.formats import tame
from queries.review.duration import View
from queries.review.rules import (
    ACCEPTANCE,
    FINDING,
    RULE_BY_NAME,
    RULES,
    Rule,
    all_findings,
    count_findings,
)

BATCH = 1_000
"""Findings that are written at a time."""

COLUMNS = (
    "rule",
    "severity",
    "integration",
    "account_id",
    *FINDING,
    "since",
    "detail",
    *ACCEPTANCE,
)
"""What the files say of a finding."""


@dataclass(frozen=True)
class Findings(Evidence):
    """What the chosen rules find, accepted or not."""

    of: ClassVar[str] = "findings"
    rows_in: ClassVar[str] = "findings.json"
    one_row: ClassVar[str] = "finding"
    named_by: ClassVar[tuple[str, ...]] = ("rule", "integration", "account_id")

    view: View
    rules: tuple[Rule, ...] = RULES
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Rule → how many findings count, and how many are accepted; known once they are written."""

    @classmethod
    def again(cls, con: Connection, manifest: Mapping[str, Any]) -> Self:
        """The evidence that a manifest tells of, asked of another store."""
        asked = manifest["filter"]
        view = View(
            integration=tuple(asked["integration"]),
            at=moment(manifest["as_of"]),
            limits=Limits.of(manifest["limits"]),
            asked_at=moment(manifest["made_at"]),
        )
        return cls(con, view, tuple(RULE_BY_NAME[name] for name in asked["rule"]))

    @classmethod
    def say_again(cls, engine: Engine, told: Told) -> None:
        """Say again what people have said of findings."""
        rows = [{name: _read(name, row[name]) for name in row} for row in told("accepted.json")]
        with engine.begin() as con:
            con.execute(insert(accepted), rows) if rows else None

    @property
    def made_at(self) -> datetime:
        """When it was asked for; naive UTC."""
        return self.view.asked_at

    def members(self) -> dict[str, Callable[[], Iterable[bytes]]]:
        """File name → what makes the file."""
        view = self.view
        return {
            "README.txt": lambda: [self._read_me().encode()],
            "rules.json": lambda: [as_json(self._definitions())],
            "snapshots.json": lambda: [as_json(snapshots_of(self.con, view.integration, view.at))],
            "accepted.json": lambda: [as_json(self._acceptances())],
            self.rows_in: self._as_json,
            "findings.csv": self._as_csv,
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """One per finding, accepted or not: by rule, integration and account."""
        for each in self.rules:
            counted = self.counts[each.name] = Counter(open=0, accepted=0)
            streamed = self.con.execution_options(stream_results=True)
            found = streamed.execute(all_findings(self.view, each)).mappings()
            for batch in found.partitions(BATCH):
                for row in batch:
                    counted["accepted" if row["reason"] else "open"] += 1
                    facts = {"rule": each.name, "severity": each.severity, **row}
                    yield {name: plain(facts[name]) for name in COLUMNS}

    def how_many(self) -> int:
        """How many findings there are, before they are written."""
        return sum(sum(count_findings(self.con, self.view, each)) for each in self.rules)

    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {
            "as_of": plain(self.view.at),
            "filter": {
                "integration": list(self.view.integration),
                "rule": [each.name for each in self.rules],
            },
            "limits": self.view.limits.facts(),
            "counts": self.counts,
        }

    def file_name(self) -> str:
        """`evidence-2026-11-23T06-00-00Z.zip`, by the moment that it is of."""
        one = f"-{self.rules[0].name.replace('_', '-')}" if len(self.rules) == 1 else ""
        return f"evidence{one}-{self.view.at or self.view.asked_at:%Y-%m-%dT%H-%M-%SZ}.zip"

    def _as_json(self) -> Iterator[bytes]:
        between = b"[\n"
        for row in self.rows():
            yield between + json.dumps(row, ensure_ascii=False).encode()
            between = b",\n"
        yield b"[]\n" if between == b"[\n" else b"\n]\n"

    def _as_csv(self) -> Iterator[bytes]:
        """For a spreadsheet, in which no text comes alive as a formula."""
        yield "\ufeff".encode() + _line(COLUMNS)
        for row in self.rows():
            yield _line([_cell(row[name]) for name in COLUMNS])

    def _definitions(self) -> list[dict[str, str]]:
        return [
            {
                "rule": each.name,
                "title": each.title,
                "severity": each.severity,
                "in_words": each.in_words(self.view.limits),
            }
            for each in self.rules
        ]

    def _acceptances(self) -> list[dict[str, Any]]:
        """All that was said of findings of the rules by then, in the order in which it was said."""
        said, view = accepted.c, self.view
        named = said.integration.in_(view.integration) if view.integration else true()
        found = self.con.execute(
            select(accepted)
            .where(
                named,
                said.rule.in_([each.name for each in self.rules]),
                said.accepted_at <= view.said_by(),
            )
            .order_by(said.accepted_at, said.integration, said.rule, said.account_id)
        )
        return [told(row) for row in found.mappings()]

    def _read_me(self) -> str:
        rules = "\n".join(
            f"{each['title']} ({each['severity']})\n  {each['in_words']}\n"
            for each in self._definitions()
        )
        named = ", ".join(self.view.integration) or "all integrations"
        at = self.view.at or self.view.asked_at
        return READ_ME.format(named=named, at=f"{at:%Y-%m-%d %H:%M:%S}", rules=rules)


READ_ME = """Findings of Rollcall in {named}, as of {at} UTC.

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


def chosen_rules(names: Sequence[str], severities: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of these names and severities; none named means all."""
    named = [each for each in RULES if each.name in names] or list(RULES)
    return tuple(each for each in named if not severities or each.severity in severities)


def _read(name: str, value: Any) -> Any:
    """A value of what people said, from its JSON."""
    if name in ("held_at", "accepted_at", "withdrawn_at"):
        return moment(value)
    return date.fromisoformat(value) if name == "until" and value else value


def _line(cells: Iterable[Any]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    text = "; ".join(value) if isinstance(value, list) else str(value)
    return tame(text)
