"""The `rollcall` command: its exit codes, and what it says."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from builders import (
    TODAY,
    YESTERDAY,
    Account,
    a_snapshot_file,
    an_account,
    an_unmatched_account,
    usernames,
)
from processes import Process
from pyarrow import parquet
from sqlalchemy import select

import commands.load
from data.formatting import count_of
from data.history.load_report import load_reports
from data.home import Home
from data.schema import account_version, integration, snapshot, state_change, state_count
from data.store.engine import close_stores, open_store
from queries.export.formats import FORMATS
from rollcall import main

DONE, REFUSED, USAGE = 0, 1, 2
STAMP = f"{TODAY:%Y-%m-%dT%H-%M-%SZ}"


def run(*words: object) -> int:
    """The exit code, wherever it comes from: argparse ends the process by itself."""
    try:
        return main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or DONE)


def listed(home: Home, **filters: Any) -> list[str]:
    with open_store(home.database_url).connect() as con:
        return usernames(con, **filters)


def everything_in(home: Home) -> dict[str, list[str]]:
    """The store's content, but for when it was loaded."""
    rows_by_table = {}
    with open_store(home.database_url).connect() as con:
        for table in (account_version, integration, snapshot, state_change, state_count):
            columns = [c for c in table.c if c.name not in ("loaded_at", "account_key")]
            rows_by_table[table.name] = sorted(
                str(tuple(row)) for row in con.execute(select(*columns))
            )
    close_stores()
    return rows_by_table


def tree(folder: Path) -> dict[str, tuple[int, float]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime)
        for path in folder.rglob("*")
    }


# ---- load ---------------------------------------------------------------------------------------


def test_load_reads_integration_and_time_from_the_path(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [
        a_snapshot_file(tmp_path, [an_account("new")], at=TODAY),
        a_snapshot_file(tmp_path, [an_account("old")], at=YESTERDAY),
    ]
    assert run("load", *paths) == DONE
    assert capsys.readouterr().out.splitlines() == [
        "figma at 2026-11-22 06:00:00 UTC: 1 account.",
        "figma at 2026-11-23 06:00:00 UTC: 1 account.",
    ]
    assert listed(home) == ["new"]
    assert listed(home, as_of=YESTERDAY) == ["old"]
    assert all(path.exists() for path in paths)


def test_load_takes_integration_and_time_as_options(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "export.2026.csv.gz"
    path.write_bytes(gzip.compress(b"login\nada\n"))
    options = ("--integration", "Salesforce EMEA", "--taken-at", "2026-11-23T06:00:00Z")
    assert run("load", path, *options) == DONE
    assert listed(home, integration=("Salesforce EMEA",), as_of=TODAY) == ["ada"]
    assert (home.archive / "Salesforce EMEA" / f"{STAMP}.export.2026.csv.gz").exists()


def test_load_of_a_loaded_file_changes_nothing(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_snapshot_file(tmp_path)
    assert [run("load", path), run("load", path)] == [DONE, DONE]
    assert "already loaded" in capsys.readouterr().out


def test_load_replaces_only_with_the_option(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("load", a_snapshot_file(tmp_path, [an_account("ada")]))
    other = a_snapshot_file(tmp_path, [an_account("bob")])
    assert run("load", other) == REFUSED
    assert "rollcall load --replace" in capsys.readouterr().err
    assert listed(home) == ["ada"]
    assert run("load", other, "--replace") == DONE
    assert listed(home) == ["bob"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (f"figma/{STAMP}.csv", "a,b\n1,2\n", "no column for the username in app"),
        (f"figma/{STAMP}.pdf", "x", "has no known ending"),
        (f"figma/{STAMP}.json", '{"error": 1}', "expected a list of accounts"),
        ("figma/export.csv", "login\nada\n", "--integration and --taken-at"),
        (f"figma/{STAMP}.csv", None, "No such file or directory"),
        ("figma/2026-11-22.csv/x", "", "Is a directory"),
    ],
)
def test_load_says_why_it_rejects_a_file_and_loads_the_others(
    home: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    words: str,
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_text(content)
    good = a_snapshot_file(tmp_path, [an_account("bob")], integration="slack")
    assert run("load", path.parent if words == "Is a directory" else path, good) == REFUSED
    output = capsys.readouterr().err
    assert words in output
    assert content is not None or str(path) in output, "the file that was asked for is named"
    assert listed(home) == ["bob"]


def test_other_files_in_the_inbox_do_not_fail_a_load(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nonsense = a_snapshot_file(home.inbox, [an_account("")], integration="slack")
    os.utime(nonsense, (0, 0))
    assert run("load", a_snapshot_file(tmp_path)) == DONE
    assert "1 of 1 rows are not accounts" in capsys.readouterr().err


def test_load_skips_files_that_are_still_being_written(home: Home, tmp_path: Path) -> None:
    half_written = a_snapshot_file(home.inbox, integration="slack")
    assert run("load", a_snapshot_file(tmp_path)) == DONE
    assert half_written.exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["load"],
        ["load", "x.csv", "--taken-at", "yesterday"],
        ["load", "x.csv", "--nonsense"],
        ["nonsense"],
        ["export"],
        ["export", "--output", "x", "--format", "docx"],
        ["export", "--output", "x", "--as-of", "long ago"],
        ["export", "--output", "x", "--during", "2026-03-01"],
        ["export", "--output", "x", "--state", "Sleeping"],
        ["export", "--output", "x", "--active", "maybe"],
        ["export", "--output", "x", "--sort", "password"],
        ["export", "--output", "x", "--columns", "username_in_app,shoe"],
        ["export", "--output", "x", "--q", "caf\udce9"],  # café in Latin-1
        ["sample"],
        ["sample", "x", "--days", "0"],
        ["sample", "x", "--accounts", "-5"],
        ["sample", "x", "--seed", "one"],
    ],
)
def test_wrong_usage_is_an_error_without_effect(
    home: Home, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(*words) == USAGE
    assert "usage: rollcall" in capsys.readouterr().err


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("load", "check", "export", "rebuild", "sample"):
        assert run(command, "--help") == DONE
        assert f"usage: rollcall {command}" in capsys.readouterr().out


# ---- check --------------------------------------------------------------------------------------


def test_check_prints_the_load_report_and_loads_nothing(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [an_account("a", active="perhaps"), an_account("b"), an_account("")]
    path = a_snapshot_file(tmp_path, rows, integration="Sales: EMEA")
    before = tree(home.root)
    assert run("check", path) == DONE
    assert capsys.readouterr().out == (
        f"{path.name}: Check.\n"
        "  Read as a table of your own (no product’s own columns or keys).\n"
        "  2 of 3 rows are accounts.\n"
        "  Check: 1 of 3 rows rejected.\n"
        "  Check: Could not read “Active in app” of 1 of 2 accounts.\n"
        "  Line 3: The row has no username in app.\n"
    )
    assert tree(home.root) == before
    assert "rollcall.duckdb" not in before


def test_check_works_while_the_store_is_in_use_and_with_any_file_name(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "export (1).csv"
    path.write_text("login,state\nada,Onboarded\n")
    assert run("check", path) == DONE
    assert capsys.readouterr().out == (
        "export (1).csv: OK.\n"
        "  Read as a table of your own (no product’s own columns or keys).\n"
        "  1 of 1 rows are accounts.\n"
    )


def test_check_answers_in_json_one_object_per_file(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = a_snapshot_file(tmp_path, [an_account("a"), an_account("a"), an_account("b")])
    bad, missing = tmp_path / "bad.csv", tmp_path / "missing.csv"
    bad.write_text("")
    assert run("check", "--json", good, bad, missing) == REFUSED
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "file": good.name,
        "quality": "ok",
        "row_noun": "line",
        "read_as": "Read as a table of your own (no product’s own columns or keys).",
        "rows_read": 3,
        "accepted": 2,
        "rejected": 0,
        "merged": 1,
        "flagged": 0,
        "warnings": [],
        "remarks": ["1 exact duplicate row."],
        "rejected_rows": [],
    }
    assert second == {
        "file": "bad.csv",
        "error": "bad.csv is empty.",
    }
    assert third == {"file": "missing.csv", "error": f"{missing}: No such file or directory."}


def test_check_says_why_a_file_would_be_rejected(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.pdf"
    path.write_text("x")
    assert run("check", path) == REFUSED
    assert "has no known ending" in capsys.readouterr().err


def test_check_compares_with_the_snapshot_before(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("load", a_snapshot_file(tmp_path, [an_account(f"a{n}") for n in range(10)], at=YESTERDAY))
    path = a_snapshot_file(tmp_path, [an_account(f"a{n}") for n in range(1, 11)])
    assert run("check", path) == DONE
    assert (
        "Compared with 2026-11-22T06:00:00Z: 1 added, 0 changed, 1 removed."
        in capsys.readouterr().out
    )
    assert listed(home) == [f"a{n}" for n in range(10)]


TEN = [an_account(f"a{n}") for n in range(10)]


@pytest.mark.parametrize(
    "accounts",
    [
        TEN[:7],
        [*TEN[:7], *(an_account(f"a{n}", state="Delete awaiting") for n in range(7, 10))],
        [*TEN[:7], an_account("a7", state="Deleted"), an_account("a8", state="Delete failed")],
    ],
)
def test_a_file_that_removes_more_than_a_fifth_of_the_accounts_goes_on_hold(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], accounts: list[Account]
) -> None:
    run("load", a_snapshot_file(tmp_path, TEN, at=YESTERDAY))
    path = a_snapshot_file(tmp_path, accounts)
    assert run("check", path) == REFUSED
    assert "on hold" in capsys.readouterr().out
    assert run("load", path) == REFUSED
    output = capsys.readouterr().err
    assert "3 of 10 accounts (30%) would be deleted" in output
    assert "rollcall load --confirm" in output
    assert len(listed(home)) == 10
    assert (home.on_hold / "figma" / path.name).exists()
    assert run("load", path, "--confirm") == DONE
    assert len(listed(home)) == len(accounts)
    assert not any(home.on_hold.rglob("*.ndjson"))


def test_a_file_can_remove_a_fifth_of_the_accounts_and_always_one(
    home: Home, tmp_path: Path
) -> None:
    run("load", a_snapshot_file(tmp_path, TEN, at=YESTERDAY))
    assert run("load", a_snapshot_file(tmp_path, TEN[:8])) == DONE
    run("load", a_snapshot_file(tmp_path, TEN[:2], integration="slack", at=YESTERDAY))
    assert run("load", a_snapshot_file(tmp_path, TEN[:1], integration="slack")) == DONE


# ---- export -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which two integrations are loaded; tests only read it."""
    root = tmp_path_factory.mktemp("stocked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_HOME", str(root / "home"))
        delivered = [
            a_snapshot_file(root, [an_account("old")], at=YESTERDAY),
            a_snapshot_file(
                root,
                [
                    an_account("ada", user="Zoe", roles=["Admin"], active="no"),
                    an_account("bob", user="Bob", state="Update failed", email="bob@x.io"),
                    an_unmatched_account("cy", state="Delete failed", active=""),
                ],
            ),
            a_snapshot_file(root, [an_account("dee", roles=["Owner"])], integration="slack"),
        ]
        assert run("load", *delivered) == DONE
    yield root / "home"
    close_stores()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["dee", "bob", "ada", "cy"]),
        (["--sort", "username_in_app"], ["ada", "bob", "cy", "dee"]),
        (["--sort=-username_in_app"], ["dee", "cy", "bob", "ada"]),
        (["--integration", "slack"], ["dee"]),
        (["--integration", "slack", "--integration", "figma"], ["dee", "bob", "ada", "cy"]),
        (["--integration", "nowhere"], []),
        (["--state", "Update failed"], ["bob"]),
        (["--state", "update_failed", "--state", "delete-failed"], ["bob", "cy"]),
        (["--role", "Admin", "--role", "Owner"], ["dee", "ada"]),
        (["--active", "no"], ["ada"]),
        (["--active", "unknown"], ["cy"]),
        (["--match", "unmatched"], ["cy"]),
        (["--q", "BOB@"], ["bob"]),
        (["--as-of", "2026-11-22T12:00:00Z"], ["old"]),
        (["--as-of", "2020-01-01"], []),
        (["--during", "2026-11-22/2026-11-22"], ["old"]),
        (["--state", "Onboarded", "--active", "yes", "--q", "e"], ["dee"]),
    ],
)
def test_export_gives_the_list_that_the_page_would_show(
    stocked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    found: list[str],
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(stocked))
    path = tmp_path / "users.csv"
    assert run("export", "--output", path, *options) == DONE
    with path.open(newline="", encoding="utf-8") as file:
        assert [row["Username in app"] for row in csv.DictReader(file)] == found
    assert capsys.readouterr().out == f"{path}: {count_of(len(found), 'account')}.\n"


@pytest.mark.parametrize("form", list(FORMATS))
def test_export_writes_every_format(
    stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(stocked))
    path = tmp_path / f"users.{form}"
    assert run("export", "--format", form, "--output", path) == DONE
    if form == "xlsx":
        assert openpyxl.load_workbook(path).active.max_row == 5
    elif form == "parquet":
        assert parquet.read_table(path).num_rows == 4
    elif form == "json":
        assert len(json.loads(path.read_text())) == 4
    else:
        assert len(path.read_text().splitlines()) == 5
    manifest = json.loads(path.with_name(f"{path.name}.about.json").read_text())
    assert (manifest["file"], manifest["rows"], manifest["bytes"]) == (
        path.name,
        4,
        path.stat().st_size,
    )


def test_export_writes_the_chosen_columns_and_no_manifest_with_the_option(
    stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(stocked))
    path = tmp_path / "users.csv"
    options = ["--columns", "username_in_app,App access", "--columns", "account_id", "--no-about"]
    assert run("export", "--format", "raw.csv", "--output", path, "--q", "dee", *options) == DONE
    assert path.read_text() == '"Username in app","App access","Account ID"\n"dee","Owner","dee"\n'
    assert list(tmp_path.iterdir()) == [path]


def test_export_to_a_missing_folder_is_an_error(
    stocked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(stocked))
    path = tmp_path / "nowhere" / "users.csv"
    assert run("export", "--output", path) == REFUSED
    assert capsys.readouterr().err == f"{path}: No such file or directory.\n"


# ---- rebuild ------------------------------------------------------------------------------------


def test_a_rebuilt_store_equals_the_one_before(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = [
        a_snapshot_file(tmp_path, [an_account("a"), an_account("b")], at=TODAY),
        a_snapshot_file(tmp_path, [an_account("a", state="Deleted")], integration="slack"),
        a_snapshot_file(tmp_path, [an_account("a", state="Update failed")], at=YESTERDAY),
    ]
    for path in history:
        run("load", path)
    run("load", "--replace", a_snapshot_file(tmp_path, [an_account("c"), an_account("a")]))
    before = {name: rows for name, rows in everything_in(home).items() if name != "snapshot"}
    (home.archive / ".DS_Store").touch()
    capsys.readouterr()
    assert run("rebuild") == DONE
    assert capsys.readouterr().out.splitlines()[-1] == "The store has 3 snapshots again."
    after = everything_in(home)
    assert len(after.pop("snapshot")) == 3
    assert after == before
    assert not list(home.root.glob("*.new*"))


def test_a_failed_rebuild_leaves_the_store_unchanged(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("load", a_snapshot_file(tmp_path), a_snapshot_file(tmp_path, integration="slack"))
    before = everything_in(home)
    stray = home.archive / "figma" / "notes.txt"
    stray.touch()
    assert run("rebuild") == REFUSED
    output = capsys.readouterr().err
    assert f"{stray}: notes.txt does not say" in output
    assert "The store is unchanged: 1 of 3 files" in output
    assert everything_in(home) == before
    assert not list(home.root.glob("*.new*"))
    broken = home.archive / "slack" / f"{STAMP}.ndjson"
    broken.write_text("broken")
    assert run("rebuild", "--accept-changed") == DONE
    output = capsys.readouterr().out
    assert f"{broken}: " in output
    assert f"{stray}: notes.txt does not say" in output
    assert output.splitlines()[-1] == "The store has 1 snapshot again."
    assert broken.exists()


def test_a_rebuild_keeps_what_an_earlier_version_took_for_accounts(home: Home) -> None:
    log = home.archive / "figma" / f"{STAMP}.csv"
    log.parent.mkdir(parents=True)
    log.write_text("Username,Time,Event\nmira,2026-11-20,in\nmira,2026-11-21,out\n")
    assert run("rebuild") == DONE
    assert listed(home) == ["mira"]
    with open_store(home.database_url).connect() as con:
        [report] = load_reports(con)
    assert "looks like a log" in report.warnings()[0]


def forge(path: Path) -> None:
    path.write_text(path.read_text().replace("Onboarded", "Deleted"))


@pytest.mark.parametrize("change", [forge, Path.unlink])
def test_a_rebuild_and_a_backup_name_a_file_that_is_not_as_it_was_loaded(
    home: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
) -> None:
    run("load", a_snapshot_file(tmp_path), a_snapshot_file(tmp_path, integration="slack"))
    assert run("backup", tmp_path / "good.tar") == DONE
    before = everything_in(home)
    path = home.archive / "slack" / f"{STAMP}.ndjson"
    change(path)
    problem = {
        forge: f"{path} has another SHA-256 than the file that was loaded.",
        Path.unlink: "The file of slack at 2026-11-23 06:00:00 UTC is missing.",
    }[change]
    capsys.readouterr()
    assert run("rebuild") == REFUSED
    output = capsys.readouterr().err
    assert problem in output
    assert "The store is unchanged." in output
    assert everything_in(home) == before
    assert run("backup", tmp_path / "forged.tar") == REFUSED
    assert problem.replace(f"{home.root}/", "") in capsys.readouterr().err
    assert (tmp_path / "forged.tar").exists()
    assert run("rebuild", "--accept-changed") == DONE
    assert len(listed(home, state=("Deleted",))) == (change is forge)


def test_a_file_that_still_waits_in_the_inbox_is_not_missing(home: Home, tmp_path: Path) -> None:
    """As after a kill between the load and the move to the archive."""
    run("load", a_snapshot_file(tmp_path))
    [archived] = home.archive.glob("*/*")
    archived.rename(home.inbox / "figma" / archived.name)
    assert run("backup", tmp_path / "backup.tar") == DONE


def test_rebuild_without_an_archive_leaves_the_store_alone(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("rebuild") == DONE
    assert "nothing to rebuild" in capsys.readouterr().out


def test_rebuild_works_after_a_killed_rebuild(home: Home, tmp_path: Path) -> None:
    run("load", a_snapshot_file(tmp_path))
    for ending in (".new", ".new.wal"):
        (home.root / f"rollcall.duckdb{ending}").write_text("half written")
    assert run("rebuild") == DONE
    assert listed(home) == ["ada"]


# ---- sample -------------------------------------------------------------------------------------


def test_sample_writes_snapshots_that_load(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--accounts", 20, "--days", 2, "--integrations", 3, "--seed", 5)
    assert run("sample", tmp_path / "made", *options) == DONE
    assert capsys.readouterr().out == f"{tmp_path / 'made'}: 7 snapshots.\n"
    paths = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert run("load", *paths) == DONE
    assert len(listed(home)) >= 30


# ---- while the app runs -------------------------------------------------------------------------


APP = """if True:
    import time
    from data.service import keeper
    from data.service.active_store import store_status
    from data.home import current_home

    keeper.INBOX_POLL_SECONDS = 0.05
    with keeper.run_keeper(current_home(), "http://127.0.0.1:1"):
        while not store_status(current_home()).is_open:
            time.sleep(0.01)
        print("ready", flush=True)
        time.sleep(600)
"""


@pytest.fixture
def app(home: Home) -> Iterator[Process]:
    """Another process that has the store open and watches the inbox."""
    with Process("-c", APP) as process:
        assert process.stdout.readline() == "ready\n"
        yield process


def test_load_hands_files_over_to_the_running_app(
    home: Home,
    tmp_path: Path,
    app: Process,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = a_snapshot_file(tmp_path, [an_account("ada")])
    assert run("load", good) == DONE
    assert capsys.readouterr().out == f"figma/{STAMP}.ndjson: loaded by the running app.\n"

    bad = a_snapshot_file(tmp_path, [an_account("")], integration="slack")
    assert run("load", good, bad) == REFUSED
    output = capsys.readouterr()
    assert "1 of 1 rows are not accounts" in output.err
    assert "figma" in output.out

    better = a_snapshot_file(tmp_path, [an_account("bob")], integration="slack")
    assert run("load", better) == DONE

    assert run("export", "--output", tmp_path / "x.csv") == REFUSED
    output = "Rollcall shows it at http://127.0.0.1:1. Stop it, then try again."
    assert output in capsys.readouterr().err
    assert run("rebuild") == REFUSED
    assert run("check", good) == DONE

    app.kill()
    app.wait()
    assert listed(home) == ["ada", "bob"]


def test_load_takes_over_where_the_app_ends(
    home: Home,
    tmp_path: Path,
    app: Process,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def app_ends(_: Home, file: Any, **options: Any) -> Path:
        path = put(home, file, **options)
        app.kill()
        app.wait()
        return path

    app.send_signal(signal.SIGSTOP)  # it hangs
    put = commands.load.put_into_inbox
    monkeypatch.setattr(commands.load, "put_into_inbox", app_ends)
    assert run("load", a_snapshot_file(tmp_path)) == DONE
    assert capsys.readouterr().out == "figma at 2026-11-23 06:00:00 UTC: 1 account.\n"


def test_load_gives_up_if_the_app_does_not_take_the_file(
    home: Home,
    tmp_path: Path,
    app: Process,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app.send_signal(signal.SIGSTOP)  # it hangs
    monkeypatch.setattr(commands.load, "MAX_WAIT_SECONDS", 0.1)
    assert run("load", a_snapshot_file(tmp_path)) == REFUSED
    assert f"did not take the files out of {home.inbox}" in capsys.readouterr().err
