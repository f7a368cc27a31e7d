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

from queries.export.excel import workbook_chunks
from queries.export.listing import COLUMNS, Listing, Wanted, times_told
from queries.export.manifest import About, about

FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""How text starts that a spreadsheet takes for a formula; the last four are full-width."""

ROW_GROUP = 30_000
"""Rows that Parquet compresses together: few groups to plan over, little to hold."""

ON_PAGE = tuple(name for name in COLUMNS if name != "account_id")
"""What is downloaded where nothing was chosen: the table's columns and the attributes."""

Chunks = Generator[bytes, None, None]


def csv_chunks(listing: Listing) -> Chunks:
    """CSV for spreadsheets: text that would be a formula gets an apostrophe in front.

    It starts with a byte order mark, without which Excel reads UTF-8 as the machine's old
    encoding, and “Zoë” as “ZoÃ«”. Rollcall reads it without a stumble.
    """
    yield "\ufeff".encode()
    batches = listing.texts(listing.columns(ON_PAGE))
    yield from as_csv(neutralised(with_times_told(batch)) for batch in batches)


def raw_csv_chunks(listing: Listing) -> Chunks:
    """CSV for programs: every text as it is, no byte order mark, and the account's identity."""
    batches = listing.texts(listing.columns(tuple(COLUMNS)))
    return as_csv(with_times_told(batch) for batch in batches)


def json_chunks(listing: Listing) -> Chunks:
    """A snapshot file as JSON: a list with one account a line.

    What was loaded as one integration loads again as the same accounts. The integration is the
    file's affair, not the account's, so only a list of several names it.
    """
    several = len(about(listing, columns=["account_id"]).snapshots) > 1
    usual = [name for name in COLUMNS if several or name != "integration"]
    return json_of(listing.objects(listing.wanted.columns or usual))


def json_of(batches: Iterable[pa.RecordBatch]) -> Chunks:
    """A JSON list, a line for each row: its only column is an object as text."""
    between = "[\n"
    for batch in batches:
        if batch.num_rows:
            lines = pa.ListArray.from_arrays([0, batch.num_rows], batch.column(0))
            yield between.encode()
            yield pc.binary_join(lines, ",\n")[0].as_buffer().to_pybytes()  # pyright: ignore[reportAttributeAccessIssue]
            between = ",\n"
    yield b"[]\n" if between == "[\n" else b"\n]\n"


def parquet_chunks(listing: Listing) -> Chunks:
    """Parquet for analysis: real times, roles as a list; what the file is of, as its metadata."""
    facts = about(listing).facts()
    return parquet_of(listing.typed(listing.columns(tuple(COLUMNS))), facts)


def parquet_of(batches: Iterator[pa.RecordBatch], facts: Mapping[str, Any]) -> Chunks:
    """The rows, after a first batch that may have none, and what they are of as metadata."""
    sink = io.BytesIO()
    first = next(batches)
    with parquet.ParquetWriter(sink, first.schema, compression="zstd") as file:
        file.add_key_value_metadata({"rollcall": json.dumps(facts).encode()})
        for table in _grouped(chain([first], batches)):
            file.write_table(table)
            yield _taken(sink)
    yield _taken(sink)


class Format(NamedTuple):
    """A kind of file that a list can be."""

    label: str
    words: str  # for whom it is, in a sentence
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


def export_file(con: Connection, wanted: Wanted, path: Path, form: str, *, tell: bool) -> int:
    """Write the list to a file, whole or not at all; answers with how many accounts it lists.

    `tell`: write beside it what it is of, as `<file>.about.json`.
    """
    listing = Listing(con, wanted)
    found, seal, size = about(listing), hashlib.sha256(), 0
    with _whole(path) as file:
        for chunk in FORMATS[form].chunks(listing):
            seal.update(chunk)
            size += file.write(chunk)
    if tell and path.is_file():
        _tell(found, path, bytes=size, sha256=seal.hexdigest())
    return found.rows


def _tell(found: About, path: Path, **seal: Any) -> None:
    facts = {"file": path.name, **seal, **found.facts()}
    words = json.dumps(facts, indent=2, ensure_ascii=False)
    path.with_name(f"{path.name}.about.json").write_text(f"{words}\n", encoding="utf-8")


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is complete; a pipe or a device is written as it is."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def as_csv(batches: Iterable[pa.RecordBatch]) -> Chunks:
    """Headings once, then the rows; the batches have the same columns."""
    for number, batch in enumerate(batches):
        sink = pa.BufferOutputStream()
        how = csv.WriteOptions(include_header=number == 0, batch_size=max(1, batch.num_rows))
        csv.write_csv(batch, sink, how)
        yield sink.getvalue().to_pybytes()


def with_times_told(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times as ISO 8601 in UTC, which is also what a snapshot file may hold."""
    columns = [
        times_told(column) if pa.types.is_timestamp(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def neutralised(batch: pa.RecordBatch) -> pa.RecordBatch:
    """No cell and no heading starts like a formula; a heading can be an attribute's name."""
    return pa.RecordBatch.from_arrays(
        [_without_formulas(column) for column in batch.columns],
        [tame(name) for name in batch.schema.names],
    )


def tame(text: str) -> str:
    """With an apostrophe in front where a spreadsheet would take the text for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _without_formulas(texts: pa.Array) -> pa.Array:
    """With an apostrophe where one is needed, which hardly ever it is."""
    first = pc.utf8_slice_codeunits(texts, 0, 1)  # pyright: ignore[reportAttributeAccessIssue]
    alive = pc.is_in(first, value_set=pa.array(FORMULA))  # pyright: ignore[reportAttributeAccessIssue]
    if not alive.true_count:
        return texts
    quoted = pc.binary_join_element_wise("'", texts, "")  # pyright: ignore[reportAttributeAccessIssue]
    return pc.if_else(alive, quoted, texts)  # pyright: ignore[reportAttributeAccessIssue]


def _grouped(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in tables that make a row group each."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= ROW_GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _taken(sink: io.BytesIO) -> bytes:
    """What was written since last time; the writer keeps count of its place by itself."""
    content = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return content
