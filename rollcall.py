"""The `rollcall` command: what the web app does, without the web app."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from data.home import Home, here
from data.inbox import (
    Refused,
    counts_in_words,
    in_words,
    load_waiting,
    put_into_inbox,
    reason_for,
)
from data.loading import Loaded, SnapshotFile, load, moment_of
from data.refusals import SnapshotRefused
from data.sample import write_sample
from data.states import STATE_BY_NAME
from data.store import StoreInUse, close_stores, open_store
from queries.export import FORMATS, export_file
from queries.filters import Filters
from queries.users import SORTS, order_of

DONE, REFUSED, USAGE = 0, 1, 2
"""Exit codes."""

LONGEST_WAIT = 600
"""Seconds that `load` waits for a running app to load its files."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0: done, 1: a file was refused, 2: wrong usage."""
    args = _parser().parse_args(words)
    try:
        return args.run(args)
    except SnapshotRefused as refusal:
        return _fail(str(refusal), REFUSED)
    except StoreInUse as fault:
        return _fail(f"{fault} Stop it, then try again.", REFUSED)
    except OSError as fault:  # a folder that is not there, a full disk
        return _fail(_fault_in_words(fault), REFUSED)
    finally:
        close_stores()


def load_files(args: argparse.Namespace) -> int:
    """Put the files into the inbox; load them here, unless a running app does."""
    home, waiting, outcome = here(), [], DONE
    for path in args.files:
        try:
            file = SnapshotFile.placed(path, args.integration, args.taken_at)
            waiting.append(put_into_inbox(home, file, replace=args.replace))
        except (SnapshotRefused, OSError) as fault:
            outcome = _fail(_fault_in_words(fault), REFUSED)
    if waiting:
        outcome = max(outcome, _load_or_await(home, waiting))
    return outcome


def check_files(args: argparse.Namespace) -> int:
    """Load each file into a store of its own that is thrown away, and tell what came of it."""
    worst = DONE
    for path in args.files:
        moment = args.taken_at or moment_of(path.name.split(".")[0]) or datetime(1970, 1, 1)
        file = SnapshotFile(path, args.integration or path.absolute().parent.name, moment)
        try:
            found = load(open_store("duckdb:///:memory:"), file)
            told = {name: getattr(found, name) for name in COUNTS}
            words = f"{path.name}: {counts_in_words(found)}"
        except (SnapshotRefused, OSError) as fault:
            words, worst = _fault_in_words(fault), REFUSED
            told = {"refused": words}
        finally:
            close_stores()
        if args.json:
            print(json.dumps({"file": path.name, **told}))
        else:
            print(words, file=sys.stderr if "refused" in told else sys.stdout)
    return worst


COUNTS = ("rows_read", "accepted", "rejected", "flagged")


def export(args: argparse.Namespace) -> int:
    """Write the filtered list to a file."""
    filters = Filters(
        integration=tuple(args.integration or ()),
        state=tuple(args.state or ()),
        role=tuple(args.role or ()),
        active=args.active,
        match=args.match,
        q=args.q,
        as_of=args.as_of,
    )
    column, descending = order_of(args.sort)
    engine = open_store(here().database_url)
    with engine.connect() as con:
        rows = export_file(
            con,
            filters,
            args.output,
            args.format,
            sort=column,
            descending=descending,
        )
    print(f"{args.output}: {rows:,} accounts.")
    return DONE


def rebuild(_: argparse.Namespace) -> int:
    """Make the store anew from the archive, beside the old one, and put it in its place."""
    home = here()
    url = home.database_url
    path = Path(url.removeprefix("duckdb:///"))
    fresh = path.with_name(f"{path.name}.new")
    paths = sorted(_archived(home), key=lambda path: (path.name, path.parent.name))
    with open_store(url).connect():  # refuses where an app has it open, and keeps apps out
        if not paths:
            print(f"No files in {home.archive}: nothing to rebuild.")
            return DONE
        for left_over in (fresh, Path(f"{fresh}.wal")):
            left_over.unlink(missing_ok=True)
        engine, failed = open_store(f"duckdb:///{fresh}"), 0
        for number, archived in enumerate(paths, start=1):
            try:
                file = SnapshotFile.placed(archived, integration=archived.parent.name)
                print(f"{number} of {len(paths)}: {in_words(load(engine, file, confirmed=True))}")
            except (SnapshotRefused, OSError) as fault:
                failed += 1
                _fail(f"{archived}: {_fault_in_words(fault)}", REFUSED)
    close_stores()
    if failed:
        fresh.unlink()
        return _fail(
            f"The store stays as it was: {failed:,} of {len(paths):,} files of the archive "
            "cannot be loaded. Move them out of the archive to rebuild without them.",
            REFUSED,
        )
    fresh.replace(path)
    print(f"The store holds {len(paths):,} snapshots again.")
    return DONE


def _archived(home: Home) -> Iterable[Path]:
    return (p for p in home.archive.glob("*/*") if p.is_file() and not p.name.startswith("."))


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
    return DONE


def _load_or_await(home: Home, waiting: list[Path]) -> int:
    """Load what is in the inbox; while another process holds the store, wait for it to do so."""
    give_up = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            engine = open_store(home.database_url)
        except StoreInUse:
            if not any(path.exists() for path in waiting):
                return max(_tell_of_app(home, path) for path in waiting)
            if time.monotonic() > give_up:
                return _fail(f"The app has not taken the files out of {home.inbox}.", REFUSED)
            time.sleep(0.2)
        else:
            taken = [path for path in waiting if not path.exists()]
            outcomes = load_waiting(engine, home)
            return max(
                DONE, *(_tell_of_app(home, path) for path in taken), _tell(outcomes, waiting)
            )


def _tell_of_app(home: Home, path: Path) -> int:
    """What became of a file that the running app took out of the inbox."""
    reason = reason_for(home, path)
    if reason.exists():
        return _fail(reason.read_text(encoding="utf-8").strip(), REFUSED)
    print(f"{path.parent.name}/{path.name}: loaded by the running app.")
    return DONE


def _tell(outcomes: list[Loaded | Refused], asked: list[Path]) -> int:
    """Tell of all; only a refusal of what was asked to be loaded counts."""
    names, worst = {(path.parent.name, path.name) for path in asked}, DONE
    for outcome in outcomes:
        if isinstance(outcome, Loaded):
            print(in_words(outcome))
            continue
        code = _fail(outcome.reason, REFUSED)
        if (outcome.path.parent.name, outcome.path.name) in names:
            worst = code
    return worst


def _fault_in_words(fault: SnapshotRefused | OSError) -> str:
    if isinstance(fault, OSError) and fault.filename:
        return f"{fault.filename}: {fault.strerror}."
    return str(fault)


def _fail(words: str, code: int) -> int:
    print(words, file=sys.stderr)
    return code


def _moment(text: str) -> datetime:
    moment = moment_of(text)
    if moment is None:
        raise argparse.ArgumentTypeError(f"“{text}” is no moment; expected 2026-11-23T06:00:00Z")
    return moment


def _text(text: str) -> str:
    """Bytes that are no UTF-8 reach Python as lone surrogates, which no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from fault
    return text


def _state(text: str) -> str:
    """A state in any case, spelled with spaces, underscores or dashes."""
    spoken = text.replace("_", " ").replace("-", " ").strip().capitalize()
    if spoken not in STATE_BY_NAME:
        known = ", ".join(STATE_BY_NAME)
        raise argparse.ArgumentTypeError(f"“{text}” is no provisioning state; expected {known}")
    return spoken


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number")
    return int(text)


def _count(text: str) -> int:
    if _number(text) < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return _number(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rollcall", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(words, help=run.__doc__, description=run.__doc__)
        sub.set_defaults(run=run)
        return sub

    for run, name in ((load_files, "load"), (check_files, "check")):
        files = command(run, name)
        files.add_argument("files", nargs="+", type=Path, metavar="FILE")
        files.add_argument("--integration", metavar="NAME", help="what the files list")
        files.add_argument("--taken-at", type=_moment, metavar="TIME", help="when, in UTC")
        if run is load_files:
            files.add_argument("--replace", action="store_true", help="what is loaded for the time")
        else:
            files.add_argument("--json", action="store_true", help="one JSON object per file")

    listed = command(export, "export")
    listed.add_argument("--format", choices=FORMATS, default="csv")
    listed.add_argument("--output", type=Path, required=True, metavar="FILE")
    for name, kind in (("integration", _text), ("state", _state), ("role", _text)):
        listed.add_argument(f"--{name}", action="append", type=kind, metavar=name.upper())
    listed.add_argument("--active", choices=["yes", "no", "unknown"])
    listed.add_argument("--match", choices=["matched", "unmatched"])
    listed.add_argument(
        "--q",
        type=_text,
        default="",
        metavar="TEXT",
        help="in user, email, username or upstream ID",
    )
    listed.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="as it was at a moment, in UTC"
    )
    orders = [order for name in SORTS for order in (name, f"-{name}")]
    words = f"one of {', '.join(SORTS)}; --sort=-user is user from the end"
    listed.add_argument("--sort", choices=orders, default="user", metavar="COLUMN", help=words)

    command(rebuild, "rebuild")

    made_up = command(sample, "sample")
    made_up.add_argument("directory", type=Path, metavar="DIR")
    for name, default in (("accounts", 300), ("days", 90), ("integrations", 6)):
        made_up.add_argument(f"--{name}", type=_count, default=default, metavar=name[0].upper())
    made_up.add_argument("--seed", type=_number, default=1, metavar="S")
    return parser


if __name__ == "__main__":
    sys.exit(main())
