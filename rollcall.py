"""The `rollcall` command: what the web app does, on the command line."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from commands import (
    EXIT_OK,
    EXIT_REJECTED,
    EXIT_USAGE,
    actor,
    arguments,
    error_text,
    fail,
    print_progress,
)
from commands.check import check_files
from commands.letter import print_letter
from commands.load import load_files, pull_all
from data.access.claims import ConfigError
from data.files.errors import SnapshotRejected
from data.formatting import count_of
from data.home import current_home, database_url
from data.records.audit_log import Event, record_event
from data.sample.files import write_sample
from data.secrets_file import secrets_path
from data.service.backup import write_backup
from data.service.instance import running_instance
from data.service.rebuild import rebuild
from data.service.retention import delete_expired, find_expired, read_retention
from data.sources.http import PullFailed
from data.store.citus import ClusterError, distribute
from data.store.copy import copy_store, find_different_tables
from data.store.engine import close_stores, open_store
from data.store.errors import StoreError, StoreInUse, StoreUnusable
from data.store.pseudonyms import reveal
from queries.during import EXCLUDED_BY_PERIOD
from queries.evidence.proof import InvalidPack, verify
from queries.export.columns import parse_columns
from queries.export.formats import export_file
from queries.export.listing import ListRequest
from queries.filters import FILTERS, Filters

KNOWN_ERRORS = (SnapshotRejected, PullFailed, StoreError, ClusterError, ConfigError, OSError)
"""Errors whose message is enough."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0: done, 1: a file was rejected or failed, 2: wrong usage."""
    args = _build_parser().parse_args(argv)
    try:
        return args.run(args)
    except StoreInUse as error:
        server = running_instance(current_home())
        location = f" Rollcall shows it at {server.address}." if server else ""
        return fail(f"{error}{location} Stop it, then try again.")
    except StoreUnusable as error:
        return fail(f"{error} To rebuild it from the archive: rollcall rebuild.")
    except KNOWN_ERRORS as error:
        return fail(error_text(error))
    finally:
        close_stores()


def export(args: argparse.Namespace) -> int:
    """Write the filtered list to a file."""
    params = {filter_.name: getattr(args, filter_.name) for filter_ in FILTERS}
    filters = replace(Filters.from_params(params), as_of=args.as_of)
    excluded = [name for name in EXCLUDED_BY_PERIOD if getattr(filters, name)]
    if args.during and excluded:
        option = excluded[0].replace("_", "-")
        message = f"--during excludes --{option}: a period has no one moment."
        return fail(message, EXIT_USAGE)
    filters = filters.with_period(args.during)
    list_request = ListRequest(filters, args.sort, parse_columns(args.columns))
    with open_store(current_home().database_url).connect() as con:
        rows = export_file(con, list_request, args.output, args.format, with_manifest=args.about)
    print(f"{args.output}: {count_of(rows, 'account')}.")
    return EXIT_OK


def objectives(args: argparse.Namespace) -> int:
    """Print whether each objective is met, the worst first; exit code 1 if one is broken."""
    # it imports pandas, which takes a second that the other commands save
    from commands.objectives import print_objectives

    return print_objectives(args)


def rebuild_from_archive(args: argparse.Namespace) -> int:
    """Rebuild the store from the archive, beside the old one, then exchange the two."""
    home = current_home()
    count = rebuild(home, print_progress, accept_changed=args.accept_changed)
    if count:
        print(f"The store has {count_of(count, 'snapshot')} again.")
    else:
        print(f"{home.archive} has no files, so there is nothing to rebuild.")
    return EXIT_OK


def backup(args: argparse.Namespace) -> int:
    """Write everything that cannot be rebuilt into a tar archive, also while the app runs."""
    files, problems = write_backup(current_home(), args.file)
    print(f"{args.file}: {count_of(files, 'file')}. It holds all data: store it in a safe place.")
    for problem in problems:
        fail(f"The archive is not as it was loaded: {problem}")
    return EXIT_REJECTED if problems else EXIT_OK


def retention(args: argparse.Namespace) -> int:
    """Delete what is older than [retention] in the secrets file allows, as the app does daily."""
    home = current_home()
    limits, engine = read_retention(secrets_path()), open_store(home.database_url)
    act = find_expired if args.dry_run else delete_expired
    print(f"{'Would be deleted' if args.dry_run else 'Deleted'}: {act(engine, home, limits)}.")
    return EXIT_OK


def init(args: argparse.Namespace) -> int:
    """Create the store's tables; on a Citus cluster, distribute them."""
    engine = open_store(current_home().database_url)
    if args.distributed:
        tables = ", ".join(distribute(engine)) or "no new tables"
        print(f"Distributed over the cluster: {tables}.")
    print(f"The store is ready: {engine.url!r}.")
    return EXIT_OK


def copy(args: argparse.Namespace) -> int:
    """Copy a store into an empty one, then check that both give the same answers."""
    # it imports pandas, which takes a second that the other commands save
    from queries.parity import count_checks, find_differences

    source, target = (open_store(_store_url(name)) for name in (args.source, args.target))
    copy_store(source, target, lambda name, rows: print(f"{name}: {rows:,} rows."))
    differences = [f"The rows of {name}." for name in find_different_tables(source, target)]
    with source.connect() as source_con, target.connect() as target_con:
        check_count = count_checks(source_con)
        different_answers = find_differences(source_con, target_con)
    differences += [f"The answer to: {name}." for name in different_answers]
    for difference in differences:
        fail(f"Different: {difference}")
    if differences:
        return EXIT_REJECTED
    print(f"Both stores have the same rows in every table and pass {check_count:,} checks.")
    return EXIT_OK


def _store_url(name: str) -> str:
    """The address, or that of the DuckDB file with this path."""
    return name if "://" in name else database_url(Path(name).expanduser().absolute())


def verify_pack(args: argparse.Namespace) -> int:
    """Verify an evidence pack: load its snapshots from the archive and compare every row."""
    try:
        verified = verify(args.pack, current_home(), _print_loaded, args.log)
    except InvalidPack as error:
        return fail(str(error))
    for problem in verified.problems:
        fail(f"{args.pack.name}: {problem}")
    if verified.problems:
        return fail(f"{args.pack.name} is not verified.")
    print(f"{args.pack.name} is verified: every row follows from the snapshots in the archive.")
    for remark in verified.remarks:
        print(remark)
    print("Exceptions and match overrides are as recorded; no snapshot can prove them.")
    return EXIT_OK


def _print_loaded(done: int, total: int) -> None:
    if done == total or not done % 100:
        print(f"{done:,} of {total:,} snapshots loaded.")


def reveal_pseudonyms(args: argparse.Namespace) -> int:
    """Show the people behind pseudonyms, with the key in the home."""
    home = current_home()
    with open_store(home.database_url).connect() as con:
        values_by_pseudonym = reveal(con, home, args.pseudonyms)
    record_event(home, actor(), Event.REVEALED, pseudonyms=args.pseudonyms)
    if args.json:
        print(json.dumps(values_by_pseudonym, ensure_ascii=False))
    else:
        for pseudonym, values in values_by_pseudonym.items():
            print(f"{pseudonym}: {', '.join(values) or 'not in this store'}")
    return EXIT_OK if all(values_by_pseudonym.values()) else EXIT_REJECTED


def sample(args: argparse.Namespace) -> int:
    """Write sample snapshots."""
    counts = {name: getattr(args, name) for name in ("accounts", "days", "integrations", "seed")}
    paths = write_sample(args.directory, **counts, has_directory=True)
    print(f"{args.directory}: {count_of(len(paths), 'snapshot')}.")
    return EXIT_OK


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], list[arguments.Argument]]] = {
    "load": (load_files, [*arguments.FILES, *arguments.LOAD_FLAGS]),
    "check": (check_files, [*arguments.FILES, arguments.JSON]),
    "pull": (pull_all, [arguments.PULLS]),
    "export": (export, arguments.EXPORT),
    "letter": (print_letter, arguments.LETTER),
    "objectives": (objectives, arguments.OBJECTIVES),
    "verify": (verify_pack, [arguments.PACK, arguments.LOG]),
    "reveal": (reveal_pseudonyms, [arguments.PSEUDONYMS, arguments.JSON]),
    "rebuild": (rebuild_from_archive, [arguments.ACCEPT_CHANGED]),
    "backup": (backup, [arguments.ARCHIVE]),
    "retention": (retention, [arguments.DRY_RUN]),
    "sample": (sample, arguments.SAMPLE),
    "init": (init, [arguments.DISTRIBUTED]),
    "copy": (copy, arguments.STORES),
}
"""Command → the function that runs it, with its docstring as help, and its arguments."""


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rollcall", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, command_arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        for argument in command_arguments:
            command.add_argument(*argument.names, **argument.options)
    return parser


if __name__ == "__main__":
    sys.exit(main())
