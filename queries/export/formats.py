"""Writes the filtered list to a file in one of the formats, in the order shown."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from data.files.own_list import APOSTROPHES_HEADING
from data.store.output import write_csv, write_json_list, write_parquet
from data.tempfiles import TemporaryFile, write_atomically
from queries.export.columns import ALL_COLUMNS
from queries.export.excel import write_list_workbook
from queries.export.listing import Listing, ListRequest
from queries.export.manifest import build_manifest, snapshot_sources


def write_safe_csv(listing: Listing, path: Path) -> None:
    """CSV for spreadsheets: an apostrophe keeps text that looks like a formula from running.

    The last column of a list with usernames marks the rows with apostrophes, so that Rollcall can
    take them off again when it loads the list.
    """
    can_be_loaded = any(column.name == "username_in_app" for column in listing.columns)
    _write_csv(listing, path, mark_heading=APOSTROPHES_HEADING if can_be_loaded else "")


def write_raw_csv(listing: Listing, path: Path) -> None:
    """CSV for programs: unescaped values, and no byte order mark."""
    _write_csv(listing, path, is_safe=False)


def _write_csv(listing: Listing, path: Path, **options: Any) -> None:
    rows = listing.text_rows(listing.columns)
    write_csv(listing.workspace, rows, [c.heading for c in listing.columns], path, **options)


def write_json(listing: Listing, path: Path) -> None:
    """A snapshot file as JSON: a list with one account per line.

    An account names its integration only where the list has several.
    """
    filters = listing.request.filters
    is_mixed = len(snapshot_sources(listing.con, filters.integration, filters.moment)) > 1
    columns = [name for name in ALL_COLUMNS if is_mixed or name != "integration"]
    rows = listing.json_rows(listing.request.columns or columns)
    write_json_list(listing.workspace, rows, path)


def write_typed_parquet(listing: Listing, path: Path) -> None:
    """Parquet for analysis: times as times, roles as lists, the manifest as metadata."""
    manifest = json.dumps(build_manifest(listing).as_dict())
    rows = listing.typed_rows(listing.columns)
    write_parquet(listing.workspace, rows, path, {"rollcall": manifest})


class Format(NamedTuple):
    """A file format of the list."""

    label: str
    description: str  # whom it is for, in a sentence
    media_type: str
    write: Callable[[Listing, Path], None]


FORMATS: dict[str, Format] = {
    "csv": Format(
        "CSV",
        "Opens in a spreadsheet. An apostrophe keeps text that looks like a formula from running.",
        "text/csv; charset=utf-8",
        write_safe_csv,
    ),
    "raw.csv": Format(
        "Raw CSV",
        "CSV for scripts: unescaped values. Do not open in Excel.",
        "text/csv; charset=utf-8",
        write_raw_csv,
    ),
    "xlsx": Format(
        "Excel",
        "Dates as dates (UTC), filters on. Sheet 2: one row per role.",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        write_list_workbook,
    ),
    "parquet": Format(
        "Parquet",
        "For analysis: typed and small, roles as lists.",
        "application/vnd.apache.parquet",
        write_typed_parquet,
    ),
    "json": Format(
        "JSON",
        "For programs: one object per account, with the details of roles.",
        "application/json",
        write_json,
    ),
}
"""File name extension → format. A new format is one function and one entry."""


def export_file(
    con: Connection, request: ListRequest, path: Path, format_name: str, *, with_manifest: bool
) -> int:
    """Write the list to a file, whole or not at all; returns the number of accounts.

    `with_manifest`: write the manifest beside it, as `<file>.about.json`.
    """
    listing = Listing(con, request)
    manifest = build_manifest(listing)
    with _complete_file(path) as partial_path:
        FORMATS[format_name].write(listing, partial_path)
    if with_manifest and path.is_file():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        checksum = {"bytes": path.stat().st_size, "sha256": digest}
        content = {"file": path.name, **checksum, **manifest.as_dict()}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        path.with_name(f"{path.name}.about.json").write_text(f"{text}\n", encoding="utf-8")
    return manifest.rows


@contextmanager
def _complete_file(path: Path) -> Iterator[Path]:
    """A path to write to; only a complete file gets the name, or goes to the pipe or device."""
    if path.exists() and not path.is_file():
        copy = TemporaryFile()
        yield copy.path
        with copy.path.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    with write_atomically(path) as partial_path:
        yield partial_path
