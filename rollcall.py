"""The `rollcall` command: what the web app does, without the web app."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from getpass import getuser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine

from data.files.archive import create_archive
from data.files.errors import SnapshotRejected
from data.files.formats import row_noun
from data.files.mapping import parse_mapping, read_mapping, save_mapping
from data.files.naming import SnapshotFile, parse_moment
from data.history.load import LoadResult
from data.history.preview import preview
from data.home import Home, current_home
from data.inbox.inbox import Outcome, Quarantined, describe_load, load_inbox, put_into_inbox
from data.inbox.pull import configured_pulls, pull_to_inbox, secrets_path
from data.inbox.quarantine import reason_path
from data.records.audit_log import Event, flush_pending, record_event
from data.sample.files import write_sample
from data.service.backup import write_backup
from data.service.instance import running_instance
from data.service.rebuild import archived_files, load_missing, open_or_rebuild
from data.service.rebuild import rebuild as make_anew
from data.sources.http import PullFailed
from data.store.citus import ClusterError, distribute
from data.store.copy import copy_store, find_different_tables
from data.store.engine import close_stores, open_store
from data.store.errors import StoreError, StoreInUse, StoreUnusable
from data.store.pseudonyms import reveal
from queries.evidence.proof import InvalidPack, verify
from queries.export.formats import FORMATS, export_file
from queries.export.listing import LISTING_COLUMNS, ListRequest, UnknownColumns, parse_columns
from queries.filters import FILTERS, Filter, Filters
from queries.users.accounts import SORTS

EXIT_OK, EXIT_REJECTED, EXIT_USAGE = 0, 1, 2
"""Exit codes."""

CONFIRM_HINT = " To load it all the same: rollcall load --confirm, or the Snapshots page."

MAX_WAIT_SECONDS = 600
"""Seconds that `load` waits for a running app to load its files."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0: done, 1: a file was refused, 2: wrong usage."""
    args = _build_parser().parse_args(argv)
    try:
        return args.run(args)
    except (SnapshotRejected, PullFailed) as rejection:
        return _fail(str(rejection), EXIT_REJECTED)
    except StoreInUse as error:
        server = running_instance(current_home())
        location = f" Rollcall shows it at {server.address}." if server else ""
        return _fail(f"{error}{location} Stop it, then try again.", EXIT_REJECTED)
    except StoreUnusable as error:
        return _fail(f"{error} To make it anew from the archive: rollcall rebuild.", EXIT_REJECTED)
    except (StoreError, ClusterError) as error:
        return _fail(str(error), EXIT_REJECTED)
    except OSError as error:  # a folder that is not there, a full disk
        return _fail(_format_error(error), EXIT_REJECTED)
    finally:
        close_stores()


def load_files(args: argparse.Namespace) -> int:
    """Put the files into the inbox; load them here, unless a running app does."""
    home, inbox_paths, exit_code = current_home(), [], EXIT_OK
    if args.mapping:
        first = SnapshotFile.from_path(args.files[0], args.integration, args.taken_at)
        save_mapping(home, first.integration, parse_mapping(args.mapping.read_text("utf-8")))
    with _zipped_together(args) if args.together else nullcontext(args.files) as files:
        for path in files:
            try:
                file = SnapshotFile.from_path(path, args.integration, args.taken_at)
                marks = {"replace": args.replace, "confirmed": args.confirm}
                inbox_paths.append(put_into_inbox(home, file, **marks))
                details = {"integration": file.integration, "taken_at": f"{file.taken_at}Z"}
                record_event(
                    home,
                    f"{getuser()} at the command line",
                    Event.FILE_DELIVERED,
                    **details,
                    **marks,
                )
            except (SnapshotRejected, OSError) as error:
                exit_code = _fail(_format_error(error), EXIT_REJECTED)
    if inbox_paths:
        exit_code = max(exit_code, _load_or_await(home, inbox_paths))
    return exit_code


@contextmanager
def _zipped_together(args: argparse.Namespace) -> Iterator[list[Path]]:
    """All the files in one archive, placed like the first of them."""
    first = SnapshotFile.from_path(args.files[0], args.integration, args.taken_at)
    with TemporaryDirectory() as folder:
        archive = Path(folder) / first.integration / f"{first.taken_at:%Y-%m-%dT%H-%M-%SZ}.zip"
        archive.parent.mkdir()
        create_archive(args.files, archive)
        yield [archive]


def pull_all(args: argparse.Namespace) -> int:
    """Ask servers for their accounts, as sections [pull.NAME] of the secrets say, and load them."""
    configs = {config.integration: config for config in configured_pulls()}
    if unknown := [name for name in args.names if name not in configs]:
        message = f"No section [pull.{unknown[0]}] in {secrets_path()}; there is: "
        return _fail(message + (", ".join(configs) or "none."), EXIT_USAGE)
    if not configs:
        return _fail(f"Nothing to pull: no section [pull.NAME] in {secrets_path()}.", EXIT_USAGE)
    home, inbox_paths, exit_code = current_home(), [], EXIT_OK
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name in args.names or configs:
        line = _ProgressLine(name)
        try:
            inbox_paths.append(pull_to_inbox(home, configs[name], line.update))
        except (PullFailed, SnapshotRejected, OSError) as error:
            exit_code = line.finish(_fail, f"{name}: {_format_error(error)}", EXIT_REJECTED)
        else:
            line.finish(print, f"{name}: {line.message}.")
    return max(exit_code, _load_or_await(home, inbox_paths)) if inbox_paths else exit_code


class _ProgressLine:
    """How far a pull is: one line that changes, or a line now and then where nobody looks on."""

    def __init__(self, name: str) -> None:
        self.name, self.message, self._printed_at = name, "", time.monotonic()

    def update(self, message: str) -> None:
        self.message = message
        if sys.stderr.isatty():
            print(f"\r\x1b[K{self.name}: {message}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._printed_at > PROGRESS_SECONDS:
            self._printed_at = time.monotonic()
            print(f"{self.name}: {message}", file=sys.stderr, flush=True)

    def finish(self, print_result: Callable[..., Any], *arguments: Any) -> Any:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return print_result(*arguments)


PROGRESS_SECONDS = 10
"""Seconds."""


def check_files(args: argparse.Namespace) -> int:
    """Tell the passport of each file, against the snapshot before; load nothing."""
    exit_code, engine = EXIT_OK, _comparison_store()
    for path in args.files:
        report = _check_file(engine, path, args)
        exit_code = max(exit_code, EXIT_REJECTED if {"refused", "held"} & set(report) else EXIT_OK)
        if args.json:
            print(json.dumps({"file": path.name, **report}, ensure_ascii=False))
        else:
            stream = sys.stderr if "refused" in report else sys.stdout
            print(*_report_lines(path, report), sep="\n", file=stream)
    return exit_code


def _comparison_store() -> Engine:
    """The store of the home; an empty one where there is none, or another process has it."""
    url, empty_url = current_home().database_url, "duckdb:///:memory:"
    if url.startswith("duckdb:///") and not Path(url.removeprefix("duckdb:///")).exists():
        return open_store(empty_url)
    try:
        return open_store(url)
    except StoreInUse as error:
        print(f"{error} So there is nothing to compare with.", file=sys.stderr)
        return open_store(empty_url)


def _check_file(engine: Engine, path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What came of trying to load the file: its passport, or why it is refused."""
    taken_at = args.taken_at or parse_moment(path.name.split(".")[0]) or UNKNOWN_TAKEN_AT
    integration = args.integration or path.absolute().parent.name
    try:
        columns = parse_mapping(args.mapping.read_text("utf-8")) if args.mapping else None
        file = SnapshotFile(
            path, integration, taken_at, columns or read_mapping(current_home(), integration)
        )
        previewed = preview(engine, file)
    except (SnapshotRejected, OSError) as error:
        return {"refused": _format_error(error)}
    load_report = previewed.load_report
    report: dict[str, Any] = {
        "quality": load_report.quality,
        **{field: getattr(load_report, field) for field in COUNT_FIELDS},
    }
    if load_report.previous:
        report["before"] = f"{load_report.previous.taken_at.isoformat()}Z"
        report |= {field: getattr(load_report, field) for field in CHANGE_FIELDS}
    report |= {"look_at": load_report.warnings(), "remarks": load_report.remarks()}
    report["rejected_rows"] = [
        {"line": line, "reason": reason} for line, _, reason in previewed.rejected
    ]
    if load_report.confirmation_reason and not previewed.already_loaded:
        report["held"] = load_report.confirmation_reason
    return report


def _report_lines(path: Path, report: dict[str, Any]) -> Iterator[str]:
    """A passport as a person reads it."""
    if "refused" in report:
        yield f"{path.name}: refused. {report['refused']}"
        return
    quality = "held" if "held" in report else QUALITY_LABELS[report["quality"]]
    yield f"{path.name}: {quality}."
    yield f"  {report['accepted']:,} of {report['rows_read']:,} rows are accounts."
    if "before" in report:
        changes = ", ".join(
            f"{report[name]:,} {name}" for name in CHANGE_FIELDS if name != "being_deleted"
        )
        yield f"  Against {report['before']}: {changes}."
    yield from (f"  Look at: {sentence}" for sentence in report["look_at"])
    yield from (f"  {sentence}" for sentence in report["remarks"])
    place = row_noun(path.name).capitalize()
    yield from (f"  {place} {row['line']}: {row['reason']}" for row in report["rejected_rows"])


QUALITY_LABELS = {"ok": "OK", "check": "Check"}
COUNT_FIELDS = ("rows_read", "accepted", "rejected", "flagged")
CHANGE_FIELDS = ("added", "changed", "removed", "being_deleted")
UNKNOWN_TAKEN_AT = datetime(1970, 1, 1)
"""For a file that does not say when it was taken: before all others, so compared with none."""


def export(args: argparse.Namespace) -> int:
    """Write the filtered list to a file."""
    params = {filter_.name: getattr(args, filter_.name) for filter_ in FILTERS}
    filters = replace(Filters.from_params(params), as_of=args.as_of)
    list_request = ListRequest(filters, args.sort, parse_columns(args.columns))
    with open_store(current_home().database_url).connect() as con:
        rows = export_file(con, list_request, args.output, args.format, with_manifest=args.about)
    print(f"{args.output}: {rows:,} accounts.")
    return EXIT_OK


def rebuild(_: argparse.Namespace) -> int:
    """Make the store anew from the archive, beside the old one, and put it in its place."""
    home = current_home()
    if not archived_files(home):
        print(f"No files in {home.archive}: nothing to rebuild.")
        return EXIT_OK
    print(f"The store holds {make_anew(home, _print_progress):,} snapshots again.")
    return EXIT_OK


def _print_progress(done: int, total: int, message: str) -> None:
    print(f"{done:,} of {total:,}: {message}" if done else message)


def backup(args: argparse.Namespace) -> int:
    """Write what cannot be made anew into a tar archive, also while the app runs."""
    files = write_backup(current_home(), args.file)
    print(f"{args.file}: {files:,} files. It holds all that Rollcall knows: keep it as safe.")
    return EXIT_OK


def init(args: argparse.Namespace) -> int:
    """Make the store's tables where there are none; on a Citus cluster, spread them."""
    engine = open_store(current_home().database_url)
    if args.distributed:
        print(f"Spread over the cluster: {', '.join(distribute(engine)) or 'nothing new'}.")
    print(f"The store is ready: {engine.url!r}.")
    return EXIT_OK


def copy(args: argparse.Namespace) -> int:
    """Copy a store into an empty one, then check that both hold and answer the same."""
    # with it comes pandas, in which charts get their numbers; no other command waits for that
    from queries.parity import count_checks, find_differences

    source, target = (open_store(_store_url(name)) for name in (args.source, args.target))
    copy_store(source, target, lambda name, rows: print(f"{name}: {rows:,} rows."))
    differences = [f"The rows of {name}." for name in find_different_tables(source, target)]
    with source.connect() as source_con, target.connect() as target_con:
        question_count = count_checks(source_con)
        differences += [
            f"The answer to: {name}." for name in find_differences(source_con, target_con)
        ]
    for difference in differences:
        _fail(f"Differs: {difference}", EXIT_REJECTED)
    if differences:
        return EXIT_REJECTED
    print(f"Both hold the same rows in every table, and answer {question_count:,} questions alike.")
    return EXIT_OK


def _store_url(name: str) -> str:
    """An address, or the path of a DuckDB file."""
    return name if "://" in name else f"duckdb:///{Path(name).expanduser().absolute()}"


def verify_pack(args: argparse.Namespace) -> int:
    """Prove an evidence pack from the archive: load its snapshots anew, and compare every row."""
    try:
        mismatches = verify(args.pack, current_home(), _print_loaded)
    except InvalidPack as error:
        return _fail(str(error), EXIT_REJECTED)
    for mismatch in mismatches:
        _fail(f"{args.pack.name}: {mismatch}", EXIT_REJECTED)
    if mismatches:
        return _fail(f"{args.pack.name} is not proved.", EXIT_REJECTED)
    print(f"{args.pack.name} is proved: every row follows from the snapshots in the archive.")
    print("Who accepted what is as it was recorded; no snapshot can prove that.")
    return EXIT_OK


def _print_loaded(done: int, total: int) -> None:
    if done == total or not done % 100:
        print(f"{done:,} of {total:,} snapshots loaded anew.")


def sample(args: argparse.Namespace) -> int:
    """Write made-up snapshots."""
    paths = write_sample(
        args.directory,
        accounts=args.accounts,
        days=args.days,
        integrations=args.integrations,
        seed=args.seed,
    )
    print(f"{args.directory}: {len(paths):,} snapshots.")
    return EXIT_OK


def _load_or_await(home: Home, inbox_paths: list[Path]) -> int:
    """Load what is in the inbox; while another process holds the store, wait for it to do so."""
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        try:
            engine = open_or_rebuild(home, _print_progress)
            for message in load_missing(engine, home, _print_progress):
                _fail(message, EXIT_REJECTED)
        except StoreInUse:
            if not any(path.exists() for path in inbox_paths):
                return max(_report_app_outcome(home, path) for path in inbox_paths)
            if time.monotonic() > deadline:
                return _fail(f"The app has not taken the files out of {home.inbox}.", EXIT_REJECTED)
            time.sleep(0.2)
        else:
            taken_paths = [path for path in inbox_paths if not path.exists()]
            outcomes = load_inbox(engine, home, _draw_bar)
            flush_pending(engine, home)
            return max(
                EXIT_OK,
                *(_report_app_outcome(home, path) for path in taken_paths),
                _report_outcomes(outcomes, inbox_paths),
            )


def _draw_bar(done: int, total: int) -> None:
    """How far a load of several files is, for a person who looks on."""
    if total < 2 or not sys.stderr.isatty():
        return
    filled = BAR_WIDTH * done // total
    bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done:,} of {total:,}"
    print(f"\r{bar}", end="\n" if done == total else "", file=sys.stderr, flush=True)


BAR_WIDTH = 40
"""Characters of a bar that is full."""


def _report_app_outcome(home: Home, path: Path) -> int:
    """What became of a file that the running app took out of the inbox."""
    for verdict in ("held", "refused"):
        reason_file = reason_path(home, path, verdict)
        if reason_file.exists():
            message = reason_file.read_text(encoding="utf-8").strip()
            return _fail(message + (CONFIRM_HINT if verdict == "held" else ""), EXIT_REJECTED)
    print(f"{path.parent.name}/{path.name}: loaded by the running app.")
    return EXIT_OK


def _report_outcomes(outcomes: list[Outcome], requested_paths: list[Path]) -> int:
    """Tell of all; only a refusal of what was asked to be loaded counts."""
    names, exit_code = {(path.parent.name, path.name) for path in requested_paths}, EXIT_OK
    for outcome in outcomes:
        if isinstance(outcome, LoadResult):
            print(describe_load(outcome))
            continue
        is_on_hold = isinstance(outcome, Quarantined) and outcome.verdict == "held"
        code = _fail(outcome.reason + (CONFIRM_HINT if is_on_hold else ""), EXIT_REJECTED)
        if (outcome.path.parent.name, outcome.path.name) in names:
            exit_code = code
    return exit_code


def _format_error(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return str(error)


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _parse_moment(text: str) -> datetime:
    moment = parse_moment(text)
    if moment is None:
        raise argparse.ArgumentTypeError(f"“{text}” is no moment; expected 2026-11-23T06:00:00Z")
    return moment


def _parse_text(text: str) -> str:
    """Bytes that are no UTF-8 reach Python as lone surrogates, which no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from error
    return text


def _parse_columns(text: str) -> str:
    try:
        parse_columns([text])
    except UnknownColumns as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _parse_filter(filter_: Filter, text: str) -> str:
    """A value as an address has it; a state in any case, with spaces, underscores or dashes."""
    value = _parse_text(text)
    if filter_.name == "state":
        value = value.replace("_", " ").replace("-", " ").strip().capitalize()
    if not filter_.parse([value]):
        expected = f"; expected {', '.join(filter_.choices)}" if filter_.choices else ""
        raise argparse.ArgumentTypeError(f"“{text}” is not understood{expected}")
    return value


def _parse_number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number")
    return int(text)


def _parse_count(text: str) -> int:
    if _parse_number(text) < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return _parse_number(text)


def reveal_pseudonyms(args: argparse.Namespace) -> int:
    """Tell whom pseudonyms stand for, with the key in the home."""
    home = current_home()
    with open_store(home.database_url).connect() as con:
        values_by_pseudonym = reveal(con, home, args.pseudonyms)
    record_event(
        home, f"{getuser()} at the command line", Event.REVEALED, pseudonyms=args.pseudonyms
    )
    if args.json:
        print(json.dumps(values_by_pseudonym, ensure_ascii=False))
    else:
        for pseudonym, values in values_by_pseudonym.items():
            print(f"{pseudonym}: {', '.join(values) or 'stands for nothing that is known here'}")
    return EXIT_OK if all(values_by_pseudonym.values()) else EXIT_REJECTED


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rollcall", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], name: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        sub.set_defaults(run=run)
        return sub

    reveal_parser = command(reveal_pseudonyms, "reveal")
    reveal_parser.add_argument("pseudonyms", nargs="+", metavar="PSEUDONYM")
    reveal_parser.add_argument("--json", action="store_true", help="as JSON")

    for run, name in ((load_files, "load"), (check_files, "check")):
        file_parser = command(run, name)
        file_parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        file_parser.add_argument("--integration", metavar="NAME", help="what the files list")
        file_parser.add_argument(
            "--taken-at", type=_parse_moment, metavar="TIME", help="when, in UTC"
        )
        file_parser.add_argument(
            "--mapping",
            type=Path,
            metavar="TOML",
            help="which heading is which column; `load` keeps it for the integration",
        )
        if run is load_files:
            file_parser.add_argument(
                "--replace", action="store_true", help="what is loaded for the time"
            )
            file_parser.add_argument(
                "--confirm", action="store_true", help="load what is held: you have looked at it"
            )
            file_parser.add_argument(
                "--together", action="store_true", help="all files are one snapshot, like pages"
            )
        else:
            file_parser.add_argument("--json", action="store_true", help="one JSON object per file")

    pull_parser = command(pull_all, "pull")
    pull_parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which; all where none is named"
    )

    export_parser = command(export, "export")
    export_parser.add_argument("--format", choices=FORMATS, default="csv")
    export_parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    for filter_ in FILTERS:
        export_parser.add_argument(
            f"--{filter_.name.replace('_', '-')}",
            action="append",
            default=[],
            type=partial(_parse_filter, filter_),
            metavar=filter_.name.upper(),
            help=f"{filter_.label}: {', '.join(filter_.choices)}"
            if filter_.choices
            else filter_.label,
        )
    export_parser.add_argument(
        "--as-of", type=_parse_moment, metavar="TIME", help="as it was at a moment, in UTC"
    )
    orders = [order for name in SORTS for order in (name, f"-{name}")]
    help_text = f"one of {', '.join(SORTS)}; --sort=-user is user from the end"
    export_parser.add_argument(
        "--sort", choices=orders, default="user", metavar="COLUMN", help=help_text
    )

    export_parser.add_argument(
        "--columns",
        action="append",
        default=[],
        type=_parse_columns,
        metavar="NAMES",
        help=f"some, in your order, with commas between: {', '.join(LISTING_COLUMNS)}",
    )
    export_parser.add_argument(
        "--no-about",
        dest="about",
        action="store_false",
        help="write no FILE.about.json, which tells the filters, the snapshots and the hash",
    )

    command(rebuild, "rebuild")

    backup_parser = command(backup, "backup")
    backup_parser.add_argument(
        "file", type=Path, metavar="FILE", help="compressed where it ends in .gz"
    )

    init_parser = command(init, "init")
    help_text = "over a Citus cluster: large tables by integration, small ones everywhere"
    init_parser.add_argument("--distributed", action="store_true", help=help_text)

    copy_parser = command(copy, "copy")
    help_text = "a store: postgresql+psycopg://…, or the path of a DuckDB file"
    for name, metavar in (("source", "FROM"), ("target", "TO")):
        copy_parser.add_argument(name, metavar=metavar, help=help_text)

    verify_parser = command(verify_pack, "verify")
    verify_parser.add_argument(
        "pack", type=Path, metavar="PACK", help="a zip file from the Review page"
    )

    sample_parser = command(sample, "sample")
    sample_parser.add_argument("directory", type=Path, metavar="DIR")
    for name, default in (("accounts", 300), ("days", 90), ("integrations", 6)):
        sample_parser.add_argument(
            f"--{name}", type=_parse_count, default=default, metavar=name[0].upper()
        )
    sample_parser.add_argument("--seed", type=_parse_number, default=1, metavar="S")
    return parser


if __name__ == "__main__":
    sys.exit(main())
