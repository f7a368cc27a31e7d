"""A file is loaded completely or not at all: why it is rejected, and what stays unchanged."""

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
from data.files.formats import READERS
from data.files.naming import SnapshotFile, parse_file_moment, parse_moment
from data.history.load import LoadResult, load
from data.history.load_report import load_report
from data.history.remove import remove_snapshot
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


def parquet_of_equal_rows(count: int = 5_000_000) -> bytes:
    def column(text: str) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int8()), [text])

    table = pa.table({"login": column("ada"), "State": column("Onboarded")})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables([table] * (count // 1000)), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"login": [f"user{n}" for n in range(500)]}), sink)
    return sink.getvalue().to_pybytes()


# ---- integration and time of a file --------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["2026-11-23T06-00-00Z.csv", "2026-11-23T06:00:00Z.csv.gz", "20261123T060000Z.json"],
)
def test_integration_and_time_come_from_the_path(tmp_path: Path, name: str):
    file = SnapshotFile.from_path(tmp_path / "figma" / name)
    assert (file.integration, file.taken_at) == ("figma", MONDAY)


def test_arguments_override_the_path(tmp_path: Path):
    path = tmp_path / "figma" / "2026-11-23T06-00-00Z.csv"
    file = SnapshotFile.from_path(path, integration="Salesforce EMEA", taken_at=TUESDAY)
    assert (file.integration, file.taken_at) == ("Salesforce EMEA", TUESDAY)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
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
def test_a_file_without_integration_or_time_is_rejected(
    tmp_path: Path, name: str, arguments: dict[str, Any], message: str
):
    with pytest.raises(errors.UnknownSnapshot) as rejected:
        SnapshotFile.from_path(tmp_path / name, **arguments)
    assert message in str(rejected.value)
    assert "e.g. figma/2026-11-23T06-00-00Z.csv, or give --integration" in str(rejected.value)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23", datetime(2026, 11, 23)),
        ("2026-11-23_06-30", datetime(2026, 11, 23, 6, 30)),
        ("2026-11-23T06:30:15.250Z", datetime(2026, 11, 23, 6, 30, 15)),
        ("2026-11-23T06:00:00+00:00", datetime(2026, 11, 23, 6)),
        ("20261123T070000,5+0100", datetime(2026, 11, 23, 6)),
        ("2026-11-22t22:00-08", datetime(2026, 11, 23, 6)),
        ("2026-11-23T11-45-00+05-45", None),
        ("2026-11-23T11-45-00.123456789+05:45", datetime(2026, 11, 23, 6)),
        ("2026-11-23T07:00:00 01:00", datetime(2026, 11, 23, 6)),
        ("0001-01-01T00:00:00+01:00", None),
        ("2026-11-23T06:00:00+25:00", None),
        ("2026-11-23T06:00:00 PST", None),
        ("2026-02-30", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_are_parsed_in_several_spellings(text: str, moment: datetime | None):
    assert parse_moment(text) == moment
    assert parse_file_moment(f"{text}.csv") == moment


# ---- what a load returns and writes --------------------------------------------------------------


def test_a_load_counts_accepted_rejected_and_flagged_rows(store: Engine, tmp_path: Path):
    loaded = deliver(store, tmp_path, CSV + ",,,,,,\ncy,cy,,perhaps,,Odd,\n")
    assert (loaded.rows_read, loaded.accepted, loaded.rejected, loaded.flagged) == (4, 3, 1, 1)
    with store.connect() as con:
        row = con.execute(select(snapshot)).one()
    assert (row.file_name, row.taken_at) == ("accounts.csv", MONDAY)
    assert (row.rows_read, row.accepted, row.rejected, row.flagged) == (4, 3, 1, 1)
    assert len(row.sha256) == 64


def test_an_unchanged_account_gets_no_new_version(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    deliver(store, tmp_path, CSV.replace("Delete failed", "Deleted"), taken_at=TUESDAY)
    with store.connect() as con:
        versions = con.execute(
            select(account.c.account_id, account_version.c.valid_from)
            .join_from(account_version, account, is_same_account(account, account_version))
            .order_by(account_version.c.valid_from, account.c.account_id)
        ).all()
    assert versions == [("ada", MONDAY), ("bob", MONDAY), ("bob", TUESDAY)]


def test_a_profile_is_stored_once_for_many_versions(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    deliver(store, tmp_path, CSV.replace("Delete failed", "Deleted"), taken_at=TUESDAY)
    assert (sizes(store)["account_version"], sizes(store)["account_profile"]) == (3, 2)
    other = CSV.replace("Delete failed", "Deleted").replace("Admin;Editor", "Editor")
    deliver(store, tmp_path, other, taken_at=TUESDAY + timedelta(days=1))
    assert (sizes(store)["account_version"], sizes(store)["account_profile"]) == (4, 3)
    assert remove_snapshot(store, "figma", TUESDAY + timedelta(days=1))
    assert (sizes(store)["account_version"], sizes(store)["account_profile"]) == (3, 2)


def test_another_spelling_of_a_value_is_no_change(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    other = CSV.replace("Admin;Editor", "Editor; Admin").replace("Yes", "TRUE")
    deliver(store, tmp_path, other.replace("Onboarded", "onboarded"), taken_at=TUESDAY)
    assert sizes(store)["account_version"] == 2


def test_a_returned_account_is_the_same_account(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    deliver(store, tmp_path, f"{HEADINGS}\n{ADA}\n", taken_at=TUESDAY)
    assert set(accounts(store)) == {"ada"}
    deliver(store, tmp_path, CSV, taken_at=datetime(2026, 11, 25))
    assert set(accounts(store)) == {"ada", "bob"}
    assert sizes(store)["account"] == 2
    assert sizes(store)["account_version"] == 3


def test_states_are_counted_with_accounts_that_entered_and_left(store: Engine, tmp_path: Path):
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


def test_integrations_do_not_affect_each_other(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    path = tmp_path / "other.csv"
    path.write_text(f"{HEADINGS}\n{ADA}\n")
    load(store, SnapshotFile(path, "slack", MONDAY))
    assert sizes(store)["account_current"] == 3
    assert remove_snapshot(store, "slack", MONDAY)
    assert set(accounts(store)) == {"ada", "bob"}


# ---- rejected files ------------------------------------------------------------------------------

MOSTLY_REJECTED = "login,State\nada,Onboarded\n,Onboarded\n,Deleted\n"

REJECTED = [
    pytest.param(
        "a.docx", CSV, errors.UnknownFormat,
        f"a.docx has no known ending; expected one of {', '.join(READERS)}.",
        id="unknown ending",
    ),
    pytest.param(
        "a.parquet", parquet_of_equal_rows(), errors.TooLarge, "like a decompression bomb",
        id="Parquet with millions of equal rows",
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
        "a.parquet", b"", errors.UnreadableFile, "a.parquet is empty.",
        id="empty Parquet",
    ),
    pytest.param(
        "a.csv", "Name,State\nAda Lee,Onboarded\n", errors.NoUsernameColumn,
        "a.csv has no column for the username in app. Found: Name, State. It could be “Name” "
        "(text). Expected a heading like “Username in app”, “userName” or “login”.",
        id="header without a username",
    ),
    pytest.param(
        "a.json", '[{"name": "Ada Lee"}]', errors.NoUsernameColumn,
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
        "a.json", '{"page": "x", "total": 2, "seats of ours": [{"userName": "ada"}]}',
        errors.NotAListOfAccounts,
        "Its keys: page, total, seats of ours. If “seats of ours” is the complete list, deliver "
        "that list alone.",
        id="JSON list beside other keys",
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
            f"a.{ending} is a web page or XML without a list. "
            "It may be a sign-in or error page of the system it is from.",
            id=f"login page as {ending}",
        )
        for ending in ("csv", "json", "xls", "html")
    ),
    *(
        pytest.param(
            name, content, errors.UnreadableFile, f"{name} looks like {message}",
            id=f"{message.split(',')[0]} as {name}",
        )
        for name, content, message in (
            ("a.csv", b"\x89PNG", "an image, not CSV."),
            ("a.ndjson", b"%PDF-1.7", "a PDF document, not NDJSON. Export the list as CSV."),
        )
    ),
    pytest.param(
        "a.csv.gz", gzip.compress(gzip.compress(CSV.encode())), errors.UnreadableFile,
        "a.csv.gz is compressed twice. Compress a list once.",
        id="compressed twice",
    ),
    pytest.param(
        "a.csv", b"PK\x03\x04\x14\x00\x06\x00", errors.UnreadableFile,
        "a.csv cannot be unpacked. It may be cut off, damaged or encrypted.",
        id="workbook cut off",
    ),
    pytest.param(
        "a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", errors.UnreadableFile,
        "a.xls cannot be read as a workbook. It may be cut off or damaged.",
        id="old workbook cut off",
    ),
    *(
        pytest.param(
            f"a.{ending}", "damaged", errors.UnreadableFile,
            f"a.{ending} cannot be read as {kind}. It may be cut off or damaged.",
            id=f"no {ending} at all",
        )
        for ending, kind in (("parquet", "Parquet"), ("ods", "a workbook"))
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
        "a.csv", MOSTLY_REJECTED, errors.MostlyRejected,
        "a.csv: 2 of 3 rows are not accounts, which is more than half; nothing was loaded. "
        "First rejected row, line 3: The row has no username in app.",
        id="mostly rejected",
    ),
    pytest.param(
        "a.csv", f"{HEADINGS}\n", errors.NoAccounts,
        "a.csv lists no accounts, but the previous snapshot does; nothing was loaded. "
        "An empty list usually means that the export failed.",
        id="empty list, CSV",
    ),
    pytest.param(
        "a.json", "[]", errors.NoAccounts, "a.json lists no accounts, but", id="empty list, JSON"
    ),
    pytest.param(
        "a.ndjson", "", errors.NoAccounts, "a.ndjson lists no accounts, but", id="empty NDJSON"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "error", "message"), REJECTED)
def test_a_rejected_file_says_why_and_changes_nothing(
    store: Engine,
    tmp_path: Path,
    name: str,
    content: str | bytes,
    error: type[errors.SnapshotRejected],
    message: str,
):
    deliver(store, tmp_path, CSV)
    before = sizes(store), accounts(store), rejections(store)
    with pytest.raises(error) as rejected:
        deliver(store, tmp_path, content, name, TUESDAY)
    assert message in str(rejected.value)
    assert str(tmp_path) not in str(rejected.value)
    assert len(str(rejected.value).splitlines()) == 1
    assert (sizes(store), accounts(store), rejections(store)) == before
    assert deliver(store, tmp_path, CSV + ",\n", "next.csv", TUESDAY).accepted == 2


def test_other_content_for_the_same_moment_is_rejected_unless_it_replaces(
    store: Engine, tmp_path: Path
):
    deliver(store, tmp_path, CSV, "first.csv")
    other = f"{HEADINGS}\n{ADA}\n"
    with pytest.raises(errors.OtherContentLoaded) as rejected:
        deliver(store, tmp_path, other, "second.csv")
    assert str(rejected.value) == (
        "figma at 2026-11-23 06:00:00 UTC is already loaded from first.csv, with other content. "
        "To replace it with second.csv, use rollcall load --replace."
    )
    assert set(accounts(store)) == {"ada", "bob"}
    assert deliver(store, tmp_path, other, "second.csv", replace=True).accepted == 1
    assert set(accounts(store)) == {"ada"}


def test_loading_the_same_file_again_changes_nothing(store: Engine, tmp_path: Path):
    first = deliver(store, tmp_path, CSV)
    before = sizes(store)
    again = deliver(store, tmp_path, CSV)
    assert (first.already_loaded, again.already_loaded) == (False, True)
    assert (again.rows_read, again.accepted) == (2, 2)
    assert sizes(store) == before


@pytest.mark.parametrize(("name", "content"), [("a.csv", HEADINGS), ("a.json", "[]")])
def test_the_first_list_of_an_integration_can_be_empty(
    store: Engine, tmp_path: Path, name: str, content: str
):
    assert deliver(store, tmp_path, content, name).accepted == 0
    assert deliver(store, tmp_path, CSV, taken_at=TUESDAY).accepted == 2


def test_removing_a_snapshot_returns_whether_there_was_one(store: Engine, tmp_path: Path):
    assert not remove_snapshot(store, "figma", MONDAY)
    deliver(store, tmp_path, CSV)
    assert not remove_snapshot(store, "figma", TUESDAY)
    assert remove_snapshot(store, "figma", MONDAY)
    assert sizes(store)["account_version"] == 0


def test_removing_the_last_snapshot_removes_the_integration(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, CSV)
    assert remove_snapshot(store, "figma", MONDAY)
    assert (sizes(store)["integration"], sizes(store)["account"]) == (0, 0)
    load(store, SnapshotFile(tmp_path / "accounts.csv", "slack", MONDAY))
    assert (sizes(store)["integration"], sizes(store)["account"]) == (1, 2)


def test_a_load_that_fails_half_way_changes_nothing(store: Engine, tmp_path: Path):
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


def test_unchanged_rows_still_say_how_the_column_is_read(store: Engine, tmp_path: Path):
    head = "Username in app,App access,Last updated\n"
    rows = ['ada,"A,B",2026-11-01\n', "bob,A;B,2026-11-02 09:00\n", "cy,C,\n"]
    days = [rows, [*rows, "di,D,\n"], [rows[0], rows[2]], [rows[0], rows[2], 'di,"D,E",\n']]
    read = []
    for day, content in enumerate(days):
        taken_at = MONDAY + timedelta(days=day)
        deliver(store, tmp_path, head + "".join(content), taken_at=taken_at, confirmed=True)
        with store.connect() as con:
            remarks = load_report(con, "figma", taken_at).remarks()
        read.append((accounts(store)["ada"]["roles"], [r for r in remarks if "zone" in r]))
    two, one = (f"{n} without a time zone, read as UTC." for n in ("2 times", "1 time"))
    assert read == [(["A,B"], [two])] * 2 + [(["A", "B"], [one])] * 2
