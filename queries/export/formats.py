"""The filtered list as a file: every page of it, in the order shown, made a batch at a time."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, unseen by type checkers
from pyarrow import csv, parquet
from sqlalchemy import Connection

from data.tempfiles import write_atomically
from queries.export.excel import workbook_chunks
from queries.export.listing import LISTING_COLUMNS, Listing, ListRequest, format_times
from queries.export.manifest import ListManifest, build_manifest

FORMULA_PREFIXES = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""How text starts that a spreadsheet takes for a formula; the last four are full-width."""

ROW_GROUP_SIZE = 30_000
"""Rows that Parquet compresses together: few groups to plan over, little to hold."""

DEFAULT_COLUMNS = tuple(name for name in LISTING_COLUMNS if name != "account_id")
"""What is downloaded where nothing was chosen: the table's columns and the attributes."""

Chunks = Generator[bytes, None, None]


def csv_chunks(listing: Listing) -> Chunks:
    """CSV for spreadsheets: text that would be a formula gets an apostrophe in front.

    It starts with a byte order mark, without which Excel reads UTF-8 as the machine's old
    encoding, and “Zoë” as “ZoÃ«”. Rollcall reads it without a stumble.
    """
    yield "\ufeff".encode()
    batches = listing.text_batches(listing.columns(DEFAULT_COLUMNS))
    yield from encode_csv(escape_formulas(with_iso_times(batch)) for batch in batches)


def raw_csv_chunks(listing: Listing) -> Chunks:
    """CSV for programs: every text as it is, no byte order mark, and the account's identity."""
    batches = listing.text_batches(listing.columns(tuple(LISTING_COLUMNS)))
    return encode_csv(with_iso_times(batch) for batch in batches)


def json_chunks(listing: Listing) -> Chunks:
    """A snapshot file as JSON: a list with one account a line.

    What was loaded as one integration loads again as the same accounts. The integration is the
    file's affair, not the account's, so only a list of several names it.
    """
    has_several_integrations = len(build_manifest(listing, columns=["account_id"]).snapshots) > 1
    default_columns = [
        name for name in LISTING_COLUMNS if has_several_integrations or name != "integration"
    ]
    return json_list_chunks(listing.json_batches(listing.request.columns or default_columns))


def json_list_chunks(batches: Iterable[pa.RecordBatch]) -> Chunks:
    """A JSON list, a line for each row: its only column is an object as text."""
    separator = "[\n"
    for batch in batches:
        if batch.num_rows:
            lines = pa.ListArray.from_arrays([0, batch.num_rows], batch.column(0))
            yield separator.encode()
            yield pc.binary_join(lines, ",\n")[0].as_buffer().to_pybytes()  # pyright: ignore[reportAttributeAccessIssue]
            separator = ",\n"
    yield b"[]\n" if separator == "[\n" else b"\n]\n"


def parquet_chunks(listing: Listing) -> Chunks:
    """Parquet for analysis: real times, roles as a list; what the file is of, as its metadata."""
    manifest = build_manifest(listing).as_dict()
    return parquet_file_chunks(
        listing.typed_batches(listing.columns(tuple(LISTING_COLUMNS))), manifest
    )


def parquet_file_chunks(batches: Iterator[pa.RecordBatch], manifest: Mapping[str, Any]) -> Chunks:
    """The rows, after a first batch that may have none, and what they are of as metadata."""
    sink = io.BytesIO()
    first = next(batches)
    with parquet.ParquetWriter(sink, first.schema, compression="zstd") as file:
        file.add_key_value_metadata({"rollcall": json.dumps(manifest).encode()})
        for table in _row_groups(chain([first], batches)):
            file.write_table(table)
            yield _drain(sink)
    yield _drain(sink)


class Format(NamedTuple):
    """A kind of file that a list can be."""

    label: str
    description: str  # for whom it is, in a sentence
    media_type: str
    chunks: Callable[[Listing], Chunks]


FORMATS: dict[str, Format] = {
    "csv": Format(
        "CSV",
        "Opens in a spreadsheet; text that looks like a formula stays text.",
        "text/csv; charset=utf-8",
        csv_chunks,
    ),
    "raw.csv": Format(
        "Raw CSV",
        "For programs: every text as it is, with account IDs. Not safe in a spreadsheet.",
        "text/csv; charset=utf-8",
        raw_csv_chunks,
    ),
    "xlsx": Format(
        "Excel",
        "Real times and filters; a second sheet has a row per role.",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        workbook_chunks,
    ),
    "parquet": Format(
        "Parquet",
        "For analysis: typed and small, roles as a list.",
        "application/vnd.apache.parquet",
        parquet_chunks,
    ),
    "json": Format(
        "JSON",
        "A snapshot file with everything known; Rollcall loads it again.",
        "application/json",
        json_chunks,
    ),
}
"""File name ending → what it is and what writes it. A new format is one function and one entry."""


def export_file(
    con: Connection, request: ListRequest, path: Path, format_name: str, *, with_manifest: bool
) -> int:
    """Write the list to a file, whole or not at all; answers with how many accounts it lists.

    `tell`: write beside it what it is of, as `<file>.about.json`.
    """
    listing = Listing(con, request)
    manifest, digest, size = build_manifest(listing), hashlib.sha256(), 0
    with _atomic_file(path) as file:
        for chunk in FORMATS[format_name].chunks(listing):
            digest.update(chunk)
            size += file.write(chunk)
    if with_manifest and path.is_file():
        _write_manifest(manifest, path, bytes=size, sha256=digest.hexdigest())
    return manifest.rows


def _write_manifest(manifest: ListManifest, path: Path, **checksum: Any) -> None:
    content = {"file": path.name, **checksum, **manifest.as_dict()}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.with_name(f"{path.name}.about.json").write_text(f"{text}\n", encoding="utf-8")


@contextmanager
def _atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is complete; a pipe or a device is written as it is."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    with write_atomically(path) as partial, partial.open("wb") as file:
        yield file


def encode_csv(batches: Iterable[pa.RecordBatch]) -> Chunks:
    """Headings once, then the rows; the batches have the same columns."""
    for number, batch in enumerate(batches):
        sink = pa.BufferOutputStream()
        options = csv.WriteOptions(include_header=number == 0, batch_size=max(1, batch.num_rows))
        csv.write_csv(batch, sink, options)
        yield sink.getvalue().to_pybytes()


def with_iso_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times as ISO 8601 in UTC, which is also what a snapshot file may hold."""
    columns = [
        format_times(column) if pa.types.is_timestamp(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def escape_formulas(batch: pa.RecordBatch) -> pa.RecordBatch:
    """No cell and no heading starts like a formula; a heading can be an attribute's name."""
    return pa.RecordBatch.from_arrays(
        [_escape_texts(column) for column in batch.columns],
        [escape_formula(name) for name in batch.schema.names],
    )


def escape_formula(text: str) -> str:
    """With an apostrophe in front where a spreadsheet would take the text for a formula."""
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) else text


def _escape_texts(texts: pa.Array) -> pa.Array:
    """With an apostrophe where one is needed, which hardly ever it is."""
    first_characters = pc.utf8_slice_codeunits(texts, 0, 1)  # pyright: ignore[reportAttributeAccessIssue]
    is_formula = pc.is_in(first_characters, value_set=pa.array(FORMULA_PREFIXES))  # pyright: ignore[reportAttributeAccessIssue]
    if not is_formula.true_count:
        return texts
    escaped = pc.binary_join_element_wise("'", texts, "")  # pyright: ignore[reportAttributeAccessIssue]
    return pc.if_else(is_formula, escaped, texts)  # pyright: ignore[reportAttributeAccessIssue]


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in tables that make a row group each."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        pending.append(batch)
        if sum(map(len, pending)) >= ROW_GROUP_SIZE:
            yield pa.Table.from_batches(pending)
            pending = []
    if pending:
        yield pa.Table.from_batches(pending)


def _drain(sink: io.BytesIO) -> bytes:
    """What was written since last time; the writer keeps count of its place by itself."""
    content = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return content
