"""Whatever a file holds: it is loaded, with every row accounted for, or refused in words."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import MONDAY, TUESDAY, deliver, rejections, sizes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from data.files.errors import SnapshotRejected
from data.history.load import LoadResult
from data.store.engine import open_store

SECONDS = 20  # of computing; none of these small files may take longer

HEADINGS = ["Username in app", "id", "User", "Roles", "Active", "State", "Last updated", "Team"]
ROWS = [
    ["ada", "1", "Ada <ada@x.io>", "Admin;Editor", "yes", "Onboarded", "2026-11-01T08:00Z", "a"],
    ["bob", "2", "", '["Viewer", {"name": "Owner"}]', "0", "delete_failed", "1767261600", 'b,\n"c'],
    ["zoé", "3", "Zoé", "Admin, EMEA", "", "?", "Nov 23, 2026, 6:00:00 AM", ""],
    ["", "4", "nobody", "", "", "", "", ""],
    ["dee", "2", "", "", "perhaps", "", "03/04/2026", "\u202e\u200b"],
]
RECORDS = [dict(zip(HEADINGS, row, strict=True)) for row in ROWS]


def separated(rows: list[list[str]], **how: Any) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, **how).writerows(rows)
    return out.getvalue()


def parquet(compression: str = "snappy") -> bytes:
    sink = pa.BufferOutputStream()
    roles = pa.array([["x"], None, [], ["y", "z"], []])
    columns = pa.Table.from_pylist(RECORDS).append_column("App access", roles)
    pq.write_table(columns, sink, compression=compression)
    return sink.getvalue().to_pybytes()


CSV = separated([HEADINGS, *ROWS])
BEFORE = separated([HEADINGS, *ROWS[:3]])
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)
SLACK = [
    ["userid", "billing-active", "has-2fa", "username", "status"],
    ["U1", "1", "", "ada", "Bot"],
]
DATADOG = {
    "data": [
        {
            "type": "users", "id": "1", "attributes": {"handle": "ada", "service_account": False},
            "relationships": {"roles": {"data": [{"type": "roles", "id": "r"}]}},
        }
    ],
    "included": [{"type": "roles", "id": "r", "attributes": {"name": "Admin"}}],
    "meta": {"page": {"total_count": 1}},
}  # fmt: skip
VALID = {
    "slack.csv": separated(SLACK).encode(),
    "datadog.json": json.dumps(DATADOG).encode(),
    "a.csv": CSV.encode(),
    "b.csv": separated([HEADINGS, *ROWS], delimiter=";", lineterminator="\n").encode("utf-16"),
    "c.csv": CSV.encode("cp1252", "ignore"),
    "a.tsv": separated([HEADINGS, *ROWS], dialect="excel-tab").encode("utf-8-sig"),
    "a.json": json.dumps(RECORDS, indent=1).encode(),
    "b.json": json.dumps({"accounts": RECORDS}, ensure_ascii=False).encode(),
    "a.ndjson": LINES.encode(),
    "a.parquet": parquet(),
    "b.parquet": parquet("none"),
    "a.csv.gz": gzip.compress(CSV.encode()),
    "a.json.zst": pa.compress(json.dumps(RECORDS).encode(), codec="zstd", asbytes=True),
}
NAMES = ["a.csv", "a.tsv", "a.json", "a.ndjson", "a.parquet", "a.csv.gz", "a.jsonl.zst"]
HOSTILE = [
    b'"', b'""', b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\x1a", b"\x1f", b"{", b"}", b"[", b"]", b",", b";", b":", b"\\",
    b"\\u0000", b"\\ud800", b"[" * 500,
    b'{"a":' * 300, b"x" * 70_000, b"1e999", b"-", b"NaN", b"null",
    b",,,,,,,,,,,,", b"\xf0\x9f\x98\x80",
]  # fmt: skip

fuzz = settings(max_examples=12, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One store for all the files: what one leaves behind must not trouble the next."""
    folder = tmp_path_factory.mktemp("fuzz")
    engine = open_store(f"duckdb:///{folder}/store.duckdb")
    deliver(engine, folder, BEFORE)
    yield engine
    engine.dispose()


def outcome(store: Engine, folder: Path, content: bytes, name: str) -> LoadResult | None:
    """What became of the file, if it was loaded; checks what holds of every file."""
    before, start = sizes(store), time.process_time()
    loaded = None
    try:
        loaded = deliver(store, folder, content, name, TUESDAY, replace=True, confirmed=True)
    except SnapshotRejected as refused:
        words = str(refused)
    else:
        words = ""
    if not loaded:
        assert name in words
        assert str(folder) not in words
        assert words.isprintable()
        assert sizes(store) == before
    assert time.process_time() - start < SECONDS
    if loaded:
        assert loaded.accepted + loaded.rejected <= loaded.rows_read
        assert sizes(store)["account_current"] == loaded.accepted
    return loaded


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid file that was cut, changed, or lengthened in a place or two."""
    name = draw(st.sampled_from(sorted(VALID)))
    content = VALID[name]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        piece = draw(st.sampled_from(HOSTILE) | st.binary(max_size=4))
        until = draw(st.sampled_from([at, at + len(piece), at + 50, len(content)]))
        content = content[:at] + piece + content[until:]
    return name, content


@given(file=damaged())
@settings(fuzz, max_examples=20)
def test_a_damaged_file_is_loaded_in_whole_rows_or_rejected(
    store: Engine, tmp_path: Path, file: tuple[str, bytes]
):
    name, content = file
    outcome(store, tmp_path, content, name)


@given(name=st.sampled_from(NAMES), content=st.binary(max_size=200))
@fuzz
def test_any_bytes_are_loaded_in_whole_rows_or_rejected(
    store: Engine, tmp_path: Path, name: str, content: bytes
):
    outcome(store, tmp_path, content, name)


@given(name=st.sampled_from(sorted(VALID)), other=st.sampled_from(sorted(VALID)))
@fuzz
def test_a_file_under_another_name_is_loaded_in_whole_rows_or_rejected(
    store: Engine, tmp_path: Path, name: str, other: str
):
    outcome(store, tmp_path, VALID[other], name)


anything = st.text(max_size=8) | st.sampled_from(
    ["", "ada", "\0", "\u200b", "[1]", '{"name":', "2026-11-01", "infinity", "1e999", ";,;"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=8,
)
records = (
    st.dictionaries(st.sampled_from(HEADINGS) | anything, json_values, max_size=6) | json_values
)


@given(items=st.lists(records, max_size=5), as_lines=st.booleans(), ascii_only=st.booleans())
@fuzz
def test_any_json_is_loaded_in_whole_rows_or_rejected(
    store: Engine, tmp_path: Path, items: list[Any], as_lines: bool, ascii_only: bool
):
    items = [{"login": "ada"}, {"login": "bob"}, *items]
    texts = [json.dumps(item, ensure_ascii=ascii_only) for item in items]
    text = "\n".join(texts) if as_lines else f"[{','.join(texts)}]"
    name = "a.ndjson" if as_lines else "a.json"
    content = text.encode("utf-8", "surrogatepass")
    loaded = outcome(store, tmp_path, content, name)
    if loaded and as_lines:
        assert loaded.rows_read == len(items)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6) | (
    st.sampled_from(
        ["", "ada", "bob", "a\nb", 'a"b', "a\r\nb", ",", ";", "\t", "|", "'", "#", "\\"]
    )
)


@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    line_break=st.sampled_from(["\n", "\r\n"]),
    blank_after=st.integers(0, 8),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
)
@fuzz
def test_any_table_is_loaded_with_the_lines_of_rejected_rows(
    store: Engine,
    tmp_path: Path,
    rows: list[tuple[str, str, str]],
    delimiter: str,
    line_break: str,
    blank_after: int,
    encoding: str,
):
    text = separated([["login", "Team", "Reason"]], delimiter=delimiter, lineterminator=line_break)
    lines: dict[int, tuple[str, str, str]] = {}
    for number, row in enumerate(rows):
        text += line_break * (number == blank_after)
        lines[1 + text.count("\n")] = row
        text += separated(
            [list(row)],
            delimiter=delimiter,
            lineterminator=line_break,
            quoting=csv.QUOTE_ALL,
        )
    loaded = outcome(store, tmp_path, text.encode(encoding), "a.csv")
    if loaded:
        assert loaded.rows_read == len(rows)
        empty = {line for line, row in lines.items() if not row[0].strip(" \t\r\n\u00a0")}
        rejected_lines = {line for line, _, reason in rejections(store) if "no username" in reason}
        rejected_lines |= {line for line, _, reason in rejections(store) if "is empty" in reason}
        assert empty <= rejected_lines
        assert rejected_lines <= set(lines)
        names = {normalize("NFKC", row[0]).strip().casefold() for row in rows}
        assert loaded.merged == 0 or len(names) < len(rows)


def test_the_snapshot_before_these_files_is_unchanged(store: Engine, tmp_path: Path):
    assert deliver(store, tmp_path, BEFORE, taken_at=MONDAY).already_loaded
