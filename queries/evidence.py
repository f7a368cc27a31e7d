"""The evidence pack: findings as a zip file that anybody with the archive can prove, or disprove.

Every row follows from the snapshots that the pack names by their hashes, from the rules and their
limits. What people accepted is theirs to say; it is in the pack, and in the rows as they said it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.metadata import version
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sqlalchemy import Connection, select, true

from data.tables import accepted, integration, snapshot
from queries.export import tame
from queries.held import View
from queries.review import ACCEPTANCE, FINDING, RULE_BY_NAME, RULES, Rule, all_findings

FORMAT = "rollcall evidence 1"
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
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

Chunks = Generator[bytes, None, None]


@dataclass(frozen=True)
class Evidence:
    """What a pack is of: the chosen rules, asked of one connection, which is one moment."""

    con: Connection
    view: View
    rules: tuple[Rule, ...] = RULES
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Rule → how many findings count, and how many are accepted; known once they are written."""

    def members(self) -> dict[str, Callable[[], Iterable[bytes]]]:
        """File name → what makes the file, of all that the manifest seals."""
        return {
            "README.txt": lambda: [self._read_me().encode()],
            "rules.json": lambda: [_json(self._definitions())],
            "snapshots.json": lambda: [_json(_snapshots(self.con, self.view))],
            "accepted.json": lambda: [_json(_acceptances(self.con, self.view, self.rules))],
            "findings.json": self._as_json,
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
                    yield _told(each, row)

    def facts(self) -> dict[str, Any]:
        """What the manifest says, but for the files."""
        return {
            "format": FORMAT,
            "rollcall": version("rollcall"),
            "made_at": _in_words(self.view.asked_at),
            "as_of": _in_words(self.view.at),
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


def evidence_chunks(evidence: Evidence) -> Chunks:
    """The zip file, piece by piece; the manifest comes last, when all hashes are known."""
    sink, sealed = _Sink(), {}
    with ZipFile(sink, "w", ZIP_DEFLATED) as pack:
        for name, made in evidence.members().items():
            seal, size = hashlib.sha256(), 0
            with pack.open(_entry(name, evidence), "w", force_zip64=True) as file:
                for chunk in made():
                    seal.update(chunk)
                    size += file.write(chunk)
                    yield sink.taken()
            sealed[name] = {"sha256": seal.hexdigest(), "bytes": size}
        manifest = _json(evidence.facts() | {"files": sealed})
        pack.writestr(_entry(MANIFEST, evidence), manifest)
        pack.writestr(_entry(SEAL, evidence), hashlib.sha256(manifest).hexdigest())
    yield sink.taken()


def chosen_rules(names: Sequence[str], severities: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of these names and severities; none named means all."""
    named = [each for each in RULES if each.name in names] or list(RULES)
    return tuple(each for each in named if not severities or each.severity in severities)


def rules_named(names: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of these names, in their order; raises KeyError for one that is none."""
    return tuple(RULE_BY_NAME[name] for name in names)


class _Sink(io.RawIOBase):
    """Takes what a zip file is made of, until somebody takes it away."""

    def __init__(self) -> None:
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        self._content += content
        return len(content)

    def taken(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


def _entry(name: str, evidence: Evidence) -> ZipInfo:
    made = evidence.view.asked_at
    entry = ZipInfo(name, max(made, datetime(1980, 1, 1)).timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    return entry


def _told(rule: Rule, row: Mapping[Any, Any]) -> dict[str, Any]:
    facts = {"rule": rule.name, "severity": rule.severity, **row}
    return {name: _plain(facts[name]) for name in COLUMNS}


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, datetime):
        return _in_words(value)
    return value.isoformat() if isinstance(value, date) else value


def _in_words(moment: datetime | None) -> str | None:
    return f"{moment.isoformat()}Z" if moment else None


def _json(value: Any) -> bytes:
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()


def _line(cells: Iterable[Any]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    text = "; ".join(value) if isinstance(value, list) else str(value)
    return tame(text)


def _snapshots(con: Connection, view: View) -> list[dict[str, Any]]:
    """Every snapshot that the findings may follow from, oldest first: history counts, too."""
    named = integration.c.name.in_(view.integration) if view.integration else true()
    found = con.execute(
        select(integration.c.name.label("integration"), snapshot.c.taken_at, snapshot.c.sha256)
        .join_from(snapshot, integration, integration.c.integration_id == snapshot.c.integration_id)
        .where(named, view.known(snapshot.c.taken_at))
        .order_by(snapshot.c.taken_at, integration.c.name)
    )
    return [{name: _plain(value) for name, value in row.items()} for row in found.mappings()]


def _acceptances(con: Connection, view: View, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """All that was said of findings of the rules by then, in the order in which it was said."""
    said = accepted.c
    named = said.integration.in_(view.integration) if view.integration else true()
    found = con.execute(
        select(accepted)
        .where(
            named, said.rule.in_([each.name for each in rules]), said.accepted_at <= view.said_by()
        )
        .order_by(said.accepted_at, said.integration, said.rule, said.account_id)
    )
    return [{name: _plain(value) for name, value in row.items()} for row in found.mappings()]
