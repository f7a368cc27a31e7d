"""The arguments of the commands. A wrong value ends a command with exit code 2."""

import argparse
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from data.access.roles import ROLES
from data.files.mapping import NO_MAPPING, ColumnMapping, parse_mapping, read_mapping
from data.files.naming import EXPECTED_MOMENT, parse_moment
from data.home import Home
from data.sources import source_choices
from queries.during import EXPECTED_DURING, During, parse_during
from queries.export.columns import LISTING_COLUMNS, UnknownColumns, parse_columns
from queries.export.formats import FORMATS
from queries.filters import FILTERS, Filter
from queries.users.accounts import SORTS


def moment_value(text: str) -> datetime:
    moment = parse_moment(text)
    if moment is None:
        raise argparse.ArgumentTypeError(f"“{text}” is not a time; expected {EXPECTED_MOMENT}")
    return moment


def period_value(text: str) -> During:
    during = parse_during([text])
    if during is None:
        raise argparse.ArgumentTypeError(f"“{text}” is no period; expected {EXPECTED_DURING}")
    return during


def text_value(text: str) -> str:
    """Python turns bytes that are not UTF-8 into lone surrogates, which no database accepts."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from error
    return text


def columns_value(text: str) -> str:
    try:
        parse_columns([text])
    except UnknownColumns as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def filter_value(filter_: Filter, text: str) -> str:
    """The value of a filter; a state in any case, with spaces, underscores or dashes."""
    value = text_value(text)
    if filter_.name == "state":
        value = value.replace("_", " ").replace("-", " ").strip().capitalize()
    if not filter_.parse([value]):
        expected = f"; expected {', '.join(filter_.choices)}" if filter_.choices else ""
        raise argparse.ArgumentTypeError(f"“{text}” is not a valid value{expected}")
    return value


def number_value(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number")
    return int(text)


def count_value(text: str) -> int:
    if number_value(text) < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return number_value(text)


def requested_mapping(
    args: argparse.Namespace, home: Home, integration: str
) -> ColumnMapping | None:
    """The mapping of `--mapping`, else the saved one, with the choices of `--as` and `--sheet`.

    Raises InvalidMapping or OSError.
    """
    given = parse_mapping(args.mapping.read_text("utf-8")) if args.mapping else None
    mapping = given or read_mapping(home, integration)
    choices = {"read_as": args.read_as, "sheet": args.sheet}
    changes = {name: choice for name, choice in choices.items() if choice}
    return replace(mapping or NO_MAPPING, **changes) if changes else mapping


class Argument(NamedTuple):
    """What `add_argument` takes."""

    names: tuple[str, ...]
    options: dict[str, Any]


def _argument(*names: str, **options: Any) -> Argument:
    return Argument(names, options)


def _flag(name: str, help_text: str) -> Argument:
    return _argument(name, action="store_true", help=help_text)


def _filter(filter_: Filter) -> Argument:
    name, choices = filter_.name, ", ".join(filter_.choices)
    help_text = f"{filter_.label}: {choices}" if choices else filter_.label
    return _list(f"--{name.replace('_', '-')}", partial(filter_value, filter_), help_text, name)


def _list(name: str, parse: Any, help_text: str, metavar: str) -> Argument:
    options = {"action": "append", "default": [], "metavar": metavar.upper()}
    return _argument(name, type=parse, help=help_text, **options)


FILES = [
    _argument("files", nargs="+", type=Path, metavar="FILE"),
    _argument("--integration", metavar="NAME", help="the integration of the files"),
    _argument("--taken-at", type=moment_value, metavar="TIME", help="the snapshot time, in UTC"),
    _argument(
        "--mapping",
        type=Path,
        metavar="TOML",
        help="which heading is which column; `load` saves it for the integration",
    ),
    _argument(
        "--sheet",
        default="",
        metavar="NAME",
        help="the sheet of a workbook; `load` saves it for the integration",
    ),
    _argument(
        "--as",
        dest="read_as",
        choices=source_choices(),
        metavar="NAME",
        help=f"read the files as one of {', '.join(source_choices())}; `load` saves it for the "
        "integration",
    ),
]
LOAD_FLAGS = [
    _flag("--replace", "replace the snapshot of the same time"),
    _flag("--confirm", "load files that would go on hold"),
    _flag(
        "--by-username", "identify accounts by username, whatever IDs the integration's files have"
    ),
    _flag("--together", "all files are one snapshot, such as pages"),
]
JSON = _flag("--json", "as JSON, one object per line")
PULLS = _argument("names", nargs="*", metavar="NAME", help="pulls; all if none is named")
EXPORT = [
    _argument("--format", choices=FORMATS, default="csv"),
    _argument("--output", type=Path, required=True, metavar="FILE"),
    *map(_filter, FILTERS),
    _argument("--as-of", type=moment_value, metavar="TIME", help="the list at a time, in UTC"),
    _argument(
        "--during",
        type=period_value,
        metavar="FROM/TO",
        help="everyone listed at any time in a period, both UTC days or times included",
    ),
    _argument(
        "--sort",
        choices=[order for name in SORTS for order in (name, f"-{name}")],
        default="user",
        metavar="COLUMN",
        help=f"one of {', '.join(SORTS)}; --sort=-user sorts by user, descending",
    ),
    _list(
        "--columns",
        columns_value,
        f"columns in this order, separated by commas: {', '.join(LISTING_COLUMNS)}",
        "names",
    ),
    _argument(
        "--no-about",
        dest="about",
        action="store_false",
        help="do not write FILE.about.json with the filters, the snapshots and the hash",
    ),
]
LETTER = [
    _argument(
        "--dry-run", action="store_true", required=True, help="print it; only the app sends letters"
    ),
    _argument("--as", dest="role", choices=ROLES, default="Owner", help="what this role may read"),
    _argument("--to", metavar="NAME", help="what this recipient of the secrets file gets"),
    _list("--integration", text_value, "of these integrations only", "name"),
    _argument("--since", type=moment_value, metavar="TIME", help="default: a day before the end"),
    _argument("--until", type=moment_value, metavar="TIME", help="default: now"),
    _flag("--html", "as a mail shows it"),
]
OBJECTIVES = [
    JSON,
    _list("--integration", text_value, "only these integrations", "name"),
    _argument("--as-of", type=moment_value, metavar="TIME", help="as of a time, in UTC"),
]
PACK = _argument("pack", type=Path, metavar="PACK", help="a zip file from Review or Users")
LOG = _argument(
    "--log",
    type=Path,
    metavar="FILE",
    help="the audit log as downloaded, for a pack of a review round where Rollcall is running",
)
PSEUDONYMS = _argument("pseudonyms", nargs="+", metavar="PSEUDONYM")
ACCEPT_CHANGED = _flag(
    "--accept-changed", "also from files that are not as they were loaded, and without lost ones"
)
DRY_RUN = _flag("--dry-run", "show what would be deleted, and delete nothing")
ARCHIVE = _argument("file", type=Path, metavar="FILE", help="compressed if it ends in .gz")
SAMPLE = [
    _argument("directory", type=Path, metavar="DIR"),
    _argument("--accounts", type=count_value, default=300, metavar="A"),
    _argument("--days", type=count_value, default=90, metavar="D"),
    _argument("--integrations", type=count_value, default=6, metavar="I"),
    _argument("--seed", type=number_value, default=1, metavar="S"),
]
DISTRIBUTED = _flag(
    "--distributed", "over a Citus cluster: large tables by integration, small ones everywhere"
)
STORES = [
    _argument(
        name, metavar=metavar, help="a store: postgresql+psycopg://…, or the path of a DuckDB file"
    )
    for name, metavar in (("source", "FROM"), ("target", "TO"))
]
