"""What a file says reaches the store, whatever the format and the spelling."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import (
    ADA,
    BOB,
    HEADINGS,
    account_ids,
    accounts,
    deliver,
    rejections,
    the_account,
)
from sqlalchemy import Engine
from sqlalchemy.schema import CreateTable, DropTable

from data.history.reject import Validated, validate
from data.history.repeats import Repeats
from data.history.stage import ReadResult, stage_rows
from data.sources.delivery import open_file
from data.staging import workspace_metadata

RECORDS = [
    {
        "username_in_app": "ada",
        "user_name": "Ada Lovelace",
        "user_email": "ada@x.io",
        "roles": ["Editor", "Admin"],
        "active_in_app": True,
        "upstream_user_id": "U-1",
        "provisioning_state": "onboarded",
        "last_updated": "2026-11-01T08:00:00Z",
    },
    {
        "username_in_app": "bob",
        "user_name": "",
        "user_email": "bob@x.io",
        "roles": ["Viewer"],
        "active_in_app": False,
        "upstream_user_id": "U-2",
        "provisioning_state": "delete_failed",
        "last_updated": "2026-11-02T09:30:00Z",
    },
]
SEED = f"{HEADINGS}\n{ADA}\n{BOB}\n"
SNAKE = (
    "username_in_app,user_name,user_email,roles,active_in_app,upstream_user_id,"
    "provisioning_state,last_updated\n"
    "ada,Ada Lovelace,ada@x.io,Admin;Editor,true,U-1,onboarded,2026-11-01T08:00:00Z\n"
    "bob,,bob@x.io,Viewer,false,U-2,delete_failed,2026-11-02T09:30:00Z\n"
)
NDJSON = "".join(json.dumps(record) + "\n" for record in RECORDS)


def quoted_with(delimiter: str) -> str:
    rows = (line.split(",") for line in SEED.splitlines())
    return "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)


def zstd(text: str) -> bytes:
    return pa.compress(text.encode(), codec="zstd", asbytes=True)


def parquet(folder: Path, **columns: Any) -> bytes:
    path = folder / "made.parquet"
    pq.write_table(pa.table(columns), path)
    return path.read_bytes()


def parquet_of(records: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.csv", SEED, id="CSV with the table's own headings"),
        pytest.param("a.csv", SNAKE, id="CSV with snake_case headings"),
        pytest.param("a.csv", SEED.replace(",", "|"), id="CSV with bars"),
        pytest.param("a.csv", quoted_with(";"), id="CSV with semicolons"),
        pytest.param("a.csv", "\ufeff" + SEED, id="CSV with a byte order mark"),
        pytest.param("a.csv", "\ufeff" + quoted_with(","), id="BOM before a quote"),
        pytest.param("a.csv", SEED.replace("\n", "\r\n"), id="CSV with CRLF"),
        pytest.param("a.csv", SEED.rstrip(), id="CSV without a last line break"),
        pytest.param("a.csv", "\n\n" + SEED, id="CSV after blank lines"),
        pytest.param("a.csv", "sep=,\r\n" + SEED, id="CSV that tells Excel its delimiter"),
        pytest.param("A.CSV", SEED, id="ending in capitals"),
        pytest.param("a[1]*.csv", SEED, id="file name like a pattern"),
        pytest.param("a.tsv", SEED.replace(",", "\t"), id="TSV"),
        pytest.param("a.json", json.dumps(RECORDS), id="JSON list"),
        pytest.param("a.json", " \n" + json.dumps(RECORDS, indent=2), id="JSON list, indented"),
        pytest.param("a.json", "\ufeff" + json.dumps(RECORDS), id="JSON list with a BOM"),
        pytest.param("a.ndjson", NDJSON, id="NDJSON"),
        pytest.param("a.jsonl", NDJSON.replace("\n", "\r\n\r\n"), id="NDJSON, blank lines, CRLF"),
        pytest.param("a.ndjson", "\ufeff" + NDJSON, id="NDJSON with a BOM"),
        pytest.param("a.parquet", parquet_of(RECORDS), id="Parquet"),
        pytest.param("a.csv.gz", gzip.compress(SEED.encode()), id="CSV, gzip"),
        pytest.param("A.CSV.GZ", gzip.compress(SEED.encode()), id="CSV, gzip, capitals"),
        pytest.param("a.csv.zst", zstd(SEED), id="CSV, zstd"),
        pytest.param("a.json.gz", gzip.compress(json.dumps(RECORDS).encode()), id="JSON, gzip"),
        pytest.param("a.json.zst", zstd(json.dumps(RECORDS)), id="JSON, zstd"),
        pytest.param("a.ndjson.gz", gzip.compress(NDJSON.encode()), id="NDJSON, gzip"),
        pytest.param("a.ndjson.zst", zstd(NDJSON), id="NDJSON, zstd"),
    ],
)
def test_the_same_accounts_are_the_same_in_every_format(
    store: Engine, tmp_path: Path, name: str, content: str | bytes
):
    loaded = deliver(store, tmp_path, content, name)
    assert (loaded.rows_read, loaded.accepted, loaded.rejected, loaded.flagged) == (2, 2, 0, 0)
    ada, bob = accounts(store)["ada"], accounts(store)["bob"]
    assert (ada["user_name"], ada["user_email"]) == ("Ada Lovelace", "ada@x.io")
    assert (bob["user_name"], bob["user_email"]) == (None, "bob@x.io")
    assert (ada["roles"], bob["roles"]) == (["Admin", "Editor"], ["Viewer"])
    assert (ada["active_in_app"], bob["active_in_app"]) == (True, False)
    assert (ada["upstream_user_id"], bob["upstream_user_id"]) == ("U-1", "U-2")
    assert ada["provisioning_state"] == "Onboarded"
    assert bob["provisioning_state"] == "Delete failed"
    assert ada["last_updated"] == datetime(2026, 11, 1, 8)
    assert bob["last_updated"] == datetime(2026, 11, 2, 9, 30)
    assert (ada["attributes"], ada["flags"], ada["role_details"]) == (None, None, None)


def one(store: Engine, folder: Path, **record: Any) -> dict[str, Any]:
    """The account that this JSON record becomes."""
    deliver(store, folder, json.dumps([{"username_in_app": "ada"} | record]), "a.json")
    return the_account(store)


# ---- roles --------------------------------------------------------------------------------------

BY_GROUP = {"name": "Admin", "id": "r-1", "via": "IT", "since": "2026-01-05"}


@pytest.mark.parametrize(
    "roles",
    [
        "Editor; Admin",
        ";Admin;;Editor ; Admin;",
        "Admin;\nEditor",
        '["Editor", "Admin", "Admin"]',
        ["Editor", "Admin"],
        [{"name": "Editor"}, BY_GROUP],
        '[{"name": "Editor"}, {"name": "Admin"}]',
    ],
)
def test_roles_are_read_in_every_shape_sorted_and_each_once(
    store: Engine, tmp_path: Path, roles: Any
):
    assert one(store, tmp_path, roles=roles)["roles"] == ["Admin", "Editor"]


@pytest.mark.parametrize("roles", ["", " ", ";", [], "[]", None])
def test_an_account_may_have_no_roles(store: Engine, tmp_path: Path, roles: Any):
    account = one(store, tmp_path, roles=roles)
    assert (account["roles"], account["role_details"], account["flags"]) == ([], None, None)


def test_further_details_of_a_role_are_stored(store: Engine, tmp_path: Path):
    details = one(store, tmp_path, roles=[{"name": "Editor"}, BY_GROUP])["role_details"]
    assert BY_GROUP in json.loads(details)
    assert {"name": "Editor"} in json.loads(details)


def test_a_role_without_a_name_is_flagged(store: Engine, tmp_path: Path):
    account = one(store, tmp_path, roles=[{"id": "r-1"}, {"name": "Editor"}])
    assert account["roles"] == ["Editor"]
    assert "r-1" in json.loads(account["flags"])["roles"]


def test_text_that_only_looks_like_a_list_is_a_role(store: Engine, tmp_path: Path):
    assert one(store, tmp_path, roles="[External] Guest")["roles"] == ["[External] Guest"]


def test_parquet_lists_and_structs_are_roles(store: Engine, tmp_path: Path):
    content = parquet(
        tmp_path,
        login=["ada", "bob"],
        Roles=pa.array([[{"name": "Admin", "via": "IT"}], []]),
        Entitlements=pa.array([["x"], None]),
    )
    deliver(store, tmp_path, content, "a.parquet")
    ada = accounts(store)["ada"]
    assert ada["roles"] == ["Admin"]
    assert json.loads(ada["role_details"]) == [{"name": "Admin", "via": "IT"}]
    assert json.loads(ada["attributes"]) == {"Entitlements": '["x"]'}
    assert accounts(store)["bob"]["roles"] == []


def test_parquet_values_keep_their_meaning(store: Engine, tmp_path: Path):
    content = parquet(
        tmp_path,
        username_in_app=["ada"],
        active=[True],
        last_updated=[datetime(2026, 1, 5, 10)],
        id=[42],
    )
    deliver(store, tmp_path, content, "a.parquet")
    account = the_account(store)
    assert (account["active_in_app"], account["flags"]) == (True, None)
    assert account["last_updated"] == datetime(2026, 1, 5, 10)
    assert account_ids(store) == {"42"}


# ---- the other columns --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "name", "email"),
    [
        ("Ada Lovelace <ada@x.io>", "Ada Lovelace", "ada@x.io"),
        ("  Ada Lovelace   <ada@x.io> ", "Ada Lovelace", "ada@x.io"),
        ("ada@x.io", None, "ada@x.io"),
        ("<ada@x.io>", None, "ada@x.io"),
        ("Ada Lovelace", "Ada Lovelace", None),
        ("Lovelace, Ada <ada@x.io>", "Lovelace, Ada", "ada@x.io"),
        ("Ada <of London>", "Ada <of London>", None),
        ("Ada @ home", "Ada @ home", None),
        ("", None, None),
        ("   ", None, None),
    ],
)
def test_a_user_is_a_name_an_email_or_both(
    store: Engine, tmp_path: Path, user: str, name: str | None, email: str | None
):
    account = one(store, tmp_path, User=user)
    assert (account["user_name"], account["user_email"]) == (name, email)


@pytest.mark.parametrize(
    ("text", "active"),
    [
        pytest.param(1, True, id="number 1"),
        pytest.param(0, False, id="number 0"),
        *[(word, True) for word in ("true", "TRUE", "Yes", "1", "active", " Active ", True)],
        *[(word, False) for word in ("false", "no", "0", "Inactive", False)],
        *[(word, None) for word in ("", None, "unknown", "N/A")],
    ],
)
def test_active_is_yes_no_or_unknown(store: Engine, tmp_path: Path, text: Any, active: bool | None):
    account = one(store, tmp_path, active=text)
    assert account["active_in_app"] is active
    assert account["flags"] is None


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Provisioning awaiting", "Provisioning awaiting"),
        ("PROVISIONING_FAILED", "Provisioning failed"),
        ("update-ongoing", "Update ongoing"),
        (" deleted ", "Deleted"),
        ("delete  awaiting", "Delete awaiting"),
    ],
)
def test_a_state_is_known_in_any_case_and_with_any_separator(
    store: Engine, tmp_path: Path, text: str, state: str
):
    account = one(store, tmp_path, status=text)
    assert (account["provisioning_state"], account["flags"]) == (state, None)


@pytest.mark.parametrize(
    ("column", "text", "unknown"),
    [
        ("provisioning_state", "Suspended", "Unrecognised"),
        ("active_in_app", "perhaps", None),
        ("last_updated", "last Tuesday", None),
        ("last_updated", "2026-02-30T00:00:00Z", None),
    ],
)
def test_an_unrecognized_value_is_flagged_and_stored_unchanged(
    store: Engine, tmp_path: Path, column: str, text: str, unknown: str | None
):
    rows = json.dumps([{"username_in_app": "ada", column: text}])
    assert deliver(store, tmp_path, rows, "a.json").flagged == 1
    account = the_account(store)
    assert account[column] == unknown
    assert json.loads(account["flags"]) == {column: text}


def test_a_blank_state_is_unrecognized_without_a_flag(store: Engine, tmp_path: Path):
    account = one(store, tmp_path, provisioning_state=None)
    assert (account["provisioning_state"], account["flags"]) == ("Unrecognised", None)


def test_a_file_without_states_has_inferred_ones(store: Engine, tmp_path: Path):
    account = one(store, tmp_path)
    assert (account["provisioning_state"], account["state_source"]) == ("Onboarded", "inferred")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01T08:00:00Z", datetime(2026, 11, 1, 8)),
        ("2026-11-01T08:00:00.123456Z", datetime(2026, 11, 1, 8, 0, 0, 123456)),
        ("2026-11-01T08:00:00+02:00", datetime(2026, 11, 1, 6)),
        ("2026-11-01T08:00:00+0200", datetime(2026, 11, 1, 6)),
        ("2026-11-01T08:00Z", datetime(2026, 11, 1, 8)),
        ("2026-11-01 08:00+02:00", datetime(2026, 11, 1, 6)),
        ("2026-11-01 08:00", datetime(2026, 11, 1, 8)),
        ("2026-11-01 08:00:00", datetime(2026, 11, 1, 8)),
        ("2026-11-01", datetime(2026, 11, 1)),
        ("1767261600", datetime(2026, 1, 1, 10)),
        pytest.param(1767261600, datetime(2026, 1, 1, 10), id="number"),
        ("1767261600000", datetime(2026, 1, 1, 10)),
        (1767261600123, datetime(2026, 1, 1, 10, 0, 0, 123000)),
        ("2014/09/08 18:17:23 -0700", datetime(2014, 9, 9, 1, 17, 23)),
        ("", None),
        (None, None),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(
    store: Engine, tmp_path: Path, text: Any, moment: datetime | None
):
    account = one(store, tmp_path, updatedAt=text)
    assert (account["last_updated"], account["flags"]) == (moment, None)


def test_other_columns_become_attributes_but_never_credentials(store: Engine, tmp_path: Path):
    content = "login,Team,Cost centre,Password,api_token,Client-Secret\nada,Blue,,hunter2,abc,xyz\n"
    content = content.replace("\n", ",user_pass,Kennwort,PIN\n", 1).replace("z\n", "z,p,q,1\n")
    deliver(store, tmp_path, content)
    assert json.loads(the_account(store)["attributes"]) == {"Team": "Blue"}


def test_columns_with_the_same_heading_are_numbered(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "login,Team,Team,\nada,Blue,Red,Green\n")
    attributes = json.loads(the_account(store)["attributes"])
    assert attributes == {"Team": "Blue", "Team (2)": "Red", "Column 4": "Green"}


def test_the_username_and_the_person_s_name_are_separate_columns(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "userName,user_name,login\nada.l,Ada,x\n")
    ada = the_account(store)
    assert (ada["username_in_app"], ada["user_name"]) == ("ada.l", "Ada")


def test_json_keys_may_differ_between_records_and_hold_anything(store: Engine, tmp_path: Path):
    records = [
        {"userName": "ada", "meta": {"a": [1, None]}, "x/y~z": "1", "it's": "2"},
        {"userName": "bob", "roles": ["Admin"]},
    ]
    deliver(store, tmp_path, json.dumps(records), "a.json")
    ada, bob = accounts(store)["ada"], accounts(store)["bob"]
    assert json.loads(ada["attributes"]) == {"meta": '{"a":[1,null]}', "x/y~z": "1", "it's": "2"}
    assert (bob["roles"], bob["attributes"]) == (["Admin"], None)


def test_quoted_cells_may_hold_delimiters_quotes_and_line_breaks(store: Engine, tmp_path: Path):
    content = 'login,Team,Reason\r\nada,"a,""b""","no\r\nlicence\nleft"\r\nbob,c,\r\n'
    deliver(store, tmp_path, content)
    ada = accounts(store)["ada"]
    assert json.loads(ada["attributes"]) == {"Team": 'a,"b"'}
    assert ada["state_reason"] == "no\r\nlicence\nleft"
    assert set(accounts(store)) == {"ada", "bob"}


def test_the_account_id_is_the_username_in_lower_case_where_none_is_given(
    store: Engine, tmp_path: Path
):
    deliver(store, tmp_path, "id,login\n7,Ada\n,Bob\n")
    assert account_ids(store) == {"7", "bob"}


HOSTILE = [
    '=HYPERLINK("http://x")',
    "<img src=x onerror=alert(1)>",
    "**bold** [x](javascript:1)",
    "O'Brien; DROP TABLE account",
    "x" * 10_000,
    "رؤى ‮ 😀 é",
    "$1 %s {0} \\ \x7f",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("form", ["csv", "json"])
def test_hostile_text_arrives_unchanged(store: Engine, tmp_path: Path, text: str, form: str):
    quoted = '"{}"'.format(text.replace('"', '""'))
    content = {
        "csv": f"username_in_app,user_name,roles,reason,{quoted}\n" + ",".join([quoted] * 5),
        "json": json.dumps(
            [
                {
                    "username_in_app": text,
                    "user_name": text,
                    "roles": [text],
                    "reason": text,
                    text: text,
                }
            ]
        ),
    }[form]
    deliver(store, tmp_path, content, f"a.{form}")
    account = accounts(store)[text]
    assert account["user_name"] == text
    assert account["state_reason"] == text
    assert json.loads(account["attributes"]) == {text: text}
    assert account["roles"] == sorted(text.split("; ") if form == "csv" else [text])


def test_an_account_may_have_five_hundred_roles(store: Engine, tmp_path: Path):
    roles = [f"Role {n:03}" for n in range(500)]
    assert one(store, tmp_path, roles=roles[::-1])["roles"] == roles
    deliver(store, tmp_path, f"login,roles\nbob,{';'.join(roles)}\n", replace=True)
    assert accounts(store)["bob"]["roles"] == roles


# ---- rows that are no account -------------------------------------------------------------------


def test_a_row_without_a_username_is_rejected_with_its_line(store: Engine, tmp_path: Path):
    content = "Username in app,State\nada,Onboarded\nbob,Onboarded\n ,Deleted\n,\ncy,Deleted\n"
    loaded = deliver(store, tmp_path, content)
    assert (loaded.rows_read, loaded.accepted, loaded.rejected) == (5, 3, 2)
    assert rejections(store) == [
        (
            4,
            '{"username_in_app":" ","provisioning_state":"Deleted"}',
            "The row has no username in app.",
        ),
        (5, "{}", "The row is empty."),
    ]


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_line_breaks_within_cells_count_as_lines(store: Engine, tmp_path: Path, line_break: str):
    content = 'login,"Team\n(long)",Password\nada,"a\nb",x\nbob,b,"1\n2\n"\n,c,\ncy,d,\n'
    deliver(store, tmp_path, content.replace("\n", line_break))
    assert [line for line, _, _ in rejections(store)] == [8]


def test_short_and_long_lines_are_rejected_with_line_and_text(store: Engine, tmp_path: Path):
    content = "login,Team,Reason\nada,Blue\nbob,a,b\ncy,a,b\ndee,a,b,c\n,a,b\neve,a,b\n"
    loaded = deliver(store, tmp_path, content)
    assert (loaded.rows_read, loaded.accepted, loaded.rejected) == (6, 3, 3)
    assert [(line, reason) for line, _, reason in rejections(store)] == [
        (2, "The line has fewer cells than there are headings."),
        (5, "The line has more cells than there are headings."),
        (6, "The row has no username in app."),
    ]
    assert [text for _, text, _ in rejections(store)][:2] == ["ada,Blue", "dee,a,b,c"]


def test_a_broken_line_does_not_reveal_credentials(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, "login,Password\nada,1\nbob,hunter2,x\ncy,3\n")
    assert [line for line, _, _ in rejections(store)] == [3]
    assert "hunter2" not in str(rejections(store))
    lines = '{"login": "ada"}\n{"login": "bob", "Token": "hunter2"\n'
    deliver(store, tmp_path, lines, "a.ndjson", replace=True)
    assert [line for line, _, _ in rejections(store)] == [2]
    assert "hunter2" not in str(rejections(store))


def test_a_repeated_account_with_other_values_is_rejected_in_any_order_of_rows(
    store: Engine, tmp_path: Path
):
    content = "login,Team\nAda,first\nbob,x\nada,second\nADA,third\nbob,x\ncy,y\n"
    loaded = deliver(store, tmp_path, content)
    assert (loaded.rows_read, loaded.accepted, loaded.rejected, loaded.merged) == (6, 3, 2, 1)
    assert json.loads(accounts(store)["ADA"]["attributes"]) == {"Team": "third"}
    reason = "Another row has the same account ID, ada. It differs in: Further columns."
    assert [(line, reason) for line, _, reason in rejections(store)] == [(2, reason), (4, reason)]


def test_a_broken_line_of_ndjson_is_rejected_with_its_line_and_text(store: Engine, tmp_path: Path):
    content = (
        '\n{"login": "ada"}\n\n{"login": "bo\n{"login": "cy"}\n["dee"]\n{"login": ""}\n'
        '{"login": "eve"}\n{"login": "fay"}\n'
    )
    loaded = deliver(store, tmp_path, content, "a.ndjson")
    assert (loaded.rows_read, loaded.accepted, loaded.rejected) == (7, 4, 3)
    assert rejections(store) == [
        (4, '{"login": "bo', "The row is not a JSON object."),
        (6, '["dee"]', "The row is not a JSON object."),
        (7, '{"username_in_app":""}', "The row has no username in app."),
    ]


def test_an_item_of_a_json_list_that_is_no_object_is_rejected(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, '[{"login": "ada"}, 7, {"login": "bob"}]', "a.json")
    assert rejections(store) == [(2, "7", "The row is not a JSON object.")]


def test_files_are_read_where_they_are_and_left_as_they_are(store: Engine, tmp_path: Path):
    deliver(store, tmp_path, SEED)
    assert [path.name for path in tmp_path.iterdir() if "duckdb" not in path.name] == [
        "accounts.csv"
    ]


# ---- what a file says of itself -----------------------------------------------------------------


def read_and_validate(store: Engine, path: Path) -> tuple[ReadResult, Validated]:
    """What the reader and the sieve tell of a file; nothing is loaded."""
    with store.connect() as con:
        with con.begin():
            for each in workspace_metadata.tables.values():
                con.execute(CreateTable(each))
        with con.begin():
            read = stage_rows(con, open_file(path), key="", was_loaded=False)
        with con.begin():
            validated = validate(con, read, path.name)
        with con.begin():
            for each in workspace_metadata.tables.values():
                con.execute(DropTable(each))
    return read, validated


def read_file(store: Engine, folder: Path, content: str | bytes, name: str = "a.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_and_validate(store, path)


def test_a_reader_returns_the_headings_of_the_file(store: Engine, tmp_path: Path):
    read, _ = read_file(store, tmp_path, "login,Team,Team,\nada,a,b,c\n")
    assert read.headings == ("login", "Team", "Team (2)", "Column 4")


def test_repeats_are_counted_and_the_exact_ones_among_them(store: Engine, tmp_path: Path):
    content = "login,Team\nada,a\nada,a\nada,b\n,c\n,c\nbob,d\ncy,e\n"
    _, validated = read_file(store, tmp_path, content)
    assert (validated.rows_read, validated.accepted, validated.rejected) == (7, 3, 3)
    assert validated.repeats == Repeats(exact=1, rejected=1)


def test_times_without_a_time_zone_are_counted(store: Engine, tmp_path: Path):
    times = [
        "2026-11-01T08:00:00", "2026-11-01 08:00", "2026-11-01", "2014/09/08 18:17:23",
        "2026-11-01T08:00:00Z", "2026-11-01T08:00:00+02:00", "2026-11-01 08:00:00.5 -0700",
        "2026-11-01T08:00Z", "2026-11-01 08:00:00 UTC", "1767261600", "1767261600123", "", "soon",
    ]  # fmt: skip
    rows = "".join(f"user{n},{text}\n" for n, text in enumerate(times))
    _, validated = read_file(store, tmp_path, "login,Last updated\n" + rows)
    assert validated.without_offset == 4
