"""Where delivered files lie: loaded, held, refused or removed; none is ever deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import TODAY, YESTERDAY, a_snapshot_file, an_account, usernames
from copies import load_inbox_once
from sqlalchemy import Engine, select

from data.history.load import LoadResult
from data.home import Home
from data.inbox.actions import dismiss_file, requeue_file, withdraw_snapshot
from data.inbox.inbox import STABLE_SECONDS, Quarantined, load_inbox
from data.records.tables import quarantined_file
from data.store.engine import open_store

STAMP = f"{TODAY:%Y-%m-%dT%H-%M-%SZ}"
NAME = f"{STAMP}.ndjson"
TEN = [an_account(f"a{n}") for n in range(10)]


@pytest.fixture
def store(home: Home) -> Iterator[Engine]:
    engine = open_store(home.database_url)
    yield engine
    engine.dispose()


def look(store: Engine, home: Home) -> list[object]:
    """A look into the inbox, some time after the files were written."""
    return list(load_inbox_once(store, home))


def listed(store: Engine) -> list[str]:
    with store.connect() as con:
        return usernames(con)


def noted(store: Engine) -> list[tuple[str, str, str]]:
    with store.connect() as con:
        row = quarantined_file.c
        found = con.execute(select(row.status, row.integration, row.file_name))
        return sorted(tuple(each) for each in found)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def held(store: Engine, home: Home) -> Path:
    """A file that is held, as three of ten accounts would be gone."""
    a_snapshot_file(home.inbox, TEN, at=YESTERDAY)
    look(store, home)
    a_snapshot_file(home.inbox, TEN[:7])
    (outcome,) = look(store, home)
    assert isinstance(outcome, Quarantined)
    return outcome.path


def test_a_file_on_hold_changes_nothing_and_has_a_reason(
    held: Path, home: Home, store: Engine
) -> None:
    assert held == home.on_hold / "figma" / NAME
    reason = held.with_name(f"{NAME}.reason.txt").read_text(encoding="utf-8")
    assert "3 of 10 accounts (30%) would be deleted: 3 no longer listed" in reason
    assert noted(store) == [("on hold", "figma", NAME)]
    assert len(listed(store)) == 10


def test_a_file_on_hold_is_loaded_once_a_person_confirms_it(
    held: Path, home: Home, store: Engine
) -> None:
    requeue_file(store, home, "on hold", "figma", NAME, confirmed=True)
    (loaded,) = look(store, home)
    assert isinstance(loaded, LoadResult)
    assert len(listed(store)) == 7
    assert noted(store) == []
    assert files_in(home.on_hold) == []
    assert f"figma/{NAME}" in files_in(home.archive)


def test_a_file_on_hold_that_is_delivered_again_goes_on_hold_again(
    held: Path, home: Home, store: Engine
) -> None:
    requeue_file(store, home, "on hold", "figma", NAME, confirmed=False)
    look(store, home)
    assert noted(store) == [("on hold", "figma", NAME)]


def test_a_dismissed_file_moves_to_removed(held: Path, home: Home, store: Engine) -> None:
    dismiss_file(store, home, "on hold", "figma", NAME)
    assert noted(store) == []
    assert files_in(home.on_hold) == []
    assert files_in(home.removed) == [f"figma/{NAME}"]


def test_a_name_from_a_browser_is_no_path(held: Path, home: Home, store: Engine) -> None:
    for integration, name in (("..", "rollcall.duckdb"), ("figma", f"../figma/{NAME}"), ("", NAME)):
        with pytest.raises(FileNotFoundError, match="is no longer on hold"):
            dismiss_file(store, home, "on hold", integration, name)


def test_a_loaded_file_for_the_same_time_ends_the_quarantine(
    held: Path, home: Home, store: Engine
) -> None:
    a_snapshot_file(home.inbox, TEN[:9])
    look(store, home)
    assert noted(store) == []
    assert files_in(home.on_hold) == []
    assert files_in(home.removed) == [f"figma/{NAME}"]


def test_a_second_rejected_file_of_the_same_name_does_not_replace_the_first(
    home: Home, store: Engine
) -> None:
    for content in ("one", "two"):
        path = home.inbox / "figma" / f"{STAMP}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        look(store, home)
    refused = home.rejected / "figma" / f"{STAMP}.csv"
    assert refused.read_text() == "two"
    assert (home.removed / "figma" / refused.name).read_text() == "one"
    assert noted(store) == [("rejected", "figma", refused.name)]


def test_a_replaced_file_moves_to_removed(home: Home, store: Engine) -> None:
    a_snapshot_file(home.inbox, TEN)
    look(store, home)
    path = a_snapshot_file(home.inbox, TEN[:9])
    path.rename(path.with_name(f"replace~{NAME}"))
    look(store, home)
    assert len(listed(store)) == 9
    assert (home.removed / "figma" / NAME).read_text().count("\n") == 10


def test_a_removed_snapshot_s_file_moves_to_removed(home: Home, store: Engine) -> None:
    a_snapshot_file(home.inbox, TEN[:1], at=YESTERDAY)
    a_snapshot_file(home.inbox, TEN[:2])
    look(store, home)
    assert withdraw_snapshot(store, home, "figma", TODAY)
    assert listed(store) == ["a0"]
    assert files_in(home.removed) == [f"figma/{NAME}"]
    assert len(files_in(home.archive)) == 1
    assert not withdraw_snapshot(store, home, "figma", TODAY)


WRITE_SLOWLY = """
import sys
with open(sys.argv[1], "a") as file:
    file.write('{"username_in_app": "a0"}\\n')
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
    file.write('{"username_in_app": "a1"}\\n')
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a file open")
def test_a_file_that_a_process_still_writes_is_left_alone_however_long_it_pauses(
    home: Home, store: Engine
) -> None:
    path = home.inbox / "figma" / NAME
    path.parent.mkdir()
    command = [sys.executable, "-c", WRITE_SLOWLY, path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as writer:
        assert writer.stdin
        assert writer.stdout
        assert writer.stdout.readline() == "half\n"
        os.utime(path, (0, 0))  # the writer pauses for longer than a file takes to settle
        assert STABLE_SECONDS < 60
        assert load_inbox(store, home) == []
        writer.stdin.write("\n")
        writer.stdin.close()
        writer.wait()
    look(store, home)
    assert listed(store) == ["a0", "a1"]
