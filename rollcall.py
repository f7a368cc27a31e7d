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

from data.files.archive import zip_together
from data.files.errors import SnapshotRefused
from data.files.formats import place_word
from data.files.mapping import columns_from, mapping_of, save_mapping
from data.files.naming import SnapshotFile, moment_of
from data.history.load import Loaded
from data.history.preview import preview
from data.home import Home, here
from data.inbox.inbox import Outcome, SetAside, in_words, load_waiting, put_into_inbox
from data.inbox.pull import known_pulls, pull, secrets_file
from data.inbox.quarantine import reason_for
from data.records.audit_log import Event, note, settle
from data.sample.files import write_sample
from data.service.backup import back_up
from data.service.instance import server_of
from data.service.rebuild import archived, complete, opened
from data.service.rebuild import rebuild as make_anew
from data.sources.http import PullFailed
from data.store.citus import NotDistributed, distribute
from data.store.copy import copy_store, tables_that_differ
from data.store.engine import close_stores, open_store
from data.store.errors import StoreFault, StoreInUse, StoreUnusable
from data.store.pseudonyms import reveal
from queries.evidence.proof import NoPack, verify
from queries.export.formats import FORMATS, export_file
from queries.export.listing import COLUMNS, UnknownColumns, Wanted, columns_named
from queries.filters import FILTERS, Filter, Filters
from queries.users.accounts import SORTS

DONE, REFUSED, USAGE = 0, 1, 2
"""Exit codes."""

HOW_TO_CONFIRM = " To load it all the same: rollcall load --confirm, or the Snapshots page."

LONGEST_WAIT = 600
"""Seconds that `load` waits for a running app to load its files."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0: done, 1: a file was refused, 2: wrong usage."""
    args = _parser().parse_args(words)
    try:
        return args.run(args)
    except (SnapshotRefused, PullFailed) as refusal:
        return _fail(str(refusal), REFUSED)
    except StoreInUse as fault:
        server = server_of(here())
        where = f" Rollcall shows it at {server.address}." if server else ""
        return _fail(f"{fault}{where} Stop it, then try again.", REFUSED)
    except StoreUnusable as fault:
        return _fail(f"{fault} To make it anew from the archive: rollcall rebuild.", REFUSED)
    except (StoreFault, NotDistributed) as fault:
        return _fail(str(fault), REFUSED)
    except OSError as fault:  # a folder that is not there, a full disk
        return _fail(_fault_in_words(fault), REFUSED)
    finally:
        close_stores()


def load_files(args: argparse.Namespace) -> int:
    """Put the files into the inbox; load them here, unless a running app does."""
    home, waiting, outcome = here(), [], DONE
    if args.mapping:
        first = SnapshotFile.placed(args.files[0], args.integration, args.taken_at)
        save_mapping(home, first.integration, columns_from(args.mapping.read_text("utf-8")))
    with _as_one(args) if args.together else nullcontext(args.files) as files:
        for path in files:
            try:
                file = SnapshotFile.placed(path, args.integration, args.taken_at)
                marks = {"replace": args.replace, "confirmed": args.confirm}
                waiting.append(put_into_inbox(home, file, **marks))
                named = {"integration": file.integration, "taken_at": f"{file.taken_at}Z"}
                note(home, f"{getuser()} at the command line", Event.DELIVERED, **named, **marks)
            except (SnapshotRefused, OSError) as fault:
                outcome = _fail(_fault_in_words(fault), REFUSED)
    if waiting:
        outcome = max(outcome, _load_or_await(home, waiting))
    return outcome


@contextmanager
def _as_one(args: argparse.Namespace) -> Iterator[list[Path]]:
    """All the files in one archive, placed like the first of them."""
    first = SnapshotFile.placed(args.files[0], args.integration, args.taken_at)
    with TemporaryDirectory() as folder:
        archive = Path(folder) / first.integration / f"{first.taken_at:%Y-%m-%dT%H-%M-%SZ}.zip"
        archive.parent.mkdir()
        zip_together(args.files, archive)
        yield [archive]


def pull_all(args: argparse.Namespace) -> int:
    """Ask servers for their accounts, as sections [pull.NAME] of the secrets say, and load them."""
    known = {asked.integration: asked for asked in known_pulls()}
    if unknown := [name for name in args.names if name not in known]:
        words = f"No section [pull.{unknown[0]}] in {secrets_file()}; there is: "
        return _fail(words + (", ".join(known) or "none."), USAGE)
    if not known:
        return _fail(f"Nothing to pull: no section [pull.NAME] in {secrets_file()}.", USAGE)
    home, waiting, outcome = here(), [], DONE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name in args.names or known:
        line = _Line(name)
        try:
            waiting.append(pull(home, known[name], line.tell))
        except (PullFailed, SnapshotRefused, OSError) as fault:
            outcome = line.end(_fail, f"{name}: {_fault_in_words(fault)}", REFUSED)
        else:
            line.end(print, f"{name}: {line.words}.")
    return max(outcome, _load_or_await(home, waiting)) if waiting else outcome


class _Line:
    """How far a pull is: one line that changes, or a line now and then where nobody looks on."""

    def __init__(self, name: str) -> None:
        self.name, self.words, self._spoke = name, "", time.monotonic()

    def tell(self, words: str) -> None:
        self.words = words
        if sys.stderr.isatty():
            print(f"\r\x1b[K{self.name}: {words}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._spoke > SPOKEN_EVERY:
            self._spoke = time.monotonic()
            print(f"{self.name}: {words}", file=sys.stderr, flush=True)

    def end(self, say: Callable[..., Any], *words: Any) -> Any:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return say(*words)


SPOKEN_EVERY = 10
"""Seconds."""


def check_files(args: argparse.Namespace) -> int:
    """Tell the passport of each file, against the snapshot before; load nothing."""
    worst, engine = DONE, _store_to_compare()
    for path in args.files:
        told = _checked(engine, path, args)
        worst = max(worst, REFUSED if {"refused", "held"} & set(told) else DONE)
        if args.json:
            print(json.dumps({"file": path.name, **told}, ensure_ascii=False))
        else:
            out = sys.stderr if "refused" in told else sys.stdout
            print(*_lines(path, told), sep="\n", file=out)
    return worst


def _store_to_compare() -> Engine:
    """The store of the home; an empty one where there is none, or another process has it."""
    url, nothing = here().database_url, "duckdb:///:memory:"
    if url.startswith("duckdb:///") and not Path(url.removeprefix("duckdb:///")).exists():
        return open_store(nothing)
    try:
        return open_store(url)
    except StoreInUse as fault:
        print(f"{fault} So there is nothing to compare with.", file=sys.stderr)
        return open_store(nothing)


def _checked(engine: Engine, path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What came of trying to load the file: its passport, or why it is refused."""
    moment = args.taken_at or moment_of(path.name.split(".")[0]) or NO_MOMENT
    name = args.integration or path.absolute().parent.name
    try:
        columns = columns_from(args.mapping.read_text("utf-8")) if args.mapping else None
        file = SnapshotFile(path, name, moment, columns or mapping_of(here(), name))
        seen = preview(engine, file)
    except (SnapshotRefused, OSError) as fault:
        return {"refused": _fault_in_words(fault)}
    passport = seen.passport
    told: dict[str, Any] = {
        "grade": passport.grade,
        **{name: getattr(passport, name) for name in COUNTS},
    }
    if passport.before:
        told["before"] = f"{passport.before.taken_at.isoformat()}Z"
        told |= {name: getattr(passport, name) for name in MOVES}
    told |= {"look_at": passport.findings(), "remarks": passport.remarks()}
    told["rejected_rows"] = [{"line": line, "reason": reason} for line, _, reason in seen.rejected]
    if passport.doubt and not seen.already:
        told["held"] = passport.doubt
    return told


def _lines(path: Path, told: dict[str, Any]) -> Iterator[str]:
    """A passport as a person reads it."""
    if "refused" in told:
        yield f"{path.name}: refused. {told['refused']}"
        return
    grade = "held" if "held" in told else told["grade"]
    yield f"{path.name}: {grade}."
    yield f"  {told['accepted']:,} of {told['rows_read']:,} rows are accounts."
    if "before" in told:
        moved = ", ".join(f"{told[name]:,} {name}" for name in MOVES if name != "removed")
        yield f"  Against {told['before']}: {moved}."
    yield from (f"  Look at: {sentence}" for sentence in told["look_at"])
    yield from (f"  {sentence}" for sentence in told["remarks"])
    place = place_word(path.name).capitalize()
    yield from (f"  {place} {row['line']}: {row['reason']}" for row in told["rejected_rows"])


COUNTS = ("rows_read", "accepted", "rejected", "flagged")
MOVES = ("joined", "changed", "gone", "removed")
NO_MOMENT = datetime(1970, 1, 1)
"""For a file that does not say when it was taken: before all others, so compared with none."""


def export(args: argparse.Namespace) -> int:
    """Write the filtered list to a file."""
    asked = {each.name: getattr(args, each.name) for each in FILTERS}
    filters = replace(Filters.from_params(asked), as_of=args.as_of)
    wanted = Wanted(filters, args.sort, columns_named(args.columns))
    with open_store(here().database_url).connect() as con:
        rows = export_file(con, wanted, args.output, args.format, tell=args.about)
    print(f"{args.output}: {rows:,} accounts.")
    return DONE


def rebuild(_: argparse.Namespace) -> int:
    """Make the store anew from the archive, beside the old one, and put it in its place."""
    home = here()
    if not archived(home):
        print(f"No files in {home.archive}: nothing to rebuild.")
        return DONE
    print(f"The store holds {make_anew(home, _print_progress):,} snapshots again.")
    return DONE


def _print_progress(done: int, of: int, words: str) -> None:
    print(f"{done:,} of {of:,}: {words}" if done else words)


def backup(args: argparse.Namespace) -> int:
    """Write what cannot be made anew into a tar archive, also while the app runs."""
    files = back_up(here(), args.file)
    print(f"{args.file}: {files:,} files. It holds all that Rollcall knows: keep it as safe.")
    return DONE


def init(args: argparse.Namespace) -> int:
    """Make the store's tables where there are none; on a Citus cluster, spread them."""
    engine = open_store(here().database_url)
    if args.distributed:
        print(f"Spread over the cluster: {', '.join(distribute(engine)) or 'nothing new'}.")
    print(f"The store is ready: {engine.url!r}.")
    return DONE


def copy(args: argparse.Namespace) -> int:
    """Copy a store into an empty one, then check that both hold and answer the same."""
    # with it comes pandas, in which charts get their numbers; no other command waits for that
    from queries.parity import answers_that_differ, count_questions

    source, target = (open_store(_store_url(name)) for name in (args.source, args.target))
    copy_store(source, target, lambda name, rows: print(f"{name}: {rows:,} rows."))
    differ = [f"The rows of {name}." for name in tables_that_differ(source, target)]
    with source.connect() as one, target.connect() as other:
        asked = count_questions(one)
        differ += [f"The answer to: {name}." for name in answers_that_differ(one, other)]
    for words in differ:
        _fail(f"Differs: {words}", REFUSED)
    if differ:
        return REFUSED
    print(f"Both hold the same rows in every table, and answer {asked:,} questions alike.")
    return DONE


def _store_url(name: str) -> str:
    """An address, or the path of a DuckDB file."""
    return name if "://" in name else f"duckdb:///{Path(name).expanduser().absolute()}"


def verify_pack(args: argparse.Namespace) -> int:
    """Prove an evidence pack from the archive: load its snapshots anew, and compare every row."""
    try:
        amiss = verify(args.pack, here(), _print_loaded)
    except NoPack as fault:
        return _fail(str(fault), REFUSED)
    for words in amiss:
        _fail(f"{args.pack.name}: {words}", REFUSED)
    if amiss:
        return _fail(f"{args.pack.name} is not proved.", REFUSED)
    print(f"{args.pack.name} is proved: every row follows from the snapshots in the archive.")
    print("Who accepted what is as it was recorded; no snapshot can prove that.")
    return DONE


def _print_loaded(done: int, of: int) -> None:
    if done == of or not done % 100:
        print(f"{done:,} of {of:,} snapshots loaded anew.")


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
            engine = opened(home, _print_progress)
            for words in complete(engine, home, _print_progress):
                _fail(words, REFUSED)
        except StoreInUse:
            if not any(path.exists() for path in waiting):
                return max(_tell_of_app(home, path) for path in waiting)
            if time.monotonic() > give_up:
                return _fail(f"The app has not taken the files out of {home.inbox}.", REFUSED)
            time.sleep(0.2)
        else:
            taken = [path for path in waiting if not path.exists()]
            outcomes = load_waiting(engine, home, _draw_bar)
            settle(engine, home)
            return max(
                DONE, *(_tell_of_app(home, path) for path in taken), _tell(outcomes, waiting)
            )


def _draw_bar(done: int, of: int) -> None:
    """How far a load of several files is, for a person who looks on."""
    if of < 2 or not sys.stderr.isatty():
        return
    filled = BAR * done // of
    bar = f"[{'#' * filled}{'.' * (BAR - filled)}] {done:,} of {of:,}"
    print(f"\r{bar}", end="\n" if done == of else "", file=sys.stderr, flush=True)


BAR = 40
"""Characters of a bar that is full."""


def _tell_of_app(home: Home, path: Path) -> int:
    """What became of a file that the running app took out of the inbox."""
    for verdict in ("held", "refused"):
        reason = reason_for(home, path, verdict)
        if reason.exists():
            said = reason.read_text(encoding="utf-8").strip()
            return _fail(said + (HOW_TO_CONFIRM if verdict == "held" else ""), REFUSED)
    print(f"{path.parent.name}/{path.name}: loaded by the running app.")
    return DONE


def _tell(outcomes: list[Outcome], asked: list[Path]) -> int:
    """Tell of all; only a refusal of what was asked to be loaded counts."""
    names, worst = {(path.parent.name, path.name) for path in asked}, DONE
    for outcome in outcomes:
        if isinstance(outcome, Loaded):
            print(in_words(outcome))
            continue
        held = isinstance(outcome, SetAside) and outcome.verdict == "held"
        code = _fail(outcome.reason + (HOW_TO_CONFIRM if held else ""), REFUSED)
        if (outcome.path.parent.name, outcome.path.name) in names:
            worst = code
    return worst


def _fault_in_words(fault: Exception) -> str:
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


def _columns(text: str) -> str:
    try:
        columns_named([text])
    except UnknownColumns as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault
    return text


def _asked(filter_: Filter, text: str) -> str:
    """A value as an address has it; a state in any case, with spaces, underscores or dashes."""
    value = _text(text)
    if filter_.name == "state":
        value = value.replace("_", " ").replace("-", " ").strip().capitalize()
    if not filter_.read([value]):
        known = f"; expected {', '.join(filter_.choices)}" if filter_.choices else ""
        raise argparse.ArgumentTypeError(f"“{text}” is not understood{known}")
    return value


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number")
    return int(text)


def _count(text: str) -> int:
    if _number(text) < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return _number(text)


def reveal_pseudonyms(args: argparse.Namespace) -> int:
    """Tell whom pseudonyms stand for, with the key in the home."""
    home = here()
    with open_store(home.database_url).connect() as con:
        found = reveal(con, home, args.pseudonyms)
    note(home, f"{getuser()} at the command line", Event.REVEALED, pseudonyms=args.pseudonyms)
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for text, values in found.items():
            print(f"{text}: {', '.join(values) or 'stands for nothing that is known here'}")
    return DONE if all(found.values()) else REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rollcall", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(words, help=run.__doc__, description=run.__doc__)
        sub.set_defaults(run=run)
        return sub

    pseudonyms = command(reveal_pseudonyms, "reveal")
    pseudonyms.add_argument("pseudonyms", nargs="+", metavar="PSEUDONYM")
    pseudonyms.add_argument("--json", action="store_true", help="as JSON")

    for run, name in ((load_files, "load"), (check_files, "check")):
        files = command(run, name)
        files.add_argument("files", nargs="+", type=Path, metavar="FILE")
        files.add_argument("--integration", metavar="NAME", help="what the files list")
        files.add_argument("--taken-at", type=_moment, metavar="TIME", help="when, in UTC")
        files.add_argument(
            "--mapping",
            type=Path,
            metavar="TOML",
            help="which heading is which column; `load` keeps it for the integration",
        )
        if run is load_files:
            files.add_argument("--replace", action="store_true", help="what is loaded for the time")
            files.add_argument(
                "--confirm", action="store_true", help="load what is held: you have looked at it"
            )
            files.add_argument(
                "--together", action="store_true", help="all files are one snapshot, like pages"
            )
        else:
            files.add_argument("--json", action="store_true", help="one JSON object per file")

    pulled = command(pull_all, "pull")
    pulled.add_argument("names", nargs="*", metavar="NAME", help="which; all where none is named")

    listed = command(export, "export")
    listed.add_argument("--format", choices=FORMATS, default="csv")
    listed.add_argument("--output", type=Path, required=True, metavar="FILE")
    for each in FILTERS:
        listed.add_argument(
            f"--{each.name.replace('_', '-')}",
            action="append",
            default=[],
            type=partial(_asked, each),
            metavar=each.name.upper(),
            help=f"{each.label}: {', '.join(each.choices)}" if each.choices else each.label,
        )
    listed.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="as it was at a moment, in UTC"
    )
    orders = [order for name in SORTS for order in (name, f"-{name}")]
    words = f"one of {', '.join(SORTS)}; --sort=-user is user from the end"
    listed.add_argument("--sort", choices=orders, default="user", metavar="COLUMN", help=words)

    listed.add_argument(
        "--columns",
        action="append",
        default=[],
        type=_columns,
        metavar="NAMES",
        help=f"some, in your order, with commas between: {', '.join(COLUMNS)}",
    )
    listed.add_argument(
        "--no-about",
        dest="about",
        action="store_false",
        help="write no FILE.about.json, which tells the filters, the snapshots and the hash",
    )

    command(rebuild, "rebuild")

    kept = command(backup, "backup")
    kept.add_argument("file", type=Path, metavar="FILE", help="compressed where it ends in .gz")

    made = command(init, "init")
    words = "over a Citus cluster: large tables by integration, small ones everywhere"
    made.add_argument("--distributed", action="store_true", help=words)

    copied = command(copy, "copy")
    words = "a store: postgresql+psycopg://…, or the path of a DuckDB file"
    for name, metavar in (("source", "FROM"), ("target", "TO")):
        copied.add_argument(name, metavar=metavar, help=words)

    proved = command(verify_pack, "verify")
    proved.add_argument("pack", type=Path, metavar="PACK", help="a zip file from the Review page")

    made_up = command(sample, "sample")
    made_up.add_argument("directory", type=Path, metavar="DIR")
    for name, default in (("accounts", 300), ("days", 90), ("integrations", 6)):
        made_up.add_argument(f"--{name}", type=_count, default=default, metavar=name[0].upper())
    made_up.add_argument("--seed", type=_number, default=1, metavar="S")
    return parser


if __name__ == "__main__":
    sys.exit(main())
