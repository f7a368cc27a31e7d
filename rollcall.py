"""The `rollcall` command: what the web app does, without the web app."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from data.home import Home, here
from data.inbox import Refused, in_words, load_waiting, put_into_inbox
from data.loading import Loaded, SnapshotFile, load, moment_of
from data.refusals import SnapshotRefused
from data.sample import write_sample
from data.store import StoreInUse, close_stores, open_store
from queries.export import FORMATS, export_file
from queries.filters import Filters
from queries.users import SORTS

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


def load_files(args: argparse.Namespace) -> int:
    """Put the files into the inbox; load them here, unless a running app does."""
    home = here()
    files = [SnapshotFile.placed(path, args.integration, args.taken_at) for path in args.files]
    waiting = [put_into_inbox(home, file, replace=args.replace) for file in files]
    try:
        engine = open_store(home.database_url)
    except StoreInUse:
        return _await_app(home, waiting)
    outcomes = load_waiting(engine, home, settled=False)
    engine.dispose()
    return _tell(outcomes)


def check_files(args: argparse.Namespace) -> int:
    """Load each file into a store of its own that is thrown away, and tell what came of it."""
    worst = DONE
    for path in args.files:
        engine = open_store("duckdb:///:memory:")
        moment = args.taken_at or moment_of(path.name.split(".")[0]) or datetime(1970, 1, 1)
        file = SnapshotFile.placed(path, args.integration or path.resolve().parent.name, moment)
        try:
            found = load(engine, file)
            told = {name: getattr(found, name) for name in COUNTS}
            words = f"{path.name}: " + in_words(found).split(": ", 1)[1]
        except SnapshotRefused as refusal:
            told, words, worst = {"refused": str(refusal)}, str(refusal), REFUSED
        finally:
            close_stores()
        print(json.dumps({"file": path.name, **told}) if args.json else words)
    return worst


COUNTS = ("rows_read", "accepted", "rejected", "flagged")


def export(args: argparse.Namespace) -> int:
    """Write the filtered list to a file."""
    asked = vars(args)
    names = ("integration", "state", "role", "active", "match", "q", "as_of")
    filters = Filters.from_params({name: _listed(asked[name]) for name in names})
    engine = open_store(here().database_url)
    with engine.connect() as con:
        rows = export_file(
            con,
            filters,
            args.output,
            args.format,
            sort=args.sort.lstrip("-"),
            descending=args.sort.startswith("-"),
        )
    print(f"{args.output}: {rows:,} accounts.")
    return DONE


def rebuild(_: argparse.Namespace) -> int:
    """Make the store anew from the archive, beside the old one, and put it in its place."""
    home = here()
    url = home.database_url
    open_store(url).dispose()  # refuses where an app has it open
    path = Path(url.removeprefix("duckdb:///"))
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    engine = open_store(f"duckdb:///{fresh}")
    files = sorted(
        (SnapshotFile.placed(p) for p in home.archive.rglob("*") if p.is_file()),
        key=lambda file: file.taken_at,
    )
    for number, file in enumerate(files, start=1):
        print(f"{number} of {len(files)}: {in_words(load(engine, file))}")
    engine.dispose()
    fresh.replace(path)
    print(f"The store holds {len(files):,} snapshots again.")
    return DONE


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


def _await_app(home: Home, waiting: list[Path]) -> int:
    """The app that holds the store takes files out of the inbox; tell where they went."""
    give_up = time.monotonic() + LONGEST_WAIT
    outcome = DONE
    for path in waiting:
        while path.exists():
            if time.monotonic() > give_up:
                return _fail(f"{path.name} still waits in {home.inbox} for the app.", REFUSED)
            time.sleep(0.1)
        reason = home.refused / path.parent.name / f"{path.name}.reason.txt"
        if reason.exists() and reason.stat().st_mtime > time.time() - LONGEST_WAIT:
            outcome = _fail(reason.read_text(encoding="utf-8").strip(), REFUSED)
        else:
            print(f"{path.parent.name}/{path.name}: loaded by the running app.")
    return outcome


def _tell(outcomes: list[Loaded | Refused]) -> int:
    worst = DONE
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            worst = _fail(outcome.reason, REFUSED)
        else:
            print(in_words(outcome))
    return worst


def _fail(words: str, code: int) -> int:
    print(words, file=sys.stderr)
    return code


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _moment(text: str) -> datetime:
    moment = moment_of(text)
    if moment is None:
        raise argparse.ArgumentTypeError(f"“{text}” is no moment; expected 2026-11-23T06:00:00Z")
    return moment


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
    for name in ("integration", "state", "role"):
        listed.add_argument(f"--{name}", action="append", metavar=name.upper())
    listed.add_argument("--active", choices=["yes", "no", "unknown"])
    listed.add_argument("--match", choices=["matched", "unmatched"])
    listed.add_argument("--q", metavar="TEXT", help="in user, email, username or upstream ID")
    listed.add_argument("--as-of", metavar="TIME", help="as it was at a moment, in UTC")
    orders = [order for name in SORTS for order in (name, f"-{name}")]
    listed.add_argument("--sort", choices=orders, default="user", metavar="[-]COLUMN")

    command(rebuild, "rebuild")

    made_up = command(sample, "sample")
    made_up.add_argument("directory", type=Path, metavar="DIR")
    for name, default in (("accounts", 300), ("days", 90), ("integrations", 6), ("seed", 1)):
        made_up.add_argument(f"--{name}", type=int, default=default, metavar=name[0].upper())
    return parser


if __name__ == "__main__":
    sys.exit(main())
