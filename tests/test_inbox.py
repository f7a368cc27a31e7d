"""The folder into which people and jobs drop snapshot files, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account, usernames
from sqlalchemy import Engine, func, select

from data.files.errors import OtherContentLoaded, UnknownFormat, UnknownSnapshot
from data.files.naming import REPLACE_PREFIX, SnapshotFile
from data.history.load import LoadResult
from data.home import Home, current_home
from data.inbox import inbox, quarantine
from data.inbox.inbox import (
    STABLE_SECONDS,
    LoadFailure,
    Quarantined,
    describe_load,
    inbox_files,
    load_failures,
    load_inbox,
    put_into_inbox,
)
from data.schema import snapshot
from data.store.engine import close_store, open_store

STAMP = f"{TODAY:%Y-%m-%dT%H-%M-%SZ}"


@pytest.fixture
def store(home: Home) -> Iterator[Engine]:
    """The store of the home."""
    engine = open_store(home.database_url)
    yield engine
    engine.dispose()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def listed(store: Engine) -> list[str]:
    with store.connect() as con:
        return usernames(con)


def look(store: Engine, home: Home) -> list[LoadResult | Quarantined | LoadFailure]:
    """A look into the inbox, some time after the files were written."""
    for path in home.inbox.rglob("*"):
        os.utime(path, (0, 0))
    return load_inbox(store, home)


# ---- files that are loaded ----------------------------------------------------------------------


def test_a_loaded_file_moves_untouched_to_the_archive(home: Home, store: Engine) -> None:
    content = a_snapshot_file(home.inbox, [an_account("ada")]).read_bytes()
    [loaded] = look(store, home)
    assert isinstance(loaded, LoadResult)
    assert listed(store) == ["ada"]
    assert (home.archive / "figma" / f"{STAMP}.ndjson").read_bytes() == content
    assert files_in(home.inbox) == []
    assert files_in(home.rejected) == []


def test_files_are_loaded_oldest_first_whatever_their_integration(
    home: Home, store: Engine
) -> None:
    expected = [
        (YESTERDAY - timedelta(days=1), "slack"),
        (YESTERDAY, "figma"),
        (YESTERDAY, "slack"),
        (TODAY, "figma"),
    ]
    for at, integration in reversed(expected):
        a_snapshot_file(home.inbox, integration=integration, at=at)
    loaded = look(store, home)
    assert [(one.file.taken_at, one.file.integration) for one in loaded] == expected


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.ndjson",
        f".{STAMP}.ndjson.part",
        f"{STAMP}.ndjson.part",
        f"{STAMP}.ndjson.tmp",
        ".DS_Store",
        ".git/figma/x.csv",
    ],
)
def test_files_with_a_temporary_or_hidden_name_are_left_alone(
    home: Home, store: Engine, name: str
) -> None:
    for folder in (home.inbox, home.inbox / "figma"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert look(store, home) == []
    assert len(files_in(home.inbox)) == 2


def test_a_file_that_was_just_written_is_left_until_it_settles(home: Home, store: Engine) -> None:
    path = a_snapshot_file(home.inbox)
    assert load_inbox(store, home) == []
    assert path.exists()
    old = time.time() - STABLE_SECONDS
    os.utime(path, (old, old))
    assert len(load_inbox(store, home)) == 1


def test_a_file_from_a_clock_that_is_ahead_is_loaded_all_the_same(
    home: Home, store: Engine
) -> None:
    ahead = time.time() + 3600
    os.utime(a_snapshot_file(home.inbox), (ahead, ahead))
    assert len(load_inbox(store, home)) == 1


def test_a_file_that_is_put_into_the_inbox_is_whole_and_loaded_at_once(
    home: Home, store: Engine, tmp_path: Path
) -> None:
    path = a_snapshot_file(tmp_path)
    put_into_inbox(home, SnapshotFile.from_path(path))
    assert len(load_inbox(store, home)) == 1
    assert path.exists()


def test_the_same_file_again_is_already_loaded_and_leaves_the_inbox(
    home: Home, store: Engine
) -> None:
    for _ in range(2):
        content = a_snapshot_file(home.inbox).read_bytes()
        [loaded] = look(store, home)
    assert isinstance(loaded, LoadResult)
    assert loaded.already_loaded
    assert describe_load(loaded) == "figma at 2026-11-23 06:00:00 UTC: already loaded."
    assert files_in(home.inbox) == []
    assert (home.archive / "figma" / f"{STAMP}.ndjson").read_bytes() == content


def test_a_load_is_described_in_one_sentence(home: Home, store: Engine) -> None:
    rows = [an_account("a", active="perhaps"), an_account("b"), an_account("")]
    a_snapshot_file(home.inbox, rows)
    [loaded] = look(store, home)
    assert describe_load(loaded) == (
        "figma at 2026-11-23 06:00:00 UTC: 2 accounts, 1 of 3 rows rejected, "
        "1 account with an unrecognized value."
    )


# ---- the same moment again ----------------------------------------------------------------------


def test_other_content_for_the_same_time_is_rejected_with_advice(home: Home, store: Engine) -> None:
    for name in ("ada", "bob"):
        a_snapshot_file(home.inbox, [an_account(name)])
        [outcome] = look(store, home)
    assert isinstance(outcome, Quarantined)
    assert "already loaded" in outcome.reason
    assert "--replace" in outcome.reason
    assert listed(store) == ["ada"]


def test_a_replacement_takes_the_place_of_the_snapshot_and_of_its_file(
    home: Home, store: Engine, tmp_path: Path
) -> None:
    a_snapshot_file(home.inbox, [an_account("ada")])
    look(store, home)
    other = tmp_path / "other.csv"
    other.write_text("login\nbob\n")
    path = put_into_inbox(home, SnapshotFile(other, "figma", TODAY), replace=True)
    assert path.name == f"{REPLACE_PREFIX}{STAMP}.other.csv"
    look(store, home)
    assert listed(store) == ["bob"]
    assert files_in(home.archive) == [f"figma/{STAMP}.other.csv"]
    assert files_in(home.inbox) == []


def test_a_second_file_for_a_moment_does_not_push_the_first_out_of_the_inbox(
    home: Home, tmp_path: Path
) -> None:
    first = a_snapshot_file(tmp_path / "1", [an_account("ada")])
    other = a_snapshot_file(tmp_path / "2", [an_account("bob")])
    waiting = put_into_inbox(home, SnapshotFile.from_path(first))
    put_into_inbox(home, SnapshotFile.from_path(first))
    with pytest.raises(OtherContentLoaded, match="another file is waiting in the inbox"):
        put_into_inbox(home, SnapshotFile.from_path(other))
    assert waiting.read_bytes() == first.read_bytes()


# ---- files that are refused ---------------------------------------------------------------------


def test_a_rejected_file_lies_beside_the_reason(home: Home, store: Engine) -> None:
    path = home.inbox / "figma" / f"{STAMP}.json"
    path.parent.mkdir()
    path.write_text('{"error": "Unauthorized"}')
    [refused] = look(store, home)
    assert isinstance(refused, Quarantined)
    folder = home.rejected / "figma"
    assert files_in(folder) == [path.name, f"{path.name}.reason.txt"]
    assert refused.path == folder / path.name
    assert refused.path.read_text() == '{"error": "Unauthorized"}'
    reason = (folder / f"{path.name}.reason.txt").read_text(encoding="utf-8")
    assert reason == f"{refused.reason}\n"
    assert "expected a list of accounts" in reason
    assert files_in(home.inbox) == []


def test_the_reason_is_there_before_the_file_leaves_the_inbox(
    home: Home, store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home.inbox / "figma" / "nonsense.csv"
    path.parent.mkdir()
    path.write_text("x")
    seen: list[bool] = []
    take = quarantine.take_delivered

    def watched(home: Home, source: Path, target: Path) -> None:
        seen.append(target.with_name(f"{target.name}.reason.txt").exists())
        take(home, source, target)

    monkeypatch.setattr(quarantine, "take_delivered", watched)
    look(store, home)
    assert seen == [True]


def test_a_file_that_is_loaded_later_is_no_longer_rejected(home: Home, store: Engine) -> None:
    path = home.inbox / "figma" / f"{STAMP}.csv"
    path.parent.mkdir()
    for content in ("no usable heading\nx\n", "login\nada\n"):
        path.write_text(content)
        look(store, home)
    assert listed(store) == ["ada"]
    assert files_in(home.rejected) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{STAMP}.csv", "is not in the folder of an integration"),
        ("figma", "is not in the folder of an integration"),
        (f"figma/2026/{STAMP}.csv", "is not in the folder of an integration"),
        ("figma/export.csv", "does not say when the snapshot was taken"),
        ("figma/2026-13-45.csv", "does not say when the snapshot was taken"),
        (f"figma/{STAMP}.pdf", "has no known ending"),
        (f"figma/{STAMP}", "has no known ending"),
        (f"fig\\ma/{STAMP}.csv", "cannot name an integration"),
    ],
)
def test_a_file_without_integration_or_time_is_rejected_with_the_reason(
    home: Home, store: Engine, name: str, words: str
) -> None:
    path = home.inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("login\nada\n")
    [refused] = look(store, home)
    assert isinstance(refused, Quarantined)
    assert words in refused.reason
    assert refused.path.read_text() == "login\nada\n"
    assert len(files_in(home.rejected)) == 2
    assert files_in(home.inbox) == []
    assert listed(store) == []


def test_a_misplaced_file_never_stands_in_the_way_of_an_integration(
    home: Home, store: Engine
) -> None:
    (home.inbox / "figma").write_text("x")
    look(store, home)
    a_snapshot_file(home.inbox, [an_account("")])
    look(store, home)
    assert len(files_in(home.rejected)) == 4


def test_a_rejected_file_does_not_stop_the_others(home: Home, store: Engine) -> None:
    a_snapshot_file(home.inbox, [an_account("")], at=YESTERDAY)
    a_snapshot_file(home.inbox, [an_account("ada")], at=TODAY)
    refused, loaded = look(store, home)
    assert isinstance(refused, Quarantined)
    assert isinstance(loaded, LoadResult)
    assert listed(store) == ["ada"]


# ---- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("export.2026.csv.gz", f"{STAMP}.export.2026.csv.gz"),
        ("Export Final.CSV.GZ", f"{STAMP}.Export Final.csv.gz"),
        ("a.b.c.ndjson", f"{STAMP}.a.b.c.ndjson"),
        ("users.JSON", f"{STAMP}.users.json"),
        ("users.parquet.zst", f"{STAMP}.users.parquet.zst"),
        ("2026-11-23.csv", f"{STAMP}.csv"),
    ],
)
def test_a_given_file_gets_the_name_that_says_what_it_is(
    home: Home, tmp_path: Path, given: str, expected: str
) -> None:
    path = tmp_path / given
    path.write_bytes(b"content")
    put = put_into_inbox(home, SnapshotFile(path, "Salesforce: EMEA", TODAY))
    assert put == home.inbox / "Salesforce: EMEA" / expected
    assert put.read_bytes() == b"content"
    assert inbox_files(home) == [put]
    assert [path.name for path in put.parent.iterdir()] == [expected]


@pytest.mark.parametrize(
    "name", ["../x", "a/b", ".hidden", "..", ".", "/etc", "a\\b", "x\0y", "", " "]
)
def test_an_integration_never_leads_out_of_the_folder(
    home: Home, tmp_path: Path, name: str
) -> None:
    path = a_snapshot_file(tmp_path)
    with pytest.raises(UnknownSnapshot, match="cannot name an integration"):
        put_into_inbox(home, SnapshotFile(path, name, TODAY))
    assert files_in(home.root) == []


def test_a_file_of_unknown_format_does_not_get_into_the_inbox(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "accounts.pdf"
    path.write_text("x")
    with pytest.raises(UnknownFormat):
        put_into_inbox(home, SnapshotFile(path, "figma", TODAY))
    assert files_in(home.inbox) == []


# ---- what goes wrong ----------------------------------------------------------------------------


def test_a_file_that_fails_unexpectedly_remains_and_the_others_are_loaded(
    home: Home, store: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load = inbox.load

    def unlucky(engine: Engine, file: SnapshotFile, **how: bool) -> LoadResult:
        if file.integration == "figma":
            raise OSError("No space left on device")
        return load(engine, file, **how)

    monkeypatch.setattr(inbox, "load", unlucky)
    path = a_snapshot_file(home.inbox, at=YESTERDAY)
    a_snapshot_file(home.inbox, [an_account("bob")], integration="slack")
    failed, loaded = look(store, home)
    assert isinstance(failed, LoadFailure)
    assert "No space left on device" in failed.reason
    assert path.exists()
    assert "stays in the inbox" in caplog.text
    assert isinstance(loaded, LoadResult)
    assert [trouble.reason for trouble in load_failures.values()] == [failed.reason]
    monkeypatch.setattr(inbox, "load", load)
    monkeypatch.setattr(inbox.time, "monotonic", lambda: failed.failed_at)
    assert look(store, home) == [], "it was tried again at once"
    monkeypatch.setattr(inbox.time, "monotonic", lambda: failed.failed_at + failed.retry_seconds)
    assert len(look(store, home)) == 1
    assert not load_failures


def test_a_file_that_was_loaded_but_not_yet_moved_when_the_process_died_is_moved_at_the_next_look(
    home: Home, store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    a_snapshot_file(home.inbox)
    monkeypatch.setattr(inbox.shutil, "move", killed)
    with pytest.raises(SystemExit):
        look(store, home)
    monkeypatch.undo()
    look(store, home)
    assert files_in(home.inbox) == []
    assert files_in(home.archive) == [f"figma/{STAMP}.ndjson"]
    with store.connect() as con:
        assert con.scalar(select(func.count()).select_from(snapshot)) == 1


def test_a_file_that_needs_too_much_memory_waits_and_is_not_rejected(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_snapshot_file(home.inbox, [an_account(f"user {n}") for n in range(10_000)])
    monkeypatch.setenv("ROLLCALL_MEMORY_LIMIT", "8MiB")
    monkeypatch.setenv("ROLLCALL_TEMP_LIMIT", "1MiB")
    (failed,) = look(open_store(home.database_url), home)
    assert isinstance(failed, LoadFailure)
    assert "limit of 8MiB" in failed.reason
    close_store(home.database_url)
    monkeypatch.undo()
    load_failures.clear()
    (loaded,) = look(open_store(home.database_url), home)
    assert isinstance(loaded, LoadResult)


# ---- home and store -----------------------------------------------------------------------------


def test_the_environment_names_home_and_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "some where"))
    monkeypatch.delenv("ROLLCALL_DATABASE_URL", raising=False)
    assert current_home().root == tmp_path / "some where"
    assert current_home().database_url == f"duckdb:///{tmp_path}/some where/rollcall.duckdb"
    assert (tmp_path / "some where" / "snapshots").is_dir()
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", "duckdb:////elsewhere/x.duckdb")
    assert current_home().database_url == "duckdb:////elsewhere/x.duckdb"


@pytest.mark.parametrize(
    ("value", "wants"), [("1", False), ("yes", False), ("0", True), ("", True)]
)
def test_the_environment_may_decline_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, wants: bool
) -> None:
    monkeypatch.setenv("ROLLCALL_NO_SAMPLE", value)
    assert Home(tmp_path).is_sample_enabled() is wants


def test_a_store_that_another_process_holds_says_so(home: Home, store: Engine) -> None:
    code = """if True:
        import sys
        from data.store.engine import open_store
        from data.store.errors import StoreInUse
        try:
            open_store(sys.argv[1])
        except StoreInUse as fault:
            print(fault)
        """
    ended = subprocess.run(
        [sys.executable, "-c", code, home.database_url],
        cwd=Path(inbox.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    words = f"{home.root}/rollcall.duckdb is open in another process.\n"
    assert (ended.stdout, ended.stderr) == (words, "")


def test_threads_that_open_a_store_at_once_get_the_same_one(tmp_path: Path) -> None:
    url, engines = f"duckdb:///{tmp_path}/new/store.duckdb", []
    threads = [Thread(target=lambda: engines.append(open_store(url))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engines) == 8
    assert len(set(map(id, engines))) == 1
    engines[0].dispose()
