"""The command `check`: the load report of a file that is not loaded yet."""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from commands import EXIT_OK, EXIT_REJECTED, error_text
from commands.arguments import requested_mapping
from data.files.errors import SnapshotRejected
from data.files.headers import column_title
from data.files.mapping import NO_MAPPING, ColumnMapping
from data.files.naming import SnapshotFile, parse_file_moment
from data.files.relation import shorten
from data.formatting import iso_z
from data.history.load_report import QUALITY_LABELS
from data.history.preview import preview
from data.home import current_home
from data.sources.delivery import inspect_file
from data.store.adapter import adapter_for
from data.store.engine import open_store
from data.store.errors import StoreInUse

COUNT_FIELDS = ("rows_read", "accepted", "rejected", "merged", "flagged")
CHANGE_FIELDS = ("added", "changed", "removed", "being_deleted")

UNKNOWN_TAKEN_AT = datetime(1970, 1, 1)
"""Time of a file that does not give one: before all others, so there is nothing to compare with."""


def check_files(args: argparse.Namespace) -> int:
    """Print the load report of each file, compared with the snapshot before; load nothing."""
    exit_code, engine = EXIT_OK, _comparison_store()
    for path in args.files:
        report = _check_file(engine, path, args)
        if "error" in report or "on_hold" in report:
            exit_code = EXIT_REJECTED
        if args.json:
            print(json.dumps({"file": path.name, **report}, ensure_ascii=False))
        else:
            stream = sys.stderr if "error" in report else sys.stdout
            print(*_report_lines(path, report), sep="\n", file=stream)
    return exit_code


def _comparison_store() -> sa.Engine:
    """The home's store; an empty one if there is none, or another process has it."""
    url, empty_url = current_home().database_url, "duckdb:///:memory:"
    if not adapter_for(url).exists(url):
        return open_store(empty_url)
    try:
        return open_store(url)
    except StoreInUse as error:
        print(f"{error} So there is nothing to compare with.", file=sys.stderr)
        return open_store(empty_url)


def _check_file(engine: sa.Engine, path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The load report of a file as JSON values, or the error."""
    taken_at = args.taken_at or parse_file_moment(path.name) or UNKNOWN_TAKEN_AT
    integration = args.integration or path.absolute().parent.name
    mapping = NO_MAPPING
    try:
        mapping = requested_mapping(args, current_home(), integration) or NO_MAPPING
        previewed = preview(engine, SnapshotFile(path, integration, taken_at, mapping))
    except SnapshotRejected as error:
        return {"error": error_text(error)} | _inspection(path, mapping)
    except OSError as error:
        return {"error": error_text(error)}
    load_report = previewed.load_report
    report: dict[str, Any] = {"quality": load_report.quality, "row_noun": load_report.row_noun}
    report |= _inspection(path, mapping)
    report |= {field: getattr(load_report, field) for field in COUNT_FIELDS}
    if load_report.previous:
        report["previous"] = iso_z(load_report.previous.taken_at)
        report |= {field: getattr(load_report, field) for field in CHANGE_FIELDS}
    report |= {"warnings": load_report.warnings(), "remarks": load_report.remarks()}
    report["rejected_rows"] = [
        {"line": line, "reason": reason} for line, _, reason in previewed.rejected
    ]
    if load_report.confirmation_reason and not previewed.already_loaded:
        report["on_hold"] = load_report.confirmation_reason
    return report


def _inspection(path: Path, saved: ColumnMapping) -> dict[str, Any]:
    """What the file was read as, and the mapping with its own words, as JSON values.

    There is no mapping for a file with Rollcall's own headings, and for one of another product.
    """
    try:
        with open_store("duckdb:///:memory:").connect() as con:
            found = inspect_file(con, path, path.name, saved)
    except SnapshotRejected:
        return {}
    if found.error:
        return {}
    report, proposal = {"read_as": found.recognition.sentence}, found.proposal
    if not proposal or not (proposal.reasons or proposal.unsure):
        return report
    guessed = {name: guess.headings for name, guess in proposal.unsure.items()}
    mapping = proposal.mapping.with_columns({**proposal.mapping.columns, **guessed})
    return {**report, "mapping": mapping.as_toml(), "unsure": [*guessed], "words": proposal.words}


def _report_lines(path: Path, report: dict[str, Any]) -> Iterator[str]:
    """The load report for people."""
    if "error" in report:
        yield f"{path.name}: rejected. {report['error']}"
        yield from _read_as_lines(report)
        yield from _mapping_lines(report)
        return
    yield f"{path.name}: {'on hold' if 'on_hold' in report else QUALITY_LABELS[report['quality']]}."
    yield from _read_as_lines(report)
    yield f"  {report['accepted']:,} of {report['rows_read']:,} rows are accounts."
    if "previous" in report:
        changes = ", ".join(f"{report[name]:,} {name}" for name in CHANGE_FIELDS[:3])
        yield f"  Compared with {report['previous']}: {changes}."
    yield from (f"  Check: {sentence}" for sentence in report["warnings"])
    yield from (f"  {text}" for text in report["remarks"] if text != report.get("read_as"))
    place = report["row_noun"].capitalize()
    yield from (f"  {place} {row['line']}: {row['reason']}" for row in report["rejected_rows"])
    yield from _mapping_lines(report)


def _read_as_lines(report: dict[str, Any]) -> Iterator[str]:
    if "read_as" in report:
        yield f"  {report['read_as']}"


def _mapping_lines(report: dict[str, Any]) -> Iterator[str]:
    """The proposed mapping as text to save, with what a person has to look at."""
    if "mapping" not in report:
        return
    yield "  Proposed mapping, for rollcall load --mapping:"
    yield from (f"    {line}".rstrip() for line in report["mapping"].splitlines())
    if report["unsure"]:
        yield f"  Check these columns: {', '.join(map(column_title, report['unsure']))}."
    for name, counts in report["words"].items():
        words = ", ".join(f"{shorten(word)} ({count:,})" for word, count in counts.items())
        yield f"  Values of {column_title(name)}: {words}."
