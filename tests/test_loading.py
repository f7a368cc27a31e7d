"""Loading is whole or not at all: what is refused, in which words, and what stays as it was."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import (
    ADA,
    BOB,
    HEADINGS,
    MONDAY,
    TUESDAY,
    accounts,
    deliver,
    rejections,
    sizes,
)
from sqlalchemy import Engine, event, select

from data.files import errors
from data.files.naming import SnapshotFile, parse_moment
from data.history.load import LoadResult, load, remove_snapshot
from data.schema import (
    account,
    account_version,
    is_same_account,
    snapshot,
    state_change,
    state_count,
)

CSV = f"{HEADINGS}\n{ADA}\n{BOB}\n"
JSON = json.dumps([{"login": f"user{n}", "State": "Onboarded"} for n in range(500)])


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"login": [f"user{n}" for n in range(500)]}), sink)
    return sink.getvalue().to_pybytes()


# ---- where a file belongs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["2026-11-23T06-00-00Z.csv", "2026-11-23T06:00:00Z.csv.gz", "20261123T060000Z.json"],
)
def test_the_path_says_integration_and_moment(tmp_path: Path, name: str):
    file = SnapshotFile.from_path(tmp_path / "figma" / name)
    assert (file.integration, file.taken_at) == ("figma", MONDAY)


def test_arguments_win_over_the_path(tmp_path: Path):
    path = tmp_path / "figma" / "2026-11-23T06-00-00Z.csv"
    file = SnapshotFile.from_path(path, integration="Salesforce EMEA", taken_at=TUESDAY)
    assert (file.integration, file.taken_at) == ("Salesforce EMEA", TUESDAY)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("users.csv", {}, "users.csv does not say which integration it lists."),
        ("users.csv", {"integration": "figma"}, "does not say when the snapshot was taken."),
        ("users.csv", {"taken_at": MONDAY}, "does not say which integration it lists."),
        (
            "2026-13-45T06-00-00Z.csv",
            {"integration": "figma"},
            "does not say when the snapshot was taken",
        ),
    ],
)
def test_a_file_that_says_too_little_is_refused(
    tmp_path: Path, name: str, given: dict[str, Any], words: str
):
    with pytest.raises(errors.UnknownSnapshot) as refused:
        SnapshotFile.from_path(tmp_path / name, **given)
    assert words in str(refused.value)
    assert "e.g. figma/2026-11-23T06-00-00Z.csv, or give --integration" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23", datetime(2026, 11, 23)),
        ("2026-11-23_06-30", datetime(2026, 11, 23, 6, 30)),
        ("2026-11-23T06:30:15.250Z", datetime(2026, 11, 23, 6, 30, 15)),
        ("2026-02-30", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_moments_are_spelled_in_several_ways(text: str, moment: datetime | None):
    assert parse_moment(text) == moment


# ---- what a load says and writes ----------------------------------------------------------------


def test_a_load_says_what_became_of_the_rows(store: Engine, tmp_path: Path):
    loaded = deliver(store, tmp_path, CSV + ",,,,,,\ncy,cy,,perhaps,,Odd,\n")
    assert (loaded.rows_read, loaded.accepted, loaded.rejected, loaded.flagged) == (4, 3, 1, 1)
    with store.connect() as con:
        kept = con.execute(select(snapshot)).one()
    assert (kept.file_name, kept.taken_at) == ("accounts.csv", MONDAY)
    assert (kept.rows_read, kept.accepted, kept.rejected, kept.flagged) == (4, 3, 1, 1)
    assert len(kept.sha256) == 64


def test_an_unchanged_account_costs_no_version(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    deliver(store, tmp_path, CSV.replace("Delete failed", "Deleted"), taken_at=TUESDAY)
    with store.connect() as con:
        versions = con.execute(
            select(account.c.account_id, account_version.c.valid_from)
            .join_from(account_version, account, is_same_account(account, account_version))
            .order_by(account_version.c.valid_from, account.c.account_id)
        ).all()
    assert versions == [("ada", MONDAY), ("bob", MONDAY), ("bob", TUESDAY)]


def test_a_profile_is_written_once_for_many_versions(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    deliver(store, tmp_path, CSV.replace("Delete failed", "Deleted"), taken_at=TUESDAY)
    assert (sizes(store)["account_version"], sizes(store)["account_profile"]) == (3, 2)
    other = CSV.replace("Delete failed", "Deleted").replace("Admin;Editor", "Editor")
    deliver(store, tmp_path, other, taken_at=TUESDAY + timedelta(days=1))
    assert (sizes(store)["account_version"], sizes(store)["account_profile"]) == (4, 3)
    assert remove_snapshot(store, "figma", TUESDAY + timedelta(days=1))
    assert (sizes(store)["account_version"], sizes(store)["account_profile"]) == (3, 2)


def test_other_spellings_of_the_same_are_no_change(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    other = CSV.replace("Admin;Editor", "Editor; Admin").replace("Yes", "TRUE")
    deliver(store, tmp_path, other.replace("Onboarded", "onboarded"), taken_at=TUESDAY)
    assert sizes(store)["account_version"] == 2


def test_an_account_that_goes_and_comes_back_is_the_same_account(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    deliver(store, tmp_path, f"{HEADINGS}\n{ADA}\n", taken_at=TUESDAY)
    assert set(accounts(store)) == {"ada"}
    deliver(store, tmp_path, CSV, taken_at=datetime(2026, 11, 25))
    assert set(accounts(store)) == {"ada", "bob"}
    assert sizes(store)["account"] == 2
    assert sizes(store)["account_version"] == 3


def test_states_are_counted_with_what_entered_and_left(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    deliver(store, tmp_path, CSV.replace("Delete failed", "Deleted"), taken_at=TUESDAY)
    count, change = state_count.c, state_change.c
    with store.connect() as con:
        counts = con.execute(
            select(
                count.provisioning_state, count.accounts, count.active, count.entered, count.left
            )
            .where(count.taken_at == TUESDAY)
            .order_by(count.provisioning_state)
        ).all()
        changes = con.execute(
            select(change.from_state, change.to_state, change.accounts).where(
                change.taken_at == TUESDAY
            )
        ).all()
    assert counts == [
        ("Delete failed", 0, 0, 0, 1),
        ("Deleted", 1, 0, 1, 0),
        ("Onboarded", 1, 1, 0, 0),
    ]
    assert changes == [("Delete failed", "Deleted", 1)]


def test_integrations_do_not_touch_each_other(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    path = tmp_path / "other.csv"
    path.write_text(f"{HEADINGS}\n{ADA}\n")
    load(store, SnapshotFile(path, "slack", MONDAY))
    assert sizes(store)["account_current"] == 3
    assert remove_snapshot(store, "slack", MONDAY)
    assert set(accounts(store)) == {"ada", "bob"}


# ---- refused whole ------------------------------------------------------------------------------

MOSTLY_NONE = "login,State\nada,Onboarded\n,Onboarded\n,Deleted\n"

REFUSED = [
    pytest.param(
        "a.xlsx", CSV, errors.UnknownFormat,
        "a.xlsx has no known ending; expected one of .csv, .tsv, .json, .ndjson, .jsonl, .parquet, "
        ".zip.",
        id="unknown ending",
    ),
    pytest.param(
        "a.parquet.gz", gzip.compress(parquet()), errors.UnknownFormat,
        "a.parquet.gz: Parquet is compressed already. Deliver the .parquet file itself.",
        id="compressed Parquet",
    ),
    pytest.param(
        "a.csv", "", errors.NoUsernameColumn,
        "a.csv is empty.", id="empty CSV",
    ),
    pytest.param(
        "a.csv", "\n \n", errors.NoUsernameColumn,
        "a.csv is empty.", id="blank CSV",
    ),
    pytest.param("a.json", "", errors.UnreadableFile, "a.json is empty.", id="empty JSON"),
    pytest.param(
        "a.parquet", b"", errors.UnreadableFile, "Parquet file size is 0 bytes.",
        id="empty Parquet",
    ),
    pytest.param(
        "a.csv", "Name,State\nada,Onboarded\n", errors.NoUsernameColumn,
        "a.csv has no column for the username in app. Found: Name, State. Expected a heading like "
        "“Username in app”, “userName” or “login”.",
        id="header without a username",
    ),
    pytest.param(
        "a.json", '[{"name": "ada"}]', errors.NoUsernameColumn,
        "a.json has no column for the username in app. Found: name.",
        id="JSON without a username",
    ),
    pytest.param(
        "a.json", '{"error": {"code": 401, "message": "Token expired"}, "trace": "x"}',
        errors.NotAListOfAccounts,
        "a.json is one JSON object; expected a list of accounts: [{…}, {…}]. "
        "Its keys: error, trace.",
        id="JSON error body",
    ),
    pytest.param(
        "a.json", '{"page": "x", "total": 2, "accounts": [{"userName": "ada"}]}',
        errors.NotAListOfAccounts,
        "Its keys: page, total, accounts. If “accounts” is the complete list, deliver that list "
        "alone.",
        id="JSON list beside other keys",
    ),
    pytest.param(
        "a.json", '{"login": "ada"}\n{"login": "bob"}', errors.UnreadableFile,
        "a.json has one JSON object after another, not a list. If each has a line of its own, "
        "end its name in .ndjson.",
        id="NDJSON for JSON",
    ),
    pytest.param(
        "a.ndjson", '[{"login": "ada"},\n{"login": "bob"}]', errors.UnreadableFile,
        "a.ndjson is one JSON list, not one object per line. End its name in .json.",
        id="JSON for NDJSON",
    ),
    pytest.param(
        "a.json", '{"users": [{"login": "ada"}', errors.UnreadableFile,
        "a.json is not valid JSON (cut off after character 27).", id="JSON object cut off",
    ),
    pytest.param(
        "a.json", '{"errors": [{"code": 401}]}', errors.NoUsernameColumn,
        "a.json has no column for the username in app. Found: code.",
        id="list of errors",
    ),
    pytest.param(
        "a.json", "[1, 2]", errors.NotAListOfAccounts,
        "a.json lists no accounts: none of its records is an object with keys.",
        id="list of numbers",
    ),
    *(
        pytest.param(
            f"a.{ending}", "\n<!DOCTYPE html><html>Log in, please</html>", errors.UnreadableFile,
            f"a.{ending} looks like a web page or XML, not {kind}. "
            "It may be a sign-in or error page of the system it is from.",
            id=f"login page as {ending}",
        )
        for ending, kind in (("csv", "CSV"), ("tsv", "CSV"), ("json", "JSON"), ("ndjson", "NDJSON"))
    ),
    *(
        pytest.param(
            name, content, errors.UnreadableFile, f"{name} looks like {words}",
            id=f"{words.split(',')[0]} as {name}",
        )
        for name, content, words in (
            ("a.csv", gzip.compress(CSV.encode()),
             "a gzip file, not CSV. Compress a list once, and end its name in .gz."),
            ("a.csv.gz", gzip.compress(gzip.compress(CSV.encode())), "a gzip file, not CSV."),
            ("a.json", pa.compress(b"[]", codec="zstd", asbytes=True),
             "a Zstandard file, not JSON. Compress a list once, and end its name in .zst."),
            ("a.csv", parquet(), "a Parquet file, not CSV. End its name in .parquet."),
            ("a.csv", b"PK\x03\x04\x14\x00\x06\x00",
             "an Excel workbook or another ZIP archive, not CSV. Save the list as CSV UTF-8."),
            ("a.parquet", b"PK\x03\x04\x14\x00\x06\x00",
             "an Excel workbook or another ZIP archive, not Parquet. Save the list as CSV UTF-8."),
            ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook, not CSV."),
            ("a.ndjson", b"%PDF-1.7", "a PDF document, not NDJSON. Export the list as CSV."),
        )
    ),
    pytest.param(
        "a.csv", f'{CSV},"dee' + "\nx,eve" * 3, errors.UnreadableFile,
        "a.csv is cut off or damaged: a quoted cell that starts in line 4 or later does not end.",
        id="CSV cut off in quotes",
    ),
    pytest.param(
        "a.json", '[{"login": "ada"},', errors.UnreadableFile,
        "a.json is not valid JSON: its list does not end. It may be cut off.",
        id="JSON cut off between records",
    ),
    pytest.param(
        "a.json", JSON + "[]", errors.UnreadableFile,
        "a.json cannot be read. It may be cut off or damaged.",
        id="JSON with more after the list",
    ),
    pytest.param(
        "a.json", "7", errors.UnreadableFile, "a.json is not JSON: it starts with '7'.",
        id="JSON number",
    ),
    pytest.param(
        "a.json", json.dumps([{"login": "x", **{f"k{n}": 1 for n in range(1000)}}]),
        errors.NotAListOfAccounts,
        "a.json has more than 500 different headings, so they seem to be data.",
        id="a heading per account",
    ),
    pytest.param(
        "a.json", JSON[:7000], errors.UnreadableFile,
        "a.json is not valid JSON: its list does not end. It may be cut off.",
        id="JSON cut off",
    ),
    pytest.param(
        "a.parquet", parquet()[:-100], errors.UnreadableFile,
        "a.parquet cannot be read. It may be cut off or damaged.",
        id="Parquet cut off",
    ),
    pytest.param(
        "a.csv.gz", gzip.compress((CSV * 500).encode())[:-50], errors.UnreadableFile,
        "a.csv.gz cannot be read. It may be cut off or damaged.",
        id="gzip cut off",
    ),
    pytest.param(
        "a.json.zst", pa.compress(JSON.encode(), codec="zstd", asbytes=True)[:-50],
        errors.UnreadableFile,
        "a.json.zst cannot be read. It may be cut off or damaged.",
        id="zstd cut off",
    ),
    pytest.param(
        "a.csv.gz", CSV, errors.UnreadableFile,
        "a.csv.gz cannot be read. It may be cut off or damaged.",
        id="no gzip at all",
    ),
    pytest.param(
        "a.csv.zst", CSV, errors.UnreadableFile,
        "a.csv.zst cannot be read. It may be cut off or damaged.",
        id="no zstd at all",
    ),
    pytest.param(
        "a.csv", CSV.encode("utf-16")[:-1], errors.UnreadableFile,
        "a.csv starts like UTF-16 text but is not. It may be cut off or damaged.",
        id="UTF-16 cut off",
    ),
    pytest.param(
        "a.csv", f"{CSV}Zoé,zoe,,,,,\nÅsa,åsa,,,,,\n".encode() + b"Ren\xe9,rene,,,,,\n",
        errors.UnreadableFile,
        "a.csv is UTF-8 text up to byte 269, but not there. It is damaged or cut off, or joined "
        "from files in different encodings. Export it again as UTF-8.",
        id="UTF-8 but for a byte",
    ),
    pytest.param(
        "a.csv", CSV.encode() + b"\x81\xfe\x00,bin,,,,,\n", errors.UnreadableFile,
        "a.csv is neither UTF-8 nor Windows-1252 text. Save or export it as UTF-8 (in Excel: "
        "“CSV UTF-8”).",
        id="neither UTF-8 nor Windows-1252",
    ),
    pytest.param(
        "a.csv", MOSTLY_NONE, errors.MostlyRejected,
        "a.csv: 2 of 3 rows are no accounts, which is more than half; nothing was loaded. "
        "The first: line 3: The row has no username in app.",
        id="mostly rejected",
    ),
    pytest.param(
        "a.csv", f"{HEADINGS}\n", errors.NoAccounts,
        "a.csv lists no accounts, but the snapshot before does; nothing was loaded. "
        "An empty list is more often a failed export than an app without users.",
        id="empty list, CSV",
    ),
    pytest.param(
        "a.json", "[]", errors.NoAccounts, "a.json lists no accounts, but", id="empty list, JSON"
    ),
    pytest.param(
        "a.ndjson", "", errors.NoAccounts, "a.ndjson lists no accounts, but", id="empty NDJSON"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "refusal", "words"), REFUSED)
def test_a_refused_file_says_why_and_leaves_the_store_as_it_was(
    store: Engine,
    tmp_path: Path,
    name: str,
    content: str | bytes,
    refusal: type[errors.SnapshotRejected],
    words: str,
):
    deliver(store, tmp_path, CSV)
    before = sizes(store), accounts(store), rejections(store)
    with pytest.raises(refusal) as refused:
        deliver(store, tmp_path, content, name, TUESDAY)
    assert words in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert (sizes(store), accounts(store), rejections(store)) == before
    assert deliver(store, tmp_path, CSV + ",\n", "next.csv", TUESDAY).accepted == 2


def test_the_same_moment_with_other_content_is_refused_and_says_how_to_replace(
    store: Engine, tmp_path: Path
):
    deliver(store, tmp_path, CSV, "first.csv")
    other = f"{HEADINGS}\n{ADA}\n"
    with pytest.raises(errors.OtherContentLoaded) as refused:
        deliver(store, tmp_path, other, "second.csv")
    assert str(refused.value) == (
        "figma at 2026-11-23 06:00:00 UTC is loaded already, from first.csv with other content. "
        "To put second.csv in its place: rollcall load --replace."
    )
    assert set(accounts(store)) == {"ada", "bob"}
    assert deliver(store, tmp_path, other, "second.csv", replace=True).accepted == 1
    assert set(accounts(store)) == {"ada"}


def test_the_same_file_again_changes_nothing_and_says_so(store: Engine, tmp_path: Path):
    first = deliver(store, tmp_path, CSV)
    before = sizes(store)
    again = deliver(store, tmp_path, CSV)
    assert (first.already_loaded, again.already_loaded) == (False, True)
    assert (again.rows_read, again.accepted) == (2, 2)
    assert sizes(store) == before


@pytest.mark.parametrize(("name", "content"), [("a.csv", HEADINGS), ("a.json", "[]")])
def test_the_first_list_of_an_integration_may_be_empty(
    store: Engine, tmp_path: Path, name: str, content: str
):
    assert deliver(store, tmp_path, content, name).accepted == 0
    assert deliver(store, tmp_path, CSV, taken_at=TUESDAY).accepted == 2


def test_removing_what_is_not_there_says_so(store: Engine, tmp_path: Path):
    assert not remove_snapshot(store, "figma", MONDAY)
    deliver(store, tmp_path, CSV)
    assert not remove_snapshot(store, "figma", TUESDAY)
    assert remove_snapshot(store, "figma", MONDAY)
    assert sizes(store)["account_version"] == 0


def test_an_integration_goes_with_its_last_snapshot_and_leaves_nothing_to_the_next(
    store: Engine, tmp_path: Path
):
    deliver(store, tmp_path, CSV)
    assert remove_snapshot(store, "figma", MONDAY)
    assert (sizes(store)["integration"], sizes(store)["account"]) == (0, 0)
    load(store, SnapshotFile(tmp_path / "accounts.csv", "slack", MONDAY))
    assert (sizes(store)["integration"], sizes(store)["account"]) == (1, 2)


def test_a_load_that_fails_on_the_way_leaves_the_store_as_it_was(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    before = sizes(store), accounts(store)

    def fail(_con: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO snapshot"):
            raise RuntimeError("the disk is full")

    event.listen(store, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError):
        deliver(store, tmp_path, f"{HEADINGS}\n{ADA}\n", taken_at=TUESDAY)
    event.remove(store, "before_cursor_execute", fail)
    assert (sizes(store), accounts(store)) == before
    assert isinstance(deliver(store, tmp_path, CSV, taken_at=TUESDAY), LoadResult)
