"""Retention: what is too old goes, and what stays answers as before."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tarfile
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import TODAY, a_snapshot_file, an_account
from sqlalchemy import Engine, delete, select, update
from test_actions import Killed, killed_before_change
from test_history import day_counts

import rollcall
from data.access.claims import ConfigError
from data.files.naming import SnapshotFile
from data.formatting import file_stamp, utc_now
from data.home import Home
from data.inbox.actions import withdraw_snapshot
from data.inbox.inbox import load_inbox, put_into_inbox
from data.records.audit_log import (
    INITIAL_CHECKSUM,
    Event,
    event_checksum,
    flush_pending,
    record_event,
)
from data.records.tables import audit_event
from data.schema import snapshot
from data.service.backup import write_backup
from data.service.keeper import Keeper
from data.service.rebuild import load_missing, rebuild
from data.service.retention import Retention, delete_expired, find_expired, read_retention
from data.store.engine import close_store, open_store
from queries.audit import find_broken_event
from queries.health.counts import deleted_stretches

STATES = ("Onboarded", "Update failed", "Update awaiting", "Deleted")
DAYS = [TODAY - timedelta(days=100 - n) for n in range(5)]


def files_of(folder: str, history: list[dict[str, tuple[str, str]]]) -> list[SnapshotFile]:
    """One snapshot per day, with an account that never changes."""
    files = []
    for at, listed in zip(DAYS, history, strict=True):
        rows = [an_account(name, state=s, roles=[r]) for name, (s, r) in listed.items()]
        path = a_snapshot_file(Path(folder), [an_account("zoe"), *rows], at=at)
        files.append(SnapshotFile(path, "figma", at))
    return files


LIMITS = Retention(snapshot_days=98, removed_file_days=30, audit_days=30)
"""On TODAY, the first two of DAYS are too old."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Five snapshots, each with other accounts."""
    home = Home(tmp_path_factory.mktemp("template"))
    listed = [dict.fromkeys("abcd"[n % 2 :], (STATES[n % 4], "Editor")) for n in range(5)]
    with TemporaryDirectory() as folder:
        for file in files_of(folder, listed):
            put_into_inbox(home, file, confirmed=True)
    load_inbox(open_store(home.database_url), home)
    close_store(home.database_url)
    return home


@pytest.fixture
def store(home: Home, template: Home) -> Engine:
    """The store of a home that is like the template."""
    shutil.copytree(template.root, home.root, dirs_exist_ok=True)
    return open_store(home.database_url)


def archived(home: Home) -> set[str]:
    return {path.name for path in home.archive.rglob("*.ndjson")}


def names_of(*days: datetime) -> set[str]:
    return {f"{file_stamp(day)}.ndjson" for day in days}


def events_of(engine: Engine, home: Home) -> list[tuple[str, dict[str, Any]]]:
    flush_pending(engine, home)
    with engine.connect() as con:
        rows = con.execute(select(audit_event).order_by(audit_event.c.number))
        return [(row.action, json.loads(row.details)) for row in rows]


def test_nothing_is_deleted_without_settings(home: Home, store: Engine) -> None:
    delete_expired(store, home, Retention(), utc_now() + timedelta(days=9_999))
    assert archived(home) == names_of(*DAYS)


def test_old_snapshots_go_with_their_files_but_not_the_newest(home: Home, store: Engine) -> None:
    assert find_expired(store, home, LIMITS, TODAY).snapshots == {"figma": 2}
    delete_expired(store, home, LIMITS, TODAY)
    assert archived(home) == names_of(*DAYS[2:])
    assert not list(home.removed.rglob("*.ndjson"))
    action, details = events_of(store, home)[-1]
    assert action == Event.RETENTION_APPLIED
    assert (details["integration"], details["snapshots"]) == ("figma", 2)
    delete_expired(store, home, LIMITS, TODAY + timedelta(days=9_999))
    assert archived(home) == names_of(DAYS[-1])
    with store.connect() as con:
        assert con.scalars(select(snapshot.c.taken_at)).all() == [DAYS[-1]]


@pytest.mark.parametrize("way", ["rebuild", "backup"])
def test_the_counts_of_deleted_snapshots_outlive_a_rebuild_and_a_restored_backup(
    home: Home, store: Engine, tmp_path: Path, way: str
) -> None:
    before = day_counts(store, DAYS)
    delete_expired(store, home, LIMITS, TODAY)
    if way == "rebuild":
        rebuild(home, lambda *_: None)
    else:
        close_store(home.database_url)
        write_backup(home, tmp_path / "backup.tar")
        home = Home(tmp_path / "restored")
        with tarfile.open(tmp_path / "backup.tar") as tar:
            tar.extractall(home.root, filter="data")
        load_missing(open_store(home.database_url), home, lambda *_: None)
    store = open_store(home.database_url)
    assert day_counts(store, DAYS) == before
    with store.connect() as con:
        assert deleted_stretches(con, ("figma",)) == [(DAYS[0], DAYS[2])]
    close_store(home.database_url)


def test_a_kill_in_between_is_completed_at_the_next_start(
    template: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in itertools.count(1):
        again = Home(tmp_path / f"killed-{number}")
        shutil.copytree(template.root, again.root)
        store, was_killed = open_store(again.database_url), False
        try:
            with killed_before_change(monkeypatch, number):
                delete_expired(store, again, LIMITS, TODAY)
        except Killed:
            was_killed = True
        assert load_missing(store, again, lambda *_: None) == []
        with store.connect() as con:
            stay = names_of(*con.scalars(select(snapshot.c.taken_at)))
        assert stay == archived(again)
        assert stay in (names_of(*DAYS), names_of(*DAYS[2:]))
        delete_expired(store, again, LIMITS, TODAY)
        assert archived(again) == names_of(*DAYS[2:])
        close_store(again.database_url)
        if not was_killed:
            break
    assert number > 3, "kills came between all steps"


def test_removed_files_and_old_stores_go_by_the_time_since_they_were_put_there(
    home: Home, store: Engine
) -> None:
    withdraw_snapshot(store, home, "figma", DAYS[0])
    old_store = home.root / f"rollcall.duckdb.damaged-{file_stamp(TODAY)}"
    old_store.touch()
    assert find_expired(store, home, LIMITS).files == []
    found = delete_expired(store, home, LIMITS, utc_now() + timedelta(days=31)).files
    assert {path.name for path in found} == {old_store.name, *names_of(DAYS[0])}
    assert not any(path.exists() for path in found)
    assert (home.root / "rollcall.duckdb").exists()


def age(engine: Engine, *numbers: int) -> None:
    """Make events old, with checksums that match."""
    checksum = INITIAL_CHECKSUM
    with engine.begin() as con:
        for row in con.execute(select(audit_event).order_by(audit_event.c.number)).mappings():
            event = dict(row)
            if row["number"] in numbers:
                event["occurred_at"] -= timedelta(days=31)
            checksum = event_checksum(checksum, row["number"], event)
            values = {"occurred_at": event["occurred_at"], "checksum": checksum}
            is_it = audit_event.c.number == row["number"]
            con.execute(update(audit_event).where(is_it).values(values))


def test_old_events_go_and_the_rest_of_the_chain_can_be_verified(home: Home) -> None:
    store = open_store(home.database_url)
    for actor in ("ada", "bob", "cem", "dan"):
        record_event(home, actor, Event.SIGNED_IN)
    flush_pending(store, home)
    age(store, 1, 2)
    delete_expired(store, home, LIMITS)
    deleted = Event.RETENTION_APPLIED
    events = events_of(store, home)
    assert [action for action, _ in events] == [Event.SIGNED_IN, Event.SIGNED_IN, deleted]
    assert events[-1][1]["events"] == 2
    record_event(home, "eve", Event.SIGNED_IN)
    flush_pending(store, home)
    first, record = audit_event.c.number == 3, audit_event.c.number == 5
    for statement, broken in (
        (None, None),
        (update(audit_event).where(first).values(actor="mallory"), 3),
        (update(audit_event).where(first).values(actor="cem"), None),
        (delete(audit_event).where(first), 4),
        (delete(audit_event).where(record), 5),
    ):
        with store.begin() as con:
            if statement is not None:
                con.execute(statement)
            assert find_broken_event(con) == broken
    assert find_expired(store, home, LIMITS).events == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[retention]\nsnapshot_days = 7", "snapshot_days in [retention] must be a whole number"),
        ("[retention]\naudit_days = true", "audit_days in [retention]"),
        ("[retention]\naudit_day = 90", "can have snapshot_days, removed_file_days, audit_days"),
        ("retention = 90", "[retention] can have"),
        ("[retention", "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_retention(file)
    assert read_retention(tmp_path / "none.toml") == Retention()


def test_the_command_shows_what_would_go_and_deletes_it(
    home: Home,
    store: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[retention]\nsnapshot_days = 30\n")
    monkeypatch.setenv("ROLLCALL_SECRETS", str(secrets))
    store.dispose()
    assert rollcall.main(["retention", "--dry-run"]) == 0
    assert "4 snapshots of figma" in capsys.readouterr().out
    assert archived(home) == names_of(*DAYS)
    assert rollcall.main(["retention"]) == 0
    assert archived(home) == names_of(DAYS[-1])


def test_the_app_deletes_once_a_day(
    home: Home, store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[retention]\nsnapshot_days = 30\n")
    monkeypatch.setenv("ROLLCALL_SECRETS", str(secrets))
    assert store is open_store(home.database_url)
    Keeper(home, "http://127.0.0.1:1").run_once()
    assert archived(home) == names_of(DAYS[-1])
