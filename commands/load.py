"""The commands `load` and `pull`: put files into the inbox, and load them."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from commands import EXIT_OK, EXIT_USAGE, actor, error_text, fail, print_progress
from commands.arguments import requested_mapping
from data.files.archive import create_archive
from data.files.errors import SnapshotRejected
from data.files.mapping import NO_MAPPING, save_mapping
from data.files.naming import SnapshotFile
from data.formatting import file_stamp
from data.history.load import LoadResult
from data.home import Home, current_home, safe_name
from data.inbox.inbox import Outcome, Quarantined, describe_load, load_inbox, put_into_inbox
from data.inbox.pull import configured_pulls, pull_to_inbox
from data.inbox.quarantine import reason_path
from data.records.audit_log import Event, flush_pending, record_event
from data.secrets_file import secrets_path
from data.service.rebuild import load_missing, open_or_rebuild
from data.sources.http import PullFailed
from data.store.errors import StoreInUse

CONFIRM_HINT = " To load it anyway: rollcall load --confirm, or the Snapshots page."

MAX_WAIT_SECONDS = 600
"""Time for a running app to load the files of `load`."""

PROGRESS_SECONDS = 10
"""Time between two progress lines of a pull where nobody watches."""

BAR_WIDTH = 40
"""Characters of a full progress bar."""


def load_files(args: argparse.Namespace) -> int:
    """Load snapshot files; if the app runs, it loads them."""
    home, inbox_paths, exit_code = current_home(), [], EXIT_OK
    if args.mapping or args.read_as or args.sheet or args.by_username:
        first = SnapshotFile.from_path(args.files[0], args.integration, args.taken_at)
        mapping = requested_mapping(args, home, first.integration) or NO_MAPPING
        mapping = mapping.ignoring_ids() if args.by_username else mapping
        save_mapping(home, first.integration, mapping)
    marks = {"replace": args.replace, "confirmed": args.confirm}
    with _zipped_together(args) if args.together else nullcontext(args.files) as files:
        for path in files:
            try:
                file = SnapshotFile.from_path(path, args.integration, args.taken_at)
                inbox_paths.append(put_into_inbox(home, file, **marks))
            except (SnapshotRejected, OSError) as error:
                exit_code = fail(error_text(error))
                continue
            details = {"integration": file.integration, "taken_at": f"{file.taken_at}Z"}
            record_event(home, actor(), Event.FILE_DELIVERED, **details, **marks)
    return max(exit_code, _load_or_await(home, inbox_paths)) if inbox_paths else exit_code


@contextmanager
def _zipped_together(args: argparse.Namespace) -> Iterator[list[Path]]:
    """One archive of all the files, with the integration and time of the first."""
    first = SnapshotFile.from_path(args.files[0], args.integration, args.taken_at)
    with TemporaryDirectory() as folder:
        archive = Path(folder) / safe_name(first.integration) / f"{file_stamp(first.taken_at)}.zip"
        archive.parent.mkdir()
        create_archive(args.files, archive)
        yield [archive]


def pull_all(args: argparse.Namespace) -> int:
    """Pull account lists from servers, as [pull.NAME] in the secrets says, and load them."""
    configs = {config.integration: config for config in configured_pulls()}
    if unknown := [name for name in args.names if name not in configs]:
        message = f"{secrets_path()} has no section [pull.{unknown[0]}]. Its pulls: "
        return fail(message + (", ".join(configs) or "none."), EXIT_USAGE)
    if not configs:
        message = f"{secrets_path()} has no section [pull.NAME], so there is nothing to pull."
        return fail(message, EXIT_USAGE)
    home, inbox_paths, exit_code = current_home(), [], EXIT_OK
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name in args.names or configs:
        line = _ProgressLine(name)
        try:
            inbox_paths.append(pull_to_inbox(home, configs[name], line.update))
        except (PullFailed, SnapshotRejected, OSError) as error:
            line.clear()
            exit_code = fail(f"{name}: {error_text(error)}")
        else:
            line.clear()
            print(f"{name}: {line.message}.")
    return max(exit_code, _load_or_await(home, inbox_paths)) if inbox_paths else exit_code


class _ProgressLine:
    """The progress of a pull: a line that changes in a terminal, otherwise a line at times."""

    def __init__(self, name: str) -> None:
        self.name, self.message, self._printed_at = name, "", time.monotonic()

    def update(self, message: str) -> None:
        self.message = message
        if sys.stderr.isatty():
            print(f"\r\x1b[K{self.name}: {message}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._printed_at > PROGRESS_SECONDS:
            self._printed_at = time.monotonic()
            print(f"{self.name}: {message}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _load_or_await(home: Home, inbox_paths: list[Path]) -> int:
    """Load the inbox; if another process has the store, wait until that one has loaded it."""
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        try:
            engine = open_or_rebuild(home, print_progress)
            for message in load_missing(engine, home, print_progress):
                fail(message)
            break
        except StoreInUse:
            if not any(path.exists() for path in inbox_paths):
                return max(_report_app_outcome(home, path) for path in inbox_paths)
            if time.monotonic() > deadline:
                return fail(f"The app did not take the files out of {home.inbox}.")
            time.sleep(0.2)
    taken_paths = [path for path in inbox_paths if not path.exists()]
    outcomes = load_inbox(engine, home, _draw_bar)
    flush_pending(engine, home)
    exit_codes = [_report_app_outcome(home, path) for path in taken_paths]
    return max(EXIT_OK, *exit_codes, _report_outcomes(outcomes, inbox_paths))


def _draw_bar(done: int, total: int) -> None:
    """The progress of a load of several files, in a terminal."""
    if total < 2 or not sys.stderr.isatty():
        return
    filled = BAR_WIDTH * done // total
    bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done:,} of {total:,}"
    print(f"\r{bar}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _report_app_outcome(home: Home, path: Path) -> int:
    """Print the outcome of a file that the running app took out of the inbox."""
    for status in ("on hold", "rejected"):
        reason_file = reason_path(home, path, status)
        if reason_file.exists():
            message = reason_file.read_text(encoding="utf-8").strip()
            return fail(message + (CONFIRM_HINT if status == "on hold" else ""))
    print(f"{path.parent.name}/{path.name}: loaded by the running app.")
    return EXIT_OK


def _report_outcomes(outcomes: list[Outcome], requested_paths: list[Path]) -> int:
    """Print all outcomes; only the requested files count for the exit code."""
    names, exit_code = {(path.parent.name, path.name) for path in requested_paths}, EXIT_OK
    for outcome in outcomes:
        if isinstance(outcome, LoadResult):
            print(describe_load(outcome))
            continue
        is_on_hold = isinstance(outcome, Quarantined) and outcome.status == "on hold"
        code = fail(outcome.reason + (CONFIRM_HINT if is_on_hold else ""))
        if (outcome.path.parent.name, outcome.path.name) in names:
            exit_code = code
    return exit_code
