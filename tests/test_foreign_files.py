"""Files as they are in the wild: encodings, line ends, types, limits."""

from __future__ import annotations

import gzip
import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import account_ids, accounts, deliver, rejections, the_account
from sqlalchemy import Engine
from test_reading import one, read_file

from data import tempfiles
from data.files import encoding, errors, relation
from data.files.headers import match_columns

WINDOWS = "The file is not UTF-8; it was read as Windows-1252 (Latin-1): check names with accents."
TABLE = "login,User\nada,Zoé „Ada“\nbob,ß\n"


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


# ---- encodings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "notes"),
    [
        ("utf-8", ()),
        ("utf-8-sig", ()),
        ("utf-16", ()),
        ("utf-32", ()),
        ("utf-16-le", (encoding.NO_BYTE_ORDER_MARK_NOTE.format(encoding="UTF-16-LE"),)),
        ("utf-16-be", (encoding.NO_BYTE_ORDER_MARK_NOTE.format(encoding="UTF-16-BE"),)),
        ("cp1252", (WINDOWS,)),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.ndjson", "a.csv.gz"])
def test_a_file_in_another_encoding_is_read_with_a_note(
    store: Engine, tmp_path: Path, encoding: str, notes: tuple[str, ...], name: str
):
    rows = [{"login": "ada", "User": "Zoé „Ada“"}, {"login": "bob", "User": "ß"}]
    text = {
        "a.json": json.dumps(rows, ensure_ascii=False),
        "a.ndjson": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
    }.get(name, TABLE)
    content = text.encode(encoding)
    content = gzip.compress(content) if name.endswith(".gz") else content
    read, _ = read_file(store, tmp_path, content, name)
    assert read.notes == notes
    deliver(store, tmp_path, content, name)
    assert {a["user_name"] for a in accounts(store).values()} == {"Zoé „Ada“", "ß"}


def test_japanese_text_as_excel_saves_it_is_read_with_a_note(store: Engine, tmp_path: Path):
    content = "ログインID,氏名\nada,テオ 太郎\n".encode("cp932")
    read, _ = read_file(store, tmp_path, content)
    assert read.notes == (encoding.SHIFT_JIS_NOTE,)
    deliver(store, tmp_path, content)
    assert the_account(store)["user_name"] == "テオ 太郎"
    assert read_file(store, tmp_path, "login,User\nada,ƒ‚so‘ Zoé\n".encode("cp1252"))[0].notes == (
        WINDOWS,
    )


def test_one_byte_at_the_end_of_a_long_file_decides_its_encoding(store: Engine, tmp_path: Path):
    rows = "".join(f"user{n},Team {n}\n" for n in range(40_000))
    content = f"login,Team\n{rows}".encode() + b"last,\xe9quipe\n"
    read, validated = read_file(store, tmp_path, content)
    assert (read.notes, validated.accepted) == ((WINDOWS,), 40_001)


def test_copies_of_files_do_not_outlive_the_load(store: Engine, tmp_path: Path):
    before = {*tempfiles.temporary_folder().iterdir()}  # what a test's errors still refer to
    deliver(store, tmp_path, gzip.compress(TABLE.encode("utf-16")), "a.csv.gz")
    assert set(accounts(store)) == {"ada", "bob"}
    assert {*tempfiles.temporary_folder().iterdir()} <= before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "login,User\nada,a\0b\n"),
        ("a.ndjson", '{"login": "ada", "User": "a\\u0000b"}'),
        ("a.json", '[{"login": "ada", "User": "a\\u0000b"}]'),
    ],
)
def test_nul_becomes_a_visible_character_with_a_note(
    store: Engine, tmp_path: Path, name: str, content: str
):
    read, _ = read_file(store, tmp_path, content, name)
    assert read.notes == ("The file contains NUL characters; each was read as “\ufffd”.",)
    deliver(store, tmp_path, content, name)
    assert the_account(store)["user_name"] == "a\ufffdb"


def test_a_backslash_before_u0000_is_text(store: Engine, tmp_path: Path):
    read, _ = read_file(store, tmp_path, r'[{"login": "ada", "User": "\\u0000"}]', "a.json")
    assert read.notes == ()


# ---- lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_of_rejected_rows_are_those_of_the_file(
    store: Engine, tmp_path: Path, line_break: str
):
    lines = ["", "login,Team", "ada,", "", '"bob","a', "", 'b"', "", ",c", "cy", "", "dee,", ",d"]
    deliver(store, tmp_path, line_break.join([*lines, "eve,", "fay,", ""]))
    assert set(accounts(store)) == {"ada", "bob", "dee", "eve", "fay"}
    assert [line for line, _, _ in rejections(store)] == [9, 10, 13]


def test_lines_may_end_in_several_ways(store: Engine, tmp_path: Path):
    content = 'login,Team\r\nada,"a\r\nb"\nbob,c\rcy,d\r\n,e\n'
    read, validated = read_file(store, tmp_path, content)
    assert read.notes == (encoding.MIXED_LINE_BREAKS_NOTE,)
    assert (validated.accepted, validated.rejected) == (3, 1)
    deliver(store, tmp_path, content)
    assert json.loads(accounts(store)["ada"]["attributes"]) == {"Team": "a\r\nb"}
    assert [line for line, _, _ in rejections(store)] == [6]


@pytest.mark.parametrize("content", ["login,Team,\nada,x\nbob,y\n", "login,Team\nada,x,\nbob,y,\n"])
def test_a_delimiter_at_the_end_of_only_some_lines_is_no_column(
    store: Engine, tmp_path: Path, content: str
):
    assert deliver(store, tmp_path, content).rejected == 0
    assert json.loads(accounts(store)["bob"]["attributes"]) == {"Team": "y"}


def test_a_list_under_the_only_key_of_an_object_is_read_with_a_note(store: Engine, tmp_path: Path):
    content = ' { "Benutzer ü": [ {"login": "ada"}, {"login": "bob"} ] } \n'
    read, validated = read_file(store, tmp_path, content, "a.json")
    assert validated.accepted == 2
    assert read.notes == (
        "The file is a JSON object; the accounts are the list under “Benutzer ü”, its only key.",
    )


def test_packed_files_may_have_several_members(store: Engine, tmp_path: Path):
    content = gzip.compress(b"login\nada\n") + gzip.compress(b"bob\n")
    assert deliver(store, tmp_path, content, "a.csv.gz").accepted == 2


@pytest.mark.parametrize("name", [" ", "\u00a0", "\u200b\u200d", "\u2003\ufeff", "\u202e"])
def test_a_name_of_invisible_characters_is_no_name(store: Engine, tmp_path: Path, name: str):
    deliver(store, tmp_path, json.dumps([{"login": "ada"}, {"login": name}]), "a.json")
    assert rejections(store)[0][2] == "The row has no username in app."


def test_invisible_characters_within_a_name_are_preserved(store: Engine, tmp_path: Path):
    name = "\u202eada\u200b\u200dx"
    around = f"\ufeff{name}\u200b"  # as it is copied from a page
    assert one(store, tmp_path, login=around, username_in_app=around)["username_in_app"] == name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "login,email,role\nada,a@x.io,Admin\nbob,b@x.io,Admin\nteo,t@x"),
        ("a.ndjson", '{"login": "ada"}\n{"login": "bob"}\n{"login": "te'),
    ],
)
def test_a_file_that_ends_within_a_line_is_on_hold(
    store: Engine, tmp_path: Path, name: str, content: str
):
    with pytest.raises(errors.OnHold, match="incomplete: its last line"):
        deliver(store, tmp_path, content, name)
    assert deliver(store, tmp_path, content, name, confirmed=True).rejected == 1
    whole = content[: content.rindex("\n")]
    assert deliver(store, tmp_path, whole, name, replace=True).accepted == 2


# ---- Parquet ------------------------------------------------------------------------------------

AT_SIX = datetime(2026, 11, 23, 6)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_parquet_times_of_every_unit_and_zone(
    store: Engine, tmp_path: Path, unit: str, zone: str | None
):
    moment = AT_SIX if zone is None else AT_SIX.replace(tzinfo=UTC)
    times = pa.array([moment], pa.timestamp(unit, zone))
    deliver(store, tmp_path, parquet(login=["ada"], last_updated=times), "a.parquet")
    account = the_account(store)
    assert (account["last_updated"], account["flags"]) == (AT_SIX, None)


def test_parquet_values_of_every_type_are_as_text_would_be(store: Engine, tmp_path: Path):
    content = parquet(
        login=pa.array(["ada"]).dictionary_encode(),
        id=pa.array([42.0]),
        externalId=pa.array([b"Zo\xc3\xa9"]),
        last_updated=pa.array([date(2026, 11, 23)]),
        roles=pa.array([[{"name": "Admin", "via": "IT"}]]),
        active=pa.array([False]),
        Price=pa.array([Decimal("1.50")]),
        Nothing=pa.nulls(1),
        Tags=pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())),
        Raw=pa.array([b"\xff"]),
        Text=pa.array(["a\0b"]),
        Share=pa.array([0.5]),
    )
    deliver(store, tmp_path, content, "a.parquet")
    account = the_account(store)
    assert account_ids(store) == {"42"}
    assert account["upstream_user_id"] == "Zoé"
    assert (account["roles"], account["active_in_app"]) == (["Admin"], False)
    assert account["last_updated"] == datetime(2026, 11, 23)
    assert json.loads(account["attributes"]) == {
        "Price": "1.50", "Tags": '{"a":1}', "Raw": "\\xFF", "Text": "a\ufffdb", "Share": "0.5",
    }  # fmt: skip


# ---- limits -------------------------------------------------------------------------------------


def test_a_file_that_unpacks_to_too_much_is_rejected(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ROLLCALL_MAX_UNPACKED_MB", "1")
    content = gzip.compress(b"login\n" + b"x" * (1 << 20))
    with pytest.raises(errors.TooLarge) as rejection:
        deliver(store, tmp_path, content, "a.csv.gz")
    assert str(rejection.value) == (
        "a.csv.gz unpacks to more than 1 MB, the limit. ROLLCALL_MAX_UNPACKED_MB sets another one."
    )


@pytest.mark.parametrize("name", ["a.csv.gz", "a.json.zst"])
def test_a_decompression_bomb_is_rejected(store: Engine, tmp_path: Path, name: str):
    zeros = b"login\n" + b"0" * (65 << 20)
    packed = gzip.compress(zeros) if name.endswith("gz") else pa.compress(zeros, "zstd", True)
    with pytest.raises(errors.TooLarge) as rejection:
        deliver(store, tmp_path, packed, name)
    assert "unpacks to more than 200 times its size" in str(rejection.value)


def test_a_parquet_file_that_repeats_one_value_too_often_is_rejected(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ROLLCALL_MAX_UNPACKED_MB", "1")
    content = parquet(login=["x" * 1000] * 2000)
    with pytest.raises(errors.TooLarge) as rejection:
        deliver(store, tmp_path, content, "a.parquet")
    assert "a.parquet unpacks to more than 1 MB" in str(rejection.value)
    monkeypatch.setattr("data.files.parquet.MAX_ROWS", 1000)
    with pytest.raises(errors.TooLarge) as rejection:
        deliver(store, tmp_path, content, "a.parquet")
    assert "a.parquet has 2,000 rows" in str(rejection.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", gzip.compress(gzip.compress(b"login\nada\n")), "is compressed twice"),
        ("a.csv", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;'
         "</a>", "is a web page or XML without a list"),
        ("a.json", "[" * 1_000_000, "its list does not end"),
        ("a.json", "[" * 100_000 + "]" * 100_000, "lists no accounts"),
    ],
    ids=["packed twice", "XML", "lists without an end", "lists in lists"],
)  # fmt: skip
def test_a_misleading_file_is_rejected(
    store: Engine, tmp_path: Path, name: str, content: str | bytes, words: str
):
    with pytest.raises(errors.SnapshotRejected, match=words):
        deliver(store, tmp_path, content, name)


def test_a_parquet_file_that_refers_to_others_is_rejected(store: Engine, tmp_path: Path):
    """As the summary of a folder of them does."""
    table, about = pa.table({"login": ["nobody's business"]}), []
    pq.write_table(table, tmp_path / "other.parquet", metadata_collector=about)
    about[0].set_file_path("other.parquet")
    pq.write_metadata(table.schema, tmp_path / "summary", metadata_collector=about)
    with pytest.raises(errors.UnreadableFile):
        deliver(store, tmp_path, (tmp_path / "summary").read_bytes(), "a.parquet")
    assert not accounts(store)


def test_the_most_columns_load_within_seconds(store: Engine, tmp_path: Path):
    names = [f"k{n}" for n in range(relation.MAX_HEADINGS - 1)]
    began = time.process_time()
    deliver(store, tmp_path, f"login,{','.join(names)}\nada{',v' * len(names)}\n")
    assert json.loads(the_account(store)["attributes"]) == dict.fromkeys(names, "v")
    assert time.process_time() - began < 20, "it took 50 seconds"


# ---- headings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headings", "found"),
    [
        ("username_in_app|Username in app", "username_in_app"),
        ("userName|login|LOGIN", "username_in_app"),
        ("account_id|Account ID|id", "account_id"),
        ("User", "user_text"),
        ("user_name|User name|USER-NAME", "user_name"),
        ("user_email|User email|Email|E-mail", "user_email"),
        ("roles|App access|Entitlements|APP_ACCESS", "roles"),
        ("active_in_app|Active in app|Active", "active_in_app"),
        ("upstream_user_id|Upstream user ID|externalId|External ID", "upstream_user_id"),
        ("provisioning_state|Provisioning state", "provisioning_state"),
        ("state_reason|Reason|Error", "state_reason"),
        ("failure_code|Error code|errorCode", "failure_code"),
        ("last_updated|Last updated|lastUpdated|updatedAt", "last_updated"),
    ],
)
def test_the_documented_headings_are_recognized(headings: str, found: str):
    for heading in headings.split("|"):
        assert match_columns([heading]) == {found: heading}
